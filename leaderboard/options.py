"""Options that several commands share: which of the results in a folder are meant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.trust.submission import MANIFEST

RunsArgument = Annotated[
    Path, typer.Argument(help="Folder that leaderboard.run wrote to (its --out), or a submission.")
]
PdkOption = Annotated[str | None, typer.Option(help="Only cells on this PDK.")]
BudgetOption = Annotated[int | None, typer.Option(help="Only cells of this budget.")]
TierOption = Annotated[str | None, typer.Option(help="Only cells of this tier.")]
SuiteSeedOption = Annotated[int | None, typer.Option(help="Only cells of this suite seed.")]
SubmissionsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--submission", help=f"Folder with a {MANIFEST} of an agent in RUNS; may be given again."
    ),
]
