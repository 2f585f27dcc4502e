"""Every method starts from the same designs, and failures are learnt the same way."""

from __future__ import annotations

import math

import pytest

from acs_gym.evaluation import Status
from baselines.failures import observations, score_to_learn
from baselines.initial import default_size, initial_designs, split_seed
from baselines.registry import METHODS
from baselines.testing import MIXED, ONE_PARAMETER, failed, scored


def test_two_designs_a_parameter_but_at_most_a_quarter_of_the_budget():
    assert default_size(100, 8) == 16
    assert default_size(40, 8) == 10
    assert default_size(3, 8) == 1
    assert default_size(math.inf, 8) == 16


def test_initial_designs_are_decided_by_the_seed():
    assert initial_designs(MIXED, 7, seed=1) == initial_designs(MIXED, 7, seed=1)
    assert initial_designs(MIXED, 7, seed=1) != initial_designs(MIXED, 7, seed=2)


def test_initial_designs_of_a_smaller_size_are_the_first_of_a_larger():
    assert initial_designs(MIXED, 3, seed=5) == initial_designs(MIXED, 13, seed=5)[:3]


def test_sixteen_sobol_points_hit_every_sixteenth_of_the_range_once():
    units = [ONE_PARAMETER.to_unit(d)[0] for d in initial_designs(ONE_PARAMETER, 16, seed=0)]
    assert sorted(int(u * 16) for u in units) == list(range(16))


def test_an_empty_initial_design_is_refused():
    with pytest.raises(ValueError, match="at least one point"):
        initial_designs(MIXED, 0, seed=0)


def test_the_streams_of_a_seed_differ_from_each_other_and_from_other_seeds():
    seeds = [split_seed(s) for s in range(20)]
    assert len({s.initial for s in seeds} | {s.method for s in seeds}) == 40


@pytest.mark.parametrize("method", [m for m in METHODS if m.name not in ("constant", "oracle")])
def test_every_searching_method_asks_for_the_initial_designs_first(method):
    initial = initial_designs(MIXED, 5, seed=0)
    optimizer = method.load()(MIXED, seed=1, initial=initial)
    assert [optimizer.ask()[0] for _ in range(5)] == initial


def test_a_failed_simulation_is_learnt_as_the_worst_score():
    design = MIXED.from_unit([0.5] * 4)
    assert score_to_learn(scored(design, 0.7)) == 0.7
    assert score_to_learn(failed(design, Status.NONCONVERGED)) == 0.0
    assert score_to_learn(scored(design, math.nan)) == 0.0


def test_what_is_not_the_designs_fault_teaches_nothing():
    design = MIXED.from_unit([0.5] * 4)
    told = [failed(design, Status.INFRA_ERROR), failed(design, Status.INVALID_DESIGN)]
    assert observations(MIXED, told) == []
