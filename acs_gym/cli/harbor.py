"""`acs-gym export-harbor`: problems as task folders of Harbor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acs_gym.cli.output import console


def export_harbor(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The tasks are written into it.")
    ],
    split: Annotated[
        str, typer.Option(help="train, held-out-targets or held-out-circuits.")
    ] = "held-out-targets",
    number: Annotated[int, typer.Option(min=1, help="How many.")] = 8,
    tasks: Annotated[str, typer.Option(help="Ids with commas; all of the split by default.")] = "",
    pdk: Annotated[
        str, typer.Option(help="Process; the containers fetch no models, so generic is the one.")
    ] = "generic",
    budget: Annotated[int, typer.Option(min=1, help="Designs an agent may simulate.")] = 20,
    package: Annotated[
        str, typer.Option(help="What the containers install; this version by default.")
    ] = "",
) -> None:
    """Write tasks for terminal agents: instruction, containers, metered simulator, verifier, solution."""
    from acs_gym.integrations.harbor.export import PACKAGE, export
    from acs_gym.specs import InvalidSpec
    from acs_gym.tools.problem import problems

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be made: {error.strerror}") from None
    names = [name for name in tasks.split(",") if name]
    try:
        found = problems(split, number, tasks=names, pdk=pdk, budget=budget)  # type: ignore[arg-type]
    except ValueError as error:
        raise InvalidSpec(str(error)) from None
    for index, problem in enumerate(found, start=1):
        circuit = problem.make().circuit.name
        export(problem, folder / f"{circuit}-{pdk}-{index:03d}", package=package or PACKAGE)
    console().print(
        f"wrote {len(found)} tasks into {folder}; run: harbor run -p {folder} -a oracle"
    )
