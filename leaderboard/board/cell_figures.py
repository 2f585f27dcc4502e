"""What one finished cell's trace and usage say. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leaderboard.board import statistics as st
from leaderboard.cells.records import CellStatus
from leaderboard.cells.store import StoredCell

COUNTS_AS_ZERO = (CellStatus.INVALID, CellStatus.CRASHED)


def curve(cell: StoredCell) -> NDArray[np.float64]:
    """Best score after each simulation charged; zero throughout when the cell counts as 0."""
    if cell.result.status in COUNTS_AS_ZERO:
        return np.zeros(cell.result.spec.budget)
    spent, steps = 0, []
    for line in cell.trace:
        spent += line.evaluation.cost
        if line.evaluation.cost and not line.evaluation.unknown:
            steps.append((spent, line.evaluation.score))
    return st.best_so_far(steps, cell.result.spec.budget)


def first_met(cell: StoredCell) -> int | None:
    """Simulations charged until the specs were first met, or None."""
    if not cell.result.feasible:
        return None
    spent = 0
    for line in cell.trace:
        spent += line.evaluation.cost
        if line.evaluation.feasible:
            return spent
    return None


def found_after(cell: StoredCell) -> int | None:
    """Simulations charged until the best design was found; None where the trace has none."""
    best = cell.result.best
    spent = 0
    for line in cell.trace:
        spent += line.evaluation.cost
        if best is not None and line.evaluation.cost and line.evaluation.design == best.design:
            return spent
    return None
