"""What a run found between two specs: the designs that no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from acs_gym.task import Task
from leaderboard.cells.records import EvaluationRecord
from leaderboard.cells.spec import CellSpec
from leaderboard.cells.store import SPEC, TRACE, Store


def simulated(runs: Path, task: Task) -> Iterator[EvaluationRecord]:
    """Every whole evaluation of a task in the traces of a folder, finished cells or not."""
    store = Store(runs)
    for path in sorted(runs.glob(f"*/{TRACE}")):
        try:
            spec = CellSpec.model_validate_json((path.parent / SPEC).read_bytes())
        except (OSError, ValueError):
            continue  # Not a cell that this version wrote.
        if (spec.task, spec.pdk, spec.tier) == (task.id, task.pdk_name, task.tier):
            for line in store.lines(path.parent.name):
                if not line.evaluation.unknown:
                    yield line.evaluation


def front(
    evaluations: Sequence[EvaluationRecord], metrics: tuple[str, str]
) -> list[EvaluationRecord]:
    """Those that none beats in both margins, best in the first metric first; one of equals."""
    first, second = metrics
    measured = [(_margin(e, first), _margin(e, second), e) for e in evaluations]
    measured = [m for m in measured if not math.isnan(m[0]) and not math.isnan(m[1])]
    found, best = list[EvaluationRecord](), -math.inf
    for _, margin, evaluation in sorted(measured, key=lambda m: (-m[0], -m[1])):
        if margin > best:
            found.append(evaluation)
            best = margin
    return found


def _margin(evaluation: EvaluationRecord, metric: str) -> float:
    margin = evaluation.margins.get(metric)
    return math.nan if margin is None else margin
