"""python -m leaderboard.submission FOLDER: is a submission complete, and does it verify?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from acs_gym import program
from leaderboard.errors import LeaderboardError
from leaderboard.printable import printable
from leaderboard.trust.perturbations import read_salt
from leaderboard.trust.submission import MANIFEST, RUNS, Assessment, assess
from leaderboard.trust.verify import Thoroughness, report_lines

EXIT_UNSOUND, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def main(
    folder: Annotated[Path, typer.Argument(help=f"Folder with {MANIFEST} and {RUNS}/.")],
    jobs: Annotated[int, typer.Option(help="Cells at a time.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    all_designs: Annotated[
        bool, typer.Option("--all-designs", help="Simulate every design, not the winners alone.")
    ] = False,
) -> None:
    """Check a submission: its manifest, that its runs are of its agent, and that they verify.

    Exit code 0: it can be handed in; 1: something does not hold; 2: it is no submission.
    """
    try:
        if not folder.is_dir():
            raise LeaderboardError(f"no folder {folder}; examples/submission has a template")
        found = assess(folder, Thoroughness(all_designs=all_designs, salt=read_salt(None)), jobs)
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if as_json:
        data: dict[str, Any] = asdict(found)
        data = {"schema_version": 1, "sound": found.sound} | data
        data["submission"] = found.submission.model_dump()
        print(json.dumps(data, indent=2))
    else:
        _show(found)
    raise typer.Exit(0 if found.sound else EXIT_UNSOUND)


def _show(found: Assessment) -> None:
    for finding in found.findings:
        print(printable(finding.text))
    for line in report_lines(found.reports):
        print(line)
    for remark in found.remarks:
        print(printable(f"note: {remark}"))
    if found.held_out:
        print(f"category: custom, because it was trained on {', '.join(found.held_out)}")
    else:
        print(f"category: {found.category}")
    print("can be handed in" if found.sound else "cannot be handed in as it is")


if __name__ == "__main__":
    program.start()
    typer.run(main)
