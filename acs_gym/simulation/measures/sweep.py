"""Measures of any sweep: points, extremes, means, levels; and of one over temperature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.simulation.measures.options import Celsius, Count, Level, Sweep
from acs_gym.simulation.measures.waveform import NAN, Edge, Real, crossings, nth_of, peak, window


def value(x: Real, y: NDArray[Any]) -> float:
    """The only (or the last) point of `y`, real part."""
    return float(np.real(y[-1])) if y.size else NAN


def at(x: Real, y: NDArray[Any], *, point: Sweep) -> float:
    """The real part of `y` at x = `point`, interpolated linearly; NaN outside the sweep."""
    if not y.size or not x[0] <= point <= x[-1]:
        return NAN
    return float(np.interp(point, x, y.real))


def minimum(x: Real, y: Real, *, start: Sweep = -math.inf, stop: Sweep = math.inf) -> float:
    """The lowest value of `y` in start <= x <= stop, between the points too."""
    return -maximum(x, -y.real, start=start, stop=stop)


def maximum(x: Real, y: Real, *, start: Sweep = -math.inf, stop: Sweep = math.inf) -> float:
    """The highest value of `y` in start <= x <= stop, between the points too."""
    t, v = window(x, y, start, stop)
    return peak(t, v) if v.size else NAN


def mean(x: Real, y: Real, *, start: Sweep, stop: Sweep) -> float:
    """The mean of `y` over [start, stop], by trapezoids, ends interpolated; NaN outside the sweep."""
    if not y.size or not x[0] <= start < stop <= x[-1]:
        return NAN
    inside = (x > start) & (x < stop)
    t = np.concatenate(([start], x[inside], [stop]))
    return float(np.trapezoid(np.interp(t, x, y.real), t) / (stop - start))


def crossing(
    x: Real,
    y: Real,
    *,
    level: Level,
    edge: Edge = "either",
    nth: Count = 1.0,
    start: Sweep = -math.inf,
    stop: Sweep = math.inf,
) -> float:
    """The x of the `nth` passage of `y` through `level` in [start, stop]; NaN if there are fewer.

    `edge` counts the rising or the falling ones only; a negative `nth` counts from the last.
    """
    return nth_of(crossings(*window(x, y, start, stop), level, edge), float(nth))


def span_within(x: Real, y: Real, *, point: Sweep, tolerance: Level) -> float:
    """Width of the range around x = `point` in which `y` stays within `tolerance` of its value there.

    Ends are interpolated in the logarithm of the difference, which grows exponentially where a
    device leaves saturation; a range that runs to an end of the sweep ends there. NaN where the
    sweep does not reach `point`.
    """
    if not y.size or not x[0] <= point <= x[-1]:
        return NAN
    difference = np.abs(y.real - np.interp(point, x, y.real))
    # No difference has no logarithm; a tenth of the tolerance is as good as none.
    excess = np.log(np.maximum(difference, 0.1 * tolerance) / tolerance)
    outside = excess > 0
    left, right = np.flatnonzero(outside & (x < point)), np.flatnonzero(outside & (x > point))
    low, high = x[0], x[-1]
    if left.size:
        k = int(left[-1])
        low = x[k] + (x[k + 1] - x[k]) * excess[k] / (excess[k] - excess[k + 1])
    if right.size:
        k = int(right[0])
        high = x[k - 1] + (x[k] - x[k - 1]) * excess[k - 1] / (excess[k - 1] - excess[k])
    return float(high - low)


def temperature_coefficient(
    x: Real,
    y: Real,
    *,
    reference: Celsius = 27.0,
    start: Celsius = -math.inf,
    stop: Celsius = math.inf,
) -> float:
    """Temperature coefficient of `y` over a sweep in °C by the box method, in ppm/°C.

    1e6 (max - min)/(|y at `reference`| * span), over [start, stop]; NaN where the sweep does not
    reach the reference temperature, and of a signal that is zero there.
    """
    t, v = window(x, y, start, stop)
    nominal = abs(at(x, y, point=reference))
    if t.size < 2 or not nominal > 0.0:
        return NAN
    spread = peak(t, v) + peak(t, -v)
    return float(1e6 * spread / (nominal * (t[-1] - t[0])))
