"""Measures of an oscillation, and of edges, in time.

An oscillation has to go on from `start` to `stop`: where a period is missing at either end, or one
differs from their mean by a fifth, there is no frequency. A circuit that rings and dies, or that has
not started yet, must not earn one.
"""

from __future__ import annotations

import math

import numpy as np

from acs_gym.simulation.measures.options import Count, Level, Seconds, Signal
from acs_gym.simulation.measures.sweep import mean
from acs_gym.simulation.measures.waveform import NAN, Edge, Real, crossings, nth_of, window

_IRREGULAR = 0.2


def frequency(
    x: Real, y: Real, *, level: Level, start: Seconds = -math.inf, stop: Seconds = math.inf
) -> float:
    """Frequency (Hz) of an oscillation, by its first and last rise through `level` in [start, stop].

    The error of one crossing is shared by all the periods between. Where there are two rises and three
    falls, by the falls: two periods and the longer of its states are enough; NaN of less than two.
    """
    edges, _ = _edges(*window(x, y, start, stop), level)
    return (edges.size - 1) / float(edges[-1] - edges[0]) if edges.size else NAN


def period(
    x: Real, y: Real, *, level: Level, start: Seconds = -math.inf, stop: Seconds = math.inf
) -> float:
    """Mean period (s) of an oscillation, the reciprocal of its `frequency`; NaN with that."""
    return 1.0 / frequency(x, y, level=level, start=start, stop=stop)


def duty(
    x: Real, y: Real, *, level: Level, start: Seconds = -math.inf, stop: Seconds = math.inf
) -> float:
    """Share of the time that an oscillation is above `level`, over the whole periods in [start, stop].

    NaN where it has no `frequency`.
    """
    t, v = window(x, y, start, stop)
    edges, edge = _edges(t, v, level)
    if not edges.size:
        return NAN
    others = crossings(t, v, level, "fall" if edge == "rise" else "rise")
    others = others[(others > edges[0]) & (others < edges[-1])]
    after = float((others - edges[:-1]).sum() / (edges[-1] - edges[0]))
    return after if edge == "rise" else 1.0 - after


def period_mean(
    x: Real,
    y: Real,
    *,
    clock: Signal,
    level: Level,
    start: Seconds = -math.inf,
    stop: Seconds = math.inf,
) -> float:
    """The mean of `y` over the whole periods in [start, stop] of the signal `clock`.

    A mean over a fixed time holds part of a period, which for a supply current is a tenth of a
    charge more or less. NaN where `clock` has no `frequency`.
    """
    edges, _ = _edges(*window(x, clock, start, stop), level)
    return mean(x, y, start=float(edges[0]), stop=float(edges[-1])) if edges.size else NAN


def delay(
    x: Real,
    y: Real,
    *,
    level: Level,
    trigger: Signal,
    trigger_level: Level,
    edge: Edge = "either",
    trigger_edge: Edge = "either",
    nth: Count = 1.0,
    start: Seconds = -math.inf,
    stop: Seconds = math.inf,
) -> float:
    """Time (s) from an edge of the signal `trigger` to the next edge of `y`, both in [start, stop].

    The trigger's edge is the `nth` passage of its level, a negative one counted from the last; the
    edge of `y` is the first passage of `level` that is not before it. NaN where either is missing.
    """
    since = nth_of(
        crossings(*window(x, trigger, start, stop), trigger_level, trigger_edge), float(nth)
    )
    edges = crossings(*window(x, y, start, stop), level, edge)
    return nth_of(edges[edges >= since], 1.0) - since


def _edges(t: Real, v: Real, level: float) -> tuple[Real, Edge]:
    """Where an oscillation rises through `level`, at least three times; empty where it is none.

    Where it falls, if it rises twice only: either bounds whole periods.
    """
    edge: Edge = "rise"
    edges = crossings(t, v, level, edge)
    if edges.size == 2:
        edge = "fall"
        edges = crossings(t, v, level, edge)
    if edges.size < 3:
        return edges[:0], edge
    periods = np.diff(edges)
    mean = float(periods.mean())
    regular = bool(np.all(np.abs(periods - mean) <= _IRREGULAR * mean))
    missing = max(float(edges[0] - t[0]), float(t[-1] - edges[-1])) > (1.0 + _IRREGULAR) * mean
    return (edges if regular and not missing else edges[:0]), edge
