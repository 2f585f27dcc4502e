"""The text of a circuit's page, from its folder and its numbers; the same text every time."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from acs_gym.circuit import Circuit, GateEntry, MetricEntry
from acs_gym.difficulty import Difficulty, read_difficulties
from acs_gym.simulation.measures import MEASURES
from acs_gym.specs import direction_text
from acs_gym.task import task_ids
from acs_gym.units import format_si
from docs.circuit_pages.numbers import Numbers, spread_metric

_HERE = Path(__file__).parent
_RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
_STUDIES = ("optimizers.json", "optimizers_held_out.json")
_BEST = "composite-ei"
_TASK = ("digest", "pdk", "tier")
_JINJA = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
# A bar within a cell would end it.
_JINJA.filters["cell"] = lambda text: text.replace("|", r"\|")
_DIGITS = 3
_MICRO = re.compile(r"(?<=[ /])u(?=\w)")


@dataclass(frozen=True, slots=True)
class Column:
    """One PDK in one tier; a table has one for each."""

    pdk: str
    tier: str

    @property
    def title(self) -> str:
        return f"{self.pdk} {self.tier}"


def render(circuit: Circuit, numbers: Numbers) -> str:
    """The page in Markdown."""
    units = {m.name: m.unit for m in circuit.file.metric} | {"area": "m^2"}
    descriptions = {m.name: m.description for m in circuit.file.metric} | {"area": "area"}
    columns = list(_columns(circuit))

    def value(column: Column, metric: str) -> float | None:
        known = numbers.measured.get(column.pdk, {}).get(column.tier)
        return None if known is None else known.metrics.get(metric)

    return _JINJA.get_template("page.md.jinja").render(
        circuit=circuit,
        file=circuit.file,
        numbers=numbers,
        columns=columns,
        units=units,
        descriptions=descriptions,
        value=value,
        undrawn=[name for name in units if name not in numbers.drawn],
        first_metrics=numbers.measured[numbers.waveforms_of]["tt"].metrics,
        conditions=", ".join(f"{k} = {v:g}" for k, v in circuit.file.conditions.items()),
        overrides=list(_overrides(circuit)),
        benches=[(b, circuit.netlists[b.netlist].rstrip()) for b in circuit.file.bench],
        measures={
            m.measure: _first_sentence(m.measure)
            for m in circuit.file.metric
            if not (m.formula or m.saturated)
        },
        looped=any(a.command.startswith("loop") for b in circuit.file.bench for a in b.analysis),
        noisy=any(a.command.startswith("noise") for b in circuit.file.bench for a in b.analysis),
        spread_metric=spread_metric(circuit),
        difficulties=list(_difficulties(circuit, numbers)),
        solved=list(_solved(circuit, numbers)),
        literature=_literature().get(circuit.name, []),
        published=list(_published(circuit)),
        si=_si,
        target=_target,
        how=_how,
        gate_text=_gate_text,
        killed=_killed,
    )


def render_index(circuits: list[Circuit]) -> str:
    """The list of all pages."""
    splits = {name: split for split in ("training", "held-out") for name in task_ids(split)}
    return _JINJA.get_template("index.md.jinja").render(circuits=circuits, splits=splits)


def _columns(circuit: Circuit) -> Iterator[Column]:
    for pdk in circuit.file.pdk:
        for tier in circuit.tiers:
            if circuit.reference(pdk, tier) is not None:
                yield Column(pdk, tier)


def _si(value: float | None, unit: str) -> str:
    """Three digits and a unit, such as 12.3 µm; a dash where there is no value."""
    return "—" if value is None else _readable(format_si(value, unit, _DIGITS))


def _readable(text: str) -> str:
    return _MICRO.sub("µ", text).replace("Ohm", "Ω").replace(" °", "°")


def _target(circuit: Circuit, column: Column, metric: str) -> str:
    for spec in circuit.specs(column.pdk, column.tier):  # type: ignore[arg-type]
        if spec.metric == metric:
            return _readable(direction_text(spec.direction, spec.target, spec.unit))
    return "—"


def _how(metric: MetricEntry) -> str:
    """`unity_crossing(loop(vfb))`, or the formula."""
    if metric.formula:
        return f"`{metric.formula}`"
    if metric.saturated:
        return f"least Vds/Vdsat of {', '.join(metric.saturated)}"
    options = "".join(f", {k} = {v}" for k, v in metric.options.items())
    return f"`{metric.measure}({metric.signal}{options})`"


def _first_sentence(measure: str) -> str:
    text = " ".join((inspect.getdoc(MEASURES[measure]) or "").split())
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def _gate_text(gate: GateEntry) -> str:
    low = "" if gate.low == float("-inf") else f"{gate.low} ≤ "
    high = "" if gate.high == float("inf") else f" ≤ {gate.high}"
    return f"`{low}{gate.signal}{high}`"


def _killed(gate: GateEntry) -> str:
    return "every metric" if gate.kills == "all" else ", ".join(gate.kills)


def _overrides(circuit: Circuit) -> Iterator[str]:
    """What is different on one PDK, in words."""
    units = {p.name: p.unit for p in circuit.file.parameter}
    for pdk, entry in circuit.file.pdk.items():
        changed = [f"{k} = {v:g}" for k, v in entry.conditions.items()]
        for name, bounds in entry.parameters.items():
            words = {"low": "from", "high": "up to"}
            limits = [f"{words.get(k, k)} {_si(v, units[name])}" for k, v in bounds.items()]
            changed.append(f"{name} {' '.join(limits)}")
        if changed:
            yield f"On {pdk}: {', '.join(changed)}."


def _difficulties(circuit: Circuit, numbers: Numbers) -> Iterator[tuple[Column, Difficulty]]:
    """What blind sampling finds, where it was measured in the very task the page describes."""
    found = read_difficulties(circuit.folder)
    for column in _columns(circuit):
        known = found.get(column.pdk, {}).get(column.tier)  # type: ignore[call-overload]
        measured = numbers.measured.get(column.pdk, {}).get(column.tier)
        if known is not None and measured is not None and known.digest == measured.digest:
            yield column, known


def _solved(circuit: Circuit, numbers: Numbers) -> Iterator[str]:
    """What the best optimiser reached, where it was run on the very task the page describes."""
    for command, runs in _optimiser_runs():
        for column in _columns(circuit):
            measured = numbers.measured.get(column.pdk, {}).get(column.tier)
            digest = None if measured is None else measured.digest
            wanted = (digest, column.pdk, column.tier)
            mine = [r for r in runs if wanted == tuple(r["run"][k] for k in _TASK)]
            if mine:
                met = sorted(r["first_met"] for r in mine if r["first_met"] is not None)
                yield (
                    f"`{_BEST}` meets every spec of {column.title} in {len(met)} of {len(mine)} runs of "
                    f"at most {mine[0]['run']['budget']} simulations"
                    f"{', after ' if met else ''}{', '.join(map(str, met))} (`{command}`)."
                )


@lru_cache(maxsize=1)
def _optimiser_runs() -> list[tuple[str, list[dict[str, Any]]]]:
    """(command, runs of the best optimiser) of the committed studies."""
    made = [json.loads((_RESULTS / name).read_text()) for name in _STUDIES]
    return [(m["command"], [r for r in m["runs"] if r["run"]["method"] == _BEST]) for m in made]


def _literature() -> dict[str, list[dict[str, Any]]]:
    with (_HERE / "literature.toml").open("rb") as stream:
        return tomllib.load(stream)


def _published(circuit: Circuit) -> Iterator[dict[str, Any]]:
    """What the literature's own sizes do on this circuit's testbenches, where a benchmark measured it."""
    for entry in _literature().get(circuit.name, []):
        if "numbers" in entry:
            yield entry | json.loads((_RESULTS / entry["numbers"]).read_text())
