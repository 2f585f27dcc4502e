"""python -m leaderboard.report RUNS: one HTML file that holds the whole leaderboard.

With scripts (Plotly is in it once), or `--static`: SVG and no scripts, and a quarter of the size.
`reporting/page.py` says what is on it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from acs_gym import program
from leaderboard.board.chosen import choose
from leaderboard.errors import LeaderboardError
from leaderboard.options import (
    BudgetOption,
    PdkOption,
    RunsArgument,
    SubmissionsOption,
    SuiteSeedOption,
    TierOption,
)
from leaderboard.reporting.report import REPORT, STATIC_REPORT, best_waveforms, write_report


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
    program.start()
    typer.run(main)
