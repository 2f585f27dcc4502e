"""The figures of a row: what each is called, how it is read off, and what it means. Each is here once.

The terminal, Markdown, JSON and the page show what this table says, in its order. A figure that is to
appear is a line here, and a field where it is computed (`standings.Figures`, or `Row`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from leaderboard.board.standings import Figures, Row, Standings
from leaderboard.board.statistics import Interval

Place = Literal["terminal", "markdown", "ranking", "page", "task"]
_EVERYWHERE: tuple[Place, ...] = ("terminal", "markdown", "ranking", "page", "task")
_PAGE: tuple[Place, ...] = ("page",)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        json: its name in JSON; empty where it is a text of others.
        title: on the page; short: where there is less room.
        value: of a row's figures over all tasks, or over one; what JSON holds.
        text: for a person, given the budget.
        number: what a column is sorted by; None sorts last.
        meaning: a sentence for whoever reads the page; empty where the title says all.
        places: where it is a column; `ranking` is the page's first table, which has to fit a window,
            `page` the one of all figures, `task` those of single tasks.
        smaller_first: whether a first press on the column sorts from the smallest.
    """

    json: str
    title: str
    short: str
    value: Callable[[Figures], Any]
    text: Callable[[Figures, int], str]
    number: Callable[[Figures], float | None]
    meaning: str = ""
    places: tuple[Place, ...] = _EVERYWHERE
    smaller_first: bool = False


@dataclass(frozen=True, slots=True)
class RowFigure:
    """One figure that is of the whole row alone; shown where any row of the board has it."""

    json: str
    title: str
    short: str
    value: Callable[[Row], Any]
    text: Callable[[Row], str]
    meaning: str = ""
    places: tuple[Place, ...] = ("terminal", "markdown", "page")


FIGURES = (
    Figure("cells", "Cells", "", lambda f: f.cells, lambda f, _: str(f.cells), lambda f: f.cells,
           places=()),
    Figure(
        "score_iqm", "Score", "score",
        lambda f: f.score, lambda f, _: f"{f.score:.4f}", lambda f: f.score,
        "interquartile mean, over tasks and seeds, of the verified score: the weighted mean of how far "
        "each spec is satisfied, 1 when all are met. An agent that fails, or whose winner does not "
        "simulate alike a second time, stays in with 0.",
    ),
    Figure(
        "score_interval", "95 % (seeds)", "95 % interval",
        lambda f: bounds(f.interval), lambda f, _: interval_text(f.interval),
        lambda f: known(f.interval.low),
        "percentile bootstrap of the score, seeds resampled within each task; it says how sure the score "
        "is on these tasks.",
    ),
    Figure(
        "score_interval_over_tasks", "95 % (tasks, seeds)", "",
        lambda f: bounds(f.task_interval), lambda f, _: interval_text(f.task_interval),
        lambda f: known(f.task_interval.low),
        "the same with the tasks resampled too; it says how sure the score is for tasks like these.",
        _PAGE,
    ),
    Figure(
        "successes", "All specs met", "met",
        lambda f: f.successes, lambda f, _: f"{f.successes}/{f.cells}",
        lambda f: f.successes / f.cells,
        "runs whose verified design meets every spec.",
    ),
    Figure("met_at_once", "Met at once", "", lambda f: f.met_at_once,
           lambda f, _: str(f.met_at_once), lambda f: f.met_at_once, places=()),
    Figure(
        "success_interval", "95 % (Wilson)", "95 % interval",
        lambda f: bounds(f.success_interval), lambda f, _: percents(f.success_interval),
        lambda f: known(f.success_interval.low),
        "interval of the share of runs that meet all specs.",
        ("markdown", "page"),
    ),
    Figure(
        "median_simulations_to_spec", "Simulations to spec", "to spec",
        lambda f: f.simulations_to_spec, lambda f, budget: simulations_text(f, budget),
        lambda f: f.simulations_to_spec,
        "Kaplan–Meier median; larger than the budget when fewer than half of the runs met every spec.",
        smaller_first=True,
    ),
    Figure(
        "area_under_curve", "Area", "AUC",
        lambda f: f.area, lambda f, _: f"{f.area:.4f}", lambda f: f.area,
        "under the curve: mean of the best score so far over the budget; it rewards being good early.",
    ),
)  # fmt: skip

ROW_FIGURES = (
    RowFigure(
        "open_score", "Open track", "open",
        lambda r: r.open_score, lambda r: _optional(r.open_score),
        "score of the same agent with the fixed targets, which everybody knows; the rank is that of the "
        "held-out ones.",
        ("terminal", "markdown", "ranking", "page"),
    ),
    RowFigure(
        "robust_score", "Robust score", "",
        lambda r: r.robust_score,
        lambda r: _optional(r.robust_score) + (f" ({r.robust_label})" if r.robust_label else ""),
        "mean score of the winning designs at perturbed load, supply, temperature and corner; public "
        "perturbations are known to everybody, hidden ones to nobody who submits.",
        _PAGE,
    ),
    RowFigure("seeds", "Seeds", "seeds", lambda r: r.seeds, lambda r: str(r.seeds)),
)  # fmt: skip


def figures(place: Place) -> list[Figure]:
    """The columns of a table there."""
    return [f for f in FIGURES if place in f.places]


def row_figures(place: Place, board: Standings) -> list[RowFigure]:
    """The columns beside them, without those that no row has."""
    return [
        f
        for f in ROW_FIGURES
        if place in f.places and any(f.value(row) is not None for row in board.rows)
    ]


def explanations(board: Standings) -> Iterator[tuple[str, str]]:
    """(title, what it means) of every figure on the page."""
    shown: list[Figure | RowFigure] = [*figures("page"), *row_figures("page", board)]
    for figure in shown:
        if figure.meaning:
            yield figure.title, figure.meaning


def figures_json(of: Figures) -> dict[str, Any]:
    """Every figure by its name in JSON; None is unknown or never."""
    return {f.json: f.value(of) for f in FIGURES}


def interval_text(interval: Interval, digits: int = 3) -> str:
    if math.isnan(interval.low):
        return "-"
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def percents(interval: Interval) -> str:
    if math.isnan(interval.low):
        return "-"
    return f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %"


def simulations_text(figures: Figures, budget: int) -> str:
    """The median, or that it lies beyond the budget."""
    median = figures.simulations_to_spec
    return f"> {budget}" if median is None else f"{median:g}"


def bounds(interval: Interval) -> list[float] | None:
    """For JSON, which has no NaN."""
    return None if math.isnan(interval.low) else [interval.low, interval.high]


def known(value: float) -> float | None:
    """For sorting: NaN has no place."""
    return None if math.isnan(value) else value


def _optional(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
