"""A leaderboard for a terminal and for a program: the rich table and the JSON of `--json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from acs_gym.pdks import PdkError, get_pdk
from leaderboard.board.figures_table import ROW_FIGURES, bounds, figures, figures_json, row_figures
from leaderboard.board.standings import Conditions, Row, Standings
from leaderboard.printable import printable
from leaderboard.trust.perturbations import PUBLIC, targets_of


def ranking_table(board: Standings) -> Table:
    """The ranked table, as `leaderboard.run` ends with."""
    conditions = board.conditions
    title = (
        f"{pdk_label(conditions.pdk)} · {conditions.tier} · "
        f"budget {conditions.budget} simulations · {len(board.tasks)} "
        f"{'task' if len(board.tasks) == 1 else 'tasks'} · {targets_label(conditions)}"
    )
    table = Table(
        title=title, title_style="bold", title_justify="left", header_style="bold",
        box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("agent", style="bold", overflow="fold", min_width=10)
    columns, beside = figures("terminal"), row_figures("terminal", board)
    for heading in [f.short for f in columns] + [f.short for f in beside]:
        table.add_column(heading, justify="right", no_wrap=True)
    if noted := any(notes(row) for row in board.rows):
        table.add_column("notes", min_width=13)
    for row in board.rows:
        table.add_row(
            rank_text(row),
            Text(printable(row.agent)),
            *(figure.text(row.overall, conditions.budget) for figure in columns),
            *(figure.text(row) for figure in beside),
            *([Text(notes(row))] if noted else []),
        )
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


def targets_label(conditions: Conditions) -> str:
    """Which targets were asked for, for a person: fixed ones, or of which salt."""
    if not conditions.held_out:
        return "open track"
    salt = conditions.targets.partition(":")[2][:8]
    return f"held-out ({'public salt' if conditions.targets == targets_of(PUBLIC) else f'salt {salt}'})"


def rank_text(row: Row) -> str:
    return f"{row.rank}{'' if row.ranked else '~'}"


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
        "targets": conditions.targets,
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
                "missing_cells": row.missing,
                "unwitnessed_cells": row.unwitnessed,
                **figures_json(row.overall),
                "tasks": {task: figures_json(own) for task, own in row.tasks.items()},
                **{figure.json: figure.value(row) for figure in ROW_FIGURES},
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
        "pairs": [asdict(pair) | {"interval": bounds(pair.interval)} for pair in board.pairs],
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
