"""Measures of a frequency response, and of a loop gain. The sweep is in Hz."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.simulation.measures.options import Decibels, Degrees
from acs_gym.simulation.measures.waveform import NAN, Complex, Real


def magnitude_db(x: Real, y: Complex) -> float:
    """20 log10 |y| at the first point, in dB."""
    magnitude = float(np.abs(y[0])) if y.size else 0.0
    return 20.0 * math.log10(magnitude) if magnitude > 0 else NAN


def rejection_db(x: Real, y: Complex) -> float:
    """-20 log10 |y| at the first point, in dB: how far a disturbance is suppressed."""
    return -magnitude_db(x, y)


def unity_crossing(x: Real, y: Complex) -> float:
    """Frequency (Hz) where |y| falls through 1, by interpolation in log-log.

    NaN unless the magnitude starts above 1 and crosses exactly once: a loop that crosses three
    times has no unity-gain frequency, only a hazard.
    """
    crossing = _unity_index(y)
    if crossing is None:
        return NAN
    k, fraction = crossing
    return float(math.exp(np.log(x[k]) + fraction * (np.log(x[k + 1]) - np.log(x[k]))))


def phase_margin(x: Real, y: Complex, *, ceiling: Degrees = 120.0) -> float:
    """180° plus the unwrapped phase of the loop gain `y` where |y| = 1, in degrees.

    The least over all crossings, rising ones too. The phase is unwrapped from the first point, which
    must be near 0° (a loop gain is positive at DC) with |y| > 1, or the margin does not exist;
    neither does one above `ceiling`.
    """
    if y.size < 2 or not abs(y[0]) > 1.0 or abs(cmath.phase(y[0])) > math.pi / 2:
        return NAN
    level, phase = np.log(np.abs(y)), _phase(y)
    at_unity = _values_at_crossings(level, phase)
    if not at_unity.size:
        return NAN
    margin = 180.0 + math.degrees(float(at_unity.min()))
    return margin if margin <= ceiling else NAN


def gain_margin(x: Real, y: Complex) -> float:
    """-20 log10 |y| where the unwrapped phase of the loop gain `y` passes -180°, in dB.

    The least over all such crossings. A loop whose phase does not reach -180° within the sweep has
    at least the attenuation that is left at its end, and that is given.
    """
    if y.size < 2 or not np.all(np.abs(y) > 0):
        return NAN
    attenuation = -20.0 * np.log10(np.abs(y))
    at_reversal = _values_at_crossings(_phase(y) + math.pi, attenuation)
    return float(at_reversal.min() if at_reversal.size else attenuation[-1])


def modulus_margin(x: Real, y: Complex) -> float:
    """min |1 + y| of the loop gain `y`: how near the loop comes to oscillation, at any frequency.

    The reciprocal of the largest factor by which the loop amplifies a disturbance. A value m
    guarantees a gain margin of 1/(1 - m) and a phase margin of 2·asin(m/2): 0.5 means 6 dB and 29°.
    Between the points of the sweep log(y) is taken to be a polynomial of the logarithmic frequency.
    """
    if y.size < 5 or not np.all(np.abs(y) > 0):
        return NAN
    k = min(max(int(np.abs(1.0 + y).argmin()), 2), y.size - 3)
    near = slice(k - 2, k + 3)
    log_y = np.log(np.abs(y[near])) + 1j * _phase(y[near])
    position = np.linspace(-2.0, 2.0, 161)
    return float(np.abs(1.0 + np.exp(_through_five(log_y, position))).min())


def peaking_db(x: Real, y: Complex) -> float:
    """How far |y| rises above its value at the first point, in dB; 0 where it never does."""
    magnitude = np.abs(y)
    if y.size < 5 or not np.all(magnitude > 0):
        return NAN
    k = min(max(int(magnitude.argmax()), 2), y.size - 3)
    level = _through_five(np.log(magnitude[k - 2 : k + 3]), np.linspace(-2.0, 2.0, 161))
    peak = max(float(level.max()), math.log(float(magnitude.max())))
    return 20.0 * (peak - math.log(float(magnitude[0]))) / math.log(10.0)


def lower_corner(x: Real, y: Complex, *, drop: Decibels = 3.0103) -> float:
    """The highest frequency (Hz) below the largest |y| where |y| is `drop` dB less than that.

    Between the points of the sweep by interpolation in log-log; NaN where |y| does not fall so far.
    """
    return _corner(x[::-1], y[::-1], drop)


def upper_corner(x: Real, y: Complex, *, drop: Decibels = 3.0103) -> float:
    """The lowest frequency (Hz) above the largest |y| where |y| is `drop` dB less than that."""
    return _corner(x, y, drop)


def _corner(x: Real, y: Complex, drop: float) -> float:
    magnitude = np.abs(y)
    if y.size < 2 or not np.all(magnitude > 0):
        return NAN
    top = int(magnitude.argmax())
    level = np.log(magnitude[top:] / magnitude[top]) + drop * math.log(10.0) / 20.0
    below = np.flatnonzero(level <= 0)
    if not below.size or not below[0]:
        return NAN
    k = int(below[0])
    fraction = level[k - 1] / (level[k - 1] - level[k])
    first, last = math.log(x[top + k - 1]), math.log(x[top + k])
    return float(math.exp(first + fraction * (last - first)))


def _through_five(y: NDArray[Any], position: Real) -> NDArray[Any]:
    """The polynomial through five points at -2, -1, 0, 1, 2, at other positions."""
    nodes = np.arange(-2.0, 3.0)
    basis = [np.prod([(position - m) / (n - m) for m in nodes if m != n], axis=0) for n in nodes]
    return np.tensordot(y, np.array(basis), axes=1)


def _values_at_crossings(level: Real, other: Real) -> Real:
    """`other`, interpolated, wherever `level` passes 0 in either direction."""
    side = level > 0
    k = np.flatnonzero(side[1:] != side[:-1])
    fraction = level[k] / (level[k] - level[k + 1])
    return np.asarray(other[k] + fraction * (other[k + 1] - other[k]))


def _phase(y: Complex) -> Real:
    """The phase in rad, unwrapped from the first point: no step between points exceeds half a turn."""
    steps = y.copy()
    steps[1:] /= y[:-1]
    return np.arctan2(steps.imag, steps.real).cumsum()


def _unity_index(y: Complex) -> tuple[int, float] | None:
    """(index, fraction in log magnitude) of the single downward crossing of |y| = 1."""
    magnitude = np.abs(y)
    if y.size < 2 or magnitude[0] <= 1.0:
        return None
    below = magnitude <= 1.0
    end = int(below.argmax())
    if not below[end] or not below[end:].all() or magnitude[end] == 0.0:
        return None
    high, low = math.log(magnitude[end - 1]), math.log(magnitude[end])
    return end - 1, high / (high - low)
