"""Waveforms to numbers. Pure functions of arrays; what cannot be measured is NaN, never a guess.

Every measure takes the sweep `x` (frequency in Hz, time in s, temperature in °C) and the signal `y`
first, and its options by keyword from the circuit's TOML (`options.py`). The names in MEASURES are
what a `circuit.toml` may say. A circuit that is dead must not earn a number: a gain that never crosses
0 dB has no unity-gain frequency, and a phase margin above 120° is an inverted or feed-through path,
not stability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from acs_gym.simulation.measures.latch import latch_offset
from acs_gym.simulation.measures.loop import (
    gain_margin,
    lower_corner,
    magnitude_db,
    modulus_margin,
    peaking_db,
    phase_margin,
    rejection_db,
    unity_crossing,
    upper_corner,
)
from acs_gym.simulation.measures.noise import density_at, flicker_corner, integrated_noise
from acs_gym.simulation.measures.options import Option, options_of
from acs_gym.simulation.measures.oscillation import delay, duty, frequency, period, period_mean
from acs_gym.simulation.measures.spectrum import sndr_db, thd_db
from acs_gym.simulation.measures.step import (
    overshoot,
    recovery_time,
    settling_time,
    slew_rate,
    startup_time,
    step_deviation,
)
from acs_gym.simulation.measures.sweep import (
    at,
    crossing,
    maximum,
    mean,
    minimum,
    span_within,
    temperature_coefficient,
    value,
)

MEASURES: Mapping[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        value, at, minimum, maximum, mean, crossing, span_within, temperature_coefficient,
        magnitude_db, rejection_db, unity_crossing, phase_margin, gain_margin, modulus_margin,
        peaking_db, lower_corner, upper_corner, integrated_noise, density_at, flicker_corner,
        slew_rate, settling_time, overshoot, startup_time, recovery_time, step_deviation, frequency,
        period, duty, period_mean, delay, thd_db, sndr_db, latch_offset,
    )
}  # fmt: skip

__all__ = ["MEASURES", "Option", "options_of"]
