"""Which curves of one simulated sizing are worth drawing together.

What is drawn follows from how a circuit measures its metrics, never from which circuit it is: a
signal with a phase margin becomes a Bode plot, signals of one transient that are about as large share
their axes. Metrics read off a single point or computed from others show in no panel. How a panel
looks is in `marks.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.evaluation import Evaluation
from acs_gym.simulation.program import Analysis, Metric
from acs_gym.simulation.readout import Waveforms
from acs_gym.specs import Spec
from acs_gym.task import Task
from acs_gym.units import format_si

_LOOP = ("unity_crossing", "phase_margin", "gain_margin", "modulus_margin")
_RESPONSE = ("magnitude_db", "rejection_db", "peaking_db", "lower_corner", "upper_corner")
_NOISE = ("integrated_noise", "density_at", "flicker_corner")
# Measures whose result is a value of the signal, so that the metric's unit is the signal's.
_VALUES = ("value", "at", "minimum", "maximum", "mean")
# Signals of one unit share axes while none is so small that it would look like a line.
_COMPARABLE = 5.0
# A formula that only picks one of several metrics, such as the slower of two edges.
_PICKS = re.compile(r"\s*(min|max)\(\s*\w+(\s*,\s*\w+)*\s*\)\s*")
_ORDER = ("bode", "time", "sweep", "response", "noise")


@dataclass(frozen=True, slots=True)
class Trace:
    """One signal over its sweep, and the metrics that are read off it."""

    metrics: tuple[Metric, ...]
    x: NDArray[np.float64]
    y: NDArray[Any]
    unit: str

    @property
    def text(self) -> str:
        signal = self.metrics[0].signal
        return "" if signal is None else signal.text

    @property
    def span(self) -> float:
        return float(np.ptp(np.real(self.y)))

    def measured_by(self, *measures: str) -> tuple[Metric, ...]:
        return tuple(m for m in self.metrics if m.measure in measures)


@dataclass(frozen=True, slots=True)
class Panel:
    """Traces of one analysis that share axes; `kind` is one of bode, response, noise, time, sweep."""

    kind: str
    analysis: Analysis
    traces: tuple[Trace, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(m for t in self.traces for m in t.metrics)


@dataclass(frozen=True, slots=True)
class Picture:
    """All that a panel may look at."""

    task: Task
    evaluation: Evaluation
    scope: Mapping[str, float]

    @classmethod
    def of(cls, task: Task, evaluation: Evaluation) -> Picture:
        return cls(task, evaluation, {**task.program.conditions, **evaluation.design})

    def value(self, metric: Metric) -> float:
        return self.evaluation.metrics.get(metric.name, math.nan)

    def option(self, metric: Metric, name: str, default: float = math.nan) -> float:
        chosen = metric.numbers.get(name)
        return default if chosen is None else float(chosen(self.scope))

    def spec(self, metric: Metric) -> Spec | None:
        """The spec on a metric, or on the minimum or maximum it goes into."""
        onward = {
            m.name
            for m in self.task.program.metrics
            if m.formula is not None
            and _PICKS.fullmatch(m.formula.text)
            and metric.name in m.formula.names
        }
        for spec in self.task.specs:
            if spec.metric == metric.name or spec.metric in onward:
                return spec
        return None

    def met(self, metric: Metric) -> bool | None:
        """Whether the metric by itself meets its spec; None without a spec."""
        spec = self.spec(metric)
        return None if spec is None else spec.satisfaction(self.value(metric)) == 1.0

    def note(self, metric: Metric) -> str:
        """`ugbw 11.9 MHz (≥ 10 MHz)`."""
        value = format_si(self.value(metric), self.task.metric_units[metric.name], 3)
        spec = self.spec(metric)
        return f"{metric.name} {value}" + ("" if spec is None else f" ({spec.text()})")


def panels(task: Task, waveforms: Waveforms, scope: Mapping[str, float]) -> list[Panel]:
    """Every panel that the waveforms give, loops first; empty when nothing was simulated."""
    found = [p for analysis in _analyses(task) for p in _of(task, analysis, waveforms, scope)]
    return sorted(found, key=lambda p: _ORDER.index(p.kind))


def _analyses(task: Task) -> Iterator[Analysis]:
    for deck in task.program.decks:
        yield from deck.analyses


def _of(
    task: Task, analysis: Analysis, waveforms: Waveforms, scope: Mapping[str, float]
) -> Iterator[Panel]:
    data = waveforms.get(analysis.name, {})
    if analysis.sweep is None or data.get("sweep", np.empty(0)).size < 2:
        return
    shared: list[list[Trace]] = []
    for trace in _traces(task, analysis, data, scope):
        kind = _kind(analysis, trace)
        if analysis.kind == "ac" and len(trace.measured_by("at", "value")) == len(trace.metrics):
            continue  # At one frequency by definition, such as a capacitance: no curve.
        if kind not in ("time", "sweep"):
            yield Panel(kind, analysis, (trace,))
            continue
        for group in shared:
            spans = [t.span for t in (*group, trace)]
            if group[0].unit == trace.unit and max(spans) <= _COMPARABLE * min(spans):
                group.append(trace)
                break
        else:
            shared.append([trace])
    for group in shared:
        yield Panel("time" if analysis.kind == "tran" else "sweep", analysis, tuple(group))


def _traces(
    task: Task, analysis: Analysis, data: Mapping[str, NDArray[Any]], scope: Mapping[str, float]
) -> Iterator[Trace]:
    by_signal: dict[str, list[Metric]] = {}
    for metric in task.program.metrics:
        if metric.analysis == analysis.name and metric.signal is not None:
            by_signal.setdefault(metric.signal.text, []).append(metric)
    for metrics in by_signal.values():
        assert metrics[0].signal is not None
        with np.errstate(all="ignore"):
            y = np.atleast_1d(metrics[0].signal({**scope, **data}))
        if y.size == data["sweep"].size and np.isfinite(y).all() and np.abs(y).max() > 0:
            yield Trace(tuple(metrics), data["sweep"], y, _unit(task, metrics))


def _kind(analysis: Analysis, trace: Trace) -> str:
    if trace.measured_by(*_LOOP):
        return "bode"
    if trace.measured_by(*_NOISE):
        return "noise"
    if trace.measured_by(*_RESPONSE):
        return "response"
    return "time" if analysis.kind == "tran" else "sweep"


def _unit(task: Task, metrics: list[Metric]) -> str:
    """The unit of the signal itself, as far as its metrics or its vectors tell."""
    for metric in metrics:
        if metric.measure in _VALUES:
            return task.metric_units[metric.name]
    signal = metrics[0].signal
    letters = set() if signal is None or "/" in signal.text else {v[0] for v in signal.vectors}
    return {"v": "V", "i": "A"}.get(letters.pop(), "") if len(letters) == 1 else ""
