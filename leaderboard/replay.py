"""A cell that was interrupted is run again from its beginning, and what it had is not simulated again.

The session answers from the recorded trace as long as the agent asks for the designs in it, digit
for digit and charged as they were; afterwards it simulates. So an agent needs no code to resume: one
that decides the same way from the same answers ends where it would have ended.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import DesignLike, Recall, Session
from acs_gym.specs import SpecSheet
from leaderboard.records import EvaluationRecord, TraceLine


def recall(specs: SpecSheet, recorded: Sequence[TraceLine]) -> Recall:
    """Answers from a trace: each evaluation that was simulated once, in order."""
    answers: defaultdict[tuple[float, ...], deque[Evaluation]] = defaultdict(deque)
    for line in recorded:
        record = line.evaluation
        if line.duplicate or record.status == Status.INVALID_DESIGN:
            continue  # The session knows these without a simulator.
        with contextlib.suppress(ValueError):  # What cannot be read exactly is simulated again.
            evaluation = record.evaluation(specs)
            if EvaluationRecord.of(evaluation) == record:
                answers[tuple(evaluation.design.values())].append(evaluation)

    def answer(key: tuple[float, ...]) -> Evaluation | None:
        return answers[key].popleft() if answers.get(key) else None

    return answer


@dataclass(slots=True)
class CellSession(Session):
    """A session that loses one design if it is killed.

    A batch is simulated and recorded design by design; a cell has one simulator anyway.
    """

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
