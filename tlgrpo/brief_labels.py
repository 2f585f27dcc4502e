"""What a chat model should have replied, known in hindsight: labels for `brief-circuits`.

As in `tlgrpo.labels`, a problem's targets are those that some design of a bank meets, what was tried are
designs of the bank that fail, and the label of a turn depends on them: at first the design with the most
margin in its worst spec, later the one nearest to the best so far of those that meet every spec. It is
written as the reply that leads there, which names what it changes and no more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acs_gym.design import Design
from acs_gym.task import Task
from agents.brief import told, write
from tlgrpo.designs import Bank, levels_of
from tlgrpo.domain import Problem, Reaction, State
from tlgrpo.domains.brief_circuits import BriefCircuits, start_of
from tlgrpo.domains.circuits import LEVELS
from tlgrpo.domains.levels import from_level
from tlgrpo.labels import Scored, likely, scored, tried_in_order
from tlgrpo.policy import Policy
from tlgrpo.sft import written
from tlgrpo.tree import Episode, Node


def hindsight(
    domain: BriefCircuits,
    banks: Sequence[Bank],
    policy: Policy,
    count: int,
    turns: int,
    rng: np.random.Generator,
    *,
    first: int = 0,
) -> list[Episode]:
    """An episode of each of the problems `first`, `first + 1`, ... of the training split.

    `banks`: in the order of the domain's tasks.
    """
    known = dict(zip(domain.tasks, banks, strict=True))
    problems = [domain.problem(first + k, "train") for k in range(count)]
    found = []
    for problem in problems:
        task = domain.task_of(problem)
        found.append(episode(task, known[task.id], problem, policy, turns, rng))
    return found


def episode(
    task: Task,
    bank: Bank,
    problem: Problem,
    policy: Policy,
    turns: int,
    rng: np.random.Generator,
) -> Episode:
    """A label after each of `turns` histories, the empty one first. Labels alone have an advantage."""
    known = scored(task, bank, tuple(task.specs))
    failing = np.flatnonzero(known.worst < 0)
    in_order = tried_in_order(bank, failing, turns - 1, rng)
    made = Episode(problem, tuple(policy.codec.prompt(problem.prompt)))
    state = State(problem)
    for turn in range(turns):
        start = start_of(task, state)
        at = levels_of(task, start).tolist() if state.best else None
        label = known.label(state.best, at, 1.0)
        answer = _node(task, known, label, turn, state, start, policy)
        answer.advantage = 1.0
        if turn + 1 == turns or not len(failing):
            answer.on_main_line = True
            made.turns.append([answer])
            break
        place = in_order[turn] if in_order else likely(known, failing, label, rng)
        node = _node(task, known, place, turn, state, start, policy)
        node.on_main_line = True
        node.reaction = _reaction(task, known, place, state.best)
        made.turns.append([node, answer])
        made.observations.append(tuple(policy.codec.observation(node.reaction.observation)))
        state = state.after(node.text, node.reaction)
    return made


def design_of(task: Task, levels: Sequence[int]) -> Design:
    return task.space.from_unit([from_level(k, LEVELS) for k in levels])


def _node(
    task: Task,
    known: Scored,
    place: int,
    turn: int,
    state: State,
    start: Design,
    policy: Policy,
) -> Node:
    text = write(task, design_of(task, known.levels[place].tolist()), start)
    ids = (*written(policy, text), policy.codec.end)
    return Node(turn, turn, ids, (0.0,) * len(ids), text, Reaction(0.0, False, ""), state.best)


def _reaction(task: Task, known: Scored, place: int, best_before: float) -> Reaction:
    margins, score = known.margins[place], float(known.score[place])
    if not np.isfinite(margins).any():
        return Reaction(0.0, False, "failed")
    metrics = dict(zip(task.specs.metrics, known.bank.metrics[place].tolist(), strict=True))
    said = told(task, metrics, best=score > best_before)
    return Reaction(score, bool(known.worst[place] >= 0), said)
