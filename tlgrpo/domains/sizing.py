"""Sizing any circuit folder in one fixed vocabulary; the answer is a form, filled with values alone.

The prompt describes conditions, parameters and specs (`circuit_words`), a line each, parameters and
specs in an order that the problem's number shuffles. An action has a line a parameter, the same
description with the parameter's level in the best design so far, and after it one value: a level of the
parameter's range, or a move by so many levels from that one, which can reach every level. The lines are
given and only values are chosen, so that a sampler which fills in the form writes valid designs only,
and what a parameter is stands where its value is decided. What is observed is each spec's line with its
signed margin, and whether the design is the best yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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
    condition_words,
    parameter_words,
    spec_words,
    vocabulary,
)
from tlgrpo.domains.conditions import OWN, Conditions
from tlgrpo.domains.levels import from_level, nudge, signed_level

LEVELS, SIGNED = 64, 16
_SCALE = 0.7
_SEEDS = {"train": 1, "held-out": 2}
MOVES = tuple(range(1 - LEVELS, LEVELS))
_MIDDLE = LEVELS // 2
# A problem of few specs leaves little to trade.
_FEWEST_SPECS = 3
Values = Literal["levels", "moves"]
_LEVELS = {f"={k}": k for k in range(LEVELS)}
_MOVES = {f"by{k:+d}": k for k in MOVES}


@dataclass(frozen=True, slots=True)
class Told:
    """A task as it is told: which parameter and which spec stands where.

    Attributes:
        task: with the targets of the problem, and only the specs that are asked for.
        conditions: that it is simulated at.
        parameters: places in `task.space` of the listed parameters, in order.
        specs: places in `task.specs`, in order.
        described: words of each parameter, as the space has them; the same for any targets.
    """

    task: Task
    conditions: Conditions
    parameters: tuple[int, ...]
    specs: tuple[int, ...]
    described: tuple[tuple[str, ...], ...]

    def design(self, levels: Sequence[int]) -> Design:
        """The canonical design of levels in the listed order."""
        units = np.empty(len(levels))
        units[list(self.parameters)] = [from_level(k, LEVELS) for k in levels]
        return self.task.space.from_unit(units)

    def observation(self, margins: Sequence[float], *, best: bool, solved: bool) -> str:
        """`margins` in the order of `task.specs`; `best`: whether none before it is as good."""
        sheet = tuple(self.task.specs)
        lines = [
            (*spec_words(sheet[k]), f"{signed_level(margins[k], _SCALE, SIGNED):+d}")
            for k in self.specs
        ]
        return _text([*lines, (*(["best"] if best else []), *(["met"] if solved else []), ":")])

    def prompt(self, values: Values) -> str:
        sheet = tuple(self.task.specs)
        return _text([
            condition_words(self.task.pdk_name, self.conditions.given(self.task)),
            *(self.described[k] for k in self.parameters),
            *(spec_words(sheet[k]) for k in self.specs),
            (values, ":"),
        ])  # fmt: skip

    def form(self, at: Sequence[int]) -> tuple[str, ...]:
        """The lines of an action: each parameter with its level in the best design so far."""
        return tuple(
            " ".join((*self.described[k], f"={level}"))
            for k, level in zip(self.parameters, at, strict=True)
        )

    def write(self, levels: Iterable[int], values: Values, at: Sequence[int]) -> str:
        """The action that is these levels, in the listed order."""
        if values == "levels":
            chosen = [f"={k}" for k in levels]
        else:
            chosen = [f"by{k - start:+d}" for k, start in zip(levels, at, strict=True)]
        return "\n".join(
            f"{line}\t{value}" for line, value in zip(self.form(at), chosen, strict=True)
        )

    def read(self, text: str, at: Sequence[int]) -> list[int] | None:
        """The levels of an action; a move goes no further than the range. None for what is no action."""
        form, lines = self.form(at), text.split("\n")
        if len(lines) != len(form):
            return None
        found = []
        for asked, line, start in zip(form, lines, at, strict=True):
            told, _, word = line.partition("\t")
            if told != asked:
                return None
            if word in _LEVELS:
                found.append(_LEVELS[word])
            elif word in _MOVES:
                found.append(min(LEVELS - 1, max(0, start + _MOVES[word])))
            else:
                return None
        return found

    def incumbent(self, state: State) -> list[int]:
        """The levels of the best design so far, the first of equals; the middle before any."""
        best, found = 0.0, self.start
        for action, reaction in state.turns:
            if reaction.score > best:
                # An action is written from the best before it.
                best, found = reaction.score, self.read(action, found) or found
        return found

    @property
    def start(self) -> list[int]:
        """What moves start from while nothing was tried."""
        return [_MIDDLE] * len(self.parameters)


def _text(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(" ".join(line) for line in lines)


def tell(
    task: Task,
    order: int | None = None,
    *,
    conditions: Conditions = OWN,
    words: tuple[tuple[str, ...], ...] | None = None,
) -> Told:
    """In the shuffled order of that number, or as the folder has it.

    `words` of the parameters, where they are known, save describing them again.
    """
    rng = None if order is None else np.random.default_rng((3, order))

    def places(count: int) -> tuple[int, ...]:
        return tuple(range(count) if rng is None else map(int, rng.permutation(count)))

    return Told(
        task=task,
        conditions=conditions,
        parameters=places(len(task.space.names)),
        specs=places(len(task.specs)),
        described=words or parameter_words(task),
    )


def problem_of(
    task: Task,
    targets: Mapping[str, float],
    values: Values,
    *,
    order: int | None = None,
    conditions: Conditions = OWN,
) -> Problem:
    """The problem of a registered task at these targets, on these specs alone."""
    words = [
        task.id,
        task.pdk_name,
        "-" if order is None else str(order),
        repr(conditions.supply),
        repr(conditions.load),
        *(f"{metric}={target!r}" for metric, target in targets.items()),
    ]
    key = " ".join(words)
    return Problem(key, told_of(key).prompt(values))


@lru_cache(maxsize=4096)
def told_of(key: str) -> Told:
    """What a problem's key names."""
    name, pdk, order, supply, load, *pairs = key.split()
    targets = {m: float(v) for m, v in (pair.split("=") for pair in pairs)}
    return tell(
        with_only(acs_gym.make_task(name, pdk=pdk).with_specs(targets), targets),
        None if order == "-" else int(order),
        conditions=Conditions(float(supply), float(load)),
        words=described(name, pdk),
    )


@lru_cache(maxsize=256)
def described(name: str, pdk: str) -> tuple[tuple[str, ...], ...]:
    """The words of each parameter of a registered task, kept."""
    return parameter_words(acs_gym.make_task(name, pdk=pdk))


def with_only(task: Task, metrics: Iterable[str]) -> Task:
    """The task with some of its specs."""
    kept = {*metrics}
    return replace(task, specs=SpecSheet(tuple(s for s in task.specs if s.metric in kept)))


def some_of(names: Sequence[str], rng: np.random.Generator, share: float) -> list[str]:
    """All, or with that probability some of them, at least three; in their order."""
    if len(names) <= _FEWEST_SPECS or rng.random() >= share:
        return list(names)
    count = int(rng.integers(_FEWEST_SPECS, len(names) + 1))
    return [names[k] for k in sorted(rng.choice(len(names), count, replace=False))]


class Sizing:
    """Circuits on PDKs, every combination in turn.

    Args:
        tasks: ids.
        pdks: of `acs_gym.pdk_names()`.
        values: `levels`, or `moves` from the best design so far (from the middle at first).
        shuffle: parameters and specs in an order of the problem's own.
        subset: share of training problems on some of the specs only.
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
        subset: float = 0.0,
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
        if not 0 <= subset <= 1:
            raise ValueError(f"subset is a share in [0, 1], got {subset!r}")
        self.values, self.shuffle, self.subset, self.reward = values, shuffle, subset, reward
        self.tasks = tuple(acs_gym.make_task(t, pdk=p) for p in pdks for t in tasks)
        self._simulator = simulator or shared_pool(workers or available_cores())

    @property
    def answer(self) -> tuple[str, ...]:
        """What one parameter may be answered with."""
        return value_words(self.values)

    def form(self, state: State) -> tuple[str, ...]:
        """The lines that an action fills."""
        told = self.told(state.problem)
        return told.form(told.incumbent(state))

    def problem(self, seed: int, split: Split) -> Problem:
        task, rng = self._drawn(seed, split)
        targets = task.sample_specs(rng, split)
        kept = some_of(list(targets), rng, self.subset if split == "train" else 0.0)
        return problem_of(
            task, {m: targets[m] for m in kept}, self.values, order=seed if self.shuffle else None
        )

    def anchor(self, seed: int, split: Split) -> tuple[str, str, int]:
        """(task, PDK, anchor) that the problem of that number is drawn from."""
        task, rng = self._drawn(seed, split)
        return task.id, task.pdk_name, task.sampled_anchor(rng, split)

    def _drawn(self, seed: int, split: Split) -> tuple[Task, np.random.Generator]:
        rng = np.random.default_rng((_SEEDS[split], seed))
        return self.tasks[seed % len(self.tasks)], rng

    def told(self, problem: Problem) -> Told:
        """The task behind a problem."""
        return told_of(problem.key)

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        """Every action simulated at once; equal designs once."""
        simulated = self.simulate(tries)
        return [
            Reaction(0.0, False, "bad :", valid=False)
            if evaluation is None
            else reaction_to(self.told(state.problem), evaluation, state.best, self.reward)
            for (state, _), evaluation in zip(tries, simulated, strict=True)
        ]

    def simulate(self, tries: Sequence[tuple[State, str]]) -> list[Evaluation | None]:
        """What the design of each action has; None for what is no action."""
        told = [self.told(state.problem) for state, _ in tries]
        read = [self.levels(state, text) for state, text in tries]
        designs = {
            k: t.design(levels)
            for k, (t, levels) in enumerate(zip(told, read, strict=True))
            if levels is not None
        }
        keys = {
            k: (told[k].task.id, told[k].task.pdk_name, told[k].conditions, *d.values())
            for k, d in designs.items()
        }
        jobs = {keys[k]: told[k].conditions.job(told[k].task, d) for k, d in designs.items()}
        outcomes = dict(
            zip(jobs, simulate_uncharged(list(jobs.values()), self._simulator), strict=True)
        )
        return [
            one.task.judge(designs[k], outcomes[keys[k]]) if k in designs else None
            for k, one in enumerate(told)
        ]

    def grammar(self) -> tuple[str, ...]:
        return grammar()

    def random_action(self, problem: Problem, rng: np.random.Generator) -> str:
        told = self.told(problem)
        levels = rng.integers(LEVELS, size=len(told.parameters)).tolist()
        return told.write(levels, self.values, told.start)

    def vary(self, problem: Problem, action: str, rng: np.random.Generator) -> str:
        told = self.told(problem)
        levels = told.read(action, told.start)
        if levels is None or self.values == "moves":
            return self.random_action(problem, rng)
        near = [nudge(k, LEVELS, rng, step=0.12) if rng.random() < 0.5 else k for k in levels]
        return told.write(near, self.values, told.start)

    def levels(self, state: State, text: str) -> list[int] | None:
        """The levels of an action in its state, in the listed order; None for what is no action."""
        told = self.told(state.problem)
        return told.read(text, told.incumbent(state))


def reaction_to(
    told: Told, evaluation: Evaluation, best_before: float, reward: str = "score"
) -> Reaction:
    """What a policy is told of an evaluation, and what it is worth."""
    if evaluation.status not in (Status.OK, Status.MEASURE_FAILED):
        return Reaction(0.0, False, "failed :")
    margins = [evaluation.margins[s.metric] for s in told.task.specs]
    score = evaluation.score
    if reward == "worst":
        score = min(evaluation.satisfaction.values())
    score = score if math.isfinite(score) else 0.0
    solved = evaluation.feasible
    seen = told.observation(margins, best=score > best_before, solved=solved)
    return Reaction(score, solved, seen)


def value_words(values: Values) -> tuple[str, ...]:
    """What one parameter may be answered with."""
    return tuple(_LEVELS if values == "levels" else _MOVES)


def grammar() -> tuple[str, ...]:
    """Every word; the same for all circuits."""
    signed = (f"{k:+d}" for k in range(-SIGNED, SIGNED + 1))
    return (
        ":", "bad", "failed", "best", "met", "levels", "moves", *vocabulary(), *signed,
        *value_words("levels"), *value_words("moves"),
    )  # fmt: skip
