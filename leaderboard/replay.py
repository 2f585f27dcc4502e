"""A cell that was interrupted is run again from its beginning, and what it had is not simulated again.

The session answers from the recorded trace as long as the agent asks for the designs in it, digit
for digit and charged as they were; afterwards it simulates. So an agent needs no code to resume: one
that decides the same way from the same answers ends where it would have ended.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, overload

from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import DesignLike, Session, _Slot
from acs_gym.task import Task
from leaderboard.records import EvaluationRecord, TraceLine

T = TypeVar("T")
# A canonical design's values -> its evaluation, or None when there is none recorded.
Recall = Callable[[tuple[float, ...]], Evaluation | None]


def recall(task: Task, recorded: Sequence[TraceLine]) -> Recall:
    """Answers from a trace: each evaluation that was simulated once, in order."""
    answers: defaultdict[tuple[float, ...], deque[Evaluation]] = defaultdict(deque)
    for line in recorded:
        record = line.evaluation
        if line.duplicate or record.status == Status.INVALID_DESIGN:
            continue  # The session knows these without a simulator.
        with contextlib.suppress(ValueError):  # What cannot be read exactly is simulated again.
            data = record.model_dump(exclude={"spread"} if record.spread is None else None)
            evaluation = _in_order(Evaluation.from_json(data, task.specs), task)
            if EvaluationRecord.of(evaluation) == record:
                answers[tuple(evaluation.design.values())].append(evaluation)

    def answer(key: tuple[float, ...]) -> Evaluation | None:
        return answers[key].popleft() if answers.get(key) else None

    return answer


def _in_order(evaluation: Evaluation, task: Task) -> Evaluation:
    """With every mapping in the order that the simulator gives; a trace's names are sorted.

    Raises InvalidDesign, a ValueError.
    """
    metrics = list(task.metric_units)
    spread = evaluation.spread
    return replace(
        evaluation,
        design=task.space.canonicalize(evaluation.design),
        metrics=_pick(evaluation.metrics, metrics),
        spread=replace(
            spread,
            worst_at=_pick(spread.worst_at, [s.metric for s in task.specs]),
            mean=_pick(spread.mean, metrics),
            sigma=_pick(spread.sigma, metrics),
        ),
    )


def _pick(values: Mapping[str, T], names: Iterable[str]) -> dict[str, T]:
    return {n: values[n] for n in names if n in values}


@dataclass(slots=True)
class CellSession(Session):
    """A session that knows what an earlier attempt was answered, and that loses one design if killed.

    A batch is simulated and recorded design by design; a cell has one simulator anyway.

    Args:
        recall: asked before a design is simulated.
    """

    recall: Recall = lambda _key: None

    @overload
    def simulate(self, designs: DesignLike) -> Evaluation: ...
    @overload
    def simulate(self, designs: Sequence[DesignLike]) -> list[Evaluation]: ...

    def simulate(self, designs: DesignLike | Sequence[DesignLike]) -> Evaluation | list[Evaluation]:
        if not isinstance(designs, (list, tuple)):
            return Session.simulate(self, designs)  # `super()` fails in a class with slots.
        whole = self.task.cost * len(designs)
        self.budget.charge(whole)  # All of them or none.
        self.budget.refund(whole)
        return [e for design in designs for e in Session.simulate(self, [design])]

    def _run(self, slots: list[_Slot]) -> None:
        for slot in slots:
            assert slot.key is not None
            slot.evaluation = self.recall(slot.key)
            if slot.evaluation is not None and slot.evaluation.status is not Status.INFRA_ERROR:
                self._known[slot.key] = slot.evaluation
        Session._run(self, [s for s in slots if s.evaluation is None])
