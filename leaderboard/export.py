"""python -m leaderboard.export RUNS: the cells as CSV or JSON lines, or the ranking as Markdown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from acs_gym import program
from leaderboard.board.chosen import choose
from leaderboard.errors import LeaderboardError
from leaderboard.files import write_atomically
from leaderboard.options import (
    BudgetOption,
    PdkOption,
    RunsArgument,
    SubmissionsOption,
    SuiteSeedOption,
    TierOption,
)
from leaderboard.reporting.export import Format, rows, to_csv, to_jsonl, to_markdown

EXIT_USAGE = 2


def main(
    runs: RunsArgument,
    kind: Annotated[
        Format, typer.Option("--format", help="csv and jsonl: a row a cell; markdown: the ranking.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="standard output")
    ] = None,
    pdk: PdkOption = None,
    budget: BudgetOption = None,
    tier: TierOption = None,
    suite_seed: SuiteSeedOption = None,
    submissions: SubmissionsOption = None,
) -> None:
    """Write the results in a folder as a table. Nothing is simulated, and nothing verified."""
    try:
        chosen = choose(
            runs, submissions or (), pdk=pdk, budget=budget, tier=tier, suite_seed=suite_seed
        )
        for text in chosen.left_out:
            print(f"left out: {text}", file=sys.stderr)
        match kind:
            case Format.CSV:
                text = to_csv(rows(chosen))
            case Format.JSONL:
                text = to_jsonl(rows(chosen))
            case Format.MARKDOWN:
                text = to_markdown(chosen.board())
        if out is None:
            print(text, end="")
        else:
            _write(out, text)
            print(out)
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from None


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise LeaderboardError(f"cannot write --out {path}: {error.strerror}") from None


if __name__ == "__main__":
    program.start()
    typer.run(main)
