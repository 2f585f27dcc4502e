"""Measures of a sine in time: its distortion.

The signal is taken over the whole periods of `frequency` that end at `stop` and begin not before
`start`, on 256 points a period by cubic interpolation (`waveform.interpolated`), so that no window
function is needed and nothing leaks from one component to the next. The interpolation sets the
floor, with the fourth power of the simulator's step: about -105 dB at 50 points a period, -129 dB at
100. What has steps longer than a sixteenth of a period is not measured.
"""

from __future__ import annotations

import math

import numpy as np

from acs_gym.simulation.measures.options import Count, Hertz, Seconds
from acs_gym.simulation.measures.waveform import NAN, Real, interpolated, window

_POINTS = 256
_LONGEST_STEP = 1.0 / 16.0


def thd_db(
    x: Real,
    y: Real,
    *,
    frequency: Hertz,
    harmonics: Count = 10.0,
    start: Seconds = -math.inf,
    stop: Seconds = math.inf,
) -> float:
    """Total harmonic distortion of a sine of `frequency`, in dB of its fundamental (negative).

    The power of the 2nd to the `harmonics`-th harmonic, of 127 at most, over that of the first.
    """
    power = _power(x, y, frequency, start, stop)
    if power is None or not float(harmonics).is_integer() or not 2 <= harmonics < _POINTS // 2:
        return NAN
    highest = int(harmonics)
    periods = power.size // (_POINTS // 2)
    harmonic = power[2 * periods : highest * periods + 1 : periods]
    return _db(float(harmonic.sum()), float(power[periods]))


def sndr_db(
    x: Real,
    y: Real,
    *,
    frequency: Hertz,
    start: Seconds = -math.inf,
    stop: Seconds = math.inf,
) -> float:
    """Signal to noise and distortion of a sine of `frequency`, in dB.

    The power of the fundamental over that of all else but the mean, up to 128 times the frequency:
    harmonics, subharmonics, what has not settled, and noise where the transient has any.
    """
    power = _power(x, y, frequency, start, stop)
    if power is None:
        return NAN
    periods = power.size // (_POINTS // 2)
    rest = power[1:periods].sum() + power[periods + 1 :].sum()
    return _db(float(power[periods]), float(rest))


def _power(x: Real, y: Real, frequency: float, start: float, stop: float) -> Real | None:
    """Power at 0, 1, 2, ... cycles in the whole periods there are; None where there is none."""
    if x.size < 4 or not frequency > 0.0:
        return None
    end = min(stop, float(x[-1]))
    # Rounding must not cost a period of [start, stop] that is one exactly.
    periods = math.floor((end - max(start, float(x[0]))) * frequency + 1e-9)
    begin = max(end - periods / frequency, float(x[0]))
    t, v = _spread(*window(x, y, begin - 1 / frequency, end + 1 / frequency), 1 / frequency)
    steps = np.diff(t[max(int(t.searchsorted(begin)) - 1, 0) : int(t.searchsorted(end)) + 1])
    if periods < 1 or t.size < 4 or not steps.max() * frequency <= _LONGEST_STEP:
        return None
    grid = begin + np.arange(_POINTS * periods) / (_POINTS * frequency)
    power = np.abs(np.fft.rfft(interpolated(t, v, grid))) ** 2
    power[1:-1] *= 2.0  # The negative frequencies.
    return np.asarray(power)


def _spread(t: Real, v: Real, period: float) -> tuple[Real, Real]:
    """The points without those that come within 1/4096 of a period after another.

    A simulator takes tiny steps after a corner, and the cubic through two such points would go
    where their rounding errors point.
    """
    cells = np.floor(t * (1024.0 / period))
    first = np.append(True, cells[1:] != cells[:-1])
    t, v = t[first], v[first]
    apart = np.append(True, np.diff(t) > period / 4096.0)
    return t[apart], v[apart]


def _db(power: float, reference: float) -> float:
    ratio = power / reference if reference > 0.0 else math.inf
    return 10.0 * math.log10(ratio) if 0.0 < ratio < math.inf else NAN
