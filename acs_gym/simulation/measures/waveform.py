"""What measures share: arrays, the part of a sweep that is looked at, peaks, crossings."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
Edge = Literal["rise", "fall", "either"]
NAN = math.nan


def window(x: Real, y: Real, start: float, stop: float) -> tuple[Real, Real]:
    """The points with start <= x <= stop; `x` rises, as every sweep does."""
    first, last = x.searchsorted(start, "left"), x.searchsorted(stop, "right")
    return x[first:last], y[first:last].real


def peak(t: Real, v: Real) -> float:
    """The highest value of the curve through the points, by a parabola at the highest of them.

    A simulator's points miss a peak by up to a step, and always to its lower side. A highest point
    at an end stands as it is.
    """
    k = int(v.argmax())
    if not 0 < k < v.size - 1:
        return float(v[k])
    before, after = t[k] - t[k - 1], t[k + 1] - t[k]
    rise, fall = (v[k] - v[k - 1]) / before, (v[k] - v[k + 1]) / after  # Both >= 0.
    # In s = t - t[k] the parabola is v[k] + slope * s - bend * s * s.
    bend = (rise + fall) / (before + after)
    slope = rise - bend * before
    return float(v[k] + slope * slope / (4.0 * bend)) if bend > 0.0 else float(v[k])


def interpolated(x: Real, y: Real, at: Real) -> Real:
    """`y` at the places `at` within the sweep, by the cubic through the four points around each.

    A sine with m points in each period comes out within 0.0235 (2 pi/m)^4 of its amplitude, -105 dB
    for 50 points; at points that are not equally far apart the longest of three steps counts.
    Needs four points.
    """
    first = np.clip(x.searchsorted(at, "right") - 2, 0, x.size - 4)
    nodes = first[:, None] + np.arange(4)
    t, v = x[nodes], y.real[nodes]
    result = np.zeros(at.shape)
    for n in range(4):
        others = [m for m in range(4) if m != n]
        factors = [(at - t[:, m]) / (t[:, n] - t[:, m]) for m in others]
        result += v[:, n] * factors[0] * factors[1] * factors[2]
    return result


def crossings(t: Real, v: Real, level: float, edge: Edge = "either") -> Real:
    """Every t at which `v` passes `level` in the direction of `edge`, interpolated linearly."""
    above = v > level
    passes = above[1:] != above[:-1]
    if edge != "either":
        passes &= above[1:] == (edge == "rise")
    k = np.flatnonzero(passes)
    return np.asarray(t[k] + (level - v[k]) / (v[k + 1] - v[k]) * (t[k + 1] - t[k]))


def nth_of(found: Real, nth: float) -> float:
    """The first of `found` for 1, the last for -1; NaN where there are fewer, or no such number."""
    if not nth.is_integer() or not 1 <= abs(nth) <= found.size:
        return NAN
    return float(found[int(nth) - (nth > 0)])
