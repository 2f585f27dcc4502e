"""This machine: a process of its own for each job slot and agent, and what happens when one dies.

A process runs the cells of one agent, on task after task: its libraries are loaded once, what it held
in memory is its own, and what one agent does to its process is done to no other's cells.

A cell process leads a process group of its own: a terminal's Ctrl-C reaches this process only,
which then ends the groups in order, so a result that is being written is written and nothing an
agent started outlives the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acs_gym.registry import registered_by_hand
from acs_gym.session import available_cores
from leaderboard.cells.environment import environment
from leaderboard.cells.runner import crashed_result
from leaderboard.cells.store import Store
from leaderboard.running.backends import Observer
from leaderboard.running.plan import PlannedCell

DEATHS_ALLOWED = 2
GRACE_S = 5.0


@dataclass(slots=True)
class _CellProcess:
    """One cell process as its parent sees it."""

    process: subprocess.Popen[bytes]
    events: int
    agent: str
    cell: PlannedCell | None = None
    pending: bytes = field(default=b"")
    closed: bool = False

    @classmethod
    def start(cls, out: Path, agent: str) -> _CellProcess:
        read, write = os.pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from leaderboard.running.cell_process import main; main({str(out)!r}, {write})"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(write,),
            env=environment(),
            start_new_session=True,
        )
        os.close(write)
        return cls(process, read, agent)

    def send(self, cell: PlannedCell) -> None:
        self.cell = cell
        # A circuit of the user's own is known to this process alone until it is told.
        folder = registered_by_hand().get(cell.spec.task)
        spec = cell.spec.model_dump()
        targets = None if cell.targets is None else dict(cell.targets)
        job = (
            json.dumps(
                {
                    "key": cell.key,
                    "spec": spec,
                    "targets": targets,
                    "folder": folder and str(folder),
                }
            )
            + "\n"
        )
        assert self.process.stdin is not None
        # One that died meanwhile shows as the end of its events; that is where it is dealt with.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(job.encode())
            self.process.stdin.flush()

    def receive(self) -> list[dict[str, object]] | None:
        """The events that have come in; None when there will be no more."""
        data = os.read(self.events, 1 << 16)
        if not data:
            return None
        *lines, self.pending = (self.pending + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """No more cells; the process gives up the one it has and ends."""
        self.closed = True
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def ended(self) -> bool:
        """Whether the process is over, without reaping it: its group id stays its own."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, options) is not None

    def kill(self) -> str:
        """End the whole group at once; how the process ended, for a person."""
        self.close()
        # Before wait(): as long as the leader is not reaped, its group id cannot be somebody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        os.close(self.events)
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class LocalBackend:
    """Runs cells in `jobs` processes of this machine, one a core when that is None."""

    def __init__(self, store: Store, jobs: int | None, observer: Observer) -> None:
        self._store, self._observer = store, observer
        self._jobs = available_cores() if jobs is None else jobs
        self._selector = selectors.DefaultSelector()
        self._processes: list[_CellProcess] = []
        self._waiting: deque[PlannedCell] = deque()
        self._deaths: dict[str, int] = {}
        self.failures: list[str] = []

    def run(self, cells: Sequence[PlannedCell]) -> None:
        """As the protocol says; KeyboardInterrupt ends the processes in order."""
        self._waiting = deque(cells)
        try:
            while self._waiting or self._busy():
                self._hand_out()
                for ready, _ in self._selector.select(timeout=0.2):
                    self._take(ready.data)
                self._reap()
                self._observer.tick()
        finally:
            self._stop()

    def _busy(self) -> bool:
        return any(p.cell is not None for p in self._processes)

    def _hand_out(self) -> None:
        while self._waiting and (process := self._process_for(self._waiting[0].spec.agent)):
            cell = self._waiting.popleft()
            process.send(cell)
            self._observer.started(cell)

    def _process_for(self, agent: str) -> _CellProcess | None:
        """One that waits for a cell of this agent, a new one where a slot is free, or None."""
        open_ones = [p for p in self._processes if not p.closed]
        idle = [p for p in open_ones if p.cell is None]
        for process in idle:
            if process.agent == agent:
                return process
        if len(open_ones) < self._jobs:
            return self._start(agent)
        if idle:
            # It ends by itself, beside its successor.
            idle[0].close()
            return self._start(agent)
        return None

    def _start(self, agent: str) -> _CellProcess:
        process = _CellProcess.start(self._store.folder, agent)
        self._processes.append(process)
        self._selector.register(process.events, selectors.EVENT_READ, process)
        return process

    def _take(self, process: _CellProcess) -> None:
        events = process.receive()
        if events is None:
            self._selector.unregister(process.events)
            # One that was told to end still closes its simulators and removes their folders.
            if not process.closed:
                self._bury(process)
            return
        for event in events:
            cell = process.cell
            if cell is None:
                continue
            if event["event"] == "progress":
                self._observer.advanced(cell, int(str(event["n"])), float(str(event["best"])))
                continue
            process.cell = None
            if event["event"] == "failed":
                self._fail(cell, str(event["message"]))
            self._observer.finished(cell)

    def _reap(self) -> None:
        """Forget the processes that were told to end and have."""
        heard = self._selector.get_map()
        for process in [p for p in self._processes if p.closed and p.events not in heard]:
            if process.ended():
                self._bury(process)

    def _bury(self, process: _CellProcess) -> None:
        """A process that ended by itself: try its cell once more, then record that it crashed."""
        self._processes.remove(process)
        how = process.kill()
        cell = process.cell
        if cell is None:
            return
        if self._store.is_done(cell.key):
            self._observer.finished(cell)  # It died between writing the result and saying so.
            return
        deaths = self._deaths[cell.key] = self._deaths.get(cell.key, 0) + 1
        if deaths < DEATHS_ALLOWED:
            self._observer.note(f"{cell.spec.label}: its process died ({how}); trying once more")
            self._waiting.appendleft(cell)
            return
        message = f"its process died {deaths} times, last {how}"
        self._observer.note(f"{cell.spec.label}: {message}; it counts as 0")
        self._store.finish(
            crashed_result(
                cell.spec, cell.key, self._store,
                config=cell.config, track=cell.track, message=message,
                targets=cell.targets,
            )
        )  # fmt: skip
        self._observer.finished(cell)

    def _fail(self, cell: PlannedCell, message: str) -> None:
        self.failures.append(f"{cell.spec.label}: {message}")
        self._observer.note(self.failures[-1])

    def _stop(self) -> None:
        """End every process: its stdin ends, which it obeys at once; its group, if it does not."""
        for process in self._processes:
            process.close()
        with contextlib.suppress(KeyboardInterrupt):  # A second Ctrl-C: no more grace.
            deadline = time.monotonic() + GRACE_S
            self._drain(deadline)
            # After its last event a process still closes its simulators and removes their folders.
            while time.monotonic() < deadline and not all(p.ended() for p in self._processes):
                time.sleep(0.005)
        for process in self._processes:
            process.kill()
        self._processes.clear()
        self._selector.close()

    def _drain(self, deadline: float) -> None:
        """Read until the end of everybody's events."""
        open_ends = len(self._selector.get_map())
        while open_ends and (left := deadline - time.monotonic()) > 0:
            for ready, _ in self._selector.select(timeout=left):
                if ready.data.receive() is None:
                    self._selector.unregister(ready.fd)
                    open_ends -= 1
