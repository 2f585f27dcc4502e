"""What a run would do: which cells, how many simulations, about how long. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table

from leaderboard.cells.store import NewerResult, Store
from leaderboard.files import Corrupt
from leaderboard.running.plan import Durations, PlannedCell
from leaderboard.running.progress import duration_text

Basis = Literal["same agent and task", "other agents on the task", "unknown"]


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """The cells of one agent on one task.

    Attributes:
        done: seeds with a sound result.
        damaged: seeds whose result would be moved aside; they are among those to run.
        to_run: seeds that would run.
        simulations: at most this many would be simulated; without what interrupted attempts have.
        seconds: expected, one cell after the other; None when unknown, 0 with nothing to run.
        basis: of `seconds`.
    """

    task: str
    agent: str
    done: int
    damaged: int
    to_run: int
    simulations: int
    seconds: float | None
    basis: Basis


@dataclass(frozen=True, slots=True)
class Forecast:
    """Every line, and the sums. `seconds`: of the lines that are known, `jobs` cells at a time."""

    lines: tuple[ForecastLine, ...]
    jobs: int

    @property
    def simulations(self) -> int:
        return sum(line.simulations for line in self.lines)

    @property
    def seconds(self) -> float:
        return sum(line.seconds or 0.0 for line in self.lines) / self.jobs

    @property
    def unknown(self) -> int:
        """Cells whose duration is not known."""
        return sum(line.to_run for line in self.lines if line.seconds is None)

    @property
    def to_run(self) -> int:
        return sum(line.to_run for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        return {
            "cells": sum(line.done + line.to_run for line in self.lines),
            "done": sum(line.done for line in self.lines),
            "to_run": self.to_run,
            "simulations": self.simulations,
            "jobs": self.jobs,
            "seconds_of_known": round(self.seconds, 1),
            "cells_of_unknown_duration": self.unknown,
            "rows": [asdict(line) for line in self.lines],
        }


def durations_in(store: Store) -> Durations:
    """What the finished cells of a folder took, whatever run they are of."""
    durations = Durations()
    for key in store.finished():
        try:
            result = store.result(key)
        except (Corrupt, NewerResult):
            continue  # Said, and dealt with, where the cell is asked for.
        durations.add(result.spec, result.timing.total_seconds)
    return durations


def forecast(
    cells: Sequence[PlannedCell], store: Store, durations: Durations, jobs: int
) -> Forecast:
    """Raises NewerResult, as the run would."""
    by_pair: dict[tuple[str, str], list[PlannedCell]] = {}
    for cell in cells:
        by_pair.setdefault((cell.spec.task, cell.spec.agent), []).append(cell)
    lines = tuple(_line(group, store, durations) for group in by_pair.values())
    return Forecast(lines, max(1, min(jobs, sum(line.to_run for line in lines))))


def _line(cells: Sequence[PlannedCell], store: Store, durations: Durations) -> ForecastLine:
    done, damaged, todo = 0, 0, []
    for cell in cells:
        try:
            sound = store.load(cell.key) is not None
        except Corrupt:
            sound, damaged = False, damaged + 1
            todo.append((cell, 0))  # Its trace is moved aside too.
            continue
        if sound:
            done += 1
        else:
            todo.append((cell, store.recorded(cell.key)))
    spec = cells[0].spec
    left = [max(cell.simulations - had, 0) for cell, had in todo]
    one, basis = _whole_cell(cells[0], durations)
    share = sum(n / cells[0].simulations for n in left)
    return ForecastLine(
        task=spec.task,
        agent=spec.agent,
        done=done,
        damaged=damaged,
        to_run=len(todo),
        simulations=sum(left),
        seconds=0.0 if not todo else None if one is None else one * share,
        basis=basis,
    )


def _whole_cell(cell: PlannedCell, durations: Durations) -> tuple[float | None, Basis]:
    if (seconds := durations.same(cell.spec)) is not None:
        return seconds, "same agent and task"
    if (seconds := durations.same_task(cell.spec)) is not None:
        return seconds, "other agents on the task"
    return None, "unknown"


def forecast_table(found: Forecast) -> Table:
    table = Table(header_style="bold")
    table.add_column("task", no_wrap=True)
    table.add_column("agent", style="bold")
    for name in ("done", "to run", "simulations", "time"):
        table.add_column(name, justify="right")
    table.add_column("by")
    for line in found.lines:
        damaged = f" ({line.damaged} damaged)" if line.damaged else ""
        time = duration_text(line.seconds) if line.to_run else ""
        table.add_row(
            line.task, line.agent, str(line.done), f"{line.to_run}{damaged}", str(line.simulations),
            time, line.basis if line.to_run else "",
        )  # fmt: skip
    return table


def summary_text(found: Forecast) -> str:
    """The last line, e.g. `4 cells and 160 simulations to run, about 3 min with 2 jobs`."""
    text = f"{found.to_run} cells and at most {found.simulations} simulations to run"
    if not found.to_run:
        return "nothing to run: every cell is done"
    if found.unknown == found.to_run:
        return f"{text}; how long is not known before the first cells are done"
    text += f", about {duration_text(found.seconds)} with {found.jobs} at once"
    return text + (f", and {found.unknown} cells of unknown duration" if found.unknown else "")
