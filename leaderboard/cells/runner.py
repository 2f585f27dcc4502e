"""One cell: an agent spends a metered session, and its best design is simulated again.

The agent reports nothing that is believed. The winner is picked from what went through the meter,
and its score is the one that a fresh simulator process gives; a winner that does not simulate to
the same metrics makes the cell `invalid`.
"""

from __future__ import annotations

import math
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import BudgetExhausted, Call, Session
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator, WorkerPool
from acs_gym.task import Task, make_task
from leaderboard.agents.registry import build, origin
from leaderboard.cells import waveforms
from leaderboard.cells.fingerprint import fingerprint, simulator_version
from leaderboard.cells.memory import forget_peak, peak_memory_mib
from leaderboard.cells.records import (
    CellStatus,
    EvaluationRecord,
    Result,
    SpecRow,
    TaskCard,
    Timing,
    Usage,
)  # fmt: skip
from leaderboard.cells.replay import recall
from leaderboard.cells.spec import CellSpec, run_key, session_seed
from leaderboard.cells.store import Store, TraceWriter
from leaderboard.contract import (
    Agent,
    agent_config,
    agent_ended,
    agent_isolation,
    agent_track,
    offer_folder,
)

VERIFY_RTOL = 1e-6
_VERIFY_ATTEMPTS = 3
# As many simulations lost in a row to our own failure, and the cell says nothing of the agent.
_INFRA_ERRORS_ALLOWED = 3
_TRACEBACK_LINES = 6

Progress = Callable[[int, float], None]
_Drawn = tuple[Job, Outcome]


class CellChanged(Exception):
    """A result now would be stored under a key that is not its own."""


class TraceFailed(Exception):
    """The trace could not be written (disk full, folder gone): the cell cannot go on."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How the agent's run ended, before verification."""

    status: CellStatus
    message: str = ""


def cell_task(spec: CellSpec, targets: Mapping[str, float] | None = None) -> Task:
    """The task of a cell, with the targets drawn for it where they are held out.

    Raises what `make_task` and `Task.with_specs` raise.
    """
    task = make_task(spec.task, pdk=spec.pdk, tier=spec.tier)
    return task.with_specs(targets) if spec.held_out and targets is not None else task


def run_cell(
    spec: CellSpec,
    key: str,
    store: Store,
    on_progress: Progress,
    targets: Mapping[str, float] | None = None,
) -> Result:
    """Run a cell and return its result, which the caller then stores.

    What an interrupted attempt recorded is not simulated again (`leaderboard.cells.replay`).
    `on_progress(simulations, best score)` is called after every design. `targets` are those drawn for
    the cell; the key covers them. Raises LeaderboardError for an agent that cannot be built, PdkError
    and its like for a task that cannot be made, CellChanged, TraceFailed; KeyboardInterrupt passes
    through and leaves the cell undone.
    """
    forget_peak()
    task = cell_task(spec, targets)
    agent = build(spec.agent)
    offer_folder(agent, store.cell(key))
    config, track = agent_config(agent), agent_track(agent)
    if run_key(spec, config, task.digest, simulator_version()) != key:
        raise CellChanged("its task or its agent has changed since the run began; run it again")
    with store.begin(key, spec) as trace:
        recorder = Recorder(trace, on_progress, time.perf_counter())
        known = recall(task.specs, trace.recorded)
        with Session(
            task,
            spec.budget,
            seed=session_seed(spec),
            one_by_one=True,
            on_call=recorder,
            recall=known,
        ) as session:
            verdict = _run_agent(agent, session)
            if not verdict.message and not session.history:
                verdict = _Verdict(verdict.status, agent_ended(agent))
            if (failure := recorder.failure) is not None:
                raise TraceFailed(f"{type(failure).__name__}: {failure}") from failure
        digest = trace.seal()
    winner = _winner(session)
    verified, drawn, verdict = _verify(task, winner, _blame(session, verdict))
    counts = verdict.status is not CellStatus.INVALID and verified is not None
    waveforms.write(
        store.cell(key),
        waveforms.record(key, task, *drawn) if counts and drawn is not None else None,
    )
    return Result(
        key=key,
        spec=spec,
        agent_config=dict(config),
        track=_as_track(track),
        status=verdict.status,
        message="\n".join(filter(None, (verdict.message, _attempts(store.attempts(key))))),
        score=verified.score if counts and verified is not None else 0.0,
        feasible=verified.feasible if counts and verified is not None else False,
        best=_record(winner),
        verified=_record(verified),
        usage=_usage(session),
        task=task_card(task),
        trace_sha256=digest,
        timing=_timing(recorder.start, session.usage.simulator_seconds),
        fingerprint=fingerprint(task.pdk.digest(), agent_isolation(agent), origin(spec.agent)),
    )


def crashed_result(
    spec: CellSpec,
    key: str,
    store: Store,
    *,
    config: Mapping[str, Any],
    track: str,
    message: str,
    targets: Mapping[str, float] | None = None,
) -> Result:
    """The result of a cell whose process died twice: it stays in the denominator, with 0."""
    task = cell_task(spec, targets)
    with store.begin(key, spec) as trace:
        digest = trace.seal()
    return Result(
        key=key, spec=spec, agent_config=dict(config), track=_as_track(track),
        status=CellStatus.CRASHED, message=message, score=0.0, feasible=False,
        best=None, verified=None,
        usage=Usage(simulations=0, calls=0, duplicates=0, failed={}, tokens=0, money=0.0),
        task=task_card(task), trace_sha256=digest, timing=_timing(time.perf_counter(), 0.0),
        fingerprint=fingerprint(task.pdk.digest(), origin=origin(spec.agent)),
    )  # fmt: skip


def task_card(task: Task) -> TaskCard:
    """What reports need to know of a task."""
    return TaskCard(
        title=task.title,
        digest=task.digest,
        parameter_units={p.name: p.unit for p in task.space},
        metric_units=task.metric_units,
        specs=tuple(
            SpecRow(metric=s.metric, direction=s.direction, target=s.target, unit=s.unit)
            for s in task.specs
        ),
    )


class Recorder:
    """The session's hook: one trace line a design, written before the agent sees the answer."""

    def __init__(self, trace: TraceWriter, on_progress: Progress, start: float) -> None:
        self._trace, self._on_progress, self.start = trace, on_progress, start
        self._best, self._spent = 0.0, 0
        self.failure: Exception | None = None

    def __call__(self, call: Call) -> None:
        try:
            now = time.perf_counter()
            seconds = now - self.start
            # Less or more than that for a line of an earlier attempt: the clock goes on from its time.
            self.start += seconds - self._trace.write(call, seconds)
        except Exception as error:
            # Kept, because this is raised through the agent, which may swallow it, and because
            # it must not be taken for an error of the agent's.
            self.failure = error
            raise
        if call.evaluation.complete:
            self._best = max(self._best, call.evaluation.score)
        self._spent += call.evaluation.cost
        self._on_progress(self._spent, self._best)


def _run_agent(agent: Agent, session: Session) -> _Verdict:
    try:
        agent.run(session)
    except BudgetExhausted as error:
        return _Verdict(CellStatus.OVER_BUDGET, str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - including SystemExit: no agent ends the harness
        lines = "".join(traceback.format_exception(error)).strip().splitlines()
        return _Verdict(CellStatus.AGENT_ERROR, "\n".join(lines[-_TRACEBACK_LINES:]))
    return _Verdict(CellStatus.COMPLETE)


def _blame(session: Session, verdict: _Verdict) -> _Verdict:
    """`invalid` when the simulator itself failed at the end: that is not the agent's doing."""
    last = session.history[-_INFRA_ERRORS_ALLOWED:]
    if len(last) == _INFRA_ERRORS_ALLOWED and all(e.status is Status.INFRA_ERROR for e in last):
        return _Verdict(CellStatus.INVALID, f"the simulator failed: {last[-1].message}")
    return verdict


def _winner(session: Session) -> Evaluation | None:
    """The first of the best designs that were really simulated, at every condition."""
    whole = (e for e in session.history if e.complete)
    simulated = [e for e in whole if e.status in (Status.OK, Status.MEASURE_FAILED)]
    return max(simulated, key=lambda e: e.score, default=None)


def _verify(
    task: Task, winner: Evaluation | None, verdict: _Verdict
) -> tuple[Evaluation | None, _Drawn | None, _Verdict]:
    if winner is None:
        return None, None, verdict
    again, drawn = _simulate_afresh(task, winner.design)
    if why := difference(winner, again):
        why = f"the best design simulates differently: {why}"
        return again, None, _Verdict(CellStatus.INVALID, why)
    return again, drawn, verdict


def _simulate_afresh(task: Task, design: Mapping[str, float]) -> tuple[Evaluation, _Drawn | None]:
    """What a new simulator process makes of the design, and what it gave at the first condition."""
    for _ in range(_VERIFY_ATTEMPTS):
        with WorkerPool(1) as pool:
            simulator = _KeepsWaveforms(pool)
            with task.session(task.cost, simulator=simulator) as session:
                evaluation = session.simulate(design)
        if evaluation.status is not Status.INFRA_ERROR:
            break
    return evaluation, simulator.first


class _KeepsWaveforms(Simulator):
    """Passes jobs on, and asks for the waveforms of the first: no simulation more is run for them."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.first: _Drawn | None = None

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        if self.first is not None or not jobs:
            return self._simulator.run(jobs)
        outcomes = self._simulator.run([replace(jobs[0], waveforms=True), *jobs[1:]])
        self.first = jobs[0], outcomes[0]
        return outcomes


def difference(claimed: Evaluation, again: Evaluation) -> str:
    """Where two evaluations of one design disagree by more than 1e-6; empty when they do not."""
    if claimed.status is not again.status:
        return f"status {claimed.status}, then {again.status}"
    pairs = {n: (v, again.metrics.get(n, math.nan)) for n, v in claimed.metrics.items()}
    pairs["score"] = (claimed.score, again.score)
    for name, (first, second) in pairs.items():
        same = math.isclose(first, second, rel_tol=VERIFY_RTOL)
        if not same and not (math.isnan(first) and math.isnan(second)):
            return f"{name} {first:.9g}, then {second:.9g}"
    return ""


def _attempts(kept: Sequence[Path]) -> str:
    """What a reader must know of attempts that were interrupted and not continued."""
    if not kept:
        return ""
    return f"attempt {len(kept) + 1}; earlier ones are kept: {', '.join(p.name for p in kept)}"


def _usage(session: Session) -> Usage:
    failed = Counter(str(e.status) for e in session.history if e.status is not Status.OK)
    return Usage(
        simulations=session.meter.used,
        calls=len(session.history),
        duplicates=session.usage.duplicates,
        failed=dict(sorted(failed.items())),
        tokens=session.usage.tokens,
        money=session.usage.money,
    )


def _timing(start: float, simulator_seconds: float) -> Timing:
    return Timing(
        total_seconds=round(time.perf_counter() - start, 3),
        simulator_seconds=round(simulator_seconds, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        peak_memory_mib=peak_memory_mib(),
    )


def _record(evaluation: Evaluation | None) -> EvaluationRecord | None:
    return None if evaluation is None else EvaluationRecord.of(evaluation)


def _as_track(track: str) -> Literal["score", "metrics"]:
    return cast(Literal["score", "metrics"], track)
