"""Every method starts from the same designs."""

from __future__ import annotations

import math

import pytest

from baselines.initial import default_size, initial_designs, split_seed
from baselines.registry import METHODS
from baselines.testing import MIXED, ONE_PARAMETER, TINY


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
    if method.missing:
        pytest.skip(f"needs {method.install}")
    initial = initial_designs(MIXED, 5, seed=0)
    optimizer = method.load()(MIXED, seed=1, initial=initial)
    assert [optimizer.ask()[0] for _ in range(5)] == initial


def test_initial_designs_that_round_to_one_are_simulated_once():
    from baselines.sobol import Sobol

    optimizer = Sobol(TINY, seed=1, initial=initial_designs(TINY, 32, seed=0))
    assert optimizer.n_initial == 6
