"""A testbench with a design in it as input for VACASK. Pure.

The netlist is the one that ngspice gets, with every number in its place: nothing is altered but AC
magnitudes and waveforms. Each analysis writes one file (two for a loop gain) whose columns are found
again by `column`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from acs_gym.simulation.program import (
    INITIAL,
    Analysis,
    Deck,
    initial_values,
    model_names,
    netlist,
    setting_values,
)
from acs_gym.units import parse
from acs_gym.vacask.models import NotTranslated, model_line

# Far tighter than what is compared, so that what differs is the simulators and not their tolerances.
# After a corner of a waveform VACASK's first step is tran_fbr of the way to the next one, and its
# step control does not take back what a long one missed: with its default of a quarter, an LDO's
# undershoot is a fifth too small; 1/500 gives what every shorter step gives.
OPTIONS = "reltol=1e-6 vntol=1e-9 abstol=1e-12 tran_fbr=0.002"
# The longest time step, as a share of ngspice's.
_FINER = 0.5
_HEAD = (
    "ground 0",
    *(f'load "spice/{name}.osdi"' for name in ("resistor", "capacitor", "diode", "bsim4v8")),
    'load "inductor.osdi"',
    *(
        f"model acs_{kind} {kind}"
        for kind in ("vsource", "isource", "vcvs", "vccs", "ccvs", "cccs")
    ),
    "model acs_resistor sp_resistor",
    "model acs_capacitor sp_capacitor",
    "model acs_inductor inductor",
)
_PASSIVE = {"r": ("acs_resistor", "r"), "c": ("acs_capacitor", "c"), "l": ("acs_inductor", "l")}
_CONTROLLED = {"e": "acs_vcvs", "g": "acs_vccs", "f": "acs_cccs", "h": "acs_ccvs"}
# SPICE's waveforms: VACASK's name, and its parameters in SPICE's order.
_WAVEFORMS = {
    "pulse": ("pulse", ("val0", "val1", "delay", "rise", "fall", "width", "period")),
    "sin": ("sine", ("sinedc", "ampl", "freq", "delay", "theta", "sinephase")),
}
_SMALL_SIGNAL = ("ac", "noise")
# `dc 1.8 ac 0`, `1.8`, `ac 1`; which sources are excited is the analysis's business.
_LEVEL = re.compile(r"(?:(?:dc\s+)?([-+.\d]\S*))?\s*(?:ac(?:\s+[-+.\d]\S*)*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Run:
    """One of VACASK's analyses: `file` is what it writes (without .raw), `source` what it excites.

    `source` is None but for the two injections of a loop gain.
    """

    file: str
    analysis: Analysis
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """VACASK's input file, and what it will write.

    `multipliers`: of each transistor, by ngspice's name.
    """

    text: str
    runs: tuple[Run, ...]
    multipliers: Mapping[str, float]


def translate(deck: Deck, scope: Mapping[str, float], temperature: float) -> Input:
    """The deck with the design, conditions and mismatch draws of `scope`, at `temperature` in °C.

    Raises NotTranslated where VACASK has no counterpart, PdkError where a size has no card.
    """
    number = iter(setting_values(deck, scope))
    settings = {s.target: [next(number) for _ in s.values] for s in deck.settings}
    lines = netlist(deck, model_names(deck, scope), initial_values(deck, scope))
    circuit = _Circuit(settings, temperature)
    body = [text for line in lines[1:] for text in circuit.statement(line)]
    runs = tuple(_runs(deck))
    control = [
        "control",
        "  abort always",
        f'  options temp={temperature!r} rawfile="binary" {OPTIONS}',
        *(f"  {line}" for line in _commands(deck, runs, circuit)),
        "endc",
    ]
    return Input("\n".join([lines[0], *_HEAD, *body, *control, ""]), runs, circuit.multipliers)


def column(vector: str) -> str:
    """The column of VACASK's file that holds what ngspice calls `v(x)`, `i(x)` or `@m.x.y[z]`."""
    if match := re.fullmatch(r"v\((.+)\)", vector):
        return match[1].replace(".", ":")
    if match := re.fullmatch(r"i\((.+)\)", vector):
        # ngspice puts the element's letter before a name inside an instance.
        return f"{_instance(match[1])}:flow(br)"
    if match := re.fullmatch(r"@(.+)\[(\w+)\]", vector):
        return f"{_instance(match[1])}.{match[2]}"
    raise NotTranslated(f"cannot translate the vector {vector!r}")


def frequencies(command: str) -> list[float]:
    """The frequencies in Hz of `... dec|oct|lin N FSTART FSTOP`, as ngspice places them."""
    kind, points, first, last = command.split()[-4:]
    number, start, stop = round(parse(points)), parse(first), parse(last)
    if kind == "lin":
        step = (stop - start) / (number - 1) if number > 1 else 0.0
        return [start + k * step for k in range(number)]
    ratio = {"dec": 10.0, "oct": 2.0}.get(kind)
    if ratio is None:
        raise NotTranslated(f"cannot translate the sweep of {command!r}")
    count = math.floor(number * math.log(stop / start, ratio) + 1e-9)
    if kind == "dec" and count:  # So many steps, widened until the last ends at FSTOP.
        return [start * (stop / start) ** (k / count) for k in range(count + 1)]
    # By octaves it runs from FSTART on and stops at the first point past FSTOP.
    return [start * ratio ** (k / number) for k in range(count + 1)]


def _instance(element: str) -> str:
    """`m.xdut.mpair` (ngspice) as `xdut:mpair`; a name at the top as it is."""
    letter, dot, rest = element.partition(".")
    return rest.replace(".", ":") if dot and len(letter) == 1 else element


class _Circuit:
    """Statements of one netlist; remembers the nodesets and which sources have a waveform.

    A resistor's temperature coefficients are worked into its value, at the one temperature there is.
    """

    def __init__(self, settings: Mapping[str, list[float]], temperature: float) -> None:
        self._settings = settings
        self._temperature = temperature
        self._resistor_cards: dict[str, dict[str, float]] = {}
        self._inside = ""  # The name of the DUT's instance, while inside its subcircuit.
        self.nodeset: list[tuple[str, float]] = []
        self.multipliers: dict[str, float] = {}
        self.waveforms: list[tuple[str, str]] = []  # A source, and its type in a transient.
        self._instance = _dut_instance(settings)

    def statement(self, line: str) -> Iterator[str]:
        """A line of SPICE as VACASK's, or nothing where it says nothing to VACASK."""
        words = line.split()
        kind = words[0].lower()
        if kind == ".model" and words[2].lower() == "r":
            self._resistor_cards[words[1].lower()] = _numbers(words[3:])
        elif kind == ".model":
            yield model_line(line)
        elif kind == ".subckt":
            self._inside = self._instance
            yield f"subckt '{words[1]}' ({_nodes(words[2:])})"
        elif kind == ".ends":
            self._inside = ""
            yield "ends"
        elif kind == ".nodeset":
            pairs = re.findall(r"v\(([^()]+)\)\s*=\s*(\S+)", line, re.I)
            self.nodeset += [(n.lower().replace(".", ":"), parse(value)) for n, value in pairs]
        elif kind == INITIAL:
            raise NotTranslated("cannot translate .ic: a transient from given voltages")
        elif kind[0] == "x":
            yield f"'{words[0].lower()}' ({_nodes(words[1:-1])}) '{words[-1]}'"
        elif kind[0] != ".":
            yield self._element(line)

    def _element(self, line: str) -> str:
        name, *words = line.split()
        name = name.lower()
        letter = name[0]
        full = f"{letter}.{self._inside}.{name}" if self._inside else name
        match letter:
            case "m":
                return self._transistor(full, name, words)
            case "d":
                return f"'{name}' ({_nodes(words[:2])}) '{words[2]}'"
            case "r" | "c" | "l":
                attribute = {"r": "resistance", "c": "capacitance", "l": "inductance"}[letter]
                model, parameter = _PASSIVE[letter]
                value = self._one(full, attribute, words[2])
                if letter != "l":
                    value *= self._warmth(words[3:])
                return f"'{name}' ({_nodes(words[:2])}) {model} {parameter}={value!r}"
            case "e" | "g":
                gain = self._one(full, "gain", words[4])
                return f"'{name}' ({_nodes(words[:4])}) {_CONTROLLED[letter]} gain={gain!r}"
            case "f" | "h":
                gain = self._one(full, "gain", words[3])
                source = words[2].lower()
                return (
                    f"'{name}' ({_nodes(words[:2])}) {_CONTROLLED[letter]} "
                    f'ctlinst="{source}" gain={gain!r}'
                )
            case "v" | "i":
                return self._source(full, name, words[:2], " ".join(words[2:]))
        raise NotTranslated(f"cannot translate the element {line!r}")

    def _warmth(self, words: list[str]) -> float:
        """What temperature makes of a value, from a resistor's card or the element's own words."""
        given: dict[str, float] = {}
        for word in words:
            given |= _numbers([word]) if "=" in word else self._resistor_cards[word.lower()]
        warmer = self._temperature - given.get("tnom", 27.0)
        return 1.0 + given.get("tc1", 0.0) * warmer + given.get("tc2", 0.0) * warmer**2

    def _transistor(self, full: str, name: str, words: list[str]) -> str:
        values = {k.lower(): float(v) for k, _, v in (w.partition("=") for w in words[5:])}
        for attribute in values:
            values[attribute] = self._one(full, attribute, repr(values[attribute]))
        self.multipliers[full] = values.get("m", 1.0)
        attributes = " ".join(f"{'$mfactor' if k == 'm' else k}={v!r}" for k, v in values.items())
        return f"'{name}' ({_nodes(words[:4])}) '{words[4]}' {attributes}"

    def _source(self, full: str, name: str, nodes: list[str], value: str) -> str:
        model = "acs_vsource" if name[0] == "v" else "acs_isource"
        waveform = ""
        if found := re.search(r"\b(pulse|sin)\s*\(([^()]*)\)", value, re.I):
            word = found[1].lower()
            kind, names = _WAVEFORMS[word]
            given = self._settings.get(f"{full}[{word}]") or [parse(w) for w in found[2].split()]
            if len(given) > len(names):
                raise NotTranslated(f"cannot translate the source {name} {value!r}")
            waveform = " ".join(f"{k}={v!r}" for k, v in zip(names, given, strict=False))
            self.waveforms.append((name, kind))
            value = value[: found.start()]
        level = _LEVEL.fullmatch(value.strip())
        if level is None:  # Another waveform, which must not be left out silently.
            raise NotTranslated(f"cannot translate the source {name} {value!r}")
        dc = self._one(full, "dc", level[1] or "0")
        return f"'{name}' ({_nodes(nodes)}) {model} type=\"dc\" dc={dc!r} mag=0 {waveform}".rstrip()

    def _one(self, element: str, attribute: str, text: str) -> float:
        """An attribute's number: as set for this design, or as the netlist has it."""
        given = self._settings.get(f"{element}[{attribute}]")
        return parse(text) if given is None else given[0]


def _numbers(words: list[str]) -> dict[str, float]:
    return {k.lower(): parse(v) for k, _, v in (w.partition("=") for w in words)}


def _dut_instance(settings: Mapping[str, list[float]]) -> str:
    """The DUT's instance, from the full name of anything in it that is set."""
    for target in settings:
        if match := re.match(r"[a-z]\.(\w+)\.", target):
            return match[1]
    return "xdut"


def _nodes(words: list[str]) -> str:
    return " ".join(f"'{w.lower()}'" for w in words)


def _runs(deck: Deck) -> Iterator[Run]:
    for k, analysis in enumerate(deck.analyses):
        if analysis.probe is None:
            yield Run(f"run{k}", analysis)
        else:
            yield Run(f"run{k}v", analysis, analysis.probe.voltage)
            yield Run(f"run{k}i", analysis, analysis.probe.current)


def _commands(deck: Deck, runs: tuple[Run, ...], circuit: _Circuit) -> Iterator[str]:
    """The control block: sources as each analysis wants them, what to save, the analysis."""
    start = ", ".join(f'"{node}", {value!r}' for node, value in circuit.nodeset)
    nodeset = f" nodeset={{{start}}}" if start else ""
    excited: set[str] = set()
    for run in runs:
        analysis = run.analysis
        if analysis.kind in _SMALL_SIGNAL:
            wanted = set(analysis.excite) if run.source is None else {run.source}
            for source in sorted(excited ^ wanted):
                yield f'alter instance("{source}") mag={int(source in wanted)}'
            excited = wanted
        yield f"save default {' '.join(_saves(analysis))}".rstrip()
        waveforms = circuit.waveforms if analysis.kind == "tran" else []
        for source, kind in waveforms:
            yield f'alter instance("{source}") type="{kind}"'
        yield from _analysis(run, nodeset)
        for source, _ in waveforms:
            yield f'alter instance("{source}") type="dc"'


def _saves(analysis: Analysis) -> Iterator[str]:
    """What is not written by default: quantities of devices."""
    for vector in analysis.vectors:
        if match := re.fullmatch(r"@(.+)\[(\w+)\]", vector):
            yield f"p('{_instance(match[1])}',{match[2]})"


def _analysis(run: Run, nodeset: str) -> Iterator[str]:
    kind, *words = run.analysis.command.split()
    match kind:
        case "op":
            yield f"analysis {run.file} op{nodeset}"
        case "ac":
            yield f"analysis {run.file} ac values=[{_list(run.analysis)}]{nodeset}"
        case "noise":
            output = re.fullmatch(r"v\((\w+)\)", words[0], re.I)
            if output is None:
                raise NotTranslated(f"cannot translate the noise output {words[0]!r}")
            yield (
                f'analysis {run.file} noise out="{output[1].lower()}" in="{words[1].lower()}" '
                f"values=[{_list(run.analysis)}]{nodeset}"
            )
        case "tran":
            step, stop = parse(words[0]), parse(words[1])
            longest = _FINER * step
            yield (
                f"analysis {run.file} tran step={step!r} stop={stop!r} maxstep={longest!r}{nodeset}"
            )
        case "dc":
            source, start, stop, step = words[0].lower(), *map(parse, words[1:4])
            count = math.floor((stop - start) / step + 1e-9)
            points = ", ".join(repr(start + k * step) for k in range(count + 1))
            swept = 'option="temp"' if source == "temp" else f'instance="{source}" parameter="dc"'
            yield f"sweep point {swept} values=[{points}] continuation=1"
            yield f"  analysis {run.file} op{nodeset}"
        case _:
            raise NotTranslated(f"cannot translate the analysis {run.analysis.command!r}")


def _list(analysis: Analysis) -> str:
    return ", ".join(map(repr, frequencies(analysis.command)))
