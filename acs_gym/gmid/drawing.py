"""The curves of a gm/Id table as a picture, and as rows of numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from acs_gym.gmid.table import Bias, GmIdTable
from acs_gym.units import format_si

_POINTS = 60
_PANELS = (
    ("id_per_w", "Id/W (A/m)", True),
    ("gm_gds", "gm/gds", True),
    ("ft", "fT (Hz)", True),
    ("vgs", "Vgs (V)", False),
)


def draw_table(table: GmIdTable, vds: float | None = None, vsb: float = 0.0) -> Figure:
    """Id/W, gm/gds, fT and Vgs over gm/Id, a line a length. Raises OutOfTable."""
    lengths = [*map(float, table.l[:, 0]), float(table.l[-1, -1])]
    figure = Figure(figsize=(11.0, 8.0), dpi=100, layout="constrained")
    figure.set_facecolor("white")
    panels = figure.subplots(2, 2)
    for l in lengths:  # noqa: E741
        curve = list(along(table, l, vds, vsb, _POINTS))
        x = [b.gm_id for b in curve]
        for axes, (name, _, _) in zip(panels.flat, _PANELS, strict=True):
            axes.plot(x, [getattr(b, name) for b in curve], label=f"L = {format_si(l, 'm', 3)}")
    for axes, (_, label, logarithmic) in zip(panels.flat, _PANELS, strict=True):
        axes.set_xlabel("gm/Id (1/V)")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if logarithmic:
            axes.set_yscale("log")
    panels.flat[0].legend(fontsize=8)
    drain = curve[0].vds
    figure.suptitle(
        f"{table.device} on {table.pdk}, {table.corner}, {table.temperature:g} °C: "
        f"W = {format_si(table.w, 'm')}, Vds = {drain:g} V, Vsb = {vsb:g} V"
    )
    return figure


def along(
    table: GmIdTable,
    l: float,  # noqa: E741
    vds: float | None,
    vsb: float,
    points: int,
) -> Iterator[Bias]:
    """A length from 2 1/V, or the least there is, to nearly the highest gm/Id."""
    least, best = table.reach(l, vds, vsb)
    yield from table.over(list(np.linspace(max(2.0, least), 0.98 * best, points)), l, vds, vsb)
