"""A leaderboard for a terminal and for a program: the rich table and the JSON of `--json`."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from acs_gym.pdks import PdkError, get_pdk
from leaderboard.board.standings import Figures, Row, Standings
from leaderboard.board.statistics import Interval
from leaderboard.printable import printable


def ranking_table(board: Standings) -> Table:
    """The ranked table, as `leaderboard.run` ends with."""
    conditions = board.conditions
    title = (
        f"{pdk_label(conditions.pdk)} · {conditions.tier} · "
        f"budget {conditions.budget} simulations · {len(board.tasks)} "
        f"{'task' if len(board.tasks) == 1 else 'tasks'}"
    )
    table = Table(
        title=title, title_style="bold", title_justify="left", header_style="bold",
        box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("agent", style="bold", overflow="fold", min_width=10)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("met", justify="right", no_wrap=True)
    table.add_column("to spec", justify="right", no_wrap=True)
    table.add_column("AUC", justify="right", no_wrap=True)
    table.add_column("seeds", justify="right", no_wrap=True)
    if noted := any(notes(row) for row in board.rows):
        table.add_column("notes", min_width=13)
    for row in board.rows:
        overall = row.overall
        table.add_row(
            rank_text(row), Text(printable(row.agent)), f"{overall.score:.4f}",
            interval_text(overall.interval),
            f"{overall.successes}/{overall.cells}", sims_text(overall, conditions.budget),
            f"{overall.area:.3f}", str(row.seeds), *([Text(notes(row))] if noted else []),
        )  # fmt: skip
    caption = (
        "score: interquartile mean over tasks and seeds · met: cells that meet every spec\n"
        "to spec: median simulations until then · AUC: area under best-so-far"
    )
    if any(not r.ranked for r in board.rows):
        caption += "\n~ shown, not ranked; the notes say why"
    table.caption, table.caption_justify = caption, "left"
    return table


def pdk_label(pdk: str) -> str:
    """The PDK for a person; the bundled one must never be taken for a real one."""
    try:
        return get_pdk(pdk).label
    except PdkError:
        return pdk  # A board read where the package of its PDK is not installed.


def rank_text(row: Row) -> str:
    return f"{row.rank}{'' if row.ranked else '~'}"


def interval_text(interval: Interval, digits: int = 3) -> str:
    if math.isnan(interval.low):
        return "-"
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def sims_text(figures: Figures, budget: int) -> str:
    """The median, or that it lies beyond the budget."""
    median = figures.simulations_to_spec
    return f"> {budget}" if median is None else f"{median:g}"


def notes(row: Row) -> str:
    """What a reader should know before believing the row."""
    statuses = [f"{n} {status.replace('_', ' ')}" for status, n in row.statuses.items()]
    overall = row.overall
    # Nobody sizes a circuit without looking at it once; whoever seems to has been given the answer.
    knew = [f"{overall.met_at_once} met at simulation 1"] * (
        2 * overall.met_at_once > overall.cells
    )
    return ", ".join([*statuses, *knew, *row.reasons])


def to_json(board: Standings) -> dict[str, Any]:
    """The leaderboard as JSON: the numbers of the table, without the curves; NaN becomes null."""
    conditions = board.conditions
    return {
        "schema_version": 1,
        "pdk": conditions.pdk,
        "tier": conditions.tier,
        "budget": conditions.budget,
        "suite_seed": conditions.suite_seed,
        "tasks": list(board.tasks),
        "agents": [
            {
                "rank": row.rank,
                "ranked": row.ranked,
                "reasons": list(row.reasons),
                "agent": row.agent,
                "track": row.track,
                "custom": row.custom,
                "isolation": list(row.isolation),
                "origin": row.origin,
                "seeds": row.seeds,
                "missing_cells": row.missing,
                **_figures(row.overall),
                "tasks": {task: _figures(figures) for task, figures in row.tasks.items()},
                "robust_score": row.robust_score,
                "robust_label": row.robust_label,
                "tokens_per_cell": row.tokens,
                "money_per_cell": row.money,
                "failed_share": row.failed,
                "duplicate_share": row.duplicates,
                "seconds_per_cell": row.seconds,
                "simulator_seconds_per_cell": row.simulator_seconds,
                "statuses": row.statuses,
            }
            for row in board.rows
        ],
        "pairs": [asdict(pair) | {"interval": _bounds(pair.interval)} for pair in board.pairs],
        "friedman": None if board.friedman is None else asdict(board.friedman),
        "best": {
            task: {
                "agent": best.agent,
                "repetition": best.repetition,
                **best.evaluation.model_dump(exclude={"by_condition"}),
            }
            for task, best in board.best.items()
        },
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "cells": figures.cells,
        "score_iqm": figures.score,
        "score_interval": _bounds(figures.interval),
        "score_interval_over_tasks": _bounds(figures.task_interval),
        "successes": figures.successes,
        "met_at_once": figures.met_at_once,
        "success_interval": _bounds(figures.success_interval),
        "median_simulations_to_spec": figures.simulations_to_spec,
        "area_under_curve": figures.area,
    }


def _bounds(interval: Interval) -> list[float] | None:
    return None if math.isnan(interval.low) else [interval.low, interval.high]
