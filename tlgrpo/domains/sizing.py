"""Sizing any circuit folder in one fixed vocabulary; the answer is the values alone.

The prompt describes conditions, parameters and specs (`circuit_words`), parameters and specs in an
order that the problem's number shuffles. An action is one value a parameter, in that order: a level
of its range, or a move from the best design so far. A sampler that decodes under `answer` writes
valid designs only. What is observed is the signed margin of each spec, in the prompt's order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import available_cores
from acs_gym.simulation.pool import Simulator, shared_pool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.specs import SpecSheet
from acs_gym.task import Task
from tlgrpo.domain import Problem, Reaction, Split, State
from tlgrpo.domains.circuit_words import (
    PARAMETER,
    condition_words,
    parameter_words,
    spec_words,
    vocabulary,
)
from tlgrpo.domains.levels import from_level, level_words, nudge, signed_level

LEVELS, SIGNED = 64, 16
_SCALE = 0.7
_SEEDS = {"train": 1, "held-out": 2}
_STEPS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
MOVES = tuple(sorted({s * k for k in _STEPS for s in (1, -1)}))
_MIDDLE = LEVELS // 2
Values = Literal["levels", "moves"]
_NUMBERS = {
    "levels": {f"={k}": k for k in range(LEVELS)},
    "moves": {f"by{k:+d}": k for k in MOVES},
}


@dataclass(frozen=True, slots=True)
class Told:
    """A task as it is told: which parameter and which spec stands where.

    Attributes:
        task: with the targets of the problem, and only the specs that are asked for.
        parameters: places in `task.space` of the listed parameters, in order.
        specs: places in `task.specs`, in order.
        described: words of each parameter, as the space has them; the same for any targets.
    """

    task: Task
    parameters: tuple[int, ...]
    specs: tuple[int, ...]
    described: tuple[tuple[str, ...], ...]

    def design(self, levels: Sequence[int]) -> Design:
        """The canonical design of levels in the listed order."""
        units = np.empty(len(levels))
        units[list(self.parameters)] = [from_level(k, LEVELS) for k in levels]
        return self.task.space.from_unit(units)

    def observation(self, margins: Sequence[float], solved: bool) -> str:
        """`margins` in the order of `task.specs`."""
        words = [f"{signed_level(margins[k], _SCALE, SIGNED):+d}" for k in self.specs]
        return " ".join([*words, *(["met"] if solved else []), ":"])

    def prompt(self, values: Values) -> str:
        words: list[str] = list(condition_words(self.task))
        sheet = tuple(self.task.specs)
        for k in self.parameters:
            words += self.described[k]
        for k in self.specs:
            words += spec_words(sheet[k])
        return " ".join([*words, values, ":"])


def tell(
    task: Task,
    rng: np.random.Generator | None = None,
    described: tuple[tuple[str, ...], ...] | None = None,
) -> Told:
    """In a shuffled order, or as the folder has it; `described` saves describing it again."""

    def order(count: int) -> tuple[int, ...]:
        return tuple(range(count) if rng is None else map(int, rng.permutation(count)))

    return Told(
        task=task,
        parameters=order(len(task.space.names)),
        specs=order(len(task.specs)),
        described=described or parameter_words(task),
    )


def with_only(task: Task, metrics: Iterable[str]) -> Task:
    """The task with some of its specs."""
    kept = {*metrics}
    return replace(task, specs=SpecSheet(tuple(s for s in task.specs if s.metric in kept)))


class Sizing:
    """Circuits on PDKs, every combination in turn.

    Args:
        tasks: ids.
        pdks: of `acs_gym.pdk_names()`.
        values: `levels`, or `moves` from the best design so far (from the middle at first).
        shuffle: parameters and specs in an order of the problem's own.
        reward: `score`, the weighted mean of the satisfactions, or `worst`, that of the spec that is
            missed most: it pays for no trade of one spec against another.
        workers: simulation processes; 0 is one a core.
    """

    name = "sizing"

    def __init__(
        self,
        tasks: Sequence[str] = ("ACS-OTA5T-v0",),
        pdks: Sequence[str] = ("sky130",),
        values: Values = "levels",
        shuffle: bool = True,
        reward: Literal["score", "worst"] = "score",
        workers: int = 0,
        simulator: Simulator | None = None,
    ) -> None:
        for what, given in (("tasks", tasks), ("pdks", pdks)):
            if isinstance(given, str) or not given:
                raise ValueError(f"{what} is a list of names, got {given!r}")
        for what, chosen, allowed in (
            ("values", values, ("levels", "moves")),
            ("reward", reward, ("score", "worst")),
        ):
            if chosen not in allowed:
                raise ValueError(f"{what} is {chosen!r}; use one of: {', '.join(allowed)}")
        self.values, self.shuffle, self.reward = values, shuffle, reward
        self._tasks = [acs_gym.make_task(t, pdk=p) for p in pdks for t in tasks]
        self._simulator = simulator or shared_pool(workers or available_cores())

    @property
    def answer(self) -> tuple[str, tuple[str, ...]]:
        """(the word that every parameter begins with, the values that one may get)."""
        return PARAMETER, value_words(self.values)

    def problem(self, seed: int, split: Split) -> Problem:
        task = self._tasks[seed % len(self._tasks)]
        targets = task.sample_specs(np.random.default_rng((_SEEDS[split], seed)), split)
        order = seed if self.shuffle else -1
        words = [task.id, task.pdk_name, str(order), *(f"{m}={v!r}" for m, v in targets.items())]
        key = " ".join(words)
        return Problem(key, _told(key).prompt(self.values))

    def told(self, problem: Problem) -> Told:
        """The task behind a problem."""
        return _told(problem.key)

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        """Every action simulated at once; equal designs once."""
        told = [self.told(state.problem) for state, _ in tries]
        read = [self.levels(state, text) for state, text in tries]
        designs = {
            k: t.design(levels)
            for k, (t, levels) in enumerate(zip(told, read, strict=True))
            if levels is not None
        }
        keys = {
            k: (told[k].task.id, told[k].task.pdk_name, *d.values()) for k, d in designs.items()
        }
        jobs = {keys[k]: told[k].task.job(design) for k, design in designs.items()}
        outcomes = dict(
            zip(jobs, simulate_uncharged(list(jobs.values()), self._simulator), strict=True)
        )
        found = []
        for k, one in enumerate(told):
            if k not in designs:
                found.append(Reaction(0.0, False, "bad :", valid=False))
            else:
                found.append(
                    reaction_to(one, one.task.judge(designs[k], outcomes[keys[k]]), self.reward)
                )
        return found

    def grammar(self) -> tuple[str, ...]:
        return grammar()

    def random_action(self, problem: Problem, rng: np.random.Generator) -> str:
        words = value_words(self.values)
        count = len(self.told(problem).parameters)
        return " ".join(words[int(k)] for k in rng.integers(len(words), size=count))

    def vary(self, problem: Problem, action: str, rng: np.random.Generator) -> str:
        levels = self.levels(State(problem), action)
        if levels is None or self.values == "moves":
            return self.random_action(problem, rng)
        return write_levels(
            nudge(k, LEVELS, rng, step=0.12) if rng.random() < 0.5 else k for k in levels
        )

    def levels(self, state: State, text: str) -> list[int] | None:
        """The levels of an action in its state, in the listed order; None for what is no action."""
        best, incumbent = -1.0, start_levels(len(self.told(state.problem).parameters))
        for action, reaction in state.turns if self.values == "moves" else ():
            levels = read_levels(action, self.values, incumbent)
            if levels is not None and reaction.score > best:
                best, incumbent = reaction.score, levels
        return read_levels(text, self.values, incumbent)


def reaction_to(told: Told, evaluation: Evaluation, reward: str = "score") -> Reaction:
    """What a policy is told of an evaluation, and what it is worth."""
    if evaluation.status not in (Status.OK, Status.MEASURE_FAILED):
        return Reaction(0.0, False, "failed :")
    margins = [evaluation.margins[s.metric] for s in told.task.specs]
    score = evaluation.score
    if reward == "worst":
        score = min(evaluation.satisfaction.values())
    score = score if math.isfinite(score) else 0.0
    return Reaction(score, evaluation.feasible, told.observation(margins, evaluation.feasible))


def write_levels(levels: Iterable[int]) -> str:
    return " ".join(f"={k}" for k in levels)


def value_words(values: Values) -> tuple[str, ...]:
    """What one parameter may be answered with."""
    return level_words("=", LEVELS) if values == "levels" else tuple(f"by{k:+d}" for k in MOVES)


def grammar() -> tuple[str, ...]:
    """Every word; the same for all circuits."""
    signed = (f"{k:+d}" for k in range(-SIGNED, SIGNED + 1))
    return (
        ":", "bad", "failed", "met", "levels", "moves", *vocabulary(), *signed,
        *value_words("levels"), *value_words("moves"),
    )  # fmt: skip


def start_levels(count: int) -> list[int]:
    """What moves start from while nothing was tried."""
    return [_MIDDLE] * count


def read_levels(text: str, values: Values, incumbent: Sequence[int]) -> list[int] | None:
    """The levels of an action; of moves, those from `incumbent`. None for what is no action."""
    known = _NUMBERS[values]
    found = [known[word] for word in text.split() if word in known]
    if not len(found) == len(text.split()) == len(incumbent):
        return None
    if values == "levels":
        return found
    return [min(LEVELS - 1, max(0, a + b)) for a, b in zip(incumbent, found, strict=True)]


@lru_cache(maxsize=4096)
def _told(key: str) -> Told:
    name, pdk, order, *pairs = key.split()
    targets = {m: float(v) for m, v in (pair.split("=") for pair in pairs)}
    task = with_only(acs_gym.make_task(name, pdk=pdk).with_specs(targets), targets)
    return tell(task, None if order == "-1" else np.random.default_rng((3, int(order))))
