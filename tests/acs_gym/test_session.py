"""The meter: everything is charged, nothing is given back, and going over changes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import acs_gym
from acs_gym import BudgetExhausted, SimulationMeter, Status
from acs_gym.session import Call, Session
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator


@pytest.fixture(scope="module")
def ota() -> acs_gym.Task:
    return acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")


class Counting(Simulator):
    """Counts what really runs; a design wider than `broken` is our own failure."""

    def __init__(self, broken: float = math.inf) -> None:
        self.ran = 0
        self.broken = broken

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.ran += len(jobs)
        return [
            Outcome(Status.INFRA_ERROR, {}, "lost")
            if j.design["w_pair"] > self.broken
            else Outcome(
                Status.OK, {"gain": 40.0, "ugbw": 1e6, "pm": 60.0, "cmrr": 60.0, "power": 1e-5}
            )
            for j in jobs
        ]


def test_one_design_gives_one_evaluation_and_a_list_gives_a_list(ota: acs_gym.Task) -> None:
    with ota.session(budget=4) as session:
        one = session.simulate(ota.reference or {})
        assert one.feasible and one.status is Status.OK and session.remaining == 3
        many = session.simulate([ota.reference or {}, ota.reference or {}])
        assert many == [one, one] and session.remaining == 1
        assert session.history == [one, one, one] and session.best == one


def test_duplicates_are_charged_and_served_without_simulating(ota: acs_gym.Task) -> None:
    simulator = Counting()
    calls: list[Call] = []
    session = ota.session(budget=10, simulator=simulator)
    session.on_call = calls.append
    reference = ota.reference or {}
    session.simulate([reference, reference])
    session.simulate(reference)
    assert simulator.ran == 1 and session.meter.used == 3 and session.usage.duplicates == 2
    assert [c.duplicate for c in calls] == [False, True, True]


def test_invalid_designs_are_evaluations_and_are_charged(ota: acs_gym.Task) -> None:
    simulator = Counting()
    session = ota.session(budget=10, simulator=simulator)
    reference = ota.reference or {}
    bad = [{}, {**reference, "w_pair": math.nan}, {**reference, "w": 1.0}, 3, None, "x"]
    for design in bad:
        evaluation = session.simulate([design])[0]  # type: ignore[list-item]
        assert evaluation.status is Status.INVALID_DESIGN and evaluation.score == 0.0
        assert evaluation.message
    assert simulator.ran == 0 and session.meter.used == len(bad)


def test_a_name_that_no_file_can_hold_is_written_as_its_escape(ota: acs_gym.Task) -> None:
    evaluation = ota.session(budget=1).simulate({"w_\ud800": 1.0})
    assert evaluation.design == {"w_\\ud800": 1.0} and "w_\\ud800" in evaluation.message
    assert evaluation.message.encode() and evaluation.status is Status.INVALID_DESIGN


def test_what_is_recalled_is_charged_and_not_simulated(ota: acs_gym.Task) -> None:
    simulator, keys = Counting(), list[tuple[float, ...]]()
    reference = ota.reference or {}
    other = ota.space.sample(np.random.default_rng(0))
    told = ota.session(budget=1, simulator=Counting()).simulate(reference)

    def recall(key: tuple[float, ...], asked: tuple[str, ...] | None) -> acs_gym.Evaluation | None:
        keys.append(key)
        return told if key == tuple(reference.values()) else None

    session = ota.session(budget=10, simulator=simulator)
    session.recall = recall
    first, second, third = session.simulate([reference, other, reference])
    assert first is told and third is told and simulator.ran == 1
    assert session.meter.used == 3 and session.usage.duplicates == 1
    assert session.history == [first, second, third] and len(keys) == 2
    session.simulate([other, reference])
    assert len(keys) == 2 and simulator.ran == 1  # Both are known now.


def test_a_failure_of_ours_that_is_recalled_is_simulated_when_it_is_asked_for_again(
    ota: acs_gym.Task,
) -> None:
    reference = ota.reference or {}
    lost = ota.session(budget=1, simulator=Counting(broken=0.0)).simulate(reference)
    session, answers = ota.session(budget=2, simulator=Counting()), [lost]
    session.recall = lambda _key, _asked: answers.pop() if answers else None
    assert session.simulate(reference) == lost and session.meter.used == 0
    assert session.simulate(reference).status is Status.OK and session.meter.used == 1


def test_a_batch_that_does_not_fit_is_refused_whole(ota: acs_gym.Task) -> None:
    simulator = Counting()
    session = ota.session(budget=3, simulator=simulator)
    with pytest.raises(BudgetExhausted, match="4 simulations asked for, 3 of 3 left"):
        session.simulate([ota.reference or {}] * 4)
    assert simulator.ran == 0 and session.remaining == 3
    session.simulate([ota.reference or {}] * 3)
    with pytest.raises(BudgetExhausted):
        session.simulate(ota.reference or {})
    assert len(session.history) == 3


def test_everything_after_the_budget_is_named(ota: acs_gym.Task) -> None:
    session = Session(ota, budget=3, seed=7)
    assert session.budget == 3 == session.meter.limit and session.seed == 7
    assert Session(ota, 3).budget == 3 and Session(ota).budget is None
    with pytest.raises(TypeError, match="positional"):
        Session(ota, 3, 7)  # type: ignore[misc]


def test_a_batch_that_is_not_admitted_is_refused_whole_and_counted(ota: acs_gym.Task) -> None:
    def admit(designs: int) -> None:
        if designs > 1:
            raise BudgetExhausted("one design at a time here")

    reference, simulator = ota.reference or {}, Counting()
    session = Session(ota, 2, simulator=simulator, admit=admit)
    with pytest.raises(BudgetExhausted, match="one design at a time here"):
        session.simulate([reference] * 2)
    assert session.remaining == 2 and simulator.ran == 0 and session.usage.refused == 1
    assert session.simulate([reference])[0].status is Status.OK
    session.simulate(reference)
    with pytest.raises(BudgetExhausted, match="0 of 2 left"):
        session.simulate(reference)
    assert session.usage.refused == 2 and len(session.history) == 2


def test_one_by_one_tells_of_each_design_before_the_next_is_simulated(ota: acs_gym.Task) -> None:
    rng, simulator = np.random.default_rng(1), Counting()
    first, second = (ota.space.sample(rng) for _ in range(2))
    seen: list[tuple[int, bool, int]] = []
    session = Session(
        ota, 4, simulator=simulator, one_by_one=True,
        on_call=lambda c: seen.append((simulator.ran, c.duplicate, session.meter.used)),
    )  # fmt: skip
    batch = session.simulate([first, second, first])
    assert seen == [(1, False, 3), (2, False, 3), (2, True, 3)], "charged as a whole, first"
    assert batch == session.history and batch[0] == batch[2]
    with pytest.raises(BudgetExhausted, match="2 simulations asked for, 1 of 4 left"):
        session.simulate([first, second])
    assert session.simulate({**first, "w_pair": math.inf}).status is Status.INVALID_DESIGN


def test_only_our_own_failures_are_not_charged(ota: acs_gym.Task) -> None:
    simulator = Counting(broken=1e-6)
    session = ota.session(budget=2, simulator=simulator)
    lost = session.simulate(ota.reference or {})
    assert lost.status is Status.INFRA_ERROR and lost.cost == 0 and session.remaining == 2
    session.simulate(ota.reference or {})
    assert simulator.ran == 2, "a lost design is tried again, not remembered"


def test_the_generator_is_the_seed_s(ota: acs_gym.Task) -> None:
    assert ota.session(seed=7).rng.random() == ota.session(seed=7).rng.random()
    assert ota.session(seed=7).rng.random() != ota.session(seed=8).rng.random()


def test_a_closed_session_refuses(ota: acs_gym.Task) -> None:
    with ota.session(budget=1) as session:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        session.simulate(ota.reference or {})


def test_usage_only_adds_up(ota: acs_gym.Task) -> None:
    session = ota.session()
    session.log_usage(tokens=10, money=0.5)
    session.log_usage(tokens=5)
    assert (session.usage.tokens, session.usage.money) == (15, 0.5)
    for wrong in ({"tokens": -1}, {"money": -0.1}, {"money": math.nan}):
        with pytest.raises(ValueError, match="usage only adds up"):
            session.log_usage(**wrong)  # type: ignore[arg-type]


@given(st.integers(0, 30), st.lists(st.integers(0, 6), max_size=20))
def test_the_meter_never_exceeds_its_limit(limit: int, costs: list[int]) -> None:
    meter = SimulationMeter(limit)
    spent = 0
    for cost in costs:
        if spent + cost <= limit:
            meter.charge(cost)
            spent += cost
        else:
            with pytest.raises(BudgetExhausted):
                meter.charge(cost)
        assert meter.used == spent <= limit and meter.remaining == limit - spent


@pytest.mark.parametrize("limit", [-1, True])
def test_a_budget_that_makes_no_sense_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="a budget is a number of simulations"):
        SimulationMeter(limit)


def test_batches_over_two_workers_equal_one_at_a_time(ota: acs_gym.Task) -> None:
    rng = np.random.default_rng(5)
    designs = [ota.space.sample(rng) for _ in range(8)]
    batch = ota.session(workers=2).simulate(designs)
    single = ota.session(workers=1)
    assert repr(batch) == repr([single.simulate(d) for d in designs])
