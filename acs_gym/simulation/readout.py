"""Waveforms to the metrics of a program: signals, gates, measures, formulas. Pure.

What a metric is, the circuit's folder says; how one number is read off one curve, `measures`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.expressions import Expression, evaluate_all
from acs_gym.simulation.measures import MEASURES
from acs_gym.simulation.program import Gate, Metric, Program

Waveforms = dict[str, dict[str, NDArray[Any]]]


def read_metrics(
    program: Program, scope: Mapping[str, float], waves: Waveforms
) -> tuple[dict[str, float], str]:
    """(metrics, why some are NaN; empty when none is) from the waveforms of every analysis.

    Of a dead circuit those up to the analysis that shows it suffice. `scope` holds the design and the
    conditions by name. Metrics come in the program's order, with `area` last; one that a gate kills or
    that cannot be measured is NaN, of a dead circuit all of them: being small is no merit either.
    """
    with np.errstate(all="ignore"):
        signals = _Signals(scope, waves)
        gates = [g for g in program.gates if g.analysis in waves]
        reasons = _failed_gates(gates, scope, signals)
        killed = {name for names in reasons.values() for name in names}
        metrics = _measured(program, scope, signals, killed)
        dead = any(g.is_fatal(program) for g in gates if g.description in reasons)
        metrics["area"] = math.nan if dead else float(program.area(scope))
        known = {**scope, **metrics}
        for metric in program.metrics:
            if metric.formula is not None:
                result = float(np.real(metric.formula(known)))
                alive = math.isfinite(result) and metric.name not in killed
                known[metric.name] = metrics[metric.name] = result if alive else math.nan
    order = [m.name for m in program.metrics]
    if missing := [n for n in order if math.isnan(metrics[n]) and n not in killed]:
        reasons["not measurable"] = tuple(missing)
    message = "; ".join(f"{reason}: {', '.join(names)}" for reason, names in reasons.items())
    return {name: metrics[name] for name in (*order, "area")}, message


def shows_death(
    program: Program, scope: Mapping[str, float], analysis: str, data: Mapping[str, NDArray[Any]]
) -> bool:
    """Whether what an analysis gave leaves no metric to measure, so that no other need be run."""
    fatal = [g for g in program.gates if g.analysis == analysis and g.is_fatal(program)]
    with np.errstate(all="ignore"):
        return bool(fatal and _failed_gates(fatal, scope, _Signals(scope, {analysis: dict(data)})))


class _Signals:
    """Signals by analysis and formula, each computed once: three metrics share a loop gain."""

    def __init__(self, scope: Mapping[str, float], waves: Waveforms) -> None:
        self._scopes = {name: {**scope, **data} for name, data in waves.items()}
        self._known: dict[tuple[str, str], NDArray[Any] | None] = {}

    def sweep(self, analysis: str) -> NDArray[np.float64]:
        return np.asarray(self._scopes[analysis]["sweep"], dtype=np.float64)

    def get(self, analysis: str, signal: Expression) -> NDArray[Any] | None:
        """The signal as an array, or None where some point of it is not finite."""
        key = analysis, signal.text
        if key not in self._known:
            array = np.asarray(signal(self._scopes[analysis])).reshape(-1)
            self._known[key] = array if np.isfinite(array).all() else None
        return self._known[key]


def _failed_gates(
    gates: Sequence[Gate], scope: Mapping[str, float], signals: _Signals
) -> dict[str, tuple[str, ...]]:
    """Description of each gate that does not hold -> the metrics it kills."""
    failed: dict[str, tuple[str, ...]] = {}
    bounds = iter(evaluate_all(tuple([b for g in gates for b in (g.low, g.high) if b]), scope))
    for gate in gates:
        low = -math.inf if gate.low is None else next(bounds)
        high = math.inf if gate.high is None else next(bounds)
        signal = signals.get(gate.analysis, gate.signal)
        if signal is None or not (low <= signal.real.min() and signal.real.max() <= high):
            failed[gate.description] = gate.kills
    return failed


def _measured(
    program: Program, scope: Mapping[str, float], signals: _Signals, killed: set[str]
) -> dict[str, float]:
    direct = [m for m in program.metrics if m.formula is None]
    numbers = iter(evaluate_all(tuple(e for m in direct for e in m.numbers.values()), scope))
    found: dict[str, float] = {}
    for metric in direct:
        chosen = {name: next(numbers) for name in metric.numbers}
        found[metric.name] = (
            math.nan if metric.name in killed else _measure(metric, signals, chosen)
        )
    return found


def _measure(metric: Metric, signals: _Signals, numbers: Mapping[str, float]) -> float:
    assert metric.analysis is not None and metric.signal is not None
    signal = signals.get(metric.analysis, metric.signal)
    others = {k: signals.get(metric.analysis, s) for k, s in metric.signals.items()}
    if signal is None or any(other is None for other in others.values()):
        return math.nan
    words = {k: word for k, word in metric.options.items() if isinstance(word, str)}
    sweep = signals.sweep(metric.analysis)
    result = MEASURES[metric.measure](sweep, signal, **numbers, **words, **others)
    return float(result) if math.isfinite(result) else math.nan
