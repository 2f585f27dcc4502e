"""The cells as CSV or JSON lines, and the ranking as Markdown.

A table has one row a cell, of the cells that the report shows: comparable ones, and the newest where
a cell was run more than once. Its columns are the fields of `CellRow`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from leaderboard.board import statistics as st
from leaderboard.board.cell_figures import curve, first_met
from leaderboard.board.chosen import (
    Chosen,
)
from leaderboard.board.figures_table import Figure, RowFigure, figures, row_figures
from leaderboard.board.standings import Standings, newest
from leaderboard.cells.fingerprint import recorded_level
from leaderboard.cells.store import StoredCell
from leaderboard.printable import printable
from leaderboard.reporting.summary import notes, pdk_label, rank_text, targets_label
from leaderboard.trust.ranked import Evidence

EXIT_USAGE = 2

# What a spreadsheet takes a text for a formula by.
_FORMULA = ("=", "+", "-", "@")


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    MARKDOWN = "markdown"


@dataclass(frozen=True, slots=True)
class CellRow:
    """One cell. Times in seconds, all other values in SI units; None (empty in CSV) is unknown.

    Attributes:
        key: of the cell; the name of its folder.
        task, pdk, tier, agent, repetition, budget, suite_seed, targets: the cell's spec.
        track, status, message: as in its result.
        score: of the winning design, simulated again; 0 when there is none.
        feasible: whether that design meets every spec.
        robust_score: mean score at perturbed conditions, where `leaderboard.verify --robust` ran.
        robust_label: `public` or `hidden`, which salt that score is of; salt_hash: its sha256.
        simulations: charged; calls: designs handed in; duplicates, failed: of these calls.
        simulations_to_spec: charged until the specs were first met; None when they never were.
        area_under_curve: mean best-so-far score over the budget.
        tokens, money: what the agent says that it spent on a model (US dollars).
        total_seconds, simulator_seconds: wall-clock; finished: when, UTC, ISO 8601.
        peak_memory_mib: what its process held at most.
        simulator, git_commit, isolation: what it ran on, and what kept the agent apart; origin: the
            distribution that registered the agent.
        task_digest: sha256 of what decides the result.
        verified: `run` where the harness here has run it, `verify` where it was verified here, else why
            neither; checks: what was done beyond reading it.
        design: the winning design, SI units; metrics: its verified metrics, SI units. Neither is given
            where targets are held out.
    """

    key: str
    task: str
    pdk: str
    tier: str
    agent: str
    repetition: int
    budget: int
    suite_seed: int
    targets: str
    track: str
    status: str
    message: str
    score: float
    feasible: bool
    robust_score: float | None
    robust_label: str | None
    salt_hash: str | None
    simulations: int
    calls: int
    duplicates: int
    failed: int
    simulations_to_spec: int | None
    area_under_curve: float
    tokens: int
    money: float
    total_seconds: float
    simulator_seconds: float
    finished: str
    peak_memory_mib: float | None
    simulator: str | None
    git_commit: str | None
    isolation: str | None
    origin: str | None
    task_digest: str
    verified: str
    checks: tuple[str, ...]
    design: dict[str, float | None] | None
    metrics: dict[str, float | None] | None


COLUMNS = tuple(f.name for f in fields(CellRow))


def rows(chosen: Chosen) -> list[CellRow]:
    """A row of every cell that counts, by task, agent and repetition."""
    cells, _ = newest(chosen.cells, chosen.evidence)
    return [_row(cell, chosen.evidence[cell.result.key]) for cell in cells]


def to_csv(table: Sequence[CellRow]) -> str:
    """With a header; `design` and `metrics` are JSON objects, truth values true and false."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table:
        writer.writerow([_csv_value(value) for value in asdict(row).values()])
    return text.getvalue()


def to_jsonl(table: Sequence[CellRow]) -> str:
    """One JSON object a line, with the same names as the columns of the CSV."""
    return "".join(json.dumps(asdict(r), ensure_ascii=False, allow_nan=False) + "\n" for r in table)


def to_markdown(board: Standings) -> str:
    """The ranking, as a table for a README or a paper."""
    c = board.conditions
    tasks = "1 task" if len(board.tasks) == 1 else f"{len(board.tasks)} tasks"
    columns, beside = figures("markdown"), row_figures("markdown", board)
    shown: list[Figure | RowFigure] = [*columns, *beside]
    head = ["#", "agent", *(f.short for f in shown), "notes"]
    lines = [
        f"**{pdk_label(c.pdk)}, tier {c.tier}, budget {c.budget} simulations, {tasks}, "
        f"{targets_label(c)}**",
        "",
        f"| {' | '.join(head)} |",
        "|--:|---|" + "--:|" * (len(columns) + len(beside)) + "---|",
    ]
    for row in board.rows:
        cells = (
            rank_text(row), row.agent, *(f.text(row.overall, c.budget) for f in columns),
            *(f.text(row) for f in beside), notes(row),
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(_markdown, cells))} |")
    lines.append("")
    lines += [f"{f.short}: {f.meaning}  " for f in shown if f.meaning]
    if any(not r.ranked for r in board.rows):
        lines.append("~ shown, not ranked; the notes say why.")
    return "\n".join(lines) + "\n"


def _row(cell: StoredCell, known: Evidence) -> CellRow:
    result, usage, prints = cell.result, cell.result.usage, cell.result.fingerprint
    robust, hidden = known.robust, result.spec.held_out
    return CellRow(
        key=result.key,
        **result.spec.model_dump(),
        track=result.track,
        status=str(result.status),
        message=result.message,
        score=result.score,
        feasible=result.feasible,
        robust_score=None if robust is None else robust.robust_score,
        robust_label=None if robust is None else robust.label,
        salt_hash=None if robust is None else robust.salt_hash,
        simulations=usage.simulations,
        calls=usage.calls,
        duplicates=usage.duplicates,
        failed=sum(usage.failed.values()),
        simulations_to_spec=first_met(cell),
        area_under_curve=float(st.area_under(curve(cell))),
        tokens=usage.tokens,
        money=usage.money,
        total_seconds=result.timing.total_seconds,
        simulator_seconds=result.timing.simulator_seconds,
        finished=result.timing.finished,
        peak_memory_mib=result.timing.peak_memory_mib,
        simulator=_text(prints.get("simulator")),
        git_commit=_text(prints.get("git_commit")),
        isolation=recorded_level(prints),
        origin=_text(prints.get("origin")),
        task_digest=result.task.digest,
        verified=known.verified if isinstance(known.verified, str) else known.verified.by,
        checks=() if isinstance(known.verified, str) else known.verified.checks,
        design=None if result.verified is None or hidden else result.verified.design,
        metrics=None if result.verified is None or hidden else result.verified.metrics,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _csv_value(value: Any) -> Any:
    """A cell that is one line, and no formula to a spreadsheet."""
    if isinstance(value, bool | dict | tuple):
        return json.dumps(value)
    if not isinstance(value, str):
        return value
    flat = printable(" ".join(value.split()))
    return f"'{flat}" if flat.startswith(_FORMULA) else flat


def _markdown(text: str) -> str:
    """One cell of a table: nothing in a name may end the cell or start markup."""
    flat = " ".join(text.split())
    return "".join(f"\\{c}" if c in r"\`*_[]<>|#&" else c for c in flat)
