"""Charts as inline SVG, for a page without scripts.

Colours in the SVG are variables of the page's style sheet, so that one drawing serves light and dark.
The same chart gives the same bytes.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from leaderboard.reporting.figures import COLOURS, DASHES, MOST_BANDS, Chart, Numbers, Series

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Stand-ins that become variables; no other part of a drawing has these colours.
_STAND_IN = {f"#00c0c{k}": f"var(--c{k})" for k in range(COLOURS)} | {
    "#00d0d0": "var(--ink)",
    "#00d0d1": "var(--soft)",
    "#00d0d2": "var(--line)",
}
_INK, _SOFT, _LINE = list(_STAND_IN)[COLOURS:]
_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _SOFT,
    "path.simplify": True,
}
_LARGE, _SMALL = (9.0, 3.4), (4.6, 2.6)


def svg(chart: Chart) -> str:
    """One `<svg>` element, named for a screen reader by the element around it."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": chart.id}):
        figure = Figure(figsize=_SMALL if chart.small else _LARGE, layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        _draw(axes, chart)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(text.getvalue())


def _draw(axes: Axes, chart: Chart) -> None:
    banded = [s for s in chart.series if s.low is not None]
    if len(banded) <= MOST_BANDS:
        for series in banded:
            _band(axes, series, chart.step)
    for mark in chart.marks:
        line = axes.axvline if mark.axis == "x" else axes.axhline
        line(mark.at, color=_SOFT, lw=1.2 if mark.spec else 0.7, ls="--" if mark.spec else "-")
    where = "steps-post" if chart.step else "default"
    for series in chart.series:
        axes.plot(
            _x(series), _y(series.y), color=f"#00c0c{series.colour}", lw=2.0, drawstyle=where,
            dashes=_dashes(series.dash), solid_capstyle="butt", dash_capstyle="butt",
        )  # fmt: skip
    axes.set_xlabel(chart.x_title)
    axes.set_ylabel(chart.y_title)
    axes.margins(x=0.0)
    if chart.x_log:
        axes.set_xscale("log")
    if chart.y_log:
        axes.set_yscale("log")
    for axis, log, unit in (
        (axes.xaxis, chart.x_log, chart.x_unit), (axes.yaxis, chart.y_log, chart.y_unit)
    ):  # fmt: skip
        if log:
            low, high = axis.get_view_interval()
            # Whole decades, unless there are so few that none may be in sight.
            subs = (1.0,) if high >= 100.0 * low else (1.0, 2.0, 5.0)
            axis.set_major_locator(LogLocator(subs=subs, numticks=6))
            axis.set_minor_locator(NullLocator())
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_locator(MaxNLocator(6))
        if unit:
            axis.set_major_formatter(EngFormatter(unit, sep=" "))
    if chart.y_range is not None:
        low, high = chart.y_range
        pad = 0.02 * (high - low) if not chart.small else 0.0
        axes.set_ylim(low - pad, high + pad)


def _band(axes: Axes, series: Series, step: bool) -> None:
    assert series.low is not None and series.high is not None
    axes.fill_between(
        _x(series), _y(series.low), _y(series.high), step="post" if step else None,
        color=f"#00c0c{series.colour}", alpha=0.14, lw=0,
    )  # fmt: skip


def _dashes(number: int) -> tuple[float, ...] | tuple[None, None]:
    lengths = DASHES[number].split()
    # Multiples of the line's width, which is 2.
    return tuple(float(v) / 2.0 for v in lengths) if lengths else (None, None)


def _x(series: Series) -> list[float]:
    return _y(tuple(range(1, len(series.y) + 1)) if series.x is None else series.x)


def _y(values: Numbers) -> list[float]:
    return [float("nan") if v is None else v for v in values]


def _inline(document: str) -> str:
    """The drawing without what belongs to a file of its own."""
    text = document[document.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    size = re.search(r'viewBox="[^"]*"', text)
    assert size is not None
    head = f'<svg {size[0]} aria-hidden="true" focusable="false">'
    text = head + text[text.index(">") + 1 :]
    # Names of groups repeat from drawing to drawing; only what is referred to keeps one.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' (?:d|x|y|transform)="[^"]*"', _shorter, text)
    for stand_in, variable in _STAND_IN.items():
        text = text.replace(stand_in, variable)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _shorter(attribute: re.Match[str]) -> str:
    """Coordinates to a hundredth of a point."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])
