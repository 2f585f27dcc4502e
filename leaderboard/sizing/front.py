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
    measured = [(e, *(_margin(e, m) for m in metrics)) for e in evaluations]
    measured = [(e, a, b) for e, a, b in measured if not math.isnan(a) and not math.isnan(b)]
    found, best = list[EvaluationRecord](), -math.inf
    for evaluation, _, b in sorted(measured, key=lambda t: (-t[1], -t[2])):
        if b > best:
            found.append(evaluation)
            best = b
    return found


def _margin(evaluation: EvaluationRecord, metric: str) -> float:
    margin = evaluation.margins.get(metric)
    return math.nan if margin is None else margin
