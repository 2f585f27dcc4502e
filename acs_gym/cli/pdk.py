"""`acs-gym pdk list` and `acs-gym pdk install`: device models on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acs_gym.cli.output import console, print_table

app = typer.Typer(help="Process design kits on this machine.", no_args_is_help=True)


@app.command("list")
def list_pdks() -> None:
    """Every PDK: where its models are and under which licence."""
    from acs_gym.pdks import PdkError, PdkNotFound, get_pdk, pdk_names

    rows = []
    for name in pdk_names():
        try:
            pdk = get_pdk(name)
        except PdkError as error:
            rows.append((name, f"not usable: {error}", "", ""))
            continue
        try:
            location = pdk.location()
        except PdkNotFound:
            location = "not installed"
        rows.append((name, pdk.title, pdk.licence, location))
    print_table("", ("name", "title", "licence", "location"), rows)


@app.command()
def install(
    name: Annotated[str, typer.Argument(help="A PDK of `acs-gym pdk list`.")],
    wheel: Annotated[
        Path | None, typer.Option(help="Its wheel as a file, for a machine offline.")
    ] = None,
) -> None:
    """Install a PDK's models, in the pinned version and checked by hash."""
    from acs_gym.pdks import get_pdk

    pdk = get_pdk(name)
    pdk.install(wheel)
    out = console()
    out.print(f"{pdk.name}: {pdk.title}, licence {pdk.licence}")
    out.print(f"location: {pdk.location()}", soft_wrap=True)
