"""What a person watches: every spec of the best design so far, how it got there, and the time left."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from acs_gym.specs import Spec
from acs_gym.task import Task
from acs_gym.units import format_si
from leaderboard.cells.store import TRACE, Store, TraceTail
from leaderboard.running.plan import PlannedCell
from leaderboard.running.progress import duration_text

_BARS = " ▁▂▃▄▅▆▇█"
_TREND = 16
_BETWEEN_LINES_S = 10.0
# Margins beyond it look alike: met or missed by far.
_FAR = 0.5


class SizingProgress:
    """Hears one cell, reads its trace, and shows the best design against the specs (standard error)."""

    def __init__(self, console: Console, task: Task, cell: PlannedCell, store: Store) -> None:
        self._console, self._task, self._cell = console, task, cell
        self._tail = TraceTail(store.cell(cell.key) / TRACE)
        self._best: dict[str, Any] | None = None
        self._history: list[dict[str, float]] = []
        self._spent, self._known = 0, 0
        self._start = self._last_line = time.monotonic()
        self._notes: list[str] = []
        self._live = Live(console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._read()
        self._known = self._spent
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, cell: PlannedCell) -> None: ...

    def advanced(self, cell: PlannedCell, simulations: int, best: float) -> None:
        self.tick()

    def finished(self, cell: PlannedCell) -> None: ...

    def note(self, text: str) -> None:
        self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        self._read()
        if self._console.is_terminal:
            self._live.update(Group(self._head(), self._specs(), self._foot()))
        elif time.monotonic() - self._last_line >= _BETWEEN_LINES_S:
            self._last_line = time.monotonic()
            self._console.print(self.line(), markup=False, highlight=False, soft_wrap=True)

    def line(self) -> str:
        """Where it stands, on one line."""
        return f"{self._spent} of {self._cell.spec.budget} simulations: {self._verdict()}"

    def _read(self) -> None:
        lines = self._tail.new()
        if self._tail.restarted:
            self._best, self._history, self._spent = None, [], 0
        for line in lines:
            evaluation = line["evaluation"]
            self._spent += evaluation["cost"]
            if evaluation.get("unknown") or evaluation["status"] not in ("ok", "measure_failed"):
                continue
            if self._best is None or evaluation["score"] > self._best["score"]:
                self._best = evaluation
                self._history.append(_numbers(evaluation["margins"]))

    def _head(self) -> Text:
        task, spec = self._task, self._cell.spec
        return Text.assemble(
            (task.title, "bold"), f" on {spec.pdk}, {spec.tier}, by ", (spec.agent, "bold"), "\n"
        )

    def _specs(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading, justify in (
            ("", "left"), ("spec", "left"), ("best so far", "right"), ("target", "right"),
            ("margin", "right"), ("", "left"), ("each time it got better", "left"),
        ):  # fmt: skip
            table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        margins = _numbers(self._best["margins"]) if self._best else {}
        for spec in self._task.specs:
            table.add_row(*self._row(spec, margins.get(spec.metric, math.nan)))
        return table

    def _row(self, spec: Spec, margin: float) -> tuple[Text | str, ...]:
        value = self._best["metrics"].get(spec.metric) if self._best else None
        met = margin >= 0
        colour = "green" if met else "red"
        return (
            Text("✓" if met else "✗", colour),
            spec.metric,
            format_si(value, spec.unit) if value is not None else "–",
            spec.text(),
            Text("–" if math.isnan(margin) else f"{margin:+.3f}", colour),
            _bar(margin, colour),
            Text(trend([h.get(spec.metric, math.nan) for h in self._history]), "dim"),
        )

    def _foot(self) -> Group:
        budget = self._cell.spec.budget
        share = self._spent / budget
        fresh = self._spent - self._known
        passed = time.monotonic() - self._start
        left = passed / fresh * (budget - self._spent) if fresh > 0 else None
        return Group(
            Text(""),
            ProgressBar(total=1.0, completed=min(share, 1.0), width=40),
            Text(
                f"{self._spent} of {budget} simulations, {duration_text(passed)}, at most "
                f"{duration_text(left)} left; {self._verdict()}. Ctrl-C keeps the best."
            ),
        )

    def _verdict(self) -> str:
        if self._best is None:
            return "nothing measured yet"
        margins = _numbers(self._best["margins"])
        met = sum(m >= 0 for m in margins.values())
        if met == len(margins):
            return "every spec met"
        worst = min(margins, key=lambda m: -math.inf if math.isnan(margins[m]) else margins[m])
        return f"{met} of {len(margins)} specs met, {worst} is furthest off"


def trend(values: list[float]) -> str:
    """Margins as a line of bars: a full one is met by far, an empty one missed by far."""
    shown = values[-_TREND:]
    if not shown:
        return ""
    return "".join(
        _BARS[0]
        if math.isnan(v)
        else _BARS[round((_clip(v) + _FAR) / (2 * _FAR) * (len(_BARS) - 1))]
        for v in shown
    )


def _bar(margin: float, colour: str) -> Text:
    """Ten characters about zero."""
    if math.isnan(margin):
        return Text("     │     ", "dim")
    length = round(abs(_clip(margin)) / _FAR * 5)
    left, right = (" " * 5, "█" * length) if margin >= 0 else ("█" * length, "")
    return Text.assemble((f"{left:>5}", colour), ("│", "dim"), (f"{right:<5}", colour))


def _clip(value: float) -> float:
    return min(max(value, -_FAR), _FAR)


def _numbers(margins: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if v is None else v for name, v in margins.items()}
