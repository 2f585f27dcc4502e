"""Histories that a policy makes itself: episodes on training problems, simulated, charged and kept.

What the policy tries becomes designs of the banks, so that labels are found among them too. The problems
are drawn like those of a warm start: any bank, some or all specs, targets that one of its designs meets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.evaluation import Evaluation
from tlgrpo.designs import NO_RUN, POLICY, Bank, bank_of
from tlgrpo.domain import Problem, State
from tlgrpo.domains.conditions import Conditions
from tlgrpo.domains.sizing import Sizing, told_of
from tlgrpo.labels import Source, drawn
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers.base import Sampler
from tlgrpo.tokens import Codec
from tlgrpo.tree import Episode

# (task, PDK, conditions): what a bank is of.
Place = tuple[str, str, Conditions]
_TOGETHER = 64


class Recorded(Sizing):
    """The domain, which remembers what was simulated in it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seen: list[tuple[State, str, Evaluation]] = []

    def simulate(self, tries: Sequence[tuple[State, str]]) -> list[Evaluation | None]:
        found = super().simulate(tries)
        self.seen += [
            (state, text, e) for (state, text), e in zip(tries, found, strict=True) if e is not None
        ]
        return found


def place_of(source: Source) -> Place:
    return source.task.id, source.task.pdk_name, source.conditions


def place_of_problem(problem: Problem) -> Place:
    told = told_of(problem.key)
    return told.task.id, told.task.pdk_name, told.conditions


def chosen(known: Sequence[Source], rng: np.random.Generator) -> Source:
    """A bank: every circuit on every PDK as often, and half the time at its own conditions."""
    by_task: dict[tuple[str, str], list[Source]] = {}
    for source in known:
        by_task.setdefault((source.task.id, source.task.pdk_name), []).append(source)
    own, *others = list(by_task.values())[int(rng.integers(len(by_task)))]
    return others[int(rng.integers(len(others)))] if others and rng.random() < 0.5 else own


def histories(
    known: Sequence[Source],
    domain: Recorded,
    codec: Codec,
    sampler: Sampler,
    count: int,
    turns: int,
    rng: np.random.Generator,
) -> list[Episode]:
    """`count` episodes of one action a turn; what they simulated is in `domain.seen`."""
    problems = [drawn(chosen(known, rng), domain.values, rng, domain.subset) for _ in range(count)]
    plan = Plan(turns=turns, group=1, per_turn=False)
    made: list[Episode] = []
    for start in range(0, count, _TOGETHER):
        batch = problems[start : start + _TOGETHER]
        made += roll_out(domain, codec, sampler, batch, plan, rng=rng)
    return made


def extended(known: Sequence[Source], domain: Recorded) -> Mapping[Place, Bank]:
    """The banks in which something was tried, with what was; a design that one has stays alone."""
    runs: dict[str, list[tuple[State, str, Evaluation]]] = {}
    for one in domain.seen:
        runs.setdefault(one[0].problem.key, []).append(one)
    banks = {place_of(s): s.bank for s in known}
    tasks = {place_of(s): s.task for s in known}
    found: dict[Place, Bank] = {}
    have = {place: {row.tobytes() for row in bank.levels} for place, bank in banks.items()}
    for tries in runs.values():
        place = place_of_problem(tries[0][0].problem)
        task, bank = tasks[place], found.get(place, banks[place])
        rows: list[NDArray[np.int64]] = []
        metrics: list[list[float]] = []
        for state, text, evaluation in tries:
            told, levels = told_of(state.problem.key), domain.levels(state, text)
            assert levels is not None  # It was simulated.
            row = np.empty(len(task.space), dtype=np.int64)
            row[list(told.parameters)] = levels
            if row.tobytes() in have[place]:
                continue
            have[place].add(row.tobytes())
            rows.append(row)
            metrics.append([evaluation.metrics.get(s.metric, np.nan) for s in task.specs])
        run = bank.next_run if len(rows) > 1 else NO_RUN
        found[place] = bank.joined(bank_of(task, rows, metrics, POLICY, run))
    return found
