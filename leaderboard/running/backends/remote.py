"""Cells on another machine, in a store on a file system that all machines share.

A machine that is given up for lost may still be running; the lock on a cell's trace keeps a second
attempt out until the first has ended, and the second goes on with what the first recorded
(`leaderboard.cells.store`). Progress is read from the same traces: nothing but files has to travel.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acs_gym.registry import register_circuit, registered_by_hand
from leaderboard.cells.store import TRACE, Store, TraceTail
from leaderboard.files import OURS
from leaderboard.running.backends import Observer
from leaderboard.running.backends.local import LocalBackend
from leaderboard.running.plan import PlannedCell

POLL_S = 0.5
_RUN = f"{OURS}run-"


@dataclass(frozen=True, slots=True)
class Errand:
    """Cells to run elsewhere, and what a process there has to know of the one that asks.

    Args:
        out: the store, and `run` the folder of this run below it; both are seen by all machines.
        circuits: task id -> folder of the circuits that only the asking process knows.
        directory: its working directory, and `path` its import path.
    """

    cells: tuple[PlannedCell, ...]
    out: Path
    run: Path
    circuits: Mapping[str, Path]
    directory: Path
    path: tuple[str, ...]

    @classmethod
    def of(cls, cells: Sequence[PlannedCell], store: Store, run: Path) -> Errand:
        tasks = {c.spec.task for c in cells}
        circuits = {t: f for t, f in registered_by_hand().items() if t in tasks}
        return cls(tuple(cells), store.folder, run, circuits, Path.cwd(), tuple(sys.path))


@dataclass(frozen=True, slots=True)
class ErrandReport:
    """What the machine that ran an errand has to say of it."""

    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@contextlib.contextmanager
def run_folder(store: Store) -> Iterator[Path]:
    """A folder for what the machines of one run tell each other; gone afterwards.

    Those of runs that were killed go too, so that what they left in a queue finds nothing to do.
    """
    for stale in store.folder.glob(f"{_RUN}*"):
        shutil.rmtree(stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_RUN, dir=store.folder))
    try:
        yield folder
    finally:
        # A lost machine that is still running may be writing there; it then finds its folder gone.
        shutil.rmtree(folder, ignore_errors=True)


def carry_out(errand: Errand, jobs: int = 1) -> ErrandReport:
    """Run an errand's cells in `jobs` processes of this machine; those that are done are left.

    Raises OSError where the shared folders are not seen, CircuitError for a circuit that is not.
    """
    os.chdir(errand.directory)
    sys.path.extend(p for p in errand.path if p not in sys.path)
    for folder in errand.circuits.values():
        register_circuit(folder)
    os.stat(errand.run)
    store, marker = Store(errand.out), _Marker(errand.run)
    backend = LocalBackend(store, jobs, marker)
    backend.run([c for c in errand.cells if not store.is_done(c.key)])
    return ErrandReport(tuple(marker.notes), tuple(backend.failures))


class _Marker:
    """Hears the processes of this machine, and keeps a file in the run's folder for each cell."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self.notes: list[str] = []

    def started(self, cell: PlannedCell) -> None:
        with contextlib.suppress(OSError):  # The run is gone, and nobody reads it.
            (self._run / cell.key).touch()

    def advanced(self, cell: PlannedCell, simulations: int, best: float) -> None: ...

    def finished(self, cell: PlannedCell) -> None:
        with contextlib.suppress(OSError):
            (self._run / cell.key).unlink()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def tick(self) -> None: ...


@dataclass(slots=True)
class _Reading:
    """How far a trace has been read."""

    tail: TraceTail
    simulations: int = 0
    best: float = 0.0

    def read_on(self) -> bool:
        """Take up the lines that have come since; whether there were any."""
        lines = self.tail.new()
        if self.tail.restarted:
            self.simulations, self.best = 0, 0.0
        found = [line["evaluation"] for line in lines]
        self.simulations += sum(e["cost"] for e in found)
        self.best = max([self.best, *(e["score"] for e in found if not e.get("unknown"))])
        return bool(lines)


@dataclass(slots=True)
class Watch:
    """Tells an observer of cells that run elsewhere, from the files they write."""

    store: Store
    run: Path
    observer: Observer
    _running: dict[str, _Reading] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)

    def look(self, cells: Sequence[PlannedCell]) -> None:
        """Tell of what has changed with these cells since the last time."""
        marked = set(os.listdir(self.run))
        for cell in cells:
            if cell.key in marked:
                self._read_on(cell)
            elif cell.key in self._running and self.store.is_done(cell.key):
                self.settle(cell)
        self.observer.tick()

    def settle(self, cell: PlannedCell) -> None:
        """The cell is over, done or not. To be said of every cell; once is enough."""
        if cell.key in self._over:
            return
        self._read_on(cell)
        del self._running[cell.key]
        self._over.add(cell.key)
        self.observer.finished(cell)

    def _read_on(self, cell: PlannedCell) -> None:
        if cell.key in self._over:
            return
        if cell.key not in self._running:
            self._running[cell.key] = _Reading(TraceTail(self.store.cell(cell.key) / TRACE))
            self.observer.started(cell)
        reading = self._running[cell.key]
        if reading.read_on():
            self.observer.advanced(cell, reading.simulations, reading.best)


def missing(
    cells: Sequence[PlannedCell], store: Store, said: Sequence[str], otherwise: str
) -> list[str]:
    """A line for each cell without a result: what was said of it, or `otherwise`."""
    lines = []
    for cell in cells:
        if not store.is_done(cell.key):
            own = [line for line in said if line.startswith(f"{cell.spec.label}: ")]
            lines.append(own[0] if own else f"{cell.spec.label}: {otherwise}")
    return lines
