"""What is happening, while it happens: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from leaderboard.running.plan import Durations, PlannedCell

# In a file: at most one line a finished cell and second, and a sign of life where none finishes.
_BETWEEN_LINES_S, _SIGN_OF_LIFE_S = 1.0, 60.0
# Below this share of its budget a cell's own pace says little: methods start with cheap designs.
_SHARE_TO_GO_BY = 0.1


@dataclass(slots=True)
class RunningCell:
    """A cell while it runs. Its pace is measured from the last design that an earlier attempt had.

    Attributes:
        simulations, best: spent so far, and the best score of a design at every condition.
        since, known: when the first design of this attempt began, and how many were spent then.
    """

    cell: PlannedCell
    since: float
    known: int = 0
    simulations: int = 0
    best: float = 0.0

    @property
    def share(self) -> float:
        """The share of the budget that is spent."""
        return min(self.simulations / self.cell.simulations, 1.0)

    def whole(self, now: float) -> float | None:
        """Seconds the whole cell takes at its own pace; None while there is too little to go by."""
        fresh = self.simulations - self.known
        if fresh < max(2 * self.cell.cost, _SHARE_TO_GO_BY * self.cell.simulations):
            return None
        return (now - self.since) / fresh * self.cell.simulations


def time_left(
    waiting: Sequence[PlannedCell],
    running: Collection[RunningCell],
    durations: Durations,
    jobs: int,
    now: float,
) -> tuple[float, bool]:
    """(seconds until all cells that can be judged are done, `jobs` at a time; whether those are all).

    By finished cells of the same agent on the same task; else by the pace of one that runs; else by
    the same agent on other tasks.
    """
    paces: dict[tuple[str, str], float] = {}
    for cell in running:
        if (pace := cell.whole(now)) is not None:
            paces[cell.cell.spec.agent, cell.cell.spec.task] = pace
    shares = [(c.cell.spec, 1 - c.share) for c in running] + [(c.spec, 1.0) for c in waiting]
    left = []
    for spec, share in shares:
        whole = durations.same(spec)
        if whole is None:
            whole = paces.get((spec.agent, spec.task), durations.same_agent(spec))
        if whole is not None:
            left.append(whole * share)
    return max(sum(left) / jobs, *left, 0.0), len(left) == len(shares)


def left_text(seconds: float, every: bool) -> str:
    """`12 min left`, `more than 12 min left` while some cannot be judged, `? left` while none can."""
    if every:
        return f"{duration_text(seconds)} left"
    return f"more than {duration_text(seconds)} left" if seconds else "? left"


def duration_text(seconds: float | None) -> str:
    """`?`, `8 s`, `12 min`, `3 h 05 min`."""
    if seconds is None:
        return "?"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


class CellProgress:
    """Hears the runner and shows the run. Everything goes to one console (standard error).

    Args:
        cells: to run, in order.
        jobs: how many run at once; None where the backend decides.
        durations: of cells finished before; those finished now are added.
        recorded: key -> simulations that an interrupted attempt of a cell has on disk.
    """

    def __init__(
        self,
        console: Console,
        cells: Sequence[PlannedCell],
        jobs: int | None,
        durations: Durations,
        recorded: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._total, self._jobs = console, len(cells), jobs
        self._durations, self._recorded, self._clock = durations, recorded, clock
        self._waiting = {c.key: c for c in cells}
        self._running: dict[str, RunningCell] = {}
        self._begun: dict[str, float] = {}
        self._done = 0
        self._start = self._last_line = clock()
        self._said = False
        self._bar = Progress(
            TextColumn("[bold]cells"), BarColumn(bar_width=None), MofNCompleteColumn(),
            TextColumn("·"), TimeElapsedColumn(), TextColumn("{task.fields[left]}", style="cyan"),
            console=console, expand=True,
        )  # fmt: skip
        self._task = self._bar.add_task("cells", total=self._total, left="? left")
        self._live = Live(console=console, transient=True, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, cell: PlannedCell) -> None:
        self._waiting.pop(cell.key, None)
        self._begun[cell.key] = self._clock()
        known = self._recorded.get(cell.key, 0)
        self._running[cell.key] = RunningCell(cell, self._clock(), known)

    def advanced(self, cell: PlannedCell, simulations: int, best: float) -> None:
        """`simulations` are spent, those of an earlier attempt included."""
        now = self._running[cell.key]
        now.simulations, now.best = simulations, best
        if simulations <= now.known:
            now.since = self._clock()

    def finished(self, cell: PlannedCell) -> None:
        ran = self._running.pop(cell.key, None) or RunningCell(cell, self._clock())
        # Of a cell that was continued, this run saw only a part.
        if ran.known == 0 and cell.key in self._begun:
            self._durations.add(cell.spec, self._clock() - self._begun[cell.key])
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        self._line(
            f"[{self._done}/{self._total}] {cell.spec.label}: "
            f"best {ran.best:.4f} after {ran.simulations} simulations",
            last=self._done == self._total,
        )

    def note(self, text: str) -> None:
        self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        if self._console.is_terminal:
            self._bar.update(self._task, left=left_text(*self._left()))
            self._live.update(Group(self._bar, self._running_table()))
        elif self._running and self._clock() - self._last_line >= _SIGN_OF_LIFE_S:
            parts = ", ".join(
                f"{r.cell.spec.label} {r.simulations}/{r.cell.simulations} best {r.best:.3f}"
                for r in self._running.values()
            )
            self._line(f"[{self._done}/{self._total}] running: {parts}", last=True)

    def _line(self, text: str, *, last: bool) -> None:
        """A line of a log, unless one was written a moment ago; the last is always written."""
        now = self._clock()
        if self._console.is_terminal or (
            self._said and not last and now - self._last_line < _BETWEEN_LINES_S
        ):
            return
        self._said, self._last_line = True, now
        left = "" if self._done == self._total else f", {left_text(*self._left())}"
        text = f"{text} ({duration_text(now - self._start)}{left})"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _left(self) -> tuple[float, bool]:
        jobs = self._jobs or max(1, len(self._running))
        waiting, running = list(self._waiting.values()), self._running.values()
        return time_left(waiting, running, self._durations, jobs, self._clock())

    def _running_table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for running in self._running.values():
            spec = running.cell.spec
            table.add_row(
                Text("  ▸", style="cyan"), Text(spec.task), Text(spec.agent, style="bold"),
                Text(f"seed {spec.repetition}", style="dim"),
                Text(f"{running.simulations}/{running.cell.simulations}", style="dim"),
                Text(f"best {running.best:.3f}"),
            )  # fmt: skip
        return table
