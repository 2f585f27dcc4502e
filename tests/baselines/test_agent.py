"""The ask/tell loop spends exactly the budget, and ends whatever the simulator does."""

from __future__ import annotations

import math

import pytest

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Simulator
from baselines.agent import AskTellAgent, SimulatorUnavailable
from baselines.initial import default_size, initial_designs, split_seed
from baselines.oracle import Oracle
from baselines.random_search import RandomSearch
from baselines.registry import get_method
from baselines.sobol import Sobol

BUDGET = 9


class Scripted(Simulator):
    """Answers every design with one status, and no metrics."""

    def __init__(self, status: Status) -> None:
        self.status = status
        self.batches: list[int] = []

    def run(self, jobs):
        self.batches.append(len(jobs))
        return [Outcome(self.status, {}, "as scripted") for _ in jobs]


@pytest.fixture
def task():
    return acs_gym.make_task("ota5t", pdk="generic")


def test_it_spends_the_whole_budget_on_real_simulations(task):
    with task.session(BUDGET, seed=4) as session:
        AskTellAgent(Sobol).run(session)
    assert session.remaining == 0 and len(session.history) == BUDGET
    assert max(e.score for e in session.history) > 0


def test_methods_share_their_initial_designs_on_a_session_of_one_seed(task):
    runs = []
    for method in (RandomSearch, Sobol):
        with task.session(BUDGET, seed=4, simulator=Scripted(Status.NONCONVERGED)) as session:
            AskTellAgent(method).run(session)
        runs.append([dict(e.design) for e in session.history])
    size = default_size(BUDGET, len(task.space))
    assert runs[0][:size] == runs[1][:size]
    assert runs[0][:size] == initial_designs(task.space, size, split_seed(4).initial)
    assert runs[0][size:] != runs[1][size:]


def test_batches_are_as_wide_as_the_session_and_never_wider_than_what_remains(task):
    simulator = Scripted(Status.NONCONVERGED)
    with task.session(BUDGET, workers=4, simulator=simulator) as session:
        AskTellAgent(RandomSearch).run(session)
    assert simulator.batches == [4, 4, 1]


def test_failed_simulations_are_charged_and_the_loop_ends(task):
    with task.session(BUDGET, simulator=Scripted(Status.TIMEOUT)) as session:
        AskTellAgent(RandomSearch).run(session)
    assert session.remaining == 0


def test_a_broken_simulator_ends_the_loop_instead_of_keeping_it_going(task):
    simulator = Scripted(Status.INFRA_ERROR)
    with (
        task.session(BUDGET, simulator=simulator) as session,
        pytest.raises(SimulatorUnavailable, match="as scripted"),
    ):
        AskTellAgent(RandomSearch).run(session)
    assert len(simulator.batches) == 3


def test_a_session_without_a_budget_is_refused(task):
    with task.session() as session, pytest.raises(ValueError, match="with a budget"):
        AskTellAgent(RandomSearch).run(session)


def test_the_oracle_replays_the_reference(task):
    reference = task.space.from_unit([0.3] * len(task.space))
    optimizer = Oracle(task.space, seed=0, initial=(), reference=reference)
    assert optimizer.ask(3) == [reference] * 3


def test_the_centre_is_the_geometric_mean_of_a_logarithmic_range(task):
    design = get_method("constant").load()(task.space, seed=0, initial=[]).ask()[0]
    assert design["i_bias"] == pytest.approx(math.sqrt(0.5e-6 * 50e-6), rel=1e-6)
