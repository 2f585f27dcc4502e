"""The curves of a leaderboard as plain data, which the report's script hands to Plotly.

Colours are named by number only: the page holds a palette for light and one for dark, and both tell
the agents apart by dash as well, so a curve is never known by its colour alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.standings import Figures, Standings

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_DIGITS = 5


def curves(board: Standings, task: str | None) -> dict[str, Any]:
    """Best-so-far of every agent with its interval, on one task or (None) over all of them."""
    series = []
    for index, row in enumerate(board.rows):
        figures: Figures | None = row.overall if task is None else row.tasks.get(task)
        if figures is None:
            continue
        middle, low, high = figures.curve
        series.append(
            {
                "name": row.agent,
                "colour": index,
                "dash": DASHES[index % len(DASHES)],
                "x": list(range(1, middle.size + 1)),
                "y": _numbers(middle),
                "low": _numbers(low),
                "high": _numbers(high),
            }
        )
    return {"series": series}


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [round(float(v), _DIGITS) if math.isfinite(v) else None for v in values]
