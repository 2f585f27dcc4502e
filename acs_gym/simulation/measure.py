"""Waveforms to numbers. Pure functions of arrays; what cannot be measured is NaN, never a guess.

Every function takes the sweep `x` (frequency in Hz, time in s) and the signal `y` first, and its
options by keyword from the circuit's TOML. The names in MEASURES are what a `circuit.toml` may say.
A circuit that is dead must not earn a number: a gain that never crosses 0 dB has no unity-gain
frequency, and a phase margin above 120° is an inverted or feed-through path, not stability.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
NAN = math.nan


def value(x: Real, y: NDArray[Any]) -> float:
    """The only (or the last) point of `y`, real part."""
    return float(np.real(y[-1])) if y.size else NAN


def at(x: Real, y: NDArray[Any], *, point: float) -> float:
    """The real part of `y` at x = `point`, interpolated linearly; NaN outside the sweep."""
    if not y.size or not x[0] <= point <= x[-1]:
        return NAN
    return float(np.interp(point, x, y.real))


def minimum(x: Real, y: Real, *, start: float = -math.inf, stop: float = math.inf) -> float:
    """The lowest value of `y` in start <= x <= stop, between the points too."""
    return -maximum(x, -y.real, start=start, stop=stop)


def maximum(x: Real, y: Real, *, start: float = -math.inf, stop: float = math.inf) -> float:
    """The highest value of `y` in start <= x <= stop, between the points too."""
    t, v = _window(x, y, start, stop)
    return _peak(t, v) if v.size else NAN


def mean(x: Real, y: Real, *, start: float, stop: float) -> float:
    """The mean of `y` over [start, stop], by trapezoids, ends interpolated; NaN outside the sweep."""
    if not y.size or not x[0] <= start < stop <= x[-1]:
        return NAN
    inside = (x > start) & (x < stop)
    t = np.concatenate(([start], x[inside], [stop]))
    return float(np.trapezoid(np.interp(t, x, y.real), t) / (stop - start))


def crossing(
    x: Real, y: Real, *, level: float, start: float = -math.inf, stop: float = math.inf
) -> float:
    """The first x in [start, stop] at which `y` passes `level`, rising or falling; NaN if never."""
    t, v = _window(x, y, start, stop)
    side = v > level
    changes = np.flatnonzero(side[1:] != side[:-1])
    if not changes.size:
        return NAN
    k = int(changes[0])
    return float(t[k] + (level - v[k]) / (v[k + 1] - v[k]) * (t[k + 1] - t[k]))


def span_within(x: Real, y: Real, *, point: float, tolerance: float) -> float:
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


def phase_margin(x: Real, y: Complex, *, ceiling: float = 120.0) -> float:
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


def integrated_noise(x: Real, y: Real, *, low: float, high: float) -> float:
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


def density_at(x: Real, y: Real, *, at: float) -> float:
    """A noise density interpolated in log-log at frequency `at`."""
    magnitude = np.abs(y)
    if x.size < 2 or not x[0] <= at <= x[-1] or not np.all(magnitude > 0):
        return NAN
    return float(np.exp(np.interp(math.log(at), np.log(x), np.log(magnitude))))


def slew_rate(
    x: Real, y: Real, *, start: float, stop: float, low: float = 0.2, high: float = 0.8
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
    x: Real, y: Real, *, start: float, stop: float, final: float, initial: float, tolerance: float
) -> float:
    """Time (s) after `start` at which `y` enters its own final value ± tolerance·|step| for good.

    The step is final - initial, what an ideal follower would do; an offset does not count, but a
    signal whose own step is more than 5 % off the ideal one has not settled: NaN.
    """
    t, v = _window(x, y, start, stop)
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
    x: Real, y: Real, *, start: float, stop: float, final: float, initial: float
) -> float:
    """How far the edge in [start, stop] passes its own final value, as a fraction of the step; >= 0.

    The step is final - initial, what an ideal follower would do; an offset does not count, but a
    signal whose own step is more than 5 % off the ideal one has not arrived: NaN.
    """
    t, v = _window(x, y, start, stop)
    step = final - initial
    if v.size < 2 or abs(float(v[-1] - v[0]) - step) > 0.05 * abs(step):
        return NAN
    beyond = (v - v[-1]) / step
    return max(_peak(t, beyond), 0.0)


def latch_offset(
    x: Real, y: Real, *, first: float, second: float, duration: float, step: float, level: float
) -> float:
    """Input-referred offset (V) of a clocked latch, from two decisions while they are still small.

    `y` is the differential output; the clock's edges are at `first`, where the differential input
    is +`step`, and `second`, where it is -`step`. While the latch is linear, the output is
    A(t)·(input - offset) at the time t after the edge, so that for any A the offset is
    -step·(y1 + y2)/(y1 - y2). It is read at the first t at which the larger of |y1| and |y2| reaches
    `level`; positive means that a positive input is needed for balance. NaN if no such t lies
    within `duration`, or a cycle not within the sweep.
    """
    t1, y1 = _window(x, y, first, first + duration)
    t2, y2 = _window(x, y, second, second + duration)
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


def _window(x: Real, y: Real, start: float, stop: float) -> tuple[Real, Real]:
    """The points with start <= x <= stop; `x` rises, as every sweep does."""
    first, last = x.searchsorted(start, "left"), x.searchsorted(stop, "right")
    return x[first:last], y[first:last].real


def _peak(t: Real, v: Real) -> float:
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


def _edge(x: Real, y: Real, start: float, stop: float) -> tuple[Real, Real, float] | None:
    t, v = _window(x, y, start, stop)
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


MEASURES: Mapping[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        value, at, minimum, maximum, mean, crossing, span_within,
        magnitude_db, rejection_db, unity_crossing, phase_margin, gain_margin,
        modulus_margin, peaking_db, integrated_noise, density_at, slew_rate, settling_time,
        overshoot, latch_offset,
    )
}  # fmt: skip
