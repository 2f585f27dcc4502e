"""What is happening, while it happens: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)  # fmt: skip
from rich.table import Table
from rich.text import Text

from leaderboard.plan import PlannedCell


class CellProgress:
    """Hears the runner and shows the run. Everything goes to one console (standard error).

    Args:
        total: cells to run.
        budget: simulations a cell may spend, for the small print.
    """

    def __init__(self, console: Console, total: int, budget: int) -> None:
        self._console, self._total, self._budget = console, total, budget
        self._running: dict[str, tuple[PlannedCell, int, float]] = {}
        self._done = 0
        self._start = time.monotonic()
        self._bar = Progress(
            TextColumn("[bold]cells"), BarColumn(bar_width=None), MofNCompleteColumn(),
            TextColumn("·"), TimeElapsedColumn(), _Remaining(), console=console, expand=True,
        )  # fmt: skip
        self._task = self._bar.add_task("cells", total=total, spent=0.0)
        self._live = Live(console=console, transient=True, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def started(self, cell: PlannedCell) -> None:
        self._running[cell.key] = (cell, 0, 0.0)

    def advanced(self, cell: PlannedCell, simulations: int, best: float) -> None:
        self._running[cell.key] = (cell, simulations, best)

    def finished(self, cell: PlannedCell) -> None:
        _, simulations, best = self._running.pop(cell.key, (cell, 0, 0.0))
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        if not self._console.is_terminal:
            self._console.print(
                f"[{self._done}/{self._total}] {cell.spec.label}: "
                f"best {best:.4f} after {simulations} simulations ({self._elapsed():.0f} s)",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip

    def note(self, text: str) -> None:
        self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        if self._console.is_terminal:
            part = sum(min(n / self._budget, 1.0) for _, n, _ in self._running.values())
            self._bar.update(self._task, spent=self._done + part)
            self._live.update(Group(self._bar, self._running_table()))

    def _running_table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for cell, simulations, best in self._running.values():
            spec = cell.spec
            table.add_row(
                Text("  ▸", style="cyan"), Text(spec.task), Text(spec.agent, style="bold"),
                Text(f"seed {spec.repetition}", style="dim"),
                Text(f"{simulations}/{self._budget}", style="dim"), Text(f"best {best:.3f}"),
            )  # fmt: skip
        return table

    def _elapsed(self) -> float:
        return time.monotonic() - self._start


class _Remaining(ProgressColumn):
    """Time left, from the simulations done and not only from whole cells."""

    def render(self, task: Task) -> Text:
        spent = float(task.fields["spent"])
        if spent <= 0 or task.elapsed is None or task.total is None:
            return Text("-:-- left", style="cyan")
        left = round(task.elapsed / spent * max(task.total - spent, 0.0))
        return Text(f"{left // 60}:{left % 60:02d} left", style="cyan")
