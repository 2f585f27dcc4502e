"""Sizing circuits against targets that change from episode to episode, in words.

The prompt names the circuit and its targets, an action gives every parameter a level of its range,
and the observation says by how much each spec is met or missed. Targets are drawn so that an actual
design meets them together (`Task.sample_specs`); training and held-out ones come from different
designs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Evaluation, Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator, WorkerPool, shared_pool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task
from tlgrpo.domain import Problem, Reaction, Split, State
from tlgrpo.domains.levels import (
    from_level,
    level_words,
    nudge,
    read_assignments,
    signed_level,
    write_assignments,
)

# A task's id and a design's values: the targets are not simulated.
_Key = tuple[str, tuple[float, ...]]

LEVELS, SIGNED = 64, 16
# A margin of 0.3 is a third of the way to the last level.
_SCALE = 0.7
SEEDS = {"train": 1, "held-out": 2}
# Some 20 MB. Demonstrations ask for a quarter of their designs twice, and a sure policy for more.
_REMEMBERED = 20_000


class Circuits:
    """Tasks of one PDK.

    Args:
        tasks: ids; the problem's number chooses one in turn.
        pdk: a PDK of `acs_gym.pdk_names()`.
        workers: simulation processes; 0 is one a core.
        vocabulary: further tasks whose words the policy is to know, so that it may be tried on them.
    """

    name = "circuits"

    def __init__(
        self,
        tasks: Sequence[str] = ("ACS-OTA5T-v0",),
        pdk: str = "sky130",
        workers: int = 0,
        vocabulary: Sequence[str] = (),
        simulator: Simulator | None = None,
    ) -> None:
        if isinstance(tasks, str) or not tasks:
            raise ValueError("tasks is a list of task ids")
        self.tasks = {t: acs_gym.make_task(t, pdk=pdk) for t in tasks}
        others = [acs_gym.make_task(t, pdk=pdk) for t in vocabulary]
        self._known = [*self.tasks.values(), *others]
        from acs_gym.session import available_cores

        self._simulator = simulator or shared_pool(workers or available_cores())
        self._order = tuple(self.tasks)
        self._outcomes: dict[_Key, Outcome] = {}

    def problem(self, seed: int, split: Split) -> Problem:
        task = self.tasks[self._order[seed % len(self._order)]]
        targets = task.sample_specs(np.random.default_rng((SEEDS[split], seed)), split)
        return circuit_problem(task.with_specs(targets))

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        """Every action simulated at once; equal designs once, those of earlier calls included."""
        tasks = [self.task_of(state.problem) for state, _ in tries]
        designs = [read_design(task, text) for task, (_, text) in zip(tasks, tries, strict=True)]
        jobs = {
            design_key(task, design): task.job(design)
            for task, design in zip(tasks, designs, strict=True)
            if design is not None
        }
        outcomes = self._outcomes_of(jobs)
        found = []
        for task, design in zip(tasks, designs, strict=True):
            if design is None:
                found.append(Reaction(0.0, False, "bad :", valid=False))
                continue
            evaluation = task.judge(design, outcomes[design_key(task, design)])
            found.append(reaction_to(task, evaluation))
        return found

    def _outcomes_of(self, jobs: Mapping[_Key, Job]) -> dict[_Key, Outcome]:
        """The outcome of every job, remembered or new; what was lost by our own fault is not kept."""
        found = {key: self._outcomes[key] for key in jobs if key in self._outcomes}
        missing = {key: job for key, job in jobs.items() if key not in found}
        new = dict(
            zip(missing, simulate_uncharged(list(missing.values()), self._simulator), strict=True)
        )
        self._outcomes |= {k: o for k, o in new.items() if o.status is not Status.INFRA_ERROR}
        while len(self._outcomes) > _REMEMBERED:
            del self._outcomes[next(iter(self._outcomes))]
        return found | new

    def grammar(self) -> tuple[str, ...]:
        return grammar(self._known)

    def random_action(self, problem: Problem, rng: np.random.Generator) -> str:
        names = self.task_of(problem).space.names
        return write_assignments({n: int(rng.integers(LEVELS)) for n in names})

    def vary(self, problem: Problem, action: str, rng: np.random.Generator) -> str:
        names = self.task_of(problem).space.names
        levels = read_assignments(action, names, LEVELS) or {}
        # Some parameters move, the others stay.
        return write_assignments(
            {
                n: nudge(k, LEVELS, rng, step=0.12) if rng.random() < 0.5 else k
                for n, k in levels.items()
            }
        )

    def task_of(self, problem: Problem) -> Task:
        """The task with the problem's targets."""
        return _with_targets(self._by_id(problem), problem.key)

    def _by_id(self, problem: Problem) -> Task:
        name = problem.key.partition(" ")[0]
        return next(t for t in self._known if t.id == name)


def design_key(task: Task, design: Design) -> _Key:
    """What decides an outcome: targets do not."""
    return task.id, tuple(design.values())


@lru_cache(maxsize=4096)
def _targets(key: str) -> tuple[tuple[str, float], ...]:
    pairs = (word.split("=") for word in key.split()[1:])
    return tuple((name, float(value)) for name, value in pairs)


def _with_targets(task: Task, key: str) -> Task:
    return task.with_specs(dict(_targets(key)))


def circuit_problem(task: Task) -> Problem:
    """The problem that a task with its targets is."""
    nominal = acs_gym.make_task(task.id, pdk=task.pdk_name, tier=task.tier)
    key = " ".join([task.id, *(f"{s.metric}={s.target!r}" for s in task.specs)])
    words = [circuit_word(task)]
    for spec, fixed in zip(task.specs, nominal.specs, strict=True):
        # How much harder the target is than the fixed one, in the fixed one's own scale.
        words += [
            f"goal:{spec.metric}",
            f"{signed_level(fixed.margin(spec.target), _SCALE, SIGNED):+d}",
        ]
    return Problem(key, " ".join([*words, ":"]))


def circuit_word(task: Task) -> str:
    return f"[{task.circuit.name}]"


def grammar(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Every word that tasks need, in an order that does not depend on theirs."""
    circuits = sorted(circuit_word(t) for t in tasks)
    parameters = sorted({n for t in tasks for n in t.space.names})
    metrics = sorted({m for t in tasks for m in t.specs.metrics})
    signed = (f"{k:+d}" for k in range(-SIGNED, SIGNED + 1))
    return (
        ":", "bad", "failed", "met", *circuits, *parameters, *metrics,
        *(f"goal:{m}" for m in metrics), *level_words("=", LEVELS), *signed,
    )  # fmt: skip


def read_design(task: Task, text: str) -> Design | None:
    """The canonical design of an action, or None when it is none."""
    levels = read_assignments(text, task.space.names, LEVELS)
    if levels is None:
        return None
    return task.space.from_unit([from_level(levels[n], LEVELS) for n in task.space.names])


def reaction_to(task: Task, evaluation: Evaluation) -> Reaction:
    """What a policy is told of an evaluation."""
    if evaluation.status not in (Status.OK, Status.MEASURE_FAILED):
        return Reaction(0.0, False, "failed :")
    words = []
    for spec in task.specs:
        margin = evaluation.margins[spec.metric]
        words += [spec.metric, f"{signed_level(margin, _SCALE, SIGNED):+d}"]
    met = ["met"] if evaluation.feasible else []
    score = evaluation.score if math.isfinite(evaluation.score) else 0.0
    return Reaction(score, evaluation.feasible, " ".join([*words, *met, ":"]))


__all__ = [
    "LEVELS",
    "Circuits",
    "WorkerPool",
    "circuit_problem",
    "grammar",
    "reaction_to",
    "read_design",
]
