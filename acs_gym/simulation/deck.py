"""A circuit on a PDK as the program a simulation worker runs.

Pure: records in, records out. A `Program` holds one deck (netlist text) per testbench, and for
each deck what must be re-sent before every simulation: *all* device attributes and source values,
never only those that changed, so that a result cannot depend on what was simulated before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from acs_gym.circuit import AnalysisEntry, Circuit, CircuitError, MetricEntry
from acs_gym.expressions import Expression
from acs_gym.pdks.base import Device, Pdk
from acs_gym.simulation.measures import MEASURES, Option, options_of
from acs_gym.simulation.netlist import Bench, Element, Primitive
from acs_gym.simulation.placement import Placed
from acs_gym.simulation.program import (
    INITIAL,
    Analysis,
    Deck,
    Draw,
    Gate,
    Metric,
    Probe,
    Program,
    Setting,
    Transistor,
)

# Tight Newton costs nothing (it converges quadratically) and makes the operating point independent
# of where it started. A transient solves thousands of points and is content with less of it; the
# error of its steps goes with reltol·trtol, chosen by measurement (benchmarks/numerics.py).
RELTOL, TRANSIENT_RELTOL, TRTOL = 1e-5, 1e-4, 0.7
OPTIONS = f"keepopinfo noinit reltol={RELTOL:g} trtol={TRTOL:g}"
_CLAMP = "acs_clamp"
_CLAMP_MODEL = f".model {_CLAMP} d(is=1e-14 n=1)"
# Settable attributes of plain elements whose whole value is one number.
_SCALAR = {"r": "resistance", "c": "capacitance", "l": "inductance", "i": "dc", "v": "dc"}


def build_program(circuit: Circuit, pdk: Pdk, corner: str = "tt") -> Program:
    """The program of `circuit` on `pdk` at `corner`. Raises CircuitError, PdkError."""
    conditions = circuit.conditions(pdk.name)
    space = circuit.space(pdk.name)
    scope = {**conditions, **space.from_unit([0.5] * len(space))}
    devices = _devices(circuit, pdk, corner)
    transistors = _transistor_names(circuit, devices)
    metrics = tuple(_metric(m, transistors) for m in circuit.file.metric)
    gates = tuple(_gate(g, tuple(m.name for m in metrics)) for g in circuit.file.gate)
    wanted = _wanted_vectors(metrics, gates)
    decks: list[Deck] = []
    duts: dict[str, _Dut] = {}
    for entry, bench in zip(circuit.file.bench, circuit.benches, strict=True):
        analyses = tuple(
            _analysis(entry.netlist, a, bench, wanted.get(a.name, ()), conditions)
            for a in entry.analysis
        )
        if any(a.trtol is not None for a in analyses):  # It must not stay for the next one.
            analyses = tuple(replace(a, trtol=a.trtol or TRTOL) for a in analyses)
        if bench.instance not in duts:
            duts[bench.instance] = _dut(circuit, bench.instance, devices, scope)
        dut = duts[bench.instance]
        decks.append(_deck(circuit, entry.netlist, bench, analyses, dut, devices, scope))
    program = Program(
        name=f"{circuit.id}@{pdk.name}:{corner}",
        parameters=space.names,
        conditions=conditions,
        decks=tuple(decks),
        metrics=metrics,
        gates=gates,
        area=_area(circuit, devices),
    )
    _check_expressions(circuit, program)
    return replace(program, key=_key(program))


def _devices(circuit: Circuit, pdk: Pdk, corner: str) -> dict[str, Device]:
    """The devices that the circuit uses, by the names it calls them. Raises CircuitError."""
    known = pdk.devices(corner)
    found: dict[str, Device] = {}
    for primitive in circuit.dut.primitives:
        if primitive.kind in found or primitive.kind == "ibias":
            continue
        if primitive.kind not in known:
            raise CircuitError(
                f"{primitive.where}: {pdk.name} has no device {primitive.kind}; it has: "
                f"{', '.join(known)}"
            )
        found[primitive.kind] = known[primitive.kind]
    return found


@dataclass(frozen=True, slots=True)
class _Dut:
    """The circuit itself, as it stands in the decks of all testbenches that call it by one name."""

    cards: tuple[str, ...]
    body: tuple[str, ...]
    transistors: tuple[Transistor, ...]
    draws: tuple[Draw, ...]
    settings: tuple[Setting, ...]


def _dut(
    circuit: Circuit, instance: str, devices: Mapping[str, Device], scope: Mapping[str, float]
) -> _Dut:
    cards: list[str] = []
    body: list[str] = []
    transistors: list[Transistor] = []
    draws: list[Draw] = []
    settings: list[Setting] = []
    for primitive in circuit.dut.primitives:
        if primitive.kind == "ibias":
            body += _bias_lines(primitive, scope)
            current = primitive.parameters["i"]
            settings.append(Setting(f"i.{instance}.i{primitive.name}[dc]", (current,)))
            continue
        placed = Placed(primitive, devices[primitive.kind], instance, len(draws), scope)
        body += placed.lines
        cards += placed.cards
        settings += placed.settings
        draws += placed.draws
        if placed.transistor is not None:
            transistors.append(placed.transistor)
    for element in circuit.dut.elements:
        body.append(_element_line(element, scope))
        settings += _bind(element, f"{element.name[0]}.{instance}.{element.name}")
    return _Dut(tuple(cards), tuple(body), tuple(transistors), tuple(draws), tuple(settings))


def _deck(
    circuit: Circuit,
    name: str,
    bench: Bench,
    analyses: tuple[Analysis, ...],
    dut: _Dut,
    devices: Mapping[str, Device],
    scope: Mapping[str, float],
) -> Deck:
    settings = list(dut.settings)
    top = [_element_line(e, scope) for e in bench.elements]
    for element in bench.elements:
        settings += _bind(element, element.name)
    nodeset = " ".join(f"v({v.node})={_substitute(v.value, scope)}" for v in bench.nodeset)
    # A guess may be that of a nominal design; what a transient starts from may not.
    initial = " ".join(f"v({v.node})={v.value}" for v in bench.ic)
    probes = list(dict.fromkeys(a.probe for a in analyses if a.probe is not None))
    top += [f"{p.current} 0 {p.node} dc 0 ac 0" for p in probes]
    excitable = (*bench.excitable, *(p.current for p in probes))
    for analysis in analyses:
        chosen = analysis.excite if analysis.probe is None else (analysis.probe.voltage,)
        if unknown := set(chosen) - set(excitable):
            raise CircuitError(
                f"{name}: analysis {analysis.name} excites {', '.join(sorted(unknown))}, which is "
                f"not a source with an 'ac' value; those are: {', '.join(excitable) or 'none'}"
            )
    template = (
        f"{circuit.id} {name}",
        _CLAMP_MODEL,
        *dut.cards,
        f".subckt {circuit.dut.name} {' '.join(circuit.dut.ports)}",
        *dut.body,
        f".ends {circuit.dut.name}",
        *top,
        f"{bench.instance} {' '.join(bench.connections)} {circuit.dut.name}",
        *([f".nodeset {nodeset}"] if nodeset else []),
        *([f"{INITIAL} {initial}"] if initial else []),
        f".options {OPTIONS}",
        ".end",
    )
    return Deck(
        name,
        template,
        models={k: v for device in devices.values() for k, v in device.cards.items()},
        shared=tuple(sorted({p.model for d in devices.values() for p in d.parts if p.model})),
        transistors=dut.transistors,
        draws=dut.draws,
        settings=tuple(settings),
        excitable=excitable,
        analyses=analyses,
    )


def device_areas(circuit: Circuit, pdk: Pdk) -> dict[str, Expression]:
    """Name of each device -> its area, m², as a formula over the design. Raises CircuitError."""
    return _areas(circuit, _devices(circuit, pdk, "tt"))


def _areas(circuit: Circuit, devices: Mapping[str, Device]) -> dict[str, Expression]:
    areas = {}
    for primitive in circuit.dut.primitives:
        if primitive.kind in devices:
            device = devices[primitive.kind]
            own = device.parameters(primitive.parameters)
            areas[primitive.name] = device.area.substitute(own)
    return areas


def _area(circuit: Circuit, devices: Mapping[str, Device]) -> Expression:
    """The areas of all devices as one formula over the design."""
    return Expression("+".join(["0", *(e.text for e in _areas(circuit, devices).values())]))


def _bias_lines(primitive: Primitive, scope: Mapping[str, float]) -> list[str]:
    """An ideal current with somewhere to go when the circuit is dead: a diode to its supply.

    14 of 1,000 wild sizings have no solution without it, none with it.
    """
    (source, sink), label = primitive.nodes, primitive.name
    value = float(primitive.parameters["i"](scope))
    return [f"i{label} {source} {sink} {value!r}", f"d{label} {sink} {source} {_CLAMP}"]


def _element_line(element: Element, scope: Mapping[str, float]) -> str:
    return f"{element.name} {' '.join(element.nodes)} {_substitute(element.value, scope)}"


def _bind(element: Element, full_name: str) -> list[Setting]:
    """What of an element's value contains expressions and so must be re-sent."""
    value = element.value
    if "{" not in value:
        return []
    found: list[Setting] = []
    if wave := re.search(r"\b(pulse|sin)\s*\((.*?)\)", _hide_parentheses(value), re.I):
        words = re.findall(r"\{[^}]*\}|\S+", _restore_parentheses(wave[2]))
        found.append(Setting(f"{full_name}[{wave[1].lower()}]", tuple(_value(w) for w in words)))
        value = _restore_parentheses(_hide_parentheses(value)[: wave.start()])
    scalar = re.match(r"(?:dc\s+)?(\{[^}]*\})", value.strip(), re.I)
    if scalar:
        attribute = _SCALAR[element.name[0]]
        found.append(Setting(f"{full_name}[{attribute}]", (_value(scalar[1]),)))
    return found


def _hide_parentheses(text: str) -> str:
    """Parentheses inside braces must not end a `pulse(...)` or `sin(...)`."""
    return re.sub(r"\{[^}]*\}", lambda m: m[0].replace("(", "\x01").replace(")", "\x02"), text)


def _restore_parentheses(text: str) -> str:
    return text.replace("\x01", "(").replace("\x02", ")")


def _value(word: str) -> Expression:
    if word.startswith("{"):
        return Expression(word[1:-1])
    from acs_gym.units import parse

    return Expression(repr(parse(word)))


def _substitute(text: str, scope: Mapping[str, float]) -> str:
    return re.sub(r"\{([^}]*)\}", lambda m: repr(float(Expression(m[1])(scope))), text)


def _analysis(
    file: str,
    entry: AnalysisEntry,
    bench: Bench,
    vectors: tuple[str, ...],
    conditions: Mapping[str, float],
) -> Analysis:
    text = _substitute(entry.command, conditions)
    kind, *words = text.split()
    probe = None
    if kind == "loop":
        source = words.pop(0).lower() if words else ""
        kind, probe = "ac", _probe(file, entry.name, source, bench)
        text = " ".join([kind, *words])
        if foreign := [v for v in vectors if v != f"loop({source})"]:
            raise CircuitError(
                f"{file}: analysis {entry.name} yields loop({source}) and nothing else; "
                f"read {foreign[0]} from an ac analysis"
            )
    sweep, last = _sweep(entry.name, kind, words)
    excite = tuple(e.lower() for e in entry.excite)
    reltol = TRANSIENT_RELTOL if kind == "tran" else RELTOL
    return Analysis(
        entry.name, kind, text, excite, vectors, sweep, last, probe, reltol, entry.trtol
    )


def _probe(file: str, analysis: str, source: str, bench: Bench) -> Probe:
    """The loop probe at a voltage source of the bench."""
    for element in bench.elements:
        if element.name == source and source.startswith("v"):
            return Probe(source, f"iloop_{source}", element.nodes[0])
    known = ", ".join(e.name for e in bench.elements if e.name.startswith("v"))
    raise CircuitError(
        f"{file}: analysis {analysis}: no voltage source {source!r} to measure the loop at; "
        f"write 'loop SOURCE dec N FSTART FSTOP' with one of: {known}"
    )


def _sweep(name: str, kind: str, words: Sequence[str]) -> tuple[str | None, float | None]:
    """The sweep's vector and what it must reach, to tell a finished analysis from one that gave up."""
    from acs_gym.units import parse

    try:
        match kind:
            case "op":
                return None, None
            case "ac" | "noise":
                return "frequency", parse(words[-1]) * (1 - 1e-6)
            case "tran":
                return "time", parse(words[1]) * (1 - 1e-6)
        source, start, stop, step = words[0], *map(parse, words[1:])
    except (ValueError, IndexError):
        source, start, stop, step = "", 0.0, 0.0, 0.0
    if kind != "dc" or not start < stop or step <= 0:
        raise CircuitError(
            f"analysis {name}: cannot read its sweep; write 'ac dec N FSTART FSTOP', "
            "'loop SOURCE dec N FSTART FSTOP', 'tran STEP STOP', "
            "'noise OUT SOURCE dec N FSTART FSTOP' or 'dc SOURCE START STOP STEP' "
            "with START < STOP and STEP > 0"
        )
    vector = {"t": "temp-sweep", "i": "i-sweep"}.get(source[0].lower(), "v-sweep")
    return vector, stop - 0.5 * step


def _transistor_names(circuit: Circuit, devices: Mapping[str, Device]) -> dict[str, str]:
    """A transistor's name in `dut.spice` -> its element in the simulator, in the first bench."""
    instance = circuit.benches[0].instance
    return {
        p.name: f"m.{instance}.m{p.name}".lower()
        for p in circuit.dut.primitives
        if p.kind in devices and devices[p.kind].is_transistor
    }


def _saturation(devices: Sequence[str], transistors: Mapping[str, str]) -> Expression:
    """The least Vds/Vdsat of the named devices; BSIM4 turns a p-channel device's signs round."""
    text = ""
    for name in devices:
        element = transistors[name]
        ratio = f"@{element}[vds]/@{element}[vdsat]"
        text = f"min({text},{ratio})" if text else ratio
    return Expression(text)


def _metric(entry: MetricEntry, transistors: Mapping[str, str]) -> Metric:
    signal = Expression(entry.signal) if entry.signal else None
    if entry.saturated:
        signal = _saturation(entry.saturated, transistors)
    known = {o.name: o for o in options_of(MEASURES[entry.measure])}
    return Metric(
        name=entry.name,
        analysis=entry.analysis,
        signal=signal,
        measure=entry.measure,
        options={name: _option(known[name], given) for name, given in entry.options.items()},
        formula=Expression(entry.formula) if entry.formula else None,
    )


def _option(option: Option, given: float | str) -> Expression | str:
    if option.kind == "word":
        return str(given)
    return Expression(given if isinstance(given, str) else repr(given))


def _gate(entry: Any, metrics: tuple[str, ...]) -> Gate:
    def bound(value: float | str) -> Expression | None:
        if isinstance(value, str):
            return Expression(value)
        return None if value in (float("-inf"), float("inf")) else Expression(repr(value))

    return Gate(
        entry.description, entry.analysis, Expression(entry.signal),
        bound(entry.low), bound(entry.high), metrics if entry.kills == "all" else entry.kills,
    )  # fmt: skip


def _wanted_vectors(
    metrics: tuple[Metric, ...], gates: tuple[Gate, ...]
) -> dict[str, tuple[str, ...]]:
    wanted: dict[str, list[str]] = {}
    signals = [(m.analysis, s) for m in metrics for s in (m.signal, *m.signals.values())]
    signals += [(g.analysis, g.signal) for g in gates]
    for analysis, signal in signals:
        if analysis is not None and signal is not None:
            vectors = wanted.setdefault(analysis, [])
            vectors += [v for v in signal.vectors if v not in vectors]
    return {analysis: tuple(vectors) for analysis, vectors in wanted.items()}


def _check_expressions(circuit: Circuit, program: Program) -> None:
    """Names in signals and options must be parameters or conditions; formulas, metrics as well."""
    scope = {*program.parameters, *program.conditions}
    metrics = {m.name for m in program.metrics} | {"area"}
    for metric in program.metrics:
        expressions = (*metric.numbers.values(), *metric.signals.values(), metric.signal)
        allowed = [(e, scope) for e in expressions if e is not None]
        if metric.formula:
            allowed.append((metric.formula, scope | metrics))
        for expression, names in allowed:
            _check_names(circuit, f"metric {metric.name}", expression, names)
    for gate in program.gates:
        for bound in (gate.signal, gate.low, gate.high):
            if bound is not None:
                _check_names(circuit, f"gate {gate.description!r}", bound, scope)


def _check_names(circuit: Circuit, what: str, expression: Expression, known: set[str]) -> None:
    if unknown := set(expression.names) - known:
        raise CircuitError(f"{circuit.id}: {what}: unknown name {', '.join(sorted(unknown))}")


# Where a device stands in the text of a digest.
_DEVICE_MARK = re.compile(r'"\\u0000(\d+)"')


def _key(program: Program) -> str:
    """A digest of everything that decides a result."""
    devices: dict[int, Device] = {}

    def marked(value: Any) -> Any:
        if isinstance(value, Device):
            devices[id(value)] = value
            return f"\0{id(value)}"
        return _plain(value)

    # A device holds all its cards, and every transistor of every deck holds its device: the text has
    # megabytes, of which each device is written once.
    text = json.dumps(program, default=marked, sort_keys=True)
    written = {
        str(name): json.dumps(device, default=_plain, sort_keys=True).encode()
        for name, device in devices.items()
    }
    digest = hashlib.sha256()
    for k, piece in enumerate(_DEVICE_MARK.split(text)):
        digest.update(written[piece] if k % 2 else piece.encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Analysis) and value.trtol is None:  # Keys are older than the field.
        return [getattr(value, name) for name in value.__dataclass_fields__ if name != "trtol"]
    return [getattr(value, name) for name in value.__dataclass_fields__]
