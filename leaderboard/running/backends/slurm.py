"""A Slurm cluster, through submitit: a job array whose tasks each run a chunk of cells.

submitit writes the batch script; what a task does is the same as on any other machine (`remote`). A
task that is preempted or reaches its time limit is queued again by submitit, and goes on with the
cells that are not done. A task is over when its result is there, or when it has left the queue: not
when `sacct` says so, as for submitit, because that says nothing where Slurm keeps no accounts.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError, unknown
from leaderboard.running.backends import Observer
from leaderboard.running.backends.local import GRACE_S
from leaderboard.running.backends.remote import (
    POLL_S,
    Errand,
    ErrandReport,
    Watch,
    carry_out,
    missing,
    run_folder,
)
from leaderboard.running.plan import PlannedCell

# Slurm's own default for the largest array is 1001 tasks.
_ARRAY_TASKS = 1000
_CLUSTERS = ("slurm", "local")
# A task that is missing from the queue twice in a row has left it; by then a slow file system shows
# the result of one that was done.
_BETWEEN_LOOKS_S = 10.0
_PASSED_ON = (
    "account", "comment", "constraint", "exclude", "gres", "mem", "nodelist", "partition", "qos",
    "setup",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SlurmOptions:
    """What to ask of Slurm.

    Args:
        time: minutes an array task may take.
        cpus: of an array task, which runs as many cells at once.
        cells: of an array task, one after the other; None for as many as `cpus`.
        cluster: `slurm`, or `local`: submitit's stand-in, processes of this machine.
        passed_on: options of sbatch by their names, as they are.
    """

    time: int = 60
    cpus: int = 1
    cells: int | None = None
    cluster: str = "slurm"
    passed_on: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def names() -> tuple[str, ...]:
        return ("time", "cpus", "cells", "cluster", *_PASSED_ON)

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> SlurmOptions:
        """From `KEY=VALUE` texts. Raises LeaderboardError."""
        numbers = {k: _positive(k, options[k]) for k in ("time", "cpus", "cells") if k in options}
        cluster = options.get("cluster", "slurm")
        if cluster not in _CLUSTERS:
            raise unknown("cluster of --backend slurm", cluster, _CLUSTERS)
        passed_on = {k: v for k, v in options.items() if k in _PASSED_ON}
        return cls(**numbers, cluster=cluster, passed_on=passed_on)

    def chunks(self, cells: Sequence[PlannedCell]) -> list[Sequence[PlannedCell]]:
        """The cells of each array task, in order; more a task where there would be too many."""
        size = max(self.cells or self.cpus, -(-len(cells) // _ARRAY_TASKS))
        return [cells[i : i + size] for i in range(0, len(cells), size)]


class SlurmBackend:
    """Runs cells as one Slurm job array; `jobs` limits the cells that run at once."""

    def __init__(
        self, store: Store, jobs: int | None, observer: Observer, options: SlurmOptions
    ) -> None:
        self._submitit = import_submitit()
        self._store, self._jobs, self._observer = store, jobs, observer
        self._options = options
        self.failures: list[str] = []

    def run(self, cells: Sequence[PlannedCell]) -> None:
        """As the protocol says. Raises LeaderboardError where Slurm does not take the array."""
        if not cells:
            return
        with run_folder(self._store) as run:
            watch = Watch(self._store, run, self._observer)
            errands = [Errand.of(c, self._store, run) for c in self._options.chunks(cells)]
            self._wait(self._submit(errands, run), watch)

    def _submit(self, errands: Sequence[Errand], run: Path) -> list[tuple[Any, Errand]]:
        try:
            executor = self.executor(run)
            jobs = executor.map_array(ArrayTask(self._options.cpus), errands)
        except (RuntimeError, OSError) as error:  # No sbatch here, or it refuses.
            lines = str(error).strip().splitlines()
            raise LeaderboardError(
                f"--backend slurm: {lines[-1] if lines else type(error).__name__}"
            ) from None
        return list(zip(jobs, errands, strict=True))

    def executor(self, run: Path) -> Any:
        """submitit's executor for a run. Raises RuntimeError on a machine without Slurm."""
        options = self._options
        executor = self._submitit.AutoExecutor(folder=run / "jobs", cluster=options.cluster)
        # A list of lines is what submitit wants there.
        extra: dict[str, Any] = {
            f"slurm_{k}": [v] if k == "setup" else v for k, v in options.passed_on.items()
        }
        if self._jobs is not None:
            extra["slurm_array_parallelism"] = -(-self._jobs // options.cpus)
        executor.update_parameters(
            name="acs-gym", timeout_min=options.time, cpus_per_task=options.cpus, **extra
        )
        return executor

    def _wait(self, jobs: list[tuple[Any, Errand]], watch: Watch) -> None:
        queue = _Queue() if self._options.cluster == "slurm" else _Processes()
        try:
            while jobs:
                over = [(j, errand) for j, errand in jobs if _has_result(j) or queue.has_left(j)]
                for job, errand in over:
                    jobs.remove((job, errand))
                    self._take(job, errand, watch)
                watch.look([cell for _, errand in jobs for cell in errand.cells])
                if not over:
                    time.sleep(POLL_S)
        finally:
            _cancel([job for job, _ in jobs], queue)

    def _take(self, job: Any, errand: Errand, watch: Watch) -> None:
        """An array task is over: tell what it told, and which cells are really there."""
        report, why = ErrandReport(), f"job {job.job_id} left the queue before it was done"
        if _has_result(job):
            try:
                report = job.result()
                why = f"job {job.job_id} is over, but no result is seen here yet; run it again"
            except Exception as error:  # noqa: BLE001 - whatever it was, only its text has come here
                lines = str(error).strip().splitlines() or [type(error).__name__]
                why = f"job {job.job_id}: {lines[0]} ... {lines[-1]}"
        elif last := _last_line(job):
            why += f"; it said last: {last}"
        failed = missing(errand.cells, self._store, report.failures, why)
        for text in dict.fromkeys([*report.notes, *failed]):
            self._observer.note(text)
        self.failures += failed
        for cell in errand.cells:
            watch.settle(cell)


class ArrayTask:
    """What submitit calls in an array task: a chunk of cells, `jobs` at once."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def __call__(self, errand: Errand) -> ErrandReport:
        # submitit ignores SIGTERM, with which scancel asks a task to end.
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            return carry_out(errand, self._jobs)
        finally:
            signal.signal(signal.SIGTERM, before)

    def checkpoint(self, errand: Errand) -> Any:
        """The same again, for submitit to queue: what is done by then is left."""
        return import_submitit().helpers.DelayedSubmission(self, errand)


class _Processes:
    """Where array tasks are processes of this machine."""

    def has_left(self, job: Any) -> bool:
        return bool(job.done())

    def is_empty(self, jobs: Sequence[Any]) -> bool:
        return all(job.done() for job in jobs)


class _Queue:
    """Where array tasks wait and run: Slurm's queue, asked now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _BETWEEN_LOOKS_S
        self._looks: deque[set[str]] = deque(maxlen=2)

    def has_left(self, job: Any) -> bool:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _BETWEEN_LOOKS_S
            if (tasks := _queued(job)) is not None:
                self._looks.append(tasks)
        return len(self._looks) == 2 and not any(job.job_id in look for look in self._looks)

    def is_empty(self, jobs: Sequence[Any]) -> bool:
        return not jobs or not _queued(jobs[0])


def _queued(job: Any) -> set[str] | None:
    """The tasks of a job's array that wait or run; None where Slurm does not answer."""
    array = job.job_id.partition("_")[0]
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={array}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if said.returncode and "Invalid job id" not in said.stderr:
        return None
    return set(said.stdout.split())


def _has_result(job: Any) -> bool:
    return bool(job.paths.result_pickle.exists())


def _last_line(job: Any) -> str:
    """The last line a task printed, which is Slurm's own word where Slurm ended it."""
    with contextlib.suppress(OSError):
        lines = job.paths.stderr.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


def _cancel(jobs: Sequence[Any], queue: _Queue | _Processes) -> None:
    """Cancel array tasks and give those that run the time to end their processes."""
    for job in jobs:
        job.cancel(check=False)
    deadline = time.monotonic() + 2 * GRACE_S
    while time.monotonic() < deadline and not queue.is_empty(jobs):
        time.sleep(0.1)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _positive(key: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        unit = " of minutes" if key == "time" else ""
        raise LeaderboardError(
            f"--backend slurm: {key}={text}; it must be a whole number{unit}, at least 1"
        )
    return int(text)


def import_submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise LeaderboardError(
            "--backend slurm needs submitit, here and on every node: pip install 'acs-gym[slurm]'"
        ) from None
    return submitit
