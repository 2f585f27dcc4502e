"""What a policy should have done, known in hindsight: pure functions of a bank and a history.

A problem is a circuit, some or all of its specs and targets that one design of its bank meets. The
label of a turn depends on its history: at first the design with the most margin in its worst spec;
later the one nearest to the best so far, of those that make good enough of what that one misses. So a
label is a design that was simulated, written as the action that leads to it.

Histories are of two kinds: designs of the bank that fail, some of them in the order in which an
optimiser tried them, and those that the policy itself made. In an episode of either the labels alone
have an advantage; what was tried is on the main line with weight 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acs_gym.specs import Spec
from acs_gym.targets import SLACK_LEAST, SLACK_MOST
from acs_gym.task import Task
from tlgrpo.designs import AGAIN, ANCHOR, NO_RUN, Bank, banks_of
from tlgrpo.domain import Problem, Reaction, State
from tlgrpo.domains.conditions import Conditions
from tlgrpo.domains.sizing import (
    Told,
    Values,
    problem_of,
    some_of,
    told_of,
)
from tlgrpo.tokens import Codec
from tlgrpo.tree import Episode, Node

# Of the designs that fail, so many nearest to the answer, or best, are those a policy may well try.
_LIKELY = 40
_ORDERS = 2**31


@dataclass(frozen=True, slots=True)
class Source:
    """A bank with the task and the conditions it is of."""

    task: Task
    conditions: Conditions
    bank: Bank


@dataclass(frozen=True, slots=True)
class Aim:
    """How labels are chosen.

    Attributes:
        subset: share of problems on some of the specs only.
        gain: share of what the best so far misses in score that a label makes good. 1 takes designs
            that meet every spec; less, nearer ones, whatever direction they come from.
    """

    subset: float = 0.4
    gain: float = 1.0


@dataclass(frozen=True, slots=True)
class Scored:
    """A bank as some specs judge it.

    Attributes:
        levels: shape (designs, parameters), in the problem's order.
        margins: shape (designs, specs), in the order of the specs.
        worst, score: shape (designs,).
    """

    bank: Bank
    levels: NDArray[np.int64]
    margins: NDArray[np.float64]
    worst: NDArray[np.float64]
    score: NDArray[np.float64]

    def label(self, best: float, at: Sequence[int] | None, gain: float) -> int:
        """Which design to try next; `at` are the levels of the best so far, None before any."""
        if at is None:
            return int(self.worst.argmax())
        wanted = best + gain * (1.0 - best)
        # Where no design is as good (an unusable goal), the best there is.
        good = np.flatnonzero(self.score >= min(wanted, float(self.score.max())) - 1e-12)
        away = np.abs(self.levels[good] - np.asarray(at)).sum(1)
        return int(good[away.argmin()])


@dataclass(frozen=True, slots=True)
class Judged(Scored):
    """A bank as a problem's specs judge it; `told` is the problem."""

    told: Told

    def reaction(self, place: int, best_before: float) -> Reaction:
        """What the policy would have been told of that design."""
        margins, score = self.margins[place], float(self.score[place])
        if not np.isfinite(margins).any():
            return Reaction(0.0, False, "failed :")
        measured = np.where(np.isfinite(margins), margins, np.nan).tolist()
        solved = bool(self.worst[place] >= 0)
        seen = self.told.observation(measured, best=score > best_before, solved=solved)
        return Reaction(score, solved, seen)


def sources(tasks: Sequence[Task], folder: Path) -> list[Source]:
    """Every bank of these tasks. Raises BankError where one of their own conditions is missing."""
    return [Source(t, c, b) for t in tasks for c, b in banks_of(folder, t)]


def margins(specs: Sequence[Spec], metrics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of every design, shape (designs, specs); minus infinity where not measured."""
    found = np.empty_like(metrics)
    for k, spec in enumerate(specs):
        value = np.abs(metrics[:, k]) if spec.direction == "within" else metrics[:, k]
        sign = 1.0 if spec.direction == ">=" else -1.0
        if spec.tolerance is not None:
            found[:, k] = sign * (value - spec.target) / spec.tolerance
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                found[:, k] = sign * np.log(np.maximum(value / spec.target, 0.0))
    found[np.isnan(metrics)] = -np.inf
    return found


def judged(source: Source, told: Told) -> Judged:
    """The designs of a bank by the specs of a problem of the same circuit, PDK and conditions."""
    found = scored(source.task, source.bank, tuple(told.task.specs), list(told.parameters))
    return Judged(found.bank, found.levels, found.margins, found.worst, found.score, told)


def scored(
    task: Task, bank: Bank, specs: Sequence[Spec], parameters: Sequence[int] | None = None
) -> Scored:
    """The designs of a task's bank by some of its specs, with targets of one's own.

    `parameters`: places of the parameters in the task's space, in the order that levels are to have.
    """
    places = [task.specs.metrics.index(s.metric) for s in specs]
    every = margins(specs, bank.metrics[:, places])
    satisfied = np.where(every >= 0, 1.0, 1.0 / (1.0 - np.minimum(every, 0.0)))
    weights = np.array([s.weight for s in specs])
    score = satisfied @ weights / weights.sum()
    levels = bank.levels if parameters is None else bank.levels[:, list(parameters)]
    return Scored(bank, levels, every, every.min(1), score)


def drawn(source: Source, values: Values, rng: np.random.Generator, subset: float) -> Problem:
    """Targets that some design of the bank meets, as `Task.sample_specs` draws them from an anchor."""
    bank, specs = source.bank, source.task.specs
    whole = np.flatnonzero(np.isfinite(bank.metrics).all(1))
    good = whole[np.isin(bank.source[whole], (ANCHOR, AGAIN))]
    goal = int(rng.choice(good if len(good) and rng.random() < 0.8 else whole))
    has = dict(zip(specs.metrics, bank.metrics[goal].tolist(), strict=True))
    usable = [s for s in specs if not s.fixed or s.margin(has[s.metric]) >= 0]
    kept = {*some_of([s.metric for s in usable], rng, subset)}
    easy = rng.uniform(SLACK_LEAST, SLACK_MOST - 0.01)
    targets = {
        s.metric: s.target if s.fixed else _eased(s, has[s.metric], rng.uniform(SLACK_LEAST, easy))
        for s in usable
        if s.metric in kept
    }
    return problem_of(
        source.task,
        targets,
        values,
        order=int(rng.integers(_ORDERS)),
        conditions=source.conditions,
    )


def _eased(spec: Spec, value: float, slack: float) -> float:
    value = abs(value) if spec.direction == "within" else value
    sign = 1.0 if spec.direction == ">=" else -1.0
    if spec.tolerance is not None:
        return float(value - sign * slack * spec.tolerance)
    target = float(value * math.exp(-sign * slack))
    return target if target > 0 else spec.target


def episode(
    source: Source,
    codec: Codec,
    values: Values,
    turns: int,
    rng: np.random.Generator,
    aim: Aim = Aim(),
) -> Episode:
    """A problem with a label after each of `turns` histories: the empty one, then longer ones.

    What was tried are designs of the bank that fail.
    """
    problem = drawn(source, values, rng, aim.subset)
    known = judged(source, told_of(problem.key))
    failing = np.flatnonzero(known.worst < 0)
    in_order = tried_in_order(known.bank, failing, turns - 1, rng)
    made = Episode(problem, tuple(codec.prompt(problem.prompt)))
    state = State(problem)
    for turn in range(turns):
        at, label = _labelled(known, state, aim.gain)
        answer = _node(codec, known, label, turn, state, values, at)
        answer.advantage = 1.0
        if turn + 1 == turns or not len(failing):
            answer.on_main_line = True
            made.turns.append([answer])
            break
        place = in_order[turn] if in_order else likely(known, failing, label, rng)
        node = _node(codec, known, place, turn, state, values, at)
        node.on_main_line = True
        node.reaction = known.reaction(place, state.best)
        made.turns.append([node, answer])
        made.observations.append(tuple(codec.observation(node.reaction.observation)))
        state = state.after(node.text, node.reaction)
    return made


def relabelled(
    source: Source, made: Episode, codec: Codec, values: Values, gain: float = 1.0
) -> Episode:
    """An episode that the policy made, with a label beside each of its actions."""
    known = judged(source, told_of(made.problem.key))
    found = Episode(made.problem, made.prompt, observations=list(made.observations))
    state = State(made.problem)
    for turn, tried in enumerate(made.main_line):
        at, label = _labelled(known, state, gain)
        answer = _node(codec, known, label, turn, state, values, at)
        answer.advantage = 1.0
        kept = Node(
            turn, turn, tried.ids, tried.log_probs, tried.text, tried.reaction, state.best, True
        )
        found.turns.append([kept, answer])
        state = state.after(tried.text, tried.reaction)
    return found


def _labelled(known: Judged, state: State, gain: float) -> tuple[list[int], int]:
    """(the levels that a move starts from, the design to try)."""
    at = known.told.incumbent(state)
    return at, known.label(state.best, at if state.best else None, gain)


def tried_in_order(
    bank: Bank, failing: NDArray[np.intp], count: int, rng: np.random.Generator
) -> list[int]:
    """Designs of one trajectory that fail, in its order; none where none has as many, or by chance."""
    runs, sizes = np.unique(bank.run[failing], return_counts=True)
    long = runs[(sizes >= count) & (runs != NO_RUN)]
    if not len(long) or not count or rng.random() < 0.5:
        return []
    places = failing[bank.run[failing] == rng.choice(long)]
    return [int(k) for k in np.sort(rng.choice(places, count, replace=False))]


def likely(known: Scored, failing: NDArray[np.intp], label: int, rng: np.random.Generator) -> int:
    """One of the designs that fail: any, or one that a policy may well try on its way to the label."""
    kind = rng.random()
    if kind < 0.2:
        return int(rng.choice(failing))
    if kind < 0.6:
        key = np.abs(known.levels[failing] - known.levels[label]).sum(1).astype(float)
    else:
        key = -known.score[failing]
    count = min(_LIKELY, len(failing))
    return int(rng.choice(failing[np.argpartition(key, count - 1)[:count]]))


def _node(
    codec: Codec,
    known: Judged,
    place: int,
    turn: int,
    state: State,
    values: Values,
    at: Sequence[int],
) -> Node:
    text = known.told.write(known.levels[place].tolist(), values, at)
    ids = (*codec.prompt(text), codec.end)
    return Node(turn, turn, ids, (0.0,) * len(ids), text, Reaction(0.0, False, ""), state.best)
