"""Measurements against signals whose answers are known in closed form."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from acs_gym.simulation import measures

F = np.logspace(1, 10, 91)  # 10 points a decade, as the benches sweep.


def loop(gain: float, *poles: float, zeros: tuple[float, ...] = ()) -> np.ndarray:
    return loop_on(F, gain, *poles, zeros=zeros)


def loop_on(f: np.ndarray, gain: float, *poles: float, zeros: tuple[float, ...] = ()) -> np.ndarray:
    response = np.full(f.shape, gain, dtype=complex)
    for pole in poles:
        response = response / (1 + 1j * f / pole)
    for zero in zeros:
        response = response * (1 + 1j * f / zero)
    return response


def test_one_pole_loop() -> None:
    y = loop(1000.0, 1e4)
    assert measures.magnitude_db(F, y) == pytest.approx(60, abs=1e-3)
    assert measures.rejection_db(F, 1 / y) == pytest.approx(60, abs=1e-3)
    assert measures.unity_crossing(F, y) == pytest.approx(1e4 * math.sqrt(1e6 - 1), rel=5e-4)
    assert measures.phase_margin(F, y) == pytest.approx(90.06, abs=0.05)
    # Its phase never reaches -180°: what is left of the gain at the end is the least that is known.
    assert measures.gain_margin(F, y) == pytest.approx(60.0, abs=1e-6)
    assert measures.modulus_margin(F, y) == pytest.approx(1.0, abs=1e-5)


@given(st.floats(20, 90), st.floats(3, 5), st.floats(6.5, 9))
def test_two_pole_phase_margin_is_the_textbook_s(db: float, p1: float, p2: float) -> None:
    gain, first, second = 10 ** (db / 20), 10**p1, 10**p2
    y = loop(gain, first, second)
    fu = measures.unity_crossing(F, y)
    expected = 180 - math.degrees(math.atan(fu / first) + math.atan(fu / second))
    assert measures.phase_margin(F, y) == pytest.approx(expected, abs=0.3)


def test_three_pole_gain_margin() -> None:
    p = 1e5
    y = loop(4.0, p, p, p)  # Phase -180° at sqrt(3)·p, where |y| = 4/8.
    assert measures.gain_margin(F, y) == pytest.approx(20 * math.log10(2), abs=0.2)


# It looks at forty points an interval of the sweep, and ten of these are a decade: between two points a
# loop that falls with three poles is nearer to -1 by this at most.
_BETWEEN = 3 * math.log(10) / 10 / 40 / 2


@given(st.floats(3, 60), st.floats(4, 6), st.floats(0.1, 10))
@example(34.0, 4.0, 4.703125)
def test_modulus_margin_is_the_distance_on_a_dense_grid(
    gain: float, p: float, ratio: float
) -> None:
    poles = (10**p, 10**p * ratio, 10**p * ratio**2)
    dense = np.logspace(1, 10, 200_001)
    exact = np.abs(1 + loop_on(dense, gain, *poles)).min()
    assert measures.modulus_margin(F, loop(gain, *poles)) == pytest.approx(
        exact, rel=2e-3, abs=_BETWEEN
    )


@given(st.floats(20, 90), st.floats(3, 5), st.floats(6.5, 9))
@example(82.0625, 3.0, 6.5)
def test_modulus_margin_bounds_the_other_margins(db: float, p1: float, p2: float) -> None:
    y = loop(10 ** (db / 20), 10**p1, 10**p2, 10**p2 * 3)
    modulus, margin = measures.modulus_margin(F, y), measures.phase_margin(F, y)
    if not math.isnan(margin) and margin > 0:
        assert modulus <= 2 * math.sin(math.radians(margin) / 2) + _BETWEEN
    assert modulus <= abs(1 - 10 ** (-measures.gain_margin(F, y) / 20)) + 5e-3


def test_the_worst_of_all_crossings_is_the_phase_margin() -> None:
    """A resonance lifts the gain above 1 again, far beyond the first crossing and with less phase."""
    resonance = 1 / (1 + 1j * F / 5e7 / 20 - (F / 5e7) ** 2)
    y = loop(1000.0, 1e4) * resonance
    first = 180 + math.degrees(np.angle(loop_on(np.array([1e7]), 1000.0, 1e4))[0])
    assert math.isnan(measures.unity_crossing(F, y))
    assert measures.phase_margin(F, y) < first - 60
    assert measures.gain_margin(F, y) < 0 and measures.modulus_margin(F, y) < 1


def test_peaking_of_a_second_order_system() -> None:
    """|H| peaks by 1/(2·zeta·sqrt(1 - zeta²)) of its value at DC for zeta < 0.707; else not at all."""
    for zeta in (0.1, 0.3, 0.6):
        y = 3.0 / (1 + 2j * zeta * F / 1e6 - (F / 1e6) ** 2)
        exact = -20 * math.log10(2 * zeta * math.sqrt(1 - zeta**2))
        assert measures.peaking_db(F, y) == pytest.approx(exact, abs=0.1)
    assert measures.peaking_db(F, 1 / (1 + 1j * F / 1e6)) == pytest.approx(0.0, abs=1e-6)


@given(st.floats(1.5, 3.5), st.floats(6, 8), st.floats(-40, 40))
def test_the_corners_of_a_band_are_its_poles(low: float, high: float, db: float) -> None:
    first, last = 10**low, 10**high
    y = 10 ** (db / 20) * (1j * F / first) / (1 + 1j * F / first) / (1 + 1j * F / last)
    assert measures.lower_corner(F, y) == pytest.approx(first, rel=0.01)
    assert measures.upper_corner(F, y) == pytest.approx(last, rel=0.01)


def test_a_corner_where_a_given_share_is_lost() -> None:
    """One pole loses 10 dB at thrice its frequency; what is flat, or dead, has no corner."""
    y = 1 / (1 + 1j * F / 1e5)
    assert measures.upper_corner(F, y, drop=10.0) == pytest.approx(3e5, rel=0.01)
    assert math.isnan(measures.lower_corner(F, y)) and math.isnan(measures.upper_corner(F, y[::-1]))
    assert math.isnan(measures.upper_corner(F, 0 * y))


@pytest.mark.parametrize(
    "y",
    [loop(0.5, 1e4), loop(-1000.0, 1e4), np.zeros(F.shape, complex), loop(1e9), loop(2.0, 1e4) * 0],
    ids=["never above unity", "inverted", "dead", "never falls", "zero"],
)
def test_a_dead_or_inverted_loop_has_no_phase_margin(y: np.ndarray) -> None:
    assert math.isnan(measures.phase_margin(F, y))


def test_a_phase_margin_above_the_ceiling_is_not_one() -> None:
    assert math.isnan(measures.phase_margin(F, loop(1000.0, 1e4, zeros=(1e5, 1e6, 1e6)) * 1e-2))
    flat = loop(100.0, 1e4, zeros=(3e5,)) / (1 + 1j * F / 1e9)
    assert math.isnan(measures.phase_margin(F, flat, ceiling=80.0))


def test_a_loop_that_crosses_unity_more_than_once_has_no_unity_frequency() -> None:
    y = loop(100.0, 1e4) + loop(3.0) * np.exp(-((np.log10(F) - 8) ** 2))
    assert math.isnan(measures.unity_crossing(F, y))


def test_white_noise_integrates_to_density_times_root_bandwidth() -> None:
    x = np.logspace(2, 8, 31)
    assert measures.integrated_noise(x, np.full(x.shape, 1e-8), low=100, high=1e6) == pytest.approx(
        1e-8 * math.sqrt(1e6 - 100), rel=1e-9
    )


def test_flicker_noise_integrates_to_the_logarithm() -> None:
    x = np.logspace(2, 8, 31)
    assert measures.integrated_noise(x, 1e-6 / np.sqrt(x), low=100, high=1e6) == pytest.approx(
        1e-6 * math.sqrt(math.log(1e4)), rel=1e-9
    )


def test_noise_outside_the_sweep_is_not_measured() -> None:
    x = np.logspace(3, 8, 26)
    assert math.isnan(measures.integrated_noise(x, np.full(x.shape, 1e-8), low=100, high=1e6))
    assert measures.density_at(x, 1 / x, at=2e4) == pytest.approx(1 / 2e4, rel=1e-9)
    assert math.isnan(measures.density_at(x, 1 / x, at=10.0))


def test_flicker_and_white_noise_meet_at_the_corner() -> None:
    x = np.logspace(0, 6, 31)
    for corner in (30.0, 2e3):
        y = 1e-8 * np.sqrt(1 + corner / x)
        assert measures.flicker_corner(x, y, low=10, high=1e5) == pytest.approx(corner, rel=0.02)
    white, pink = np.full(x.shape, 1e-8), 1 / np.sqrt(x)
    assert measures.flicker_corner(x, white, low=10, high=1e5) == pytest.approx(0.0, abs=1e-9)
    assert math.isnan(measures.flicker_corner(x, pink / x, low=10, high=1e5))
    assert math.isnan(measures.flicker_corner(x, white, low=0.1, high=1e5))


T = np.linspace(0, 100e-9, 2001)


def test_a_ramp_slews_at_its_slope() -> None:
    y = np.clip((T - 10e-9) * 10e6, 0, 0.3)
    rate = measures.slew_rate(T, y, start=5e-9, stop=100e-9)
    assert rate == pytest.approx(10e6, rel=1e-6)
    falling = measures.slew_rate(T, -y, start=5e-9, stop=100e-9)
    assert falling == pytest.approx(10e6, rel=1e-6)


def test_an_exponential_settles_after_ln_100_time_constants() -> None:
    tau, start = 5e-9, 10e-9
    y = np.where(start < T, 1 - np.exp(-(T - start) / tau), 0.0)
    options = {"start": start, "stop": 100e-9, "initial": 0.0, "final": 1.0}
    settled = measures.settling_time(T, y, tolerance=0.01, **options)
    assert settled == pytest.approx(tau * math.log(100), rel=5e-3)
    assert measures.overshoot(T, y, **options) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("height", [0.9, 1.1, 0.0, -1.0])
def test_a_step_of_another_height_never_settles(height: float) -> None:
    y = np.where(T > 11e-9, height, 0.0)
    settled = measures.settling_time(
        T, y, start=10e-9, stop=100e-9, initial=0.0, final=1.0, tolerance=0.01
    )
    assert math.isnan(settled)


def test_an_offset_does_not_keep_a_step_from_settling() -> None:
    tau, start = 5e-9, 10e-9
    y = 0.03 + np.where(start < T, 1 - np.exp(-(T - start) / tau), 0.0)
    settled = measures.settling_time(
        T, y, start=start, stop=100e-9, initial=0.0, final=1.0, tolerance=0.01
    )
    assert settled == pytest.approx(tau * math.log(100), rel=5e-3)


def test_a_ramp_is_read_at_points_extremes_and_levels() -> None:
    y = 2.0 * T / 100e-9 - 1.0
    assert measures.at(T, y, point=25.03e-9) == pytest.approx(-0.4994, rel=1e-9)
    assert math.isnan(measures.at(T, y, point=101e-9))
    assert measures.minimum(T, y, start=50e-9) == pytest.approx(0.0, abs=1e-12)
    assert measures.maximum(T, y, stop=75e-9) == pytest.approx(0.5)
    assert math.isnan(measures.maximum(T, y, start=1.0))
    assert measures.mean(T, y, start=10.02e-9, stop=20.04e-9) == pytest.approx(-0.6994, rel=1e-9)
    assert math.isnan(measures.mean(T, y, start=10e-9, stop=200e-9))
    assert measures.crossing(T, y, level=0.25) == pytest.approx(62.5e-9, rel=1e-9)
    assert measures.crossing(T, -y, level=0.25) == pytest.approx(37.5e-9, rel=1e-9)
    assert math.isnan(measures.crossing(T, y, level=0.25, start=70e-9))
    assert math.isnan(measures.crossing(T, y, level=3.0))


@given(
    peak=st.floats(0.3, 0.7),
    shape=st.floats(1.0, 100.0),
    cuts=st.lists(st.floats(0, 1), min_size=9),
)
def test_a_peak_is_found_between_the_points(peak: float, shape: float, cuts: list[float]) -> None:
    """Exactly for a parabola, wherever its points are; its highest point is always lower."""
    t = np.unique(np.round([0.0, *cuts, 1.0], 6))
    y = 1.0 - shape * (t - peak) ** 2
    assume(0 < y.argmax() < y.size - 1)
    assert measures.maximum(t, y) == pytest.approx(1.0, abs=1e-6 * shape)
    assert measures.minimum(t, -y) == -measures.maximum(t, y)
    assert y.max() <= measures.maximum(t, y) + 1e-12


def test_a_kink_or_a_plateau_is_not_flown_over_by_much() -> None:
    """A parabola through a corner passes it by at most an eighth of the step before it."""
    t = np.linspace(0.0, 1.0, 11)
    assert 0.5 <= measures.maximum(t, np.minimum(t, 0.5)) <= 0.5 + 0.1 / 8 + 1e-12
    assert measures.maximum(t, np.full_like(t, 0.3)) == 0.3


def test_an_error_that_grows_exponentially_is_interpolated_as_one() -> None:
    """The span within 1 mV of an error of 1 uV * exp(|x| / 50 mV) is 2 * 50 mV * ln(1001)."""
    x = np.linspace(-1.0, 1.0, 41)
    y = 1e-6 * np.exp(np.abs(x) / 0.05)
    true = 2 * 0.05 * math.log(1001)
    assert measures.span_within(x, y, point=0.0, tolerance=1e-3) == pytest.approx(true, rel=2e-3)


def test_the_span_within_a_tolerance_is_the_contiguous_one() -> None:
    x = np.linspace(-1, 1, 41)
    assert measures.span_within(x, x**3, point=0.0, tolerance=0.125) == pytest.approx(1.0, rel=0.02)
    assert measures.span_within(x, 0 * x, point=0.0, tolerance=1e-3) == 2.0
    close = np.linspace(-1, 1, 401)
    span = measures.span_within(close, close**3, point=0.9, tolerance=0.1)
    assert span == pytest.approx(0.0831, rel=0.02)
    assert math.isnan(measures.span_within(x, x**3, point=1.5, tolerance=0.1))
    wave = np.sin(np.pi * x * 4)
    assert measures.span_within(x, wave, point=0.0, tolerance=0.5) < 0.1


@pytest.mark.parametrize("y", [np.zeros(T.shape), np.where(T > 99.9e-9, 1.0, 0.0) * 0 + 0.5])
def test_an_output_that_does_not_move_has_no_slew_rate(y: np.ndarray) -> None:
    assert math.isnan(measures.slew_rate(T, y, start=5e-9, stop=100e-9))


@pytest.mark.parametrize("offset", [0.0, 1.3e-3, -4e-3, 9e-3])
def test_the_offset_of_a_latch_follows_from_two_small_decisions(offset: float) -> None:
    """Two edges, 40 ns apart, of a latch whose output grows as exp(t/tau) times what it sees."""
    tau, gain, step = 2e-9, 5.0, 5e-3
    y = np.zeros(T.shape)
    for edge, applied in ((10e-9, step), (50e-9, -step)):
        growing = (edge <= T) & (edge + 20e-9 > T)
        y[growing] = gain * (applied - offset) * np.exp((T[growing] - edge) / tau)
    options = {"first": 10e-9, "second": 50e-9, "duration": 15e-9, "step": step}
    assert measures.latch_offset(T, y, level=0.2, **options) == pytest.approx(offset, abs=1e-9)
    swapped = measures.latch_offset(T, -y, level=0.2, **options)
    assert swapped == pytest.approx(offset, abs=1e-9)
    assert math.isnan(measures.latch_offset(T, y, level=1e3, **options))
    assert math.isnan(measures.latch_offset(T, 0 * y, level=0.2, **options))
    assert math.isnan(measures.latch_offset(T, y, level=0.2, **{**options, "second": 200e-9}))
    # What answers the same twice does not listen to its input: it has no offset.
    assert math.isnan(measures.latch_offset(T, 0 * y + 1.0, level=0.2, **options))


def uneven(start: float, stop: float, step: float, seed: int = 0) -> np.ndarray:
    """Times as a simulator takes them: steps from a fifth to nine fifths of `step`."""
    steps = np.random.default_rng(seed).uniform(0.2, 1.8, 2 * int((stop - start) / step)) * step
    times = start + np.concatenate(([0.0], steps.cumsum()))
    return np.append(times[times < stop], stop)


# --- levels -------------------------------------------------------------------------------------


def test_crossings_are_counted_by_direction_from_either_end() -> None:
    """A triangle between 0 and 1 with a period of 4 passes 1/4 at 0.5 (up), 3.5 (down), 4.5, ..."""
    t = np.arange(0.0, 13.0)
    y = np.array([0.0, 0.5, 1.0, 0.5] * 3 + [0.0])

    def at(**options: object) -> float:
        return measures.crossing(t, y, level=0.25, **options)

    assert [at(nth=n) for n in (1, 2, 3, -1)] == [0.5, 3.5, 4.5, 11.5]
    assert [at(edge="rise", nth=n) for n in (1, 2, 3, -1)] == [0.5, 4.5, 8.5, 8.5]
    assert [at(edge="fall", nth=n) for n in (1, 2, -3)] == [3.5, 7.5, 3.5]
    assert at(edge="fall", start=4.0) == 7.5
    assert at(edge="rise", nth=-1, stop=8.0) == 4.5
    assert all(math.isnan(at(edge="rise", nth=n)) for n in (4, -4, 0, 1.5))


# --- oscillations -------------------------------------------------------------------------------


@given(frequency=st.floats(0.9, 1.1), phase=st.floats(0, 6), seed=st.integers(0, 99))
def test_a_sine_has_its_frequency_and_period_and_a_duty_of_a_half(
    frequency: float, phase: float, seed: int
) -> None:
    """One linear crossing is off by up to (2 pi/30)^2/16 of a period; 40 periods share it."""
    t = uneven(0.0, 42.0, 1 / 30, seed)
    y = 0.9 + 0.9 * np.sin(2 * np.pi * frequency * t + phase)
    assert measures.frequency(t, y, level=0.9) == pytest.approx(frequency, rel=1e-4)
    assert measures.period(t, y, level=0.9, start=1.0) == pytest.approx(1 / frequency, rel=1e-4)
    assert measures.duty(t, y, level=0.9) == pytest.approx(0.5, abs=5e-3)
    # Above level a share of the period that its arc cosine says.
    level = 0.9 + 0.9 * math.cos(math.pi * 0.3)
    assert measures.duty(t, y, level=level) == pytest.approx(0.3, abs=5e-3)


def test_a_mean_over_whole_periods_does_not_depend_on_where_the_window_ends() -> None:
    """A charge a period, drawn at its beginning; a fixed window takes one more or less."""
    t = np.linspace(0.0, 12.0, 4801)
    clock, current = np.sin(2 * np.pi * t), np.maximum(0.0, np.sin(4 * np.pi * t)) * (t % 1 < 0.5)
    mean = 1 / (2 * math.pi)
    for stop in (9.2, 9.6, 10.1):
        found = measures.period_mean(t, current, clock=clock, level=0.0, start=4.7, stop=stop)
        assert found == pytest.approx(mean, rel=1e-3)
    assert math.isnan(measures.period_mean(t, current, clock=0.0 * t, level=0.5))


def test_many_periods_average_the_error_of_a_crossing_out() -> None:
    t = uneven(0.0, 400.0, 1 / 12)
    y = np.sin(2 * np.pi * t + 0.3)

    def error(periods: float) -> float:
        return abs(measures.frequency(t, y, level=0.5, start=1.0, stop=1.0 + periods) - 1.0)

    assert error(390.0) < 2e-5 and error(390.0) < error(3.5) / 10


@given(phase=st.floats(0, 1), share=st.floats(0.3, 0.7), level=st.floats(0.2, 0.8))
def test_two_periods_and_the_longer_state_are_enough_wherever_they_begin(
    phase: float, share: float, level: float
) -> None:
    """Three rises or three falls; a mean over either is one over whole periods."""
    t = np.linspace(0.0, 2.01 + max(level, 1.0 - level), 4001)
    place = (t + phase) % 1.0
    y = np.where(place < share, place / share, (1.0 - place) / (1.0 - share))
    assert measures.frequency(t, y, level=level) == pytest.approx(1.0, rel=1e-3)
    assert measures.duty(t, y, level=level) == pytest.approx(1.0 - level, abs=2e-3)
    assert measures.period_mean(t, y, clock=y, level=level) == pytest.approx(0.5, abs=2e-3)


def test_what_does_not_oscillate_from_end_to_end_has_no_frequency() -> None:
    t = np.linspace(0.0, 20.0, 2001)
    sine = np.sin(2 * np.pi * t)
    for y in (
        0.0 * t,
        sine * np.exp(-t / 2),  # Dies: does not reach 0.3 after 2.4.
        np.where(t > 8.0, sine, 0.0),  # Starts in the middle.
        np.where(abs(t - 10.0) > 2.0, sine, 0.0),  # Stops for a while.
        np.sin(2 * np.pi * 0.1 * t),  # Has one whole period and a half.
        1.0 * ((t % 1 < 0.1) | (abs(t % 1 - 0.35) < 0.05)),  # Rises twice a period.
    ):
        for name in ("frequency", "period", "duty"):
            assert math.isnan(measures.MEASURES[name](t, y, level=0.3))
    late = np.where(t > 8.0, sine, 0.0)
    assert measures.frequency(t, late, level=0.3, start=8.0) == pytest.approx(1.0, rel=1e-9)


def test_a_delay_runs_from_an_edge_of_one_signal_to_the_next_of_another() -> None:
    """Ramps of 1 V in 0.2 s: the clock rises at 1, 3, 5, the output 0.35 later and falls 0.6 later."""
    t = uneven(0.0, 7.0, 0.01)

    def pulses(starts: list[float], width: float) -> np.ndarray:
        edges = [(s, 1) for s in starts] + [(s + width, -1) for s in starts]
        return sum(sign * np.clip((t - at) / 0.2 + 0.5, 0, 1) for at, sign in edges)

    clock = pulses([1.0, 3.0, 5.0], 0.5)
    out = 1.8 * pulses([1.35, 3.35, 5.35], 0.25)

    def delay(**options: object) -> float:
        levels = {"level": 0.9, "trigger_level": 0.5}
        return measures.delay(t, out, trigger=clock, **levels, **options)

    assert delay() == pytest.approx(0.35, abs=1e-9)
    assert delay(edge="fall", trigger_edge="rise") == pytest.approx(0.6, abs=1e-9)
    assert delay(edge="fall", trigger_edge="fall", nth=2) == pytest.approx(0.1, abs=1e-9)
    assert delay(trigger_edge="fall", edge="rise") == pytest.approx(1.85, abs=1e-9)
    assert delay(nth=-1, trigger_edge="rise") == pytest.approx(0.35, abs=1e-9)
    # The clock at a tenth of its ramp, 80 ms earlier.
    early = measures.delay(t, out, level=0.9, trigger=clock, trigger_level=0.1)
    assert early == pytest.approx(0.43, abs=1e-9)
    # No edge is left to answer the last one, or none to begin with.
    assert math.isnan(delay(nth=-1, trigger_edge="fall", edge="rise"))
    assert math.isnan(delay(nth=4, trigger_edge="rise"))
    assert math.isnan(measures.delay(t, 0 * t, level=0.9, trigger=clock, trigger_level=0.5))


# --- distortion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_known_harmonics_give_the_distortion(seed: int) -> None:
    """1 % of the 2nd and 0.2 % of the 5th: sqrt(0.01² + 0.002²) of the fundamental, -39.83 dB."""
    f = 1e6
    t = uneven(0.0, 7.3e-6, 1 / f / 100, seed)
    y = 0.9 + 0.5 * sum(
        a * np.sin(2 * np.pi * k * f * t + k) for k, a in ((1, 1.0), (2, 0.01), (5, 0.002))
    )
    exact = 10 * math.log10(0.01**2 + 0.002**2)
    assert measures.thd_db(t, y, frequency=f) == pytest.approx(exact, abs=0.01)
    assert measures.thd_db(t, y, frequency=f, harmonics=2) == pytest.approx(-40.0, abs=0.01)
    assert measures.sndr_db(t, y, frequency=f, start=1.05e-6) == pytest.approx(-exact, abs=0.01)


def test_half_a_square_wave_s_power_that_is_not_its_fundamental_is_known() -> None:
    """All power of a ±1 square wave is 1, its fundamental's 8/pi²; edges make the last 1 %."""
    t = np.linspace(0.0, 4.0, 40_001)
    y = np.sign(np.sin(2 * np.pi * t + 1e-3))
    exact = 10 * math.log10((8 / math.pi**2) / (1 - 8 / math.pi**2))
    assert measures.sndr_db(t, y, frequency=1.0) == pytest.approx(exact, abs=0.1)


def test_a_subharmonic_and_noise_are_no_harmonics_but_count_for_sndr() -> None:
    t = uneven(0.0, 64.0, 1 / 100)
    sine = np.sin(2 * np.pi * t)
    halved = sine + 0.01 * np.sin(np.pi * t)
    assert measures.thd_db(t, halved, frequency=1.0) < -90
    assert measures.sndr_db(t, halved, frequency=1.0) == pytest.approx(40.0, abs=0.01)
    grid = np.arange(0, 64 * 256 + 1) / 256
    noise = 1e-3 * np.random.default_rng(1).standard_normal(grid.size)
    found = measures.sndr_db(grid, np.sin(2 * np.pi * grid) + noise, frequency=1.0)
    assert found == pytest.approx(10 * math.log10(0.5 / 1e-6), abs=0.1)


@pytest.mark.parametrize(("points", "floor"), [(50, -105), (100, -129)])
def test_the_floor_is_what_the_interpolation_leaves(points: int, floor: float) -> None:
    """For even steps; those of a simulator differ, and the longest count: 1.8 times is 20 dB more."""
    even = np.linspace(0.0, 10.0, 10 * points + 1) + 0.37 / points
    sine = np.sin(2 * np.pi * even)
    assert measures.sndr_db(even, sine, frequency=1.0) > -floor - 1
    t = uneven(0.0, 10.0, 1 / points)
    assert measures.sndr_db(t, np.sin(2 * np.pi * t), frequency=1.0) > -floor - 20


def test_a_sine_that_is_one_to_the_last_digit_is_still_measured() -> None:
    """What is left is rounding, which a difference of two large sums would not resolve."""
    t = np.linspace(0.0, 4.0, 4 * 4096 + 1)
    assert measures.sndr_db(t, np.sin(2 * np.pi * t), frequency=1.0) > 180


def test_points_that_nearly_coincide_do_not_spoil_the_distortion() -> None:
    """A simulator restarts with tiny steps at a corner, where a rounding error is a steep slope."""
    t = np.sort(np.concatenate((np.linspace(0, 8, 801), np.arange(0.3, 8, 0.5) + 1e-12)))
    y = np.sin(2 * np.pi * t) + 1e-9 * np.resize([1.0, -1.0], t.size)
    assert measures.sndr_db(t, y, frequency=1.0) > 110


def test_what_is_no_sine_of_that_frequency_has_no_distortion() -> None:
    t = np.linspace(0.0, 3.0, 301)
    sine = np.sin(2 * np.pi * t)
    for measure in (measures.thd_db, measures.sndr_db):
        assert math.isnan(measure(t, 0.0 * t, frequency=1.0))
        assert math.isnan(measure(t, sine, frequency=0.0))
        assert math.isnan(measure(t, sine, frequency=0.3))  # Not one whole period.
        assert math.isnan(measure(t, sine, frequency=1.0, start=2.5))
        assert math.isnan(measure(t[::10], sine[::10], frequency=1.0))  # Ten points a period.
    assert math.isnan(measures.thd_db(t, sine, frequency=1.0, harmonics=128))


# --- start-up, line and load --------------------------------------------------------------------


def test_an_exponential_starts_up_after_ln_of_the_tolerance() -> None:
    t = uneven(0.0, 100.0, 0.05)
    y = np.where(t < 10.0, 0.0, 1.2 * (1 - np.exp(-(t - 10.0) / 5.0)))
    options = {"start": 10.0, "tolerance": 0.01}
    exact = 5.0 * math.log(100)
    assert measures.startup_time(t, y, **options) == pytest.approx(exact, rel=1e-3)
    assert measures.startup_time(t, -y, **options) == pytest.approx(exact, rel=1e-3)
    # From an earlier event, such as the supply's edge, all of it counts.
    earlier = measures.startup_time(t, y, start=7.0, tolerance=0.01)
    assert earlier == pytest.approx(exact + 3.0, rel=1e-3)


def test_what_stands_still_or_still_moves_has_not_started() -> None:
    t = np.linspace(0.0, 10.0, 1001)
    options = {"start": 1.0, "tolerance": 0.01}
    assert math.isnan(measures.startup_time(t, 0 * t, **options))
    assert math.isnan(measures.startup_time(t, 0 * t + 1.2, **options))
    assert math.isnan(measures.startup_time(t, t, **options))
    assert math.isnan(measures.startup_time(t, np.clip(t, 0, 5), start=-1.0, tolerance=0.01))


def test_a_load_step_dips_and_recovers() -> None:
    """1.2 V, down to 1.1 V in 0.1 s, back up to 1.19 V in another 3 s."""
    t = np.union1d(uneven(0.0, 30.0, 0.01), [5.0, 5.1, 8.1])
    y = np.interp(t, [5.0, 5.1, 8.1], [1.2, 1.1, 1.19])
    options = {"start": 5.0, "stop": 30.0}
    assert measures.step_deviation(t, y, **options) == pytest.approx(0.1, rel=0.02)
    assert measures.step_deviation(t, y, direction="up", **options) == 0.0
    below = measures.step_deviation(t, y, side="after", direction="down", **options)
    above = measures.step_deviation(t, y, side="after", direction="up", **options)
    assert below == pytest.approx(0.09, rel=0.02) and above == pytest.approx(0.01, rel=1e-9)
    recovered = measures.recovery_time(t, y, tolerance=3e-3, **options)
    assert recovered == pytest.approx(3.0, rel=1e-3)


def test_a_step_that_moves_nothing_needs_no_recovery_and_one_that_never_ends_has_none() -> None:
    t = np.linspace(0.0, 10.0, 1001)
    assert measures.recovery_time(t, 0 * t, start=2.0, tolerance=1e-3) == 0.0
    assert measures.step_deviation(t, 0 * t, start=2.0) == 0.0
    assert math.isnan(measures.recovery_time(t, t, start=2.0, tolerance=1e-3))
    for name in ("recovery_time", "step_deviation"):
        options = {"tolerance": 1e-3} if name == "recovery_time" else {}
        assert math.isnan(measures.MEASURES[name](t, t, start=11.0, **options))


def test_a_parabola_over_temperature_has_its_box_coefficient() -> None:
    """1.2 V less 1 uV/°C² about 50 °C: 8.1 mV of 1.2 V over 165 °C."""
    celsius = np.arange(-40.0, 126.0, 5.0)
    y = 1.2 - 1e-6 * (celsius - 50.0) ** 2
    exact = 1e6 * 8.1e-3 / ((1.2 - 1e-6 * 23.0**2) * 165.0)
    assert measures.temperature_coefficient(celsius, y) == pytest.approx(exact, rel=1e-4)
    assert measures.temperature_coefficient(celsius, -y) == pytest.approx(exact, rel=1e-4)
    linear = 1.0 + 1e-3 * (celsius - 25.0)
    tc = measures.temperature_coefficient(celsius, linear, reference=25.0, start=0.0, stop=100.0)
    assert tc == pytest.approx(1000.0, rel=1e-9)
    assert math.isnan(measures.temperature_coefficient(celsius, y, reference=130.0))
    assert math.isnan(measures.temperature_coefficient(celsius, 0 * y))


@pytest.mark.parametrize("name", measures.MEASURES)
def test_every_measure_says_what_it_does(name: str) -> None:
    function = measures.MEASURES[name]
    assert function.__name__ == name and function.__doc__


def test_the_page_on_circuits_lists_every_measure_with_its_options() -> None:
    """Names, units, words and defaults, in their order."""
    page = (Path(__file__).parents[2] / "docs" / "circuits.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| (?:[^|]|\\\|)+ \| (.+) \|$", page, re.M)
    assert dict(rows) == {
        name: ", ".join(map(str, measures.options_of(function))) or "—"
        for name, function in measures.MEASURES.items()
    }


def test_an_option_is_a_number_a_word_or_a_signal() -> None:
    taken = {o.name: o for o in measures.options_of(measures.delay)}
    kinds = {name: option.kind for name, option in taken.items()}
    assert kinds["level"] == "number" and kinds["trigger"] == "signal" and kinds["edge"] == "word"
    assert taken["edge"].words == ("rise", "fall", "either") and taken["edge"].default == "either"
    assert taken["level"].default is None and taken["start"].unit == "s"
    assert str(taken["nth"]) == "`nth = 1` (count)"
