"""Measurements against signals whose answers are known in closed form."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from acs_gym.simulation import measure

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
    assert measure.magnitude_db(F, y) == pytest.approx(60, abs=1e-3)
    assert measure.rejection_db(F, 1 / y) == pytest.approx(60, abs=1e-3)
    assert measure.unity_crossing(F, y) == pytest.approx(1e4 * math.sqrt(1e6 - 1), rel=5e-4)
    assert measure.phase_margin(F, y) == pytest.approx(90.06, abs=0.05)
    # Its phase never reaches -180°: what is left of the gain at the end is the least that is known.
    assert measure.gain_margin(F, y) == pytest.approx(60.0, abs=1e-6)
    assert measure.modulus_margin(F, y) == pytest.approx(1.0, abs=1e-5)


@given(st.floats(20, 90), st.floats(3, 5), st.floats(6.5, 9))
def test_two_pole_phase_margin_is_the_textbook_s(db: float, p1: float, p2: float) -> None:
    gain, first, second = 10 ** (db / 20), 10**p1, 10**p2
    y = loop(gain, first, second)
    fu = measure.unity_crossing(F, y)
    expected = 180 - math.degrees(math.atan(fu / first) + math.atan(fu / second))
    assert measure.phase_margin(F, y) == pytest.approx(expected, abs=0.3)


def test_three_pole_gain_margin() -> None:
    p = 1e5
    y = loop(4.0, p, p, p)  # Phase -180° at sqrt(3)·p, where |y| = 4/8.
    assert measure.gain_margin(F, y) == pytest.approx(20 * math.log10(2), abs=0.2)


@given(st.floats(3, 60), st.floats(4, 6), st.floats(0.1, 10))
def test_modulus_margin_is_the_distance_on_a_dense_grid(
    gain: float, p: float, ratio: float
) -> None:
    poles = (10**p, 10**p * ratio, 10**p * ratio**2)
    dense = np.logspace(1, 10, 200_001)
    exact = np.abs(1 + loop_on(dense, gain, *poles)).min()
    assert measure.modulus_margin(F, loop(gain, *poles)) == pytest.approx(exact, rel=2e-3, abs=3e-3)


@given(st.floats(20, 90), st.floats(3, 5), st.floats(6.5, 9))
def test_modulus_margin_bounds_the_other_margins(db: float, p1: float, p2: float) -> None:
    y = loop(10 ** (db / 20), 10**p1, 10**p2, 10**p2 * 3)
    modulus, margin = measure.modulus_margin(F, y), measure.phase_margin(F, y)
    if not math.isnan(margin) and margin > 0:
        assert modulus <= 2 * math.sin(math.radians(margin) / 2) + 2e-3
    assert modulus <= abs(1 - 10 ** (-measure.gain_margin(F, y) / 20)) + 5e-3


def test_the_worst_of_all_crossings_is_the_phase_margin() -> None:
    """A resonance lifts the gain above 1 again, far beyond the first crossing and with less phase."""
    resonance = 1 / (1 + 1j * F / 5e7 / 20 - (F / 5e7) ** 2)
    y = loop(1000.0, 1e4) * resonance
    first = 180 + math.degrees(np.angle(loop_on(np.array([1e7]), 1000.0, 1e4))[0])
    assert math.isnan(measure.unity_crossing(F, y))
    assert measure.phase_margin(F, y) < first - 60
    assert measure.gain_margin(F, y) < 0 and measure.modulus_margin(F, y) < 1


def test_peaking_of_a_second_order_system() -> None:
    """|H| peaks by 1/(2·zeta·sqrt(1 - zeta²)) of its value at DC for zeta < 0.707; else not at all."""
    for zeta in (0.1, 0.3, 0.6):
        y = 3.0 / (1 + 2j * zeta * F / 1e6 - (F / 1e6) ** 2)
        exact = -20 * math.log10(2 * zeta * math.sqrt(1 - zeta**2))
        assert measure.peaking_db(F, y) == pytest.approx(exact, abs=0.1)
    assert measure.peaking_db(F, 1 / (1 + 1j * F / 1e6)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "y",
    [loop(0.5, 1e4), loop(-1000.0, 1e4), np.zeros(F.shape, complex), loop(1e9), loop(2.0, 1e4) * 0],
    ids=["never above unity", "inverted", "dead", "never falls", "zero"],
)
def test_a_dead_or_inverted_loop_has_no_phase_margin(y: np.ndarray) -> None:
    assert math.isnan(measure.phase_margin(F, y))


def test_a_phase_margin_above_the_ceiling_is_not_one() -> None:
    assert math.isnan(measure.phase_margin(F, loop(1000.0, 1e4, zeros=(1e5, 1e6, 1e6)) * 1e-2))
    flat = loop(100.0, 1e4, zeros=(3e5,)) / (1 + 1j * F / 1e9)
    assert math.isnan(measure.phase_margin(F, flat, ceiling=80.0))


def test_a_loop_that_crosses_unity_more_than_once_has_no_unity_frequency() -> None:
    y = loop(100.0, 1e4) + loop(3.0) * np.exp(-((np.log10(F) - 8) ** 2))
    assert math.isnan(measure.unity_crossing(F, y))


def test_white_noise_integrates_to_density_times_root_bandwidth() -> None:
    x = np.logspace(2, 8, 31)
    assert measure.integrated_noise(x, np.full(x.shape, 1e-8), low=100, high=1e6) == pytest.approx(
        1e-8 * math.sqrt(1e6 - 100), rel=1e-9
    )


def test_flicker_noise_integrates_to_the_logarithm() -> None:
    x = np.logspace(2, 8, 31)
    assert measure.integrated_noise(x, 1e-6 / np.sqrt(x), low=100, high=1e6) == pytest.approx(
        1e-6 * math.sqrt(math.log(1e4)), rel=1e-9
    )


def test_noise_outside_the_sweep_is_not_measured() -> None:
    x = np.logspace(3, 8, 26)
    assert math.isnan(measure.integrated_noise(x, np.full(x.shape, 1e-8), low=100, high=1e6))
    assert measure.density_at(x, 1 / x, at=2e4) == pytest.approx(1 / 2e4, rel=1e-9)
    assert math.isnan(measure.density_at(x, 1 / x, at=10.0))


T = np.linspace(0, 100e-9, 2001)


def test_a_ramp_slews_at_its_slope() -> None:
    y = np.clip((T - 10e-9) * 10e6, 0, 0.3)
    rate = measure.slew_rate(T, y, start=5e-9, stop=100e-9)
    assert rate == pytest.approx(10e6, rel=1e-6)
    falling = measure.slew_rate(T, -y, start=5e-9, stop=100e-9)
    assert falling == pytest.approx(10e6, rel=1e-6)


def test_an_exponential_settles_after_ln_100_time_constants() -> None:
    tau, start = 5e-9, 10e-9
    y = np.where(start < T, 1 - np.exp(-(T - start) / tau), 0.0)
    options = {"start": start, "stop": 100e-9, "initial": 0.0, "final": 1.0}
    settled = measure.settling_time(T, y, tolerance=0.01, **options)
    assert settled == pytest.approx(tau * math.log(100), rel=5e-3)
    assert measure.overshoot(T, y, **options) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("height", [0.9, 1.1, 0.0, -1.0])
def test_a_step_of_another_height_never_settles(height: float) -> None:
    y = np.where(T > 11e-9, height, 0.0)
    settled = measure.settling_time(
        T, y, start=10e-9, stop=100e-9, initial=0.0, final=1.0, tolerance=0.01
    )
    assert math.isnan(settled)


def test_an_offset_does_not_keep_a_step_from_settling() -> None:
    tau, start = 5e-9, 10e-9
    y = 0.03 + np.where(start < T, 1 - np.exp(-(T - start) / tau), 0.0)
    settled = measure.settling_time(
        T, y, start=start, stop=100e-9, initial=0.0, final=1.0, tolerance=0.01
    )
    assert settled == pytest.approx(tau * math.log(100), rel=5e-3)


def test_a_ramp_is_read_at_points_extremes_and_levels() -> None:
    y = 2.0 * T / 100e-9 - 1.0
    assert measure.at(T, y, point=25.03e-9) == pytest.approx(-0.4994, rel=1e-9)
    assert math.isnan(measure.at(T, y, point=101e-9))
    assert measure.minimum(T, y, start=50e-9) == pytest.approx(0.0, abs=1e-12)
    assert measure.maximum(T, y, stop=75e-9) == pytest.approx(0.5)
    assert math.isnan(measure.maximum(T, y, start=1.0))
    assert measure.mean(T, y, start=10.02e-9, stop=20.04e-9) == pytest.approx(-0.6994, rel=1e-9)
    assert math.isnan(measure.mean(T, y, start=10e-9, stop=200e-9))
    assert measure.crossing(T, y, level=0.25) == pytest.approx(62.5e-9, rel=1e-9)
    assert measure.crossing(T, -y, level=0.25) == pytest.approx(37.5e-9, rel=1e-9)
    assert math.isnan(measure.crossing(T, y, level=0.25, start=70e-9))
    assert math.isnan(measure.crossing(T, y, level=3.0))


@given(
    peak=st.floats(0.3, 0.7), shape=st.floats(1.0, 100.0), cuts=st.lists(st.floats(0, 1), min_size=9)
)
def test_a_peak_is_found_between_the_points(peak: float, shape: float, cuts: list[float]) -> None:
    """Exactly for a parabola, wherever its points are; its highest point is always lower."""
    t = np.unique(np.round([0.0, *cuts, 1.0], 6))
    y = 1.0 - shape * (t - peak) ** 2
    assume(0 < y.argmax() < y.size - 1)
    assert measure.maximum(t, y) == pytest.approx(1.0, abs=1e-6 * shape)
    assert measure.minimum(t, -y) == -measure.maximum(t, y)
    assert y.max() <= measure.maximum(t, y) + 1e-12


def test_a_kink_or_a_plateau_is_not_flown_over_by_much() -> None:
    """A parabola through a corner passes it by at most an eighth of the step before it."""
    t = np.linspace(0.0, 1.0, 11)
    assert 0.5 <= measure.maximum(t, np.minimum(t, 0.5)) <= 0.5 + 0.1 / 8 + 1e-12
    assert measure.maximum(t, np.full_like(t, 0.3)) == 0.3


def test_an_error_that_grows_exponentially_is_interpolated_as_one() -> None:
    """The span within 1 mV of an error of 1 uV * exp(|x| / 50 mV) is 2 * 50 mV * ln(1001)."""
    x = np.linspace(-1.0, 1.0, 41)
    y = 1e-6 * np.exp(np.abs(x) / 0.05)
    true = 2 * 0.05 * math.log(1001)
    assert measure.span_within(x, y, point=0.0, tolerance=1e-3) == pytest.approx(true, rel=2e-3)


def test_the_span_within_a_tolerance_is_the_contiguous_one() -> None:
    x = np.linspace(-1, 1, 41)
    assert measure.span_within(x, x**3, point=0.0, tolerance=0.125) == pytest.approx(1.0, rel=0.02)
    assert measure.span_within(x, 0 * x, point=0.0, tolerance=1e-3) == 2.0
    close = np.linspace(-1, 1, 401)
    span = measure.span_within(close, close**3, point=0.9, tolerance=0.1)
    assert span == pytest.approx(0.0831, rel=0.02)
    assert math.isnan(measure.span_within(x, x**3, point=1.5, tolerance=0.1))
    wave = np.sin(np.pi * x * 4)
    assert measure.span_within(x, wave, point=0.0, tolerance=0.5) < 0.1


@pytest.mark.parametrize("y", [np.zeros(T.shape), np.where(T > 99.9e-9, 1.0, 0.0) * 0 + 0.5])
def test_an_output_that_does_not_move_has_no_slew_rate(y: np.ndarray) -> None:
    assert math.isnan(measure.slew_rate(T, y, start=5e-9, stop=100e-9))


@pytest.mark.parametrize("offset", [0.0, 1.3e-3, -4e-3, 9e-3])
def test_the_offset_of_a_latch_follows_from_two_small_decisions(offset: float) -> None:
    """Two edges, 40 ns apart, of a latch whose output grows as exp(t/tau) times what it sees."""
    tau, gain, step = 2e-9, 5.0, 5e-3
    y = np.zeros(T.shape)
    for edge, applied in ((10e-9, step), (50e-9, -step)):
        growing = (edge <= T) & (edge + 20e-9 > T)
        y[growing] = gain * (applied - offset) * np.exp((T[growing] - edge) / tau)
    options = {"first": 10e-9, "second": 50e-9, "duration": 15e-9, "step": step}
    assert measure.latch_offset(T, y, level=0.2, **options) == pytest.approx(offset, abs=1e-9)
    swapped = measure.latch_offset(T, -y, level=0.2, **options)
    assert swapped == pytest.approx(offset, abs=1e-9)
    assert math.isnan(measure.latch_offset(T, y, level=1e3, **options))
    assert math.isnan(measure.latch_offset(T, 0 * y, level=0.2, **options))
    assert math.isnan(measure.latch_offset(T, y, level=0.2, **{**options, "second": 200e-9}))
    # What answers the same twice does not listen to its input: it has no offset.
    assert math.isnan(measure.latch_offset(T, 0 * y + 1.0, level=0.2, **options))


@pytest.mark.parametrize("name", measure.MEASURES)
def test_every_measure_says_what_it_does(name: str) -> None:
    function = measure.MEASURES[name]
    assert function.__name__ == name and function.__doc__
