"""The charts of a leaderboard as plain data, which the page's script or matplotlib draws.

Colours are named by number only: the page holds a palette for light and one for dark, and agents are
told apart by dash as well, so a curve is never known by its colour alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from leaderboard.board.standings import Figures, Row, Standings
from leaderboard.cells.waveforms import AxesRecord, WaveformsRecord

COLOURS = 8
# Lengths of stroke and gap, in pixels; five dashes and eight colours tell forty agents apart.
DASHES = ("", "9 4", "2 3", "9 4 2 4", "16 5")
# Intervals of more agents than this lie over each other and hide the curves.
MOST_BANDS = 6
_DIGITS = 4

Numbers = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One curve; `x` None counts 1, 2, 3, …

    Attributes:
        agent: index of its row in the standings, None when it is no agent's.
        colour, dash: index of either.
        low, high: its interval; None without one.
    """

    name: str
    agent: int | None
    colour: int
    dash: int
    x: Numbers | None
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A straight line at a value of one axis; `spec` when it is the target of a spec."""

    axis: str
    at: float
    spec: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """One pair of axes.

    Attributes:
        id: unique in the page.
        label: what it shows, in a sentence, for a reader who cannot see it.
        step: values hold until the next one.
        x_unit, y_unit: SI unit, shown with a prefix; empty for plain numbers.
        y_range: of the y axis; None to fit the curves.
        small: one of several side by side.
    """

    id: str
    label: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    step: bool = True
    x_unit: str = ""
    y_unit: str = ""
    x_log: bool = False
    y_log: bool = False
    y_range: tuple[float, float] | None = None
    marks: tuple[Mark, ...] = ()
    small: bool = False


def colour(index: int) -> int:
    return index % COLOURS


def dash(index: int) -> int:
    """Changes with every row, and differently each time the colours come round."""
    return (index + index // COLOURS) % len(DASHES)


def best_so_far(board: Standings, task: str | None) -> Chart:
    """Best score after each simulation, on one task or (None) over all of them."""

    def series(index: int, row: Row) -> Series | None:
        figures = _figures(row, task)
        if figures is None:
            return None
        middle, low, high = (_numbers(v) for v in figures.curve)
        return _series(index, row, None, middle, low, high)

    return Chart(
        id="curve" if task is None else f"curve-{list(board.tasks).index(task)}",
        label=f"Best score so far against simulations spent, {_on(task)}; one curve an agent",
        x_title="simulations spent",
        y_title="best score so far",
        series=_all(board, series),
    )


def ecdf(board: Standings) -> Chart:
    """Share of (task, target) pairs reached."""
    return Chart(
        id="ecdf",
        label="Share of score targets reached against simulations spent; one curve an agent",
        x_title="simulations spent",
        y_title="share of targets reached",
        series=_all(
            board,
            lambda i, row: (
                _series(i, row, None, _numbers(board.ecdf[row.agent]))
                if row.agent in board.ecdf
                else None
            ),
        ),
        y_range=(0.0, 1.0),
    )


def solved(board: Standings) -> Chart:
    """Kaplan-Meier share of cells that have met every spec."""
    return Chart(
        id="solved",
        label="Share of runs that have met every spec against simulations spent; one curve an agent",
        x_title="simulations spent",
        y_title="share of runs solved",
        series=_all(board, lambda i, row: _series(i, row, None, _numbers(row.overall.solved))),
        y_range=(0.0, 1.0),
    )


def profile(board: Standings) -> Chart:
    """Share of runs with at least a score."""
    # Below the lowest score of all every curve is 1, which is no use of the paper.
    full = [(shares[0] >= 1.0).sum() for shares in board.profile.shares.values()]
    first = max(0, min(full, default=0) - 1)
    thresholds = _numbers(board.profile.thresholds[first:])

    def series(index: int, row: Row) -> Series | None:
        shares = board.profile.shares.get(row.agent)
        if shares is None:
            return None
        middle, low, high = (_numbers(v[first:]) for v in shares)
        return _series(index, row, thresholds, middle, low, high)

    return Chart(
        id="profile",
        label="Share of runs with at least a score, against that score; one curve an agent",
        x_title="verified score",
        y_title="share of runs with at least this score",
        series=_all(board, series),
        step=False,
        y_range=(0.0, 1.0),
    )


def waveform_charts(task: int, record: WaveformsRecord) -> list[list[Chart]]:
    """One list a panel: its charts from top to bottom."""
    return [
        [_waveform(f"wave-{task}-{p}-{a}", panel.title, axes) for a, axes in enumerate(panel.axes)]
        for p, panel in enumerate(record.panels)
    ]


def to_json(charts: Iterable[Chart]) -> dict[str, Any]:
    """By id, for the page's script: what is empty or false is left out."""
    return {c.id: _sparse(asdict(c)) for c in charts}


def script_json(data: Any) -> str:
    """JSON that may stand inside a <script> element, whatever strings are in it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _waveform(name: str, title: str, axes: AxesRecord) -> Chart:
    y_title = axes.y_label or (axes.curves[0].label if len(axes.curves) == 1 else "")
    return Chart(
        id=name,
        label=f"{title}: {y_title or ', '.join(c.label for c in axes.curves)} over {axes.x_label}",
        x_title=axes.x_label,
        y_title=y_title,
        series=tuple(
            Series(c.label, None, colour(k), dash(k), c.x, c.y) for k, c in enumerate(axes.curves)
        ),
        step=False,
        x_unit=axes.x_unit,
        y_unit=axes.y_unit,
        x_log=axes.x_log,
        y_log=axes.y_log,
        y_range=axes.y_range,
        marks=tuple(Mark(n.axis, n.at, n.spec) for n in axes.lines),
        small=True,
    )


def _all(board: Standings, series: Callable[[int, Row], Series | None]) -> tuple[Series, ...]:
    return tuple(s for s in (series(i, row) for i, row in enumerate(board.rows)) if s is not None)


def _series(
    index: int,
    row: Row,
    x: Numbers | None,
    y: Numbers,
    low: Numbers | None = None,
    high: Numbers | None = None,
) -> Series:
    known = low is not None and high is not None and None not in (*low, *high)
    return Series(
        name=row.agent, agent=index, colour=colour(index), dash=dash(index), x=x, y=y,
        low=low if known else None, high=high if known else None,
    )  # fmt: skip


def _figures(row: Row, task: str | None) -> Figures | None:
    return row.overall if task is None else row.tasks.get(task)


def _on(task: str | None) -> str:
    return "over all tasks" if task is None else f"on {task}"


def _numbers(values: NDArray[Any]) -> Numbers:
    return tuple(round(float(v), _DIGITS) if math.isfinite(v) else None for v in values)


def _sparse(data: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in data.items() if v not in (None, "", False, ())}
    kept["series"] = [{k: v for k, v in s.items() if v is not None} for s in data["series"]]
    return kept
