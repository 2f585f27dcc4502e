"""Testbenches as CACE 2 takes them: xschem schematics of one text, with CACE's places for what it varies.

CACE runs no other templates than `.sch` files. In them `CACE{vdd}` is a condition and `CACE[...]` an
expression; the DUT is the owner's own netlist at `CACE{DUT_path}`, and the result is the one column of
`CACE{simpath}/CACE{filename}_CACE{N}.data`.
https://github.com/efabless/cace/blob/main/docs/source/reference_manual/template_format.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from acs_gym.circuit import AnalysisEntry, MetricEntry
from acs_gym.simulation.measures import MEASURES, options_of
from acs_gym.simulation.netlist import Bench
from acs_gym.task import Task

_HEAD = "v {xschem version=3.4.5 file_version=1.2}\nG {}\nK {}\nV {}\nS {}\nE {}\n"
_BLOCK = (
    'C {{devices/code_shown.sym}} 0 0 0 0 {{name=BENCH only_toplevel=false value="\n{text}"}}\n'
)
_MODELS = {
    "sky130": (".lib CACE{PDK_ROOT}/CACE{PDK}/libs.tech/ngspice/sky130.lib.spice CACE{corner=tt}",),
    "gf180mcu": (
        ".include CACE{PDK_ROOT}/CACE{PDK}/libs.tech/ngspice/design.ngspice",
        ".lib CACE{PDK_ROOT}/CACE{PDK}/libs.tech/ngspice/sm141064.ngspice CACE{corner=typical}",
    ),
}
_NAME = re.compile(r"[A-Za-z_]\w*(?!\w|\()")
_VECTOR = re.compile(r"(?:v|i|@)\(?[\w.]+\)?(?:\[\w+\])?", re.I)
# ngspice's vectors of the two runs that a loop gain takes: see `simulation/loop.py`.
_LOOP = (
    "let vv = ac1.v({node})",
    "let iv = ac1.i({source})",
    "let vi = ac2.v({node})",
    "let ii = ac2.i({source})",
    "let series = (2*ii-1)*vv-2*iv*vi",
    "let signal = (ii-series)/(series+1-ii)",
)
# Measure -> commands from `signal`, its `first` and `last` point to `answer`. One that is not here is the
# owner's to write.
_ANSWERS: Mapping[str, tuple[str, ...]] = {
    "value": ("let answer = {last}",),
    "magnitude_db": ("let answer = db({first})",),
    "rejection_db": ("let answer = -db({first})",),
    "peaking_db": ("let answer = vecmax(db(signal))-db({first})",),
    "unity_crossing": ("let gain = db(signal)", "meas ac answer when gain=0 fall=1"),
    "phase_margin": (
        "let gain = db(signal)",
        "let lag = 180/pi*cph(signal)",
        "meas ac at_unity find lag when gain=0 fall=1",
        "let answer = 180+at_unity",
    ),
    "gain_margin": (
        "let gain = db(signal)",
        "let lag = 180/pi*cph(signal)",
        "meas ac at_turn find gain when lag=-180 fall=1",
        "let answer = -at_turn",
    ),
    "modulus_margin": ("let answer = vecmin(mag(1+signal))",),
}


def templates(task: Task, design: Mapping[str, float]) -> dict[str, str]:
    """File name -> schematic, one for each spec of the task that is a measured metric."""
    metrics = {m.name: m for m in task.circuit.file.metric}
    return {
        template_name(spec.metric): _HEAD
        + _BLOCK.format(text=_escaped("\n".join(_lines(task, metrics[spec.metric], design)) + "\n"))
        for spec in task.specs
        if spec.metric in metrics
    }


def template_name(metric: str) -> str:
    return f"{metric}.sch"


def _escaped(text: str) -> str:
    """As text stands within a value of a schematic."""
    return re.sub(r'([{}"\\])', r"\\\1", text)


def _lines(task: Task, metric: MetricEntry, design: Mapping[str, float]) -> Iterator[str]:
    conditions = task.program.conditions

    def named(name: re.Match[str]) -> str:
        if name[0] in conditions:
            return f"CACE{{{name[0]}}}"
        return repr(float(design[name[0]])) if name[0] in design else name[0]

    def formula(text: str) -> str:
        """A formula of conditions and sizes as CACE computes it."""
        if text in conditions:
            return f"CACE{{{text}}}"
        return f"CACE[{_NAME.sub(named, text)}]"

    def filled(text: str) -> str:
        return re.sub(r"\{([^{}]*)\}", lambda m: formula(m[1]), text)

    read = _reading(task, metric)
    yield f"* {metric.name}: {metric.description}"
    yield from _MODELS.get(task.pdk_name, ("* the models of your PDK belong here",))
    yield ".include CACE{DUT_path}"
    yield ".temp CACE{temperature}"
    if read is None:
        yield f"* it is {metric.formula}: simulate what that is of, and write it as `answer` below"
        return
    bench, analysis = read
    kind, *words = analysis.command.split()
    source = words[0].lower() if kind == "loop" else ""
    for element in bench.elements:
        yield f"{element.name} {' '.join(element.nodes)} {filled(element.value)}"
    node = next((e.nodes[0] for e in bench.elements if e.name == source), "")
    if source:
        yield f"iloop 0 {node} dc 0 ac 0"
    yield f"{bench.instance} {' '.join(bench.connections)} CACE{{DUT_name}}"
    own = [f"v({v.node})={filled(v.value)}" for v in bench.nodeset if "." not in v.node]
    if own:
        yield f".nodeset {' '.join(own)}"
    yield ".control"
    runs = [(source,), ("iloop",)] if source else [tuple(e.lower() for e in analysis.excite)]
    command = filled(" ".join(["ac", *words[1:]]) if source else analysis.command)
    # ngspice's `meas` goes straight between two points, where acs-gym's measures know a decade's.
    command = re.sub(r"(?<=^ac dec )\d+", "100", command)
    for excited in runs:
        for name in (*bench.excitable, *(["iloop"] if source else [])):
            yield f"alter {name} acmag = {int(name in excited)}"
        yield command
    # What has one point takes no index.
    one = command == "op" or " lin 1 " in command
    ends = ("signal", "signal") if one else ("signal[0]", "signal[length(signal)-1]")
    yield from _answer(metric, source, node, ends, lambda text: _signal(text, named))
    yield "echo $&answer > CACE{simpath}/CACE{filename}_CACE{N}.data"
    yield "quit"
    yield ".endc"


def _reading(task: Task, metric: MetricEntry) -> tuple[Bench, AnalysisEntry] | None:
    """The bench and the analysis that a metric is read from; None for one that is computed."""
    file, benches = task.circuit.file, task.circuit.benches
    for entry, bench in zip(file.bench, benches, strict=True):
        for analysis in entry.analysis:
            if analysis.name == metric.analysis:
                return bench, analysis
    return None


def _signal(text: str, named: Callable[[re.Match[str]], str]) -> str:
    """A signal in ngspice's words: vectors as they are, conditions as CACE's places."""
    parts: list[str] = []
    last = 0
    for vector in _VECTOR.finditer(text):
        if "(" in vector[0] or vector[0].startswith("@"):
            parts += [_NAME.sub(named, text[last : vector.start()]), vector[0]]
            last = vector.end()
    return "".join([*parts, _NAME.sub(named, text[last:])])


def _answer(
    metric: MetricEntry,
    source: str,
    node: str,
    ends: tuple[str, str],
    signal: Callable[[str], str],
) -> Iterator[str]:
    if source:
        yield from (line.format(node=node, source=source) for line in _LOOP)
    elif metric.signal:
        yield f"let signal = {signal(metric.signal)}"
    if metric.measure in _ANSWERS and not metric.saturated:
        yield from (line.format(first=ends[0], last=ends[1]) for line in _ANSWERS[metric.measure])
        return
    what = "Vds/Vdsat" if metric.saturated else metric.signal
    options = ", ".join(f"{o.name}={metric.options.get(o.name, o.default)}"
                        for o in options_of(MEASURES[metric.measure]))  # fmt: skip
    yield f"* acs-gym takes {metric.measure} of {what} ({options}): write that as `answer` here"
