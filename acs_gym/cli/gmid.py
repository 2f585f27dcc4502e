"""`acs-gym gmid`: what a transistor of a PDK gives at a gm/Id."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acs_gym.cli.output import console, print_table

if TYPE_CHECKING:
    from acs_gym.gmid import Bias, GmIdTable

_ALL = "all"
_PICTURES = (".png", ".pdf", ".svg")
_TABLES = (".npz", ".csv")
# gm/Id of the rows of a table for a person, and of a CSV.
_ROWS = (4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28)
_STEPS = tuple(n / 2 for n in range(4, 61))


def gmid(
    pdk: Annotated[str, typer.Argument(help="sky130, gf180mcu, generic or one of a plug-in.")],
    device: Annotated[str, typer.Argument(help="nfet, pfet, or a transistor by the PDK's own name.")],
    corner: Annotated[str, typer.Option(help="Process corner, or all.")] = "tt",
    length: Annotated[str | None, typer.Option("--l", help="Length to print, e.g. 0.5u.")] = None,
    vds: Annotated[float | None, typer.Option(help="V.", show_default="half of the highest")] = None,
    vsb: Annotated[float, typer.Option(help="V.")] = 0.0,
    width: Annotated[str, typer.Option("--w", help="Width of the finger measured.")] = "5u",
    temperature: Annotated[float, typer.Option(help="°C.")] = 27.0,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output",
            help=".npz: everything, for acs_gym.gmid; .csv: rows at --vds and --vsb; "
            ".png, .pdf, .svg: curves. With --corner all, a file a corner.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Id/W, gm/gds, fT and Vgs of a transistor over gm/Id and length, of the models that are simulated.

    Measured with ngspice when first asked for, then kept in the user's cache.
    """
    if output is not None and output.suffix.lower() not in (*_TABLES, *_PICTURES):
        raise typer.BadParameter(f"{output} must end in one of: {', '.join(_TABLES + _PICTURES)}")
    from acs_gym.gmid import gm_id_table
    from acs_gym.pdks.registry import get_pdk
    from acs_gym.units import parse

    try:
        w, chosen = parse(width), None if length is None else parse(length)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    corners = get_pdk(pdk).corners if corner == _ALL else (corner,)
    for one in corners:
        table = gm_id_table(pdk, device, one, temperature, w)
        try:
            if output is None:
                _print(table, chosen, vds, vsb)
                continue
            named = output.with_stem(f"{output.stem}-{one}") if corner == _ALL else output
            _write(table, named, vds, vsb)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        console().print(f"wrote {named}", soft_wrap=True)


def _print(table: GmIdTable, length: float | None, vds: float | None, vsb: float) -> None:
    from acs_gym.units import format_si

    l = float(table.l.flat[0]) if length is None else length  # noqa: E741
    found = _reached(table, _ROWS, l, vds, vsb)
    title = (
        f"{table.device} on {table.pdk}, {table.corner}, {table.temperature:g} °C, L = "
        f"{format_si(l, 'm')}, Vds = {found[0].vds:g} V, Vsb = {vsb:g} V"
    )
    print_table(
        title,
        (">gm/Id 1/V", ">Id/W uA/um", ">gm/gds", ">fT", ">Vgs", ">Vdsat", ">Cgg/W fF/um"),
        [
            (
                f"{b.gm_id:g}", f"{b.id_per_w:.4g}", f"{b.gm_gds:.4g}", format_si(b.ft, "Hz"),
                format_si(b.vgs, "V", 3), format_si(b.vdsat, "V", 3), f"{b.cgg_per_w * 1e9:.3g}",
            )
            for b in found
        ],
    )  # fmt: skip


def _reached(
    table: GmIdTable,
    wanted: tuple[float, ...],
    l: float,  # noqa: E741
    vds: float | None,
    vsb: float,
) -> list[Bias]:
    """At those of the wanted gm/Id that there are."""
    least, best = table.reach(l, vds, vsb)
    return table.over([g for g in wanted if least <= g <= best], l, vds, vsb)


def _write(table: GmIdTable, path: Path, vds: float | None, vsb: float) -> None:
    kind = path.suffix.lower()
    if kind == ".npz":
        table.save(path)
    elif kind == ".csv":
        from acs_gym.gmid import Bias

        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [f.name for f in fields(Bias)])
            writer.writeheader()
            for l in table.l.flat:  # noqa: E741
                writer.writerows(map(asdict, _reached(table, _STEPS, float(l), vds, vsb)))
    else:
        from acs_gym.gmid.drawing import draw_table

        draw_table(table, vds, vsb).savefig(path)
