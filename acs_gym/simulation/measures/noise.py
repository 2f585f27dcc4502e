"""Measures of a noise density in V/sqrt(Hz) over frequency in Hz."""

from __future__ import annotations

import math

import numpy as np

from acs_gym.simulation.measures.options import Hertz
from acs_gym.simulation.measures.waveform import NAN, Real


def integrated_noise(x: Real, y: Real, *, low: Hertz, high: Hertz) -> float:
    """RMS of a noise density `y` (V/sqrt(Hz)) over [low, high] Hz, in V.

    Integrates the power density exactly under a power law between neighbouring points, which is
    what flicker and thermal noise are; a trapezoid on five points a decade is 3 % off.
    """
    power = np.real(y).astype(np.float64) ** 2
    if x.size < 2 or x[0] > low * 1.001 or x[-1] < high * 0.999 or not np.all(power > 0):
        return NAN
    log_x = np.log(x)
    first, last = log_x.searchsorted((math.log(low), math.log(high)), "right")
    edges = np.concatenate(([math.log(low)], log_x[first:last], [math.log(high)]))
    # The integrand f·S(f) over log f; where it is flat (1/f noise) the quotient below is 0/0.
    level = np.interp(edges, log_x, np.log(power)) + edges
    start, rise, width = np.exp(level[:-1]), level[1:] - level[:-1], edges[1:] - edges[:-1]
    flat = np.abs(rise) < 1e-9
    rise[flat] = 1e-9
    return math.sqrt(float((start * width * np.expm1(rise) / rise).sum()))


def density_at(x: Real, y: Real, *, at: Hertz) -> float:
    """A noise density interpolated in log-log at frequency `at`."""
    magnitude = np.abs(y)
    if x.size < 2 or not x[0] <= at <= x[-1] or not np.all(magnitude > 0):
        return NAN
    return float(np.exp(np.interp(math.log(at), np.log(x), np.log(magnitude))))


def flicker_corner(x: Real, y: Real, *, low: Hertz, high: Hertz) -> float:
    """Where 1/f noise is as large as white noise, in Hz, by the densities at `low` and at `high` Hz.

    The two powers are taken for w + k/f, and the corner is k/w. 0 where the density does not fall from
    `low` to `high`, NaN where it falls as fast as 1/f alone or faster: no white noise is seen.
    """
    first, last = (density_at(x, y, at=f) ** 2 for f in (low, high))
    if not 0.0 < low < high or math.isnan(first + last):
        return NAN
    flicker = (first - last) / (1.0 / low - 1.0 / high)
    white = last - flicker / high
    return max(flicker, 0.0) / white if white > 0.0 else NAN
