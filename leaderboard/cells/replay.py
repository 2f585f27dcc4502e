"""A cell that was interrupted is run again from its beginning, and what it had is not simulated again.

The session answers from the recorded trace as long as the agent asks for the designs in it, digit
for digit and charged as they were; afterwards it simulates. So an agent needs no code to resume: one
that decides the same way from the same answers ends where it would have ended.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict, deque
from collections.abc import Sequence

from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import Recall
from acs_gym.specs import SpecSheet
from leaderboard.cells.records import EvaluationRecord, TraceLine

# A design's values, and the conditions it was asked for at; None for every one.
_Asked = tuple[tuple[float, ...], tuple[str, ...] | None]


def recall(specs: SpecSheet, recorded: Sequence[TraceLine]) -> Recall:
    """Answers from a trace: each evaluation that was simulated once, in order."""
    answers: defaultdict[_Asked, deque[Evaluation]] = defaultdict(deque)
    for line in recorded:
        record = line.evaluation
        if line.duplicate or record.status == Status.INVALID_DESIGN:
            continue  # The session knows these without a simulator.
        with contextlib.suppress(ValueError):  # What cannot be read exactly is simulated again.
            evaluation = record.evaluation(specs)
            if EvaluationRecord.of(evaluation) == record:
                asked = None if line.conditions is None else tuple(line.conditions)
                answers[tuple(evaluation.design.values()), asked].append(evaluation)

    def answer(key: tuple[float, ...], asked: tuple[str, ...] | None) -> Evaluation | None:
        return answers[key, asked].popleft() if answers.get((key, asked)) else None

    return answer
