"""Sizing circuits in a short conversation, as the `llm` agent leads it with `tool_format = "brief"`.

A reply tries one design, which is what training charges for; one that names none is charged like every
other, where the agent would be asked again. Labels in hindsight are those of `tlgrpo.brief_labels`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from acs_gym.design import Design
from acs_gym.simulation.pool import Simulator
from acs_gym.task import Task
from agents.brief import answer, middle, opening, read, write
from tlgrpo.domain import Problem, Reaction, Split, State
from tlgrpo.domains.circuits import Circuits, design_key
from tlgrpo.tokens import CUT_OFF, write_conversation


class BriefCircuits(Circuits):
    """Tasks of one PDK, for a model with a chat template.

    Args:
        tasks: ids; the problem's number chooses one in turn.
        pdk: a PDK of `acs_gym.pdk_names()`.
        workers: simulation processes; 0 is one a core.
        simulator: another one than the pool that is shared.
    """

    name = "brief-circuits"

    def __init__(
        self,
        tasks: Sequence[str] = ("ACS-OTA5T-v0",),
        pdk: str = "sky130",
        workers: int = 0,
        simulator: Simulator | None = None,
    ) -> None:
        super().__init__(tasks, pdk, workers, simulator=simulator)

    def problem(self, seed: int, split: Split) -> Problem:
        """With the targets that `circuits` has for that number."""
        drawn = super().problem(seed, split)
        return Problem(drawn.key, write_conversation(opening(self.task_of(drawn))))

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        """Every design simulated at once; equal designs once, those of earlier calls included."""
        tasks = [self.task_of(state.problem) for state, _ in tries]
        designs = [
            read_action(task, start_of(task, state), text)
            for task, (state, text) in zip(tasks, tries, strict=True)
        ]
        jobs = {
            design_key(task, design): task.job(design)
            for task, design in zip(tasks, designs, strict=True)
            if not isinstance(design, str)
        }
        outcomes = self._outcomes_of(jobs)
        found = []
        for task, design, (state, _) in zip(tasks, designs, tries, strict=True):
            if isinstance(design, str):
                found.append(Reaction(0.0, False, design, valid=False))
                continue
            evaluation = task.judge(design, outcomes[design_key(task, design)])
            score = evaluation.score if math.isfinite(evaluation.score) else 0.0
            said = answer(task, evaluation, state.best)
            found.append(Reaction(score, evaluation.feasible, said))
        return found

    def grammar(self) -> tuple[str, ...]:
        """None: the policy comes with a vocabulary."""
        return ()

    def random_action(self, problem: Problem, rng: np.random.Generator) -> str:
        task = self.task_of(problem)
        return write(task, task.space.sample(rng))

    def vary(self, problem: Problem, action: str, rng: np.random.Generator) -> str:
        """Some parameters move, by some 12 % of their range."""
        task = self.task_of(problem)
        design = read_action(task, middle(task), action)
        if isinstance(design, str):
            return self.random_action(problem, rng)
        units = task.space.to_unit(design)
        moves = rng.normal(0.0, 0.12, len(units)) * (rng.random(len(units)) < 0.5)
        return write(task, task.space.from_unit(np.clip(units + moves, 0.0, 1.0)))


def read_action(task: Task, start: Design, text: str) -> Design | str:
    """The design of an action, which may have been cut off, or what is wrong with it."""
    return read(task, start, text.removesuffix(CUT_OFF))


def start_of(task: Task, state: State) -> Design:
    """What an action changes: the best design so far."""
    best, found = 0.0, middle(task)
    for action, reaction in state.turns:
        if reaction.score > best:
            design = read_action(task, found, action)
            if not isinstance(design, str):
                best, found = reaction.score, design
    return found
