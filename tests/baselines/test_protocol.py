"""What the base class settles for all methods: duplicates, lost simulations, what counts as learnt."""

from __future__ import annotations

import numpy as np
import pytest

from acs_gym.evaluation import Status
from baselines.initial import initial_designs
from baselines.protocol import Optimizer, TraceMismatch
from baselines.sobol import Sobol
from baselines.testing import INTEGERS, MIXED, bowl, failed, play, scored


class Stubborn(Optimizer):
    """Proposes one point for ever, and keeps what it learns."""

    name = "stubborn"
    track = "metrics"

    def __init__(self, space, *, seed, initial):
        super().__init__(space, seed=seed, initial=initial)
        self.learnt = []

    def _propose(self, n):
        return np.full((n, len(self.space)), 0.51)

    def _learn(self, learnt):
        self.learnt += learnt


def test_a_duplicate_is_moved_to_a_design_near_by():
    optimizer = Stubborn(MIXED, seed=0, initial=[])
    first, second = optimizer.ask(2)
    assert first == MIXED.from_unit([0.51] * 4) and second != first
    assert np.abs(MIXED.to_unit(first) - MIXED.to_unit(second)).max() < 0.1


def test_in_a_space_of_integers_duplicates_move_far_enough_to_differ():
    optimizer = Stubborn(INTEGERS, seed=0, initial=[])
    asked = optimizer.ask(30)
    assert len({INTEGERS.key(d) for d in asked}) == 30


def test_a_method_learns_where_its_point_went():
    optimizer = Stubborn(INTEGERS, seed=0, initial=initial_designs(INTEGERS, 1, seed=0))
    optimizer.tell([scored(d, 0.5) for d in optimizer.ask(2)])
    initial, own = optimizer.learnt
    assert initial.proposed is None
    assert own.proposed.tolist() == [0.51] * 3
    assert own.unit.tolist() == INTEGERS.to_unit(own.design).tolist() != [0.51] * 3


def test_what_is_told_twice_is_learnt_once():
    optimizer = Stubborn(MIXED, seed=0, initial=[])
    told = [bowl(MIXED, d, 0) for d in optimizer.ask(2)]
    optimizer.tell(told)
    optimizer.tell(told)
    assert len(optimizer.learnt) == 2


def test_a_design_whose_simulation_was_lost_is_asked_for_again():
    initial = initial_designs(MIXED, 2, seed=0)
    optimizer = Stubborn(MIXED, seed=0, initial=initial)
    optimizer.tell([failed(d, Status.INFRA_ERROR) for d in optimizer.ask(2)])
    assert optimizer.ask(2) == initial
    own = optimizer.ask(1)[0]
    optimizer.tell([failed(own, Status.INFRA_ERROR)])
    assert optimizer.ask(1)[0] == own


def test_a_design_that_was_refused_is_not():
    optimizer = Stubborn(MIXED, seed=0, initial=[])
    own = optimizer.ask(1)[0]
    optimizer.tell([failed(own, Status.INVALID_DESIGN)])
    assert optimizer.ask(1)[0] != own


def test_what_is_being_simulated_is_pending():
    optimizer = Stubborn(MIXED, seed=0, initial=[])
    assert optimizer.pending.shape == (0, 4)
    designs = optimizer.ask(2)
    assert optimizer.pending.tolist() == [MIXED.to_unit(d).tolist() for d in designs]
    optimizer.tell([bowl(MIXED, designs[0], 0)])
    assert len(optimizer.pending) == 1


def test_a_trace_that_ends_within_a_batch_is_refused():
    def method():
        return Sobol(MIXED, seed=1, initial=initial_designs(MIXED, 3, seed=0))

    trace = play(Sobol, MIXED, n=5, batch=2, optimizer=method())
    method().resume(trace[:4], batch=2)
    with pytest.raises(TraceMismatch, match="does not end after a batch of 2"):
        method().resume(trace, batch=2)
