"""Failures are learnt the same way by every method."""

from __future__ import annotations

import math

import numpy as np
import pytest

from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Spec, SpecSheet
from baselines.failures import WORST_BILOG, bilog, observe, score_to_learn
from baselines.levels import coarse_levels, round_to_levels
from baselines.testing import INTEGERS, MIXED, failed, scored

DESIGN = MIXED.from_unit([0.5] * 4)
SHEET = SpecSheet(
    (Spec("gain", ">=", 10.0), Spec("power", "<=", 1.0), Spec("pm", ">=", 60.0, 10.0))
)


def judged(metrics, status=Status.OK):
    return Evaluation.judged(DESIGN, status, metrics, SHEET)


def test_a_failed_simulation_is_learnt_as_the_worst_score():
    assert score_to_learn(scored(DESIGN, 0.7)) == 0.7
    assert score_to_learn(failed(DESIGN, Status.NONCONVERGED)) == 0.0
    assert score_to_learn(scored(DESIGN, math.nan)) == 0.0


@pytest.mark.parametrize("status", [Status.INFRA_ERROR, Status.INVALID_DESIGN])
def test_what_is_not_the_designs_fault_teaches_nothing(status):
    assert observe(MIXED, failed(DESIGN, status)) is None


def test_only_what_was_measured_is_learnt_of_the_margins():
    metrics = {"gain": 10.0 * math.e, "power": math.nan, "pm": 30.0}
    learnt = observe(MIXED, judged(metrics, Status.MEASURE_FAILED))
    assert learnt.margins == {"gain": pytest.approx(math.log(2)), "pm": pytest.approx(-math.log(4))}
    assert learnt.specs == ("gain", "power", "pm") and not learnt.measured and not learnt.feasible


def test_a_failed_simulation_has_no_margins_and_names_the_specs():
    learnt = observe(MIXED, judged({}, Status.TIMEOUT))
    assert learnt.margins == {} and learnt.specs == SHEET.metrics and learnt.score == 0.0


def test_a_design_is_feasible_when_every_spec_is_met_to_the_digit():
    assert observe(MIXED, judged({"gain": 10.0, "power": 1.0, "pm": 60.0})).feasible
    assert not observe(MIXED, judged({"gain": 9.999, "power": 0.5, "pm": 80.0})).feasible


def test_a_method_of_the_score_track_sees_no_margins():
    learnt = observe(MIXED, judged({"gain": 5.0, "power": 1.0, "pm": 60.0}), "score")
    assert learnt.margins == {} and learnt.specs == () and 0 < learnt.score < 1


@pytest.mark.parametrize("gain", [12.0, 10.0, 9.0, 1.0, 0.2])
def test_the_satisfaction_of_a_spec_is_the_exponential_of_its_clipped_bilog_margin(gain):
    spec = SHEET.specs[0]
    assert math.exp(min(bilog(spec.margin(gain)), 0.0)) == pytest.approx(spec.satisfaction(gain))


def test_infinite_margins_are_measured_and_bounded():
    assert bilog(-math.inf) == WORST_BILOG == -bilog(math.inf)
    assert bilog(0.0) == 0.0 and bilog(-1e300) == WORST_BILOG


def test_coarse_parameters_are_those_with_few_values():
    (level,) = coarse_levels(MIXED)
    assert level.index == 3 and len(level.units) == 16
    assert level.units.tolist() == pytest.approx(np.linspace(0, 1, 16).tolist())
    assert [len(found.units) for found in coarse_levels(INTEGERS)] == [4, 5, 32]


@pytest.mark.parametrize("space", [MIXED, INTEGERS])
def test_rounding_to_levels_agrees_with_the_design_space(space):
    points = np.random.default_rng(0).random((500, len(space)))
    rounded = round_to_levels(points, coarse_levels(space))
    integer = [k for k, p in enumerate(space) if p.integer]
    canonical = np.array([space.to_unit(space.from_unit(p)) for p in points])
    np.testing.assert_allclose(rounded[:, integer], canonical[:, integer], atol=1e-12)
    assert np.array_equal(np.delete(rounded, integer, 1), np.delete(points, integer, 1))
