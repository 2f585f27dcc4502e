"""A deterministic agent of this package, asked again: does it want the designs that its trace holds?

It is answered from the trace, so whoever says that a trace is of `random` or of `composite-ei` is held to
it from the first design on. Nothing is simulated but the operating points that the agent looks at, of
designs that it had: a trace does not hold them. Python, libraries and processor decide the last
digits of what a model fits; where they are others, a trace that is genuine may part in its later lines,
and the finding says what differs.

    python -m leaderboard.trust.replayed RUNS KEY     (what `replay` starts: as a cell's process is)
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acs_gym.registry import register_circuit, registered_by_hand
from acs_gym.session import Call, Session
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.operating_point import operating_point_program
from acs_gym.simulation.pool import Job, Simulator, shared_pool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task
from leaderboard.agents.registry import build, is_ours
from leaderboard.cells.environment import environment
from leaderboard.cells.fingerprint import fingerprint
from leaderboard.cells.records import Result
from leaderboard.cells.replay import recall
from leaderboard.cells.runner import cell_task
from leaderboard.cells.spec import canonical_json, session_seed
from leaderboard.cells.store import TRACE, Store, StoredCell
from leaderboard.contract import agent_config
from leaderboard.errors import LeaderboardError
from leaderboard.trust.findings import Finding

_COMPARED = ("packages", "python", "cpu")


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it: `agrees`, or where it parts, or why it could not be tried.

    Nothing of the three where the agent is somebody else's.
    """

    agrees: bool
    finding: Finding | None = None
    remark: str = ""


class _Parted(BaseException):
    """The agent does something else than the trace; no agent is to catch it."""

    def __init__(self, line: int, found: str, wanted: str) -> None:
        super().__init__(line, found, wanted)
        self.line, self.found, self.wanted = line, found, wanted


def replay(store: Store, cell: StoredCell) -> Replay:
    """Ask the agent of a cell again, in a process such as the cell had. Simulates nothing."""
    result = cell.result
    if not is_ours(result.spec.agent):
        return Replay(False)
    try:
        agent = build(result.spec.agent)
        if not getattr(agent, "deterministic", False):
            return Replay(False, remark="its agent is not deterministic")
        if differs := _configured_otherwise(agent_config(agent), result.agent_config):
            return Replay(False, remark=f"its agent is not the one that is here: other {differs}")
    except LeaderboardError as error:
        return Replay(False, remark=str(error))
    folder = registered_by_hand().get(result.spec.task)
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from leaderboard.trust.replayed import main; "
        f"main({str(store.folder)!r}, {result.key!r}, {folder and str(folder)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Replay(False, remark=f"its agent could not be asked again: {last}")
    parted = json.loads(done.stdout.splitlines()[-1])
    if parted is None:
        return Replay(True)
    where = f"{TRACE} line {parted['line']}"
    wanted = parted["wanted"] + _elsewhere(result)
    return Replay(False, Finding("replay", where, parted["found"], wanted))


def main(runs: str, key: str, folder: str | None) -> None:
    """Print where a cell's trace parts from its agent, as JSON; null where it does not."""
    if folder is not None:
        register_circuit(folder)
    cell = Store(Path(runs)).load(key)
    assert cell is not None
    parted = _parts(cell)
    print(
        json.dumps(parted and {"line": parted.line, "found": parted.found, "wanted": parted.wanted})
    )


class _Looks(Simulator):
    """Answers what is not charged; what is charged and not in the trace was not asked for."""

    def __init__(self, task: Task, asked: _Compared) -> None:
        self._operating_point = operating_point_program(task.program)
        self._asked = asked

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        for job in jobs:
            if job.program != self._operating_point:
                raise _Parted(self._asked.next, self._asked.line_text(), f"{_text(job.design)}")
        return simulate_uncharged(jobs, shared_pool())


class _Compared:
    """The session's hook: every design that the agent asks for beside the line of the trace."""

    def __init__(self, cell: StoredCell) -> None:
        self._cell, self._seen = cell, 0

    @property
    def next(self) -> int:
        return self._seen + 1

    def line_text(self) -> str:
        if self._seen >= len(self._cell.trace):
            return "the end of the trace"
        return _text(self._cell.trace[self._seen].evaluation.design)

    def __call__(self, call: Call) -> None:
        design = {k: v if math.isfinite(v) else None for k, v in call.evaluation.design.items()}
        if self._seen >= len(self._cell.trace):
            raise _Parted(self.next, self.line_text(), _text(design))
        line = self._cell.trace[self._seen]
        asked = None if call.conditions is None else list(call.conditions)
        if line.evaluation.design != design or line.conditions != asked:
            raise _Parted(self.next, self.line_text(), _text(design))
        self._seen += 1

    def end(self) -> None:
        if self._seen < len(self._cell.trace):
            raise _Parted(self.next, self.line_text(), "the end: the agent asks for no more")


def _parts(cell: StoredCell) -> _Parted | None:
    spec = cell.result.spec
    targets = {s.metric: s.target for s in cell.result.task.specs}
    task = cell_task(spec, targets)
    compared = _Compared(cell)
    try:
        with Session(
            task, spec.budget, seed=session_seed(spec), simulator=_Looks(task, compared),
            on_call=compared, recall=recall(task.specs, cell.trace),
        ) as session:  # fmt: skip
            agent = build(spec.agent)
            with contextlib.suppress(Exception):  # However it ended in the cell.
                agent.run(session)
        compared.end()
    except _Parted as parted:
        return parted
    return None


def _configured_otherwise(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """What of an agent's configuration is not as it is here, say a policy's weights; empty where all is.

    Another agent wants other designs, and that says nothing of the trace.
    """
    names = (
        n
        for n in {**here, **there}
        if n not in here or n not in there or _differ(here[n], there[n])
    )
    return ", ".join(names)


def _differ(one: object, other: object) -> bool:
    return canonical_json(one) != canonical_json(other)


def _elsewhere(result: Result) -> str:
    """What of the machine that it ran on is not as it is here; empty where all is."""
    here = fingerprint("")
    differs = [n for n in _COMPARED if result.fingerprint.get(n) != here[n]]
    return f" (it ran with other {' and '.join(differs)} than here)" if differs else ""


def _text(design: object) -> str:
    if not isinstance(design, dict):
        return str(design)
    return ", ".join(
        f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in design.items()
    )
