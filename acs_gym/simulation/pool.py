"""Many workers: designs in, outcomes out in the same order, whatever happens in between.

A worker that dies is replaced and its design tried again; a design that kills three workers is
given up as `infra_error`. A worker that is silent beyond the deadline is killed and the design is
a `timeout`. No error of a simulation ever reaches the caller as an exception; only a missing
libngspice does, since nothing could be simulated at all.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import math
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from acs_gym.evaluation import Status
from acs_gym.simulation.driver import SimulatorNotFound
from acs_gym.simulation.driver_choice import check_driver
from acs_gym.simulation.engine import Engine, Order, Outcome
from acs_gym.simulation.program import Program
from acs_gym.simulation.scratch import Scratch, remove_left_over
from acs_gym.threads import ONE_THREAD

DEADLINE_S = 30.0
_DEATHS_ALLOWED = 3
# Designs sent ahead to a busy worker: enough to hide the pipe, few enough to share work evenly.
_QUEUE_AHEAD = 2
# Tells the package that it is imported by a worker, which needs no environments registered.
WORKER_VARIABLE = "ACS_GYM_WORKER"


@dataclass(frozen=True, slots=True)
class Job:
    """One design to simulate at one condition.

    Attributes:
        design: canonical (finite, inside its space).
        conditions: named conditions that differ from the program's (`vdd`, `temperature`, ...).
        mismatch: device -> standard normal draw; devices not named have none.
    """

    program: Program
    design: Mapping[str, float]
    waveforms: bool = False
    conditions: Mapping[str, float] = field(default_factory=dict)
    mismatch: Mapping[str, float] = field(default_factory=dict)

    def order(self) -> Order:
        """What a worker is sent, beside the program's key."""
        return Order(self.design, self.conditions, self.mismatch, self.waveforms)


class Simulator:
    """What a session simulates with: `run(jobs) -> outcomes`, in order. Close it when done."""

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        raise NotImplementedError  # abstract

    def close(self) -> None:
        """Release processes and files; safe to call twice."""

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class InProcessSimulator(Simulator):
    """An engine in this process: no pipe, no deadline, and a crash of ngspice is ours.

    For benchmarks and for single trusted environments; WorkerPool is the default everywhere.
    `driver` is `ctypes` or `pyspice`, one of them for the life of the process. Any number of these may be
    made: there is one libngspice, and they share the netlists that are loaded in it.
    """

    def __init__(self, driver: str = "ctypes") -> None:
        self._engine = _engine_of_this_process(driver)

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        with _no_model_log():
            return [self._engine.simulate(j.program, j.order()) for j in jobs]


@functools.cache
def _engine_of_this_process(driver: str) -> Engine:
    # An engine each would load its netlists beside the others' and forget none of theirs.
    return Engine(driver)


@contextlib.contextmanager
def _no_model_log() -> Iterator[None]:
    """Remove the file in which BSIM4 reports unusual parameters, unless it was there before.

    It goes to the current folder; a worker's is its own, here it is the user's. The check cannot be
    switched off, since it also corrects some of what it reports.
    """
    log = Path("bsim4v5.out")
    kept = log.exists()
    try:
        yield
    finally:
        if not kept:
            log.unlink(missing_ok=True)


class WorkerPool(Simulator):
    """`workers` simulation processes, started on first use.

    Args:
        workers: processes; one per core is right, since each is single-threaded.
        deadline_s: wall-clock seconds a single design may take before its worker is killed.
        driver: `ctypes`, or `pyspice` (needs the extra); both give the same floats.

    Thread-safe: concurrent `run` calls are served one after the other. After a fork the child
    starts workers of its own.
    """

    def __init__(
        self, workers: int = 1, *, deadline_s: float = DEADLINE_S, driver: str = "ctypes"
    ) -> None:
        if workers < 1:
            raise ValueError(f"a pool needs at least one worker, got {workers}")
        if not 0 < deadline_s < math.inf:
            raise ValueError(f"deadline_s must be positive and finite, got {deadline_s}")
        check_driver(driver)
        self.driver = driver
        self.workers = workers
        self.deadline_s = deadline_s
        self._members: list[_Worker] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()
        _open_pools.add(self)

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Simulate every job; outcome i belongs to job i. Raises SimulatorNotFound only."""
        with self._lock:
            if os.getpid() != self._owner:  # Forked: the parent's workers are not ours to use.
                self._members, self._owner = [], os.getpid()
            try:
                return self._run(jobs)
            except BaseException:
                # Interrupted with designs in flight: their late replies must not be taken for
                # answers to the next run.
                self._stop_members()
                raise

    def _run(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(jobs)
        waiting = deque(range(len(jobs)))
        deaths = dict.fromkeys(range(len(jobs)), 0)
        if not self._members:
            remove_left_over()
        while len(self._members) < min(self.workers, len(jobs)):
            self._members.append(_Worker(self.driver))
        members = self._members
        while waiting or any(m.queue for m in members):
            self._hand_out(jobs, waiting, members)
            busy = {m.replies: m for m in members if m.queue}
            patience = min(m.deadline for m in busy.values()) - time.monotonic()
            ready = wait(list(busy), timeout=max(patience, 0.0))
            for connection in ready:
                assert isinstance(connection, Connection)
                self._take(busy[connection], outcomes, waiting, deaths)
            now = time.monotonic()
            for member in [m for m in members if m.queue and now > m.deadline]:
                tag = member.queue[0]
                message = f"no answer within {self.deadline_s:g} s; the worker was killed"
                outcomes[tag] = _no_result(Status.TIMEOUT, message)
                member.queue.popleft()
                self._replace(member, waiting)
        done = [o for o in outcomes if o is not None]
        assert len(done) == len(jobs)
        return done

    def _hand_out(self, jobs: Sequence[Job], waiting: deque[int], members: list[_Worker]) -> None:
        """Top up every worker's queue, one design each in turn, so that none runs dry."""
        for depth in range(1, _QUEUE_AHEAD + 1):
            for member in members:
                if waiting and len(member.queue) < depth:
                    member.send(waiting.popleft(), jobs, self.deadline_s)

    def _take(
        self,
        member: _Worker,
        outcomes: list[Outcome | None],
        waiting: deque[int],
        deaths: dict[int, int],
    ) -> None:
        """Everything a worker has said, or its death."""
        try:
            while member.replies.poll():
                tag, outcome = member.replies.recv()
                if tag == "no_simulator":
                    raise SimulatorNotFound(outcome)
                outcomes[tag] = outcome
                member.queue.remove(tag)
                member.deadline = time.monotonic() + self.deadline_s
        except (EOFError, OSError):
            if not member.queue:
                self._replace(member, waiting)
                return
            tag = member.queue[0]
            deaths[tag] += 1
            if deaths[tag] >= _DEATHS_ALLOWED:
                member.queue.popleft()
                message = f"the simulator died {deaths[tag]} times on this design"
                outcomes[tag] = _no_result(Status.INFRA_ERROR, message)
            self._replace(member, waiting)

    def _replace(self, member: _Worker, waiting: deque[int]) -> None:
        """A fresh worker in the place of one that is gone; its designs go to the front again."""
        waiting.extendleft(reversed(member.queue))
        member.stop()
        self._members[self._members.index(member)] = _Worker(self.driver)

    def _stop_members(self) -> None:
        for member in self._members:
            member.stop()
        self._members = []

    def close(self) -> None:
        """End the workers and remove their folders; the next `run` starts new ones."""
        with self._lock:
            if os.getpid() == self._owner:
                self._stop_members()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The ids of the workers running now."""
        return tuple(m.process.pid for m in self._members)


def _no_result(status: Status, message: str) -> Outcome:
    return Outcome(status, {}, message)


def _pipe(undo: contextlib.ExitStack, *, inherit_reader: bool) -> tuple[int, Connection]:
    """(the worker's end as a descriptor, our end as a connection) of a new pipe."""
    reader, writer = os.pipe()
    if inherit_reader:
        theirs, ours = reader, Connection(writer, readable=False)
    else:
        theirs, ours = writer, Connection(reader, writable=False)
    undo.callback(ours.close)
    return theirs, ours


def _start(inherited: tuple[int, int, int], folder: str, driver: str) -> subprocess.Popen[bytes]:
    requests, replies, lifeline = inherited
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from acs_gym.simulation.worker import main; "
        f"main({requests}, {replies}, {lifeline}, {folder!r}, {driver!r})"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        pass_fds=inherited,
        env={**os.environ, **ONE_THREAD, WORKER_VARIABLE: "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A session of its own: a terminal's ^C and a caller's killpg must not hit a simulation
        # whose result is wanted; the lifeline ends it when the parent goes.
        start_new_session=True,
    )


class _Worker:
    """One worker process as its parent sees it."""

    def __init__(self, driver: str) -> None:
        self.queue: deque[int] = deque()
        self.deadline = math.inf
        self._programs: set[str] = set()
        with contextlib.ExitStack() as undo:  # An interrupt half way must leave nothing behind.
            scratch = Scratch()
            undo.callback(scratch.close)
            self.folder = scratch.folder
            requests, self.requests = _pipe(undo, inherit_reader=True)
            replies, self.replies = _pipe(undo, inherit_reader=False)
            lifeline, self._lifeline = os.pipe()
            undo.callback(os.close, self._lifeline)
            inherited = (requests, replies, lifeline)
            try:
                self.process = _start(inherited, self.folder, driver)
            finally:
                for fd in inherited:
                    os.close(fd)
            undo.pop_all()
        self._scratch = scratch

    def send(self, tag: int, jobs: Sequence[Job], deadline_s: float) -> None:
        job = jobs[tag]
        if not self.queue:
            self.deadline = time.monotonic() + deadline_s
        self.queue.append(tag)
        # A dead worker shows as end-of-file on its reply pipe; that is where it is dealt with.
        with contextlib.suppress(BrokenPipeError, OSError):
            if job.program.key not in self._programs:
                self.requests.send(("program", job.program))
                self._programs.add(job.program.key)
            self.requests.send(("run", [(tag, job.program.key, job.order())]))

    def stop(self) -> None:
        for connection in (self.requests, self.replies):
            with contextlib.suppress(OSError):
                connection.close()
        self.process.kill()
        self.process.wait()
        os.close(self._lifeline)
        self._scratch.close()


_open_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for pool in list(_open_pools):
        pool.close()


_shared_lock = threading.Lock()
_shared: dict[int, WorkerPool] = {}


def shared_pool(workers: int = 1) -> WorkerPool:
    """The process-wide pool with this many workers, so that many environments share few processes."""
    with _shared_lock:
        if workers not in _shared:
            _shared[workers] = WorkerPool(workers)
        return _shared[workers]
