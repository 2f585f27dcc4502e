"""The conformance suite finds what is wrong with a method."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.protocol import Optimizer
from baselines.random_search import RandomSearch
from baselines.testing import ConformanceTests

SUITE = ConformanceTests()


class Unseeded(Optimizer):
    name = "unseeded"

    def _propose(self, n):
        return np.random.default_rng().random((n, len(self.space)))


class Global(Optimizer):
    name = "global"

    def _propose(self, n):
        return np.random.rand(n, len(self.space))  # noqa: NPY002


class Careless(RandomSearch):
    """Bypasses the base class: numpy's floats, off the grid, as often as it likes."""

    def ask(self, n=1):
        middle = {p.name: np.float64((p.low + p.high) / 2) for p in self.space}
        return [middle] * n


class Trusting(RandomSearch):
    """Takes for granted that a simulation succeeds and that a metric is a number."""

    track = "metrics"

    def _learn(self, learnt):
        assert all(o.measured for o in learnt)


@pytest.mark.parametrize(
    ("method", "test"),
    [
        (Unseeded, SUITE.test_the_same_seed_gives_the_same_run),
        (Unseeded, SUITE.test_a_run_goes_on_from_its_trace),
        (Global, SUITE.test_the_same_seed_gives_the_same_run),
        (Careless, SUITE.test_designs_are_canonical),
        (Careless, SUITE.test_no_design_is_asked_for_twice),
        (Careless, SUITE.test_it_gives_as_many_designs_as_wanted),
        (Trusting, SUITE.test_three_failed_simulations_in_ten),
        (Trusting, SUITE.test_metrics_that_could_not_be_measured),
    ],
)
def test_it_fails_what_does_not_conform(method, test):
    with pytest.raises((AssertionError, ValueError)):
        test(method)
