"""python -m leaderboard.report RUNS: one HTML file that holds the whole leaderboard.

With scripts (Plotly is in it once), or `--static`: SVG and no scripts, and a quarter of the size. `page`
says what is on it; this module reads the files and writes the page. Nothing is simulated.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from leaderboard import waveforms
from leaderboard.chosen import (
    BudgetOption,
    Chosen,
    PdkOption,
    RunsArgument,
    SubmissionsOption,
    SuiteSeedOption,
    TierOption,
    choose,
)
from leaderboard.errors import LeaderboardError
from leaderboard.page import render
from leaderboard.standings import Standings
from leaderboard.store import write_atomically
from leaderboard.waveforms import WaveformsRecord

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


def main(
    runs: RunsArgument,
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default=f"RUNS/{REPORT}")
    ] = None,
    static: Annotated[
        bool,
        typer.Option("--static", help=f"SVG and no scripts; written to RUNS/{STATIC_REPORT}."),
    ] = False,
    pdk: PdkOption = None,
    budget: BudgetOption = None,
    tier: TierOption = None,
    suite_seed: SuiteSeedOption = None,
    submissions: SubmissionsOption = None,
) -> None:
    """Write the HTML report of the results in a folder. Nothing is simulated."""
    try:
        chosen = choose(
            runs, submissions or (), pdk=pdk, budget=budget, tier=tier, suite_seed=suite_seed
        )
        for text in chosen.left_out:
            print(f"left out: {text}", file=sys.stderr)
        board = chosen.board()
        path = output or runs / (STATIC_REPORT if static else REPORT)
        print(write_report(board, path, best_waveforms(board, chosen), static=static))
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
