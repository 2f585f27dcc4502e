"""Lets any agent spend the same simulation budget on the same tasks, and compares them.

    run.py size.py report.py verify.py export.py merge.py submission.py check_agent.py
                     the commands: options in, words out; `python -m leaderboard.run` and so on
    contract.py      what an agent is
    suites.py        named sets of tasks
    files.py         files, read without trust and written whole
    errors.py printable.py options.py    what goes wrong, strangers' text, what commands share

and the rooms, none of which knows those below it:

    wire/            agents in any language, as processes that speak JSON lines, kept apart
    agents/          what an agent's name means, and how its author is helped
    cells/           one task, one agent, one repetition: what it is, runs it, and what is kept of it
    trust/           what must hold of a cell, whoever wrote it, and what a rank takes
    board/           numbers from cells: ranks, intervals, curves, comparisons
    reporting/       a board as a page, a table, JSON, CSV
    running/         many cells: which, where, how far they are
    sizing/          one circuit sized for its owner

    import leaderboard

    board = leaderboard.evaluate(["random", "composite-ei"], ["ACS-OpAmp-v0"], out="runs/mine")

Importing this package imports no agent and no optimisation library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import acs_gym  # noqa: F401  # First of all: from here on Ctrl-C ends a program of ours quietly.

if TYPE_CHECKING:
    from leaderboard.board.standings import BestDesign, Conditions, Figures, Row, Standings
    from leaderboard.errors import LeaderboardError
    from leaderboard.running.evaluate import evaluate

__all__ = [
    "BestDesign", "Conditions", "Figures", "LeaderboardError", "Row", "Standings", "evaluate",
]  # fmt: skip
_HOME = {
    "LeaderboardError": "leaderboard.errors",
    "evaluate": "leaderboard.running.evaluate",
}


def __getattr__(name: str) -> Any:
    """Read when first asked for: what they need takes a second to import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME.get(name, "leaderboard.board.standings")), name)
