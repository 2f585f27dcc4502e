"""python -m leaderboard.merge A B --out C: the runs of several machines in one folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from acs_gym import program
from leaderboard.errors import LeaderboardError
from leaderboard.trust.merge import merge

EXIT_LEFT_OUT, EXIT_USAGE = 1, 2


def main(
    sources: Annotated[list[Path], typer.Argument(help="Folders that leaderboard.run wrote to.")],
    out: Annotated[Path, typer.Option(help="Folder for all their cells; may hold some already.")],
) -> None:
    """Join the runs of several machines. Exit code 1: some cells were left out; 2: wrong use."""
    try:
        merged = merge(sources, out)
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from None
    for text in merged.remarks:
        print(text)
    for text in merged.left_out:
        print(f"left out: {text}", file=sys.stderr)
    if merged.unsigned:
        print(
            f"{len(merged.unsigned)} cells are not verified here, and are shown without a rank: "
            f"python -m leaderboard.verify {out}"
        )
    print(f"{len(merged.cells)} cells in {out}")
    raise typer.Exit(EXIT_LEFT_OUT if merged.left_out else 0)


if __name__ == "__main__":
    program.start()
    typer.run(main)
