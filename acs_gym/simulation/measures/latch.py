"""Measures of a clocked latch."""

from __future__ import annotations

import numpy as np

from acs_gym.simulation.measures.options import Level, Seconds, Volts
from acs_gym.simulation.measures.waveform import NAN, Real, window


def latch_offset(
    x: Real,
    y: Real,
    *,
    first: Seconds,
    second: Seconds,
    duration: Seconds,
    step: Volts,
    level: Level,
) -> float:
    """Input-referred offset (V) of a clocked latch, from two decisions while they are still small.

    `y` is the differential output; the clock's edges are at `first`, where the differential input
    is +`step`, and `second`, where it is -`step`. While the latch is linear, the output is
    A(t)·(input - offset) at the time t after the edge, so that for any A the offset is
    -step·(y1 + y2)/(y1 - y2). It is read at the first t at which the larger of |y1| and |y2| reaches
    `level`; positive means that a positive input is needed for balance. NaN if no such t lies
    within `duration`, or a cycle not within the sweep.
    """
    t1, y1 = window(x, y, first, first + duration)
    t2, y2 = window(x, y, second, second + duration)
    if not y1.size or not y2.size or x[0] > min(first, second):
        return NAN
    t = np.union1d(t1 - first, t2 - second)
    t = t[t <= min(t1[-1] - first, t2[-1] - second)]
    y1, y2 = np.interp(t, t1 - first, y1), np.interp(t, t2 - second, y2)
    reached = np.flatnonzero(np.maximum(np.abs(y1), np.abs(y2)) >= level)
    if not reached.size or y1[reached[0]] == y2[reached[0]]:
        return NAN
    k = int(reached[0])
    return float(-step * (y1[k] + y2[k]) / (y1[k] - y2[k]))
