"""corner-aware: few conditions first, all of them before anything is called signed off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator
from baselines.agent import AskTellAgent, SimulatorUnavailable
from baselines.corner_aware import CornerAwareAgent, _Search
from baselines.registry import get_method
from leaderboard.agents.registry import build

TASK = "ACS-OTA5T-v0"


def task_of(tier: str) -> acs_gym.Task:
    return acs_gym.make_task(TASK, pdk="generic", tier=tier)


class Hard(Simulator):
    """Metrics in closed form, of which slow and cold corners take something away."""

    def __init__(self, task: acs_gym.Task, loss: float = 0.3) -> None:
        self.task, self.loss, self.jobs = task, loss, 0

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.jobs += len(jobs)
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        far = float(np.sum((self.task.space.to_unit(job.design) - 0.6) ** 2))
        cold = job.conditions.get("temperature", 27.0) < 0
        weak = job.conditions.get("vdd", 1.8) < 1.75
        worse = self.loss * (cold + weak) + 0.01 * sum(job.mismatch.values())
        metrics = dict.fromkeys(self.task.metric_units, 1.0)
        for spec in self.task.specs:
            margin = 0.75 - far - worse
            sign = 1.0 if spec.direction == ">=" else -1.0
            if spec.tolerance is None:
                metrics[spec.metric] = spec.target * math.exp(sign * margin)
            else:
                metrics[spec.metric] = spec.target + sign * margin * spec.tolerance
        return Outcome(Status.OK, metrics)


@pytest.mark.parametrize("tier", ["pvt", "mc8"])
@pytest.mark.parametrize("method", ["composite-ei", "sobol"])
def test_what_it_signs_off_was_simulated_everywhere(tier: str, method: str) -> None:
    task = task_of(tier)
    simulator = Hard(task, 0.05)
    with task.session(3000, seed=1, simulator=simulator) as session:
        CornerAwareAgent(get_method(method)).run(session)
    best = session.best
    assert best is not None and best.feasible and best.complete
    assert len(best.by_condition) == task.cost
    assert session.meter.used == simulator.jobs < 3000, "nothing is paid for twice"


def test_most_of_its_simulations_are_not_of_every_condition() -> None:
    task = task_of("pvt")
    with task.session(2000, seed=0, simulator=Hard(task)) as session:
        CornerAwareAgent(get_method("composite-ei")).run(session)
    assert session.best is not None and session.best.feasible
    whole = [e for e in session.history if e.complete]
    designs = {tuple(e.design.values()) for e in session.history}
    assert len(whole) <= 4 < len(designs)
    assert session.meter.used < len(designs) * task.cost / 2


def test_a_bound_that_is_too_low_ends_a_design() -> None:
    """The worst over some conditions is no worse than the worst over more."""
    task = task_of("pvt")
    with task.session(900, seed=0, simulator=Hard(task)) as session:
        CornerAwareAgent(get_method("composite-ei")).run(session)
    last: dict[tuple[float, ...], acs_gym.Evaluation] = {}
    for evaluation in session.history:
        last[tuple(evaluation.design.values())] = evaluation
    assert min(len(e.by_condition) for e in last.values()) == 1


class Matched(Simulator):
    """Metrics that devices' mismatch moves: small devices more, and the same devices in every design."""

    def __init__(self, task: acs_gym.Task) -> None:
        self.task = task

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        unit = self.task.space.to_unit(job.design)
        far = float(np.sum((unit - 0.6) ** 2))
        sigma = 0.1 + 0.2 * float(unit[0])
        luck = sum(job.mismatch.values()) / math.sqrt(len(job.mismatch))
        metrics = dict.fromkeys(self.task.metric_units, 1.0)
        for spec in self.task.specs:
            sign = 1.0 if spec.direction == ">=" else -1.0
            moved = 0.0 if spec.direction == "within" else sigma * luck
            off = sign * (1.0 - far) + moved
            metrics[spec.metric] = spec.target * (1.0 + 0.4 * off)
            if spec.direction == "within":
                metrics[spec.metric] = spec.target * min(1.0, far)
        return Outcome(Status.OK, metrics)


@pytest.mark.parametrize("seed", range(3))
def test_what_all_draws_have_is_foretold_from_a_few(seed: int) -> None:
    """Where the same devices decide, one design at every draw tells how any other one would end."""
    task = task_of("mc32")
    first, other = (task.space.sample(np.random.default_rng((seed, k))) for k in range(2))
    with task.session(2000, seed=seed, simulator=Matched(task)) as session:
        search = _Search(AskTellAgent(get_method("composite-ei")), session)
        few = search._active
        [alone] = search._simulate([other], few)
        search._simulate([first], search._names)
        foretold, [known] = search._estimate(alone), search._simulate([other], search._names)
    assert 1 < len(few) < 8 and known.complete
    for spec in task.specs:
        assert foretold.metrics[spec.metric] == pytest.approx(known.metrics[spec.metric], rel=1e-9)


@pytest.mark.parametrize("tier", ["mc2", "mc4", "mc5"])
def test_so_few_draws_that_all_are_active(tier: str) -> None:
    task = task_of(tier)
    with task.session(600, seed=0, simulator=Matched(task)) as session:
        CornerAwareAgent(get_method("composite-ei")).run(session)
    assert session.best is not None and session.best.feasible


def test_real_mismatch_is_signed_off_before_the_budget_ends() -> None:
    task = task_of("mc")
    with task.session(500, seed=0) as session:
        build("corner-aware").run(session)
    assert session.best is not None and session.best.feasible and session.meter.used < 400


@pytest.mark.parametrize("budget", [25, 26, 40, 90, 200])
def test_a_budget_that_ends_early_leaves_a_design_that_counts(budget: int) -> None:
    """However little it is: a design that was simulated at some conditions only is worth nothing."""
    task = task_of("pvt")
    with task.session(budget, seed=0, simulator=Hard(task, 5.0)) as session:
        CornerAwareAgent(get_method("sobol")).run(session)
    assert session.meter.used <= budget
    assert session.best is not None and session.best.complete and not session.best.feasible


def test_of_what_is_known_the_best_is_verified_and_nothing_simulated_again() -> None:
    task = task_of("pvt")
    simulator = Hard(task, 0.05)
    tier = task.conditions
    nominal = [tier.conditions[tier.nominal].name]
    units = (0.25, 0.6, 0.5)  # Hopeless, the best there is, and one that is met at nominal alone.
    designs = [task.space.from_unit(np.full(len(task.space), u)) for u in units]
    with task.session(500, seed=0, simulator=simulator) as session:
        known = session.simulate(designs, conditions=nominal)
        CornerAwareAgent(get_method("sobol")).run(session, known)
    assert session.best is not None and dict(session.best.design) == designs[1]
    assert session.best.feasible and session.best.complete
    assert session.meter.used == simulator.jobs == task.cost + 2


def test_one_condition_is_the_method_alone() -> None:
    task = task_of("tt")
    with task.session(12, seed=0, simulator=Hard(task)) as session:
        CornerAwareAgent(get_method("sobol")).run(session)
    assert session.remaining == 0 and len(session.history) == 12


def test_no_budget_and_no_simulator_are_errors() -> None:
    task = task_of("pvt")
    with pytest.raises(ValueError, match="no limit"):
        CornerAwareAgent(get_method("sobol")).run(task.session())

    class Broken(Simulator):
        def run(self, jobs: Sequence[Job]) -> list[Outcome]:
            return [Outcome(Status.INFRA_ERROR, {}, "no simulator") for _ in jobs]

    with pytest.raises(SimulatorUnavailable, match="no simulator"):
        CornerAwareAgent(get_method("sobol")).run(task.session(500, simulator=Broken()))


def test_designs_that_cannot_be_simulated_are_no_obstacle() -> None:
    task = task_of("pvt")

    class Half(Hard):
        def _one(self, job: Job) -> Outcome:
            if self.task.space.to_unit(job.design)[0] < 0.4:
                return Outcome(Status.NONCONVERGED, {}, "no solution")
            return super()._one(job)

    with task.session(1500, seed=0, simulator=Half(task, 0.1)) as session:
        CornerAwareAgent(get_method("composite-ei")).run(session)
    assert session.best is not None and session.best.feasible


def test_it_is_an_agent_of_the_leaderboard() -> None:
    agent = build("corner-aware")
    assert agent.config["method"] == "composite-ei"  # type: ignore[attr-defined]


def test_a_real_ota_is_signed_off() -> None:
    task = task_of("pvt")
    with task.session(600, seed=0) as session:
        build("corner-aware").run(session)
    assert session.best is not None and session.best.feasible and session.meter.used < 600
