"""python -m leaderboard.verify RUNS: does every result follow from its trace, and that from ngspice?

Nothing is believed: all is worked out again, and the winning design simulated (docs/verification.md).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from acs_gym import program
from leaderboard.cells.environment import SALT_VARIABLE
from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError
from leaderboard.trust.perturbations import read_salt
from leaderboard.trust.verify import ROBUST, Thoroughness, report_lines, verify_runs

EXIT_UNSOUND, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def main(
    runs: Annotated[Path, typer.Argument(help="Folder that leaderboard.run wrote to (its --out).")],
    jobs: Annotated[int, typer.Option(help="Cells at a time.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    all_designs: Annotated[
        bool, typer.Option("--all-designs", help="Simulate every design, not the winners alone.")
    ] = False,
    no_replay: Annotated[
        bool,
        typer.Option(
            "--no-replay", help="Do not ask this package's agents again for their designs."
        ),
    ] = False,
    robust: Annotated[
        bool,
        typer.Option(
            "--robust", help=f"Write {ROBUST}: scores at perturbed conditions, uncharged."
        ),
    ] = False,
    second_simulator: Annotated[
        bool,
        typer.Option(
            "--second-simulator",
            help="Measure each winner with VACASK too (pip install 'acs-gym[vacask]').",
        ),
    ] = False,
    salt_file: Annotated[
        Path | None,
        typer.Option(
            help=f"File with the secret that perturbations are drawn from; else {SALT_VARIABLE}."
        ),
    ] = None,
) -> None:
    """Check every finished cell, and simulate its winning design again in a fresh process.

    Exit code 0: everything holds; 1: something does not, or cannot be simulated here; 2: wrong use.
    """
    try:
        if not runs.is_dir():
            raise LeaderboardError(f"no folder {runs}; give the --out of leaderboard.run")
        how = Thoroughness(
            all_designs, robust, read_salt(salt_file), second_simulator, replay=not no_replay
        )
        reports = list(verify_runs(Store(runs), how, jobs))
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    unsound = sum(bool(r.findings) for r in reports)
    if as_json:
        totals = {"schema_version": 1, "cells": len(reports), "sound": len(reports) - unsound}
        print(json.dumps(totals | {"reports": [asdict(r) for r in reports]}, indent=2))
    else:
        for line in report_lines(reports):
            print(line)
    raise typer.Exit(EXIT_UNSOUND if unsound else 0)


if __name__ == "__main__":
    program.start()
    typer.run(main)
