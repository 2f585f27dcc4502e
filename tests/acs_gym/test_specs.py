"""Margins, satisfaction and score, against their definitions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import InvalidSpec, Spec, SpecSheet

SHEET = SpecSheet(
    (
        Spec("gain", ">=", 60, tolerance=20, unit="dB"),
        Spec("ugbw", ">=", 10e6, unit="Hz"),
        Spec("power", "<=", 250e-6, unit="W", weight=2),
    )
)
MET = {"gain": 60.0, "ugbw": 10e6, "power": 250e-6}
values = st.floats(-1e9, 1e9) | st.just(math.nan)


def test_margins_are_zero_at_the_target_and_in_the_spec_s_own_scale() -> None:
    assert SHEET.judge(MET).margins == {"gain": 0, "ugbw": 0, "power": 0}
    worse = SHEET.judge({"gain": 40.0, "ugbw": 10e6 / math.e, "power": 250e-6 * math.e})
    assert list(worse.margins.values()) == pytest.approx([-1, -1, -1])
    assert list(worse.satisfaction.values()) == pytest.approx([0.5, 0.5, 0.5])


def test_score_is_the_weighted_mean_and_one_exactly_when_feasible() -> None:
    verdict = SHEET.judge({**MET, "power": 250e-6 * math.e})
    assert verdict.score == pytest.approx((1 + 1 + 2 * 0.5) / 4)
    assert not verdict.feasible
    assert SHEET.judge(MET).score == 1.0 and SHEET.judge(MET).feasible


def test_a_miss_too_small_to_see_in_a_float_mean_is_still_not_feasible() -> None:
    verdict = SHEET.judge({**MET, "power": math.nextafter(250e-6, 1)})
    assert not verdict.feasible and verdict.score < 1.0


@pytest.mark.parametrize(
    "missing", [{}, {"gain": math.nan}, {"ugbw": 0.0}, {"ugbw": -5.0}, {"ugbw": 5e-324}]
)
def test_what_was_not_measured_satisfies_nothing(missing: dict[str, float]) -> None:
    name = next(iter(missing), "gain")
    assert SHEET.judge(missing).satisfaction[name] == 0.0


@given(values, values, values)
def test_scores_stay_in_the_unit_interval(gain: float, ugbw: float, power: float) -> None:
    verdict = SHEET.judge({"gain": gain, "ugbw": ugbw, "power": power})
    assert 0.0 <= verdict.score <= 1.0
    assert verdict.feasible == (verdict.score == 1.0)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_changing_the_unit_changes_no_margin(value: float, target: float, factor: float) -> None:
    plain = Spec("x", ">=", target).margin(value)
    scaled = Spec("x", ">=", target * factor).margin(value * factor)
    assert scaled == pytest.approx(plain, abs=1e-9)


@given(st.floats(0.01, 200), st.floats(0.01, 200))
def test_more_of_a_good_thing_never_scores_less(a: float, b: float) -> None:
    low, high = sorted((a, b))
    spec = Spec("gain", ">=", 60, tolerance=20)
    assert spec.satisfaction(low) <= spec.satisfaction(high)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", ">", 1.0), "use one of: '>=', '<=', 'within'"),
        (("x", "within", -1.0, 1.0), "nothing is within -1.0 of zero"),
        (("x", ">=", math.nan), "not finite"),
        (("x", ">=", 0.0), "must be positive; give a tolerance"),
        (("x", ">=", 1.0, 0.0), "tolerance 0.0 must be positive"),
        (("x", ">=", 1.0, None, -1.0), "weight -1.0 must be positive"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        Spec(*arguments)  # type: ignore[arg-type]


def test_targets_are_replaced_by_name_and_wrong_names_get_a_suggestion() -> None:
    assert SHEET.with_targets({"gain": 70}).targets["gain"] == 70
    assert SHEET.with_targets({}) == SHEET
    with pytest.raises(InvalidSpec, match=r"no spec on 'gian'; did you mean gain\?"):
        SHEET.with_targets({"gian": 70})
    with pytest.raises(InvalidSpec, match="not a number"):
        SHEET.with_targets({"gain": "70"})  # type: ignore[dict-item]


@given(st.dictionaries(st.sampled_from(["gain", "ugbw", "power", "area"]), values))
def test_an_evaluation_survives_json_exactly(metrics: dict[str, float]) -> None:
    import json

    before = Evaluation.judged({"w": 1e-6}, Status.OK, metrics, SHEET, message="x")
    after = Evaluation.from_json(json.loads(json.dumps(before.to_json(), allow_nan=False)), SHEET)
    assert repr(after) == repr(before)


def test_a_failed_simulation_scores_nothing_whatever_it_claims() -> None:
    failed = Evaluation.judged({}, Status.NONCONVERGED, MET, SHEET)
    assert failed.score == 0.0 and not failed.feasible
    assert all(math.isnan(v) for v in failed.metrics.values())


@pytest.mark.parametrize("broken", [{}, {"design": 3}, {"design": {}, "metrics": {"g": "x"}}])
def test_a_malformed_record_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"evaluation record|could not convert"):
        Evaluation.from_json(broken, SHEET)


def test_a_within_spec_judges_the_magnitude() -> None:
    spec = Spec("offset", "within", 5e-3, unit="V")
    assert spec.margin(2.5e-3) == spec.margin(-2.5e-3) == pytest.approx(math.log(2))
    assert spec.satisfaction(-10e-3) < 1.0 and spec.satisfaction(0.0) == 1.0
    assert spec.text() == "within ±5 mV"
