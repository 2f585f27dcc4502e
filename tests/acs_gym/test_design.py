"""Design spaces: canonical form, the unit cube, and every way a design can be wrong."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import acs_gym
from acs_gym.design import DesignSpace, InvalidDesign, Parameter

SPACE = DesignSpace(
    (
        Parameter("w", 0.5e-6, 100e-6, "log", 5e-9, unit="m"),
        Parameter("m", 1, 16, integer=True),
        Parameter("i", 0.5e-6, 50e-6, "log", unit="A"),
        Parameter("v", -0.5, 1.3, "linear", unit="V"),
    )
)
unit_vectors = st.lists(st.floats(0, 1), min_size=4, max_size=4)


@given(unit_vectors)
def test_every_point_of_the_unit_cube_is_a_valid_canonical_design(u: list[float]) -> None:
    design = SPACE.from_unit(u)
    assert SPACE.canonicalize(design) == design
    assert all(p.low <= design[p.name] <= p.high for p in SPACE)
    assert design["m"] == int(design["m"])
    assert round(design["w"] / 5e-9) * 5e-9 == pytest.approx(design["w"], rel=1e-12)


@given(unit_vectors)
def test_unit_cube_round_trip_is_exact(u: list[float]) -> None:
    design = SPACE.from_unit(u)
    assert SPACE.from_unit(SPACE.to_unit(design)) == design


def test_round_trip_is_exact_on_every_task(task: acs_gym.Task) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        design = task.space.sample(rng)
        assert task.space.from_unit(task.space.to_unit(design)) == design


def test_corners_of_the_cube_are_the_bounds() -> None:
    assert SPACE.from_unit([0, 0, 0, 0]) == {p.name: p.low for p in SPACE}
    assert SPACE.from_unit([1, 1, 1, 1]) == {p.name: p.high for p in SPACE}
    assert SPACE.from_unit([-3, 9, 0, 1])["m"] == 16


GOOD = {"w": 1e-6, "m": 2, "i": 1e-6, "v": 0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": math.nan}, "w is nan, not a finite number"),
        ({"w": math.inf}, "w is inf"),
        ({"w": "12u"}, "w is '12u', not a number"),
        ({"w": None}, "w is None, not a number"),
        ({"w": True}, "w is True, not a number"),
        ({"w": 1j}, "not a number"),
        ({"w": 10**400}, "not a real number"),
        ({"w": 1.0}, "outside its range: 5e-07 to 0.0001 m"),
        ({"w": 0.0}, "outside its range"),
        ({"w": 5e-324}, "outside its range"),
        ({"ww": 1e-6}, r"unknown parameter 'ww'; did you mean w\? The parameters are: w, m, i, v"),
    ],
)
def test_a_wrong_value_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidDesign, match=message):
        SPACE.canonicalize({**GOOD, **change})  # type: ignore[dict-item]


def test_missing_parameters_and_other_types_are_refused() -> None:
    with pytest.raises(InvalidDesign, match="missing parameter: m, v"):
        SPACE.canonicalize({"w": 1e-6, "i": 1e-6})
    with pytest.raises(InvalidDesign, match="maps parameter names to numbers, got list"):
        SPACE.canonicalize([1, 2])  # type: ignore[arg-type]


@pytest.mark.parametrize("u", [[0.5] * 3, [[0.5] * 4], 0.5])
def test_a_wrong_shape_names_the_right_one(u: object) -> None:
    with pytest.raises(InvalidDesign, match=r"expected 4 coordinates, shape \(4,\)"):
        SPACE.from_unit(u)  # type: ignore[arg-type]


def test_a_nan_coordinate_is_named() -> None:
    with pytest.raises(InvalidDesign, match="coordinate is NaN: m"):
        SPACE.from_unit([0, math.nan, 0, 0])


def test_rounding_noise_at_a_bound_is_not_an_error() -> None:
    assert SPACE.canonicalize({**GOOD, "w": 100e-6 * (1 + 1e-12)})["w"] == 100e-6


@pytest.mark.parametrize(
    "arguments",
    [
        {"low": 1, "high": 1}, {"low": 2, "high": 1}, {"low": math.nan, "high": 1},
        {"low": 0, "high": 1, "scale": "log"}, {"low": 0, "high": 1, "step": 2},
        {"low": 0, "high": 4, "integer": True, "step": 0.5},
    ],
)  # fmt: skip
def test_a_parameter_that_makes_no_sense_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="parameter x"):
        Parameter("x", **arguments)  # type: ignore[arg-type]
