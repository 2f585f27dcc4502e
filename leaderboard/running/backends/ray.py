"""A Ray cluster: one task a cell. Ray decides where, and runs the cells of a lost node elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from acs_gym.session import available_cores
from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError
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

OPTIONS = ("address",)
# How often a cell may lose its node; a cell whose own process dies is dealt with on the node.
_NODES_LOST_ALLOWED = 5
_PROBE, _PROBE_TIMEOUT_S = "probe", 60.0
# Of a Ray that is started here: the smallest object store it takes, since only names travel.
_OBJECT_STORE_BYTES = 80 * 2**20


class RayBackend:
    """Runs each cell as a Ray task that takes one CPU.

    Args:
        address: of a cluster, as for `ray.init`; otherwise RAY_ADDRESS; without either, Ray is
            started on this machine, with `jobs` CPUs, for this run alone.
    """

    def __init__(
        self, store: Store, jobs: int | None, observer: Observer, *, address: str | None = None
    ) -> None:
        self._ray = import_ray()
        self._store, self._jobs, self._observer = store, jobs, observer
        self._address = address or os.environ.get("RAY_ADDRESS")
        self.failures: list[str] = []

    def run(self, cells: Sequence[PlannedCell]) -> None:
        """As the protocol says. Raises LeaderboardError where a node does not see the store."""
        if not cells:
            return
        with self._connected(), run_folder(self._store) as run:
            self._check_nodes(run)
            watch = Watch(self._store, run, self._observer)
            self._run(deque(cells), run, watch)

    def _run(self, waiting: deque[PlannedCell], run: Path, watch: Watch) -> None:
        # Without a limit Ray gets all of them at once: that is how it knows how many nodes to want.
        limit = self._jobs or len(waiting)
        task = self._ray.remote(num_cpus=1, max_retries=_NODES_LOST_ALLOWED)(carry_out)
        pending: dict[Any, PlannedCell] = {}
        try:
            while waiting or pending:
                while waiting and len(pending) < limit:
                    cell = waiting.popleft()
                    pending[task.remote(Errand.of([cell], self._store, run))] = cell
                for ref in self._ray.wait(list(pending), timeout=POLL_S)[0]:
                    self._take(ref, pending.pop(ref), watch)
                watch.look(list(pending.values()))
        finally:
            self._cancel(list(pending))

    def _take(self, ref: Any, cell: PlannedCell, watch: Watch) -> None:
        """A task is over: tell what it told, and whether the cell is really there."""
        try:
            report: ErrandReport = self._ray.get(ref)
            why = "its node says that it is done, but no result is seen here yet; run it again"
        except self._ray.exceptions.RayError as error:
            report, why = ErrandReport(), _words(error)
        failed = missing([cell], self._store, report.failures, why)
        for text in dict.fromkeys([*report.notes, *failed]):
            self._observer.note(text)
        self.failures += failed
        watch.settle(cell)

    def _cancel(self, refs: list[Any]) -> None:
        """Interrupt the tasks; each ends its cell's processes, as on this machine."""
        for ref in refs:
            self._ray.cancel(ref)
        if refs:
            self._ray.wait(refs, num_returns=len(refs), timeout=2 * GRACE_S)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        # Ray takes SIGTERM for itself, where a polite `kill` is to end the run in order.
        handler = signal.getsignal(signal.SIGTERM)
        with contextlib.ExitStack() as stack:
            options: dict[str, Any] = {"address": self._address}
            if self._address is None:
                os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
                options = {
                    "address": "local",
                    "num_cpus": self._jobs or available_cores(),
                    "object_store_memory": _OBJECT_STORE_BYTES,
                    "include_dashboard": False,
                    "_node_ip_address": "127.0.0.1",
                    "_temp_dir": stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-")),
                }
            stack.callback(self._ray.shutdown)
            try:
                self._ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            except (ConnectionError, RuntimeError, ValueError) as error:
                where = self._address or "on this machine"
                raise LeaderboardError(f"--backend ray: no Ray {where}: {_words(error)}") from None
            signal.signal(signal.SIGTERM, handler)
            yield

    def _check_nodes(self, run: Path) -> None:
        """Whether every node sees the store and this one sees what it writes there."""
        token = secrets.token_hex(8)
        (run / _PROBE).write_text(token)
        task = self._ray.remote(num_cpus=0, max_retries=0)(_problem_here)
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        asked = {}
        for node in self._ray.nodes():
            if node["Alive"] and node["Resources"].get("CPU"):
                on_it = task.options(scheduling_strategy=strategy(node["NodeID"], soft=False))
                asked[node["NodeID"]] = (node, on_it.remote(run, Path.cwd(), token))
        problems = []
        for name, (node, ref) in asked.items():
            try:
                problem = self._ray.get(ref, timeout=_PROBE_TIMEOUT_S)
            except self._ray.exceptions.RayError as error:
                problem = f"cannot run cells: {_words(error)}"
            if not problem and not (run / f"{_PROBE}-{name}").exists():
                problem = f"writes to another {self._store.folder} than the one here"
            if problem:
                problems.append(f"node {node['NodeManagerHostname']} {problem}")
        if problems:
            raise LeaderboardError(
                f"--backend ray: {'; '.join(problems)}. Every node needs acs-gym, this working "
                "directory and the folder of --out on a file system they share; without one, run "
                "the parts on each machine and join them with python -m leaderboard.merge"
            )


def _problem_here(run: Path, directory: Path, token: str) -> str:
    """What keeps the node that this runs on from running cells; empty when nothing does."""
    import ray

    if not directory.is_dir():
        return f"has no {directory}"
    try:
        if (run / _PROBE).read_text() != token:
            return f"has another {run}"
        (run / f"{_PROBE}-{ray.get_runtime_context().get_node_id()}").touch()
    except OSError as error:
        return f"cannot use {run.parent}: {error.strerror}"
    return ""


def import_ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise LeaderboardError(
            "--backend ray needs Ray, here and on every node: pip install 'acs-gym[ray]'"
        ) from None
    return ray


def _words(error: BaseException) -> str:
    """An exception on one line; of one that a task raised, the task's own."""
    cause = getattr(error, "cause", None)
    error = cause if isinstance(cause, BaseException) else error
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
