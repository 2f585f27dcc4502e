"""Reads the files of a board and writes its page. Nothing is simulated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from leaderboard.board.chosen import Chosen
from leaderboard.board.standings import Standings
from leaderboard.cells import waveforms
from leaderboard.cells.waveforms import WaveformsRecord
from leaderboard.files import write_atomically
from leaderboard.reporting.page import render

REPORT, STATIC_REPORT = "report.html", "report-static.html"


def best_waveforms(board: Standings, chosen: Chosen) -> dict[str, WaveformsRecord | str]:
    """The waveforms of each task's best design, as kept in its cell's folder, or why there are none."""
    results = {
        (c.result.spec.task, c.result.spec.agent, c.result.spec.repetition, c.result.task.digest): c
        for c in sorted(chosen.cells, key=lambda c: (c.result.timing.finished, c.result.key))
    }
    found: dict[str, WaveformsRecord | str] = {}
    for task, best in board.best.items():
        cell = results[task, best.agent, best.repetition, board.tasks[task].digest]
        found[task] = waveforms.read(chosen.store.cell(cell.result.key), cell.result)
    return found


def write_report(
    board: Standings,
    path: Path,
    waves: Mapping[str, WaveformsRecord | str],
    *,
    static: bool = False,
) -> Path:
    """Write the page to `path` (whole or not at all) and return it."""
    write_atomically(path, render(board, waves, static=static))
    return path
