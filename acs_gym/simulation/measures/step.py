"""Measures of what follows a step in time: of the input, the line, the load, or the supply."""

from __future__ import annotations

import math

import numpy as np

from acs_gym.simulation.measures.options import Direction, Fraction, Level, Seconds, Side
from acs_gym.simulation.measures.waveform import NAN, Real, peak, window


def slew_rate(
    x: Real, y: Real, *, start: Seconds, stop: Seconds, low: Fraction = 0.2, high: Fraction = 0.8
) -> float:
    """Mean slope (V/s, positive) of the edge in [start, stop] between `low` and `high` of its swing.

    The swing runs from the value at `start` to the value at `stop`; NaN when the edge does not
    pass both levels.
    """
    edge = _edge(x, y, start, stop)
    if edge is None:
        return NAN
    t, progress, swing = edge
    first, second = _first_passage(t, progress, low), _first_passage(t, progress, high)
    if first is None or second is None or second <= first:
        return NAN
    return abs(swing) * (high - low) / (second - first)


def settling_time(
    x: Real,
    y: Real,
    *,
    start: Seconds,
    stop: Seconds,
    final: Level,
    initial: Level,
    tolerance: Fraction,
) -> float:
    """Time (s) after `start` at which `y` enters its own final value ± tolerance·|step| for good.

    The step is final - initial, what an ideal follower would do; an offset does not count, but a
    signal whose own step is more than 5 % off the ideal one has not settled: NaN.
    """
    t, v = window(x, y, start, stop)
    step = final - initial
    if t.size < 2 or abs(float(v[-1] - v[0]) - step) > 0.05 * abs(step):
        return NAN
    error = np.abs(v - v[-1]) - tolerance * abs(step)
    outside = error > 0
    if not outside.any():
        return float(t[0] - start)
    k = int(outside.size - 1 - outside[::-1].argmax())
    fraction = float(error[k] / (error[k] - error[k + 1]))
    return float(t[k] + fraction * (t[k + 1] - t[k]) - start)


def overshoot(
    x: Real, y: Real, *, start: Seconds, stop: Seconds, final: Level, initial: Level
) -> float:
    """How far the edge in [start, stop] passes its own final value, as a fraction of the step; >= 0.

    The step is final - initial, what an ideal follower would do; an offset does not count, but a
    signal whose own step is more than 5 % off the ideal one has not arrived: NaN.
    """
    t, v = window(x, y, start, stop)
    step = final - initial
    if v.size < 2 or abs(float(v[-1] - v[0]) - step) > 0.05 * abs(step):
        return NAN
    beyond = (v - v[-1]) / step
    return max(peak(t, beyond), 0.0)


def startup_time(
    x: Real, y: Real, *, start: Seconds, tolerance: Fraction, stop: Seconds = math.inf
) -> float:
    """Time (s) after `start` at which `y` enters its final value (1 ± `tolerance`) for good.

    The final value is that at `stop`. NaN of a signal that is there from the beginning, for it has
    not started, and of one that is not there for the last tenth of [start, stop].
    """
    t, v = _from(x, y, start, stop)
    if t.size < 2:
        return NAN
    entered = _entered(t, v, tolerance * abs(float(v[-1])))
    return entered - start if entered > start else NAN


def recovery_time(
    x: Real, y: Real, *, start: Seconds, tolerance: Level, stop: Seconds = math.inf
) -> float:
    """Time (s) after a line or load step at `start` until `y` is within ± `tolerance` for good.

    That is about its own final value, the one at `stop`, so that a finite regulation does not
    count; 0 where the step moves it less. NaN where it is not there for the last tenth of
    [start, stop].
    """
    t, v = _from(x, y, start, stop)
    return _entered(t, v, tolerance) - start if t.size >= 2 else NAN


def step_deviation(
    x: Real,
    y: Real,
    *,
    start: Seconds,
    stop: Seconds = math.inf,
    side: Side = "before",
    direction: Direction = "either",
) -> float:
    """How far a line or load step at `start` takes `y` from its value `before` or `after` it; >= 0.

    Before is at `start`, after at `stop`; the difference of the two is the regulation, in neither
    the undershoot. `direction` counts what is above (`up`) or below (`down`) only. In the signal's
    unit; NaN where the sweep does not reach `start`.
    """
    t, v = _from(x, y, start, stop)
    if t.size < 2:
        return NAN
    change = v - (v[0] if side == "before" else v[-1])
    above, below = max(peak(t, change), 0.0), max(peak(t, -change), 0.0)
    return {"up": above, "down": below, "either": max(above, below)}[direction]


def _edge(x: Real, y: Real, start: float, stop: float) -> tuple[Real, Real, float] | None:
    t, v = window(x, y, start, stop)
    if t.size < 3:
        return None
    swing = float(v[-1] - v[0])
    if swing == 0.0 or not math.isfinite(swing):
        return None
    return t, (v - v[0]) / swing, swing


def _first_passage(t: Real, progress: Real, level: float) -> float | None:
    rising = (progress[:-1] < level) & (progress[1:] >= level)
    k = int(rising.argmax())
    if not rising[k]:
        return None
    fraction = (level - progress[k]) / (progress[k + 1] - progress[k])
    return float(t[k] + fraction * (t[k + 1] - t[k]))


def _from(x: Real, y: Real, start: float, stop: float) -> tuple[Real, Real]:
    """The points in [start, stop] with one at `start`, interpolated; none outside the sweep."""
    if not x.size or not x[0] <= start <= x[-1]:
        return x[:0], x[:0]
    t, v = window(x, y, start, stop)
    if t.size and t[0] == start:
        return t, v
    return np.append(start, t), np.append(np.interp(start, x, y.real), v)


def _entered(t: Real, v: Real, tolerance: float) -> float:
    """When `v` comes within `tolerance` of its last value for good; t[0] where it always is.

    NaN where that is later than nine tenths of the time: what still moves has no final value.
    """
    error = np.abs(v - v[-1]) - tolerance
    outside = np.flatnonzero(error > 0)
    if not outside.size:
        return float(t[0])
    k = int(outside[-1])
    fraction = error[k] / (error[k] - error[k + 1])
    entered = float(t[k] + fraction * (t[k + 1] - t[k]))
    return entered if entered <= t[0] + 0.9 * (t[-1] - t[0]) else NAN
