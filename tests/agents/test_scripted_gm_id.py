"""The gm/Id method's functions: each has an inverse, and its limits are physics'."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.scripted.gm_id import (
    HIGHEST_EFFICIENCY,
    THERMAL_VOLTAGE,
    efficiency,
    efficiency_slope,
    inversion,
    inversion_at,
    overdrive,
    saturation_voltage,
)

COEFFICIENTS = st.floats(1e-4, 1e4)


@given(COEFFICIENTS)
def test_inversion_coefficient_and_efficiency_invert_each_other(ic: float) -> None:
    assert inversion(efficiency(ic)) == pytest.approx(ic, rel=1e-6)


@given(st.floats(0.1, 0.999 * HIGHEST_EFFICIENCY))
def test_efficiency_and_inversion_coefficient_invert_each_other(gm_id: float) -> None:
    assert efficiency(inversion(gm_id)) == pytest.approx(gm_id, rel=1e-9)


@given(COEFFICIENTS)
def test_inversion_coefficient_and_overdrive_invert_each_other(ic: float) -> None:
    assert inversion_at(overdrive(ic)) == pytest.approx(ic, rel=1e-6)


@given(COEFFICIENTS)
def test_the_slope_is_the_derivative_of_the_efficiency(ic: float) -> None:
    step = 1e-4
    ratio = efficiency(ic * math.exp(step)) / efficiency(ic * math.exp(-step))
    assert efficiency_slope(ic) == pytest.approx(math.log(ratio) / (2 * step), abs=1e-6)


def test_weak_inversion_is_bipolar_like_and_strong_inversion_a_square_law() -> None:
    assert efficiency(1e-6) == pytest.approx(HIGHEST_EFFICIENCY, rel=1e-3)
    assert saturation_voltage(1e-6) == pytest.approx(4 * THERMAL_VOLTAGE, rel=1e-3)
    # gm/Id = 2 / overdrive, up to the EKV model's own correction.
    assert efficiency(1e4) * overdrive(1e4) == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("gm_id", [0.0, -1.0, HIGHEST_EFFICIENCY, 1e3, math.nan])
def test_an_efficiency_that_no_transistor_has_is_refused(gm_id: float) -> None:
    with pytest.raises(ValueError, match="gm/Id is between 0 and"):
        inversion(gm_id)
