"""A process that runs cells: jobs as JSON lines on stdin, events as JSON lines on another pipe.

What an agent prints goes to `agent.log` in the folder of its cell, never into the events. The
process ends when its stdin does, so nothing outlives the run that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from acs_gym.registry import register_circuit
from leaderboard.cells.runner import run_cell
from leaderboard.cells.spec import CellSpec
from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError
from leaderboard.trust.verified import sign_run

LOG = "agent.log"
# A person sees no more, and each event costs the run some of the simulator's processor.
_BETWEEN_EVENTS_S = 0.1


def main(out: str, events_fd: int) -> None:
    """Run every cell that stdin names, below the folder `out`, telling `events_fd` of it."""
    # The agent's own children must not hold the pipe open after this process is gone.
    os.set_inheritable(events_fd, False)
    interrupts = _Interrupts()
    signal.signal(signal.SIGTERM, interrupts.handle)
    jobs = _read_jobs()
    store = Store(Path(out))
    with (
        os.fdopen(events_fd, "w", buffering=1, encoding="utf-8") as stream,
        contextlib.suppress(KeyboardInterrupt),
    ):
        events = Events(stream)
        while (job := jobs.get()) is not None:
            events.send(_run_job(job, store, events, interrupts))


class Events:
    """What the run hears of this process."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._unsent: tuple[int, float] | None = None
        self._next = 0.0

    def progress(self, simulations: int, best: float) -> None:
        """How far the cell is: sent now and then, and before anything else is."""
        self._unsent = simulations, best
        if time.monotonic() >= self._next:
            self._send_progress()
            self._next = time.monotonic() + _BETWEEN_EVENTS_S

    def send(self, event: dict[str, Any]) -> None:
        """Tell it now. A run that is gone is not told; the end of stdin ends this process too."""
        self._send_progress()
        self._write(event)

    def _send_progress(self) -> None:
        if self._unsent is not None:
            simulations, best = self._unsent
            self._unsent = None
            self._write({"event": "progress", "n": simulations, "best": best})

    def _write(self, event: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(json.dumps(event, allow_nan=False) + "\n")


class _Interrupts:
    """SIGTERM stops the agent, and only the agent: a result that is being written is written."""

    def __init__(self) -> None:
        self.armed = False

    def handle(self, _signal: int, _frame: object) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def stop_here(self) -> Iterator[None]:
        self.armed = True
        try:
            yield
        finally:
            self.armed = False


def _run_job(
    job: dict[str, Any], store: Store, events: Events, interrupts: _Interrupts
) -> dict[str, Any]:
    spec, key = CellSpec.model_validate(job["spec"]), str(job["key"])
    folder = store.cell(key)

    try:
        if job["folder"] is not None:
            register_circuit(job["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        with _output_to(folder / LOG), interrupts.stop_here():
            result = run_cell(spec, key, store, events.progress, job["targets"])
        # Where this process has no key, the run that started it may have one.
        with contextlib.suppress(LeaderboardError, OSError):
            sign_run(folder, result)
        store.finish(result)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has to hear of it
        return {"event": "failed", "message": f"{type(error).__name__}: {error}"}
    return {"event": "done"}


def _read_jobs() -> queue.Queue[dict[str, Any] | None]:
    """The jobs on stdin, read by a thread so that its end is noticed during a cell too."""
    jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
    # An agent that reads stdin finds it empty instead of taking our jobs.
    stream = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_feed, args=(stream, jobs), daemon=True).start()
    return jobs


def _feed(stream: BinaryIO, jobs: queue.Queue[dict[str, Any] | None]) -> None:
    for line in stream:
        jobs.put(json.loads(line))
    jobs.put(None)
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send stdout and stderr, of this process and its children, to a file; drop an empty one."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for target, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, target)
            os.close(copy)
        if path.stat().st_size == 0:
            path.unlink()
