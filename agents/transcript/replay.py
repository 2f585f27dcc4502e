"""A run once more, from its transcript: the same simulations and score, without a model.

The agent of the transcript runs again on a fresh session, and what its model said is read from the file.
Simulation is a pure function, so every evaluation must come out equal, digit for digit; where one does
not, the transcript was edited, or the circuit, the models or the simulator are others.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acs_gym.evaluation import Evaluation, Status
from acs_gym.pdks import PdkError
from acs_gym.session import BudgetExhausted, Session
from acs_gym.task import Task, TaskNotFound, make_task
from agents import registry
from agents.config import ConfigError, LlmConfig
from agents.limits import LimitReached
from agents.model import Allowance, ContextTooLong, Message, ModelError, Reply, ToolDefinition
from agents.transcript.records import (
    End,
    Fault,
    Record,
    Replied,
    Simulated,
    Start,
    TranscriptError,
    read_transcript,
)

# Who a transcript was written by -> what runs again. None: no model decided anything here, or it did so
# elsewhere, so that the designs alone can be simulated again.
AGENTS: Mapping[str, str | None] = {**registry.AGENTS, "mcp": None}
_COMPARED = ("design", "status", "metrics", "margins", "satisfaction", "score", "feasible", "cost",
             "unknown", "spread")  # fmt: skip
_NO_TASK = (TaskNotFound, PdkError, ValueError)


class ReplayModel:
    """A model that says again what a transcript recorded, in order, whatever it is asked.

    Where the transcript holds a fault it raises it, and after the last record LimitReached, so that the
    run ends there.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._left = [r for r in records if isinstance(r, (Replied, Fault))]

    @property
    def left(self) -> int:
        """Replies that were not asked for yet."""
        return sum(isinstance(r, Replied) for r in self._left)

    def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolDefinition], *, limits: Allowance
    ) -> Reply:
        if not self._left:
            raise LimitReached("the transcript ends here")
        record = self._left.pop(0)
        if isinstance(record, Replied):
            return record.to_reply()
        assert isinstance(record, Fault)
        raise (ContextTooLong if record.kind == "context" else ModelError)(record.message)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay gave.

    Attributes:
        start: of the transcript.
        replies: of the model that were given again.
        compared: evaluations that stand in the transcript.
        beyond: evaluations of the replay after the last recorded one, of a transcript that is cut off.
        differences: what is not as recorded, in the order of the run; empty when all is.
        score: of the best design simulated now, or None without any.
    """

    start: Start
    replies: int
    compared: int
    beyond: int
    differences: tuple[str, ...]
    score: float | None

    @property
    def equal(self) -> bool:
        return not self.differences


def replay(path: Path) -> Replayed:
    """Run a transcript again and compare.

    Raises TranscriptError when the file is none, was written by an agent that is not known here, or is of
    a task that is another one now; SimulatorNotFound without ngspice.
    """
    records = read_transcript(path)
    start = records[0]
    assert isinstance(start, Start)
    if start.agent not in AGENTS:
        raise TranscriptError(
            f"{path}: line 1: agent: {start.agent!r} cannot be run again; agents that can: "
            f"{', '.join(AGENTS)}"
        )
    location = AGENTS[start.agent]
    task = recorded_task(start, path)
    recorded = [r for r in records if isinstance(r, Simulated)]
    model = ReplayModel(records)
    with task.session(start.budget, seed=start.seed, workers=start.workers) as session:
        if location is None:
            _simulate_again(recorded, session)
        else:
            _run_again(location, start, model, session, path)
    end = next((r for r in records if isinstance(r, End)), None)
    left = 0 if location is None else model.left
    return Replayed(
        start=start,
        replies=sum(isinstance(r, Replied) for r in records) - model.left,
        compared=len(recorded),
        beyond=max(0, len(session.history) - _last(recorded)),
        differences=tuple(_differences(recorded, session, end, left)),
        score=None if session.best is None else session.best.score,
    )


def recorded_task(start: Start, path: Path) -> Task:
    """The task of a transcript. Raises TranscriptError when there is none here, or it is another one."""
    what = f"{start.task} on {start.pdk} in tier {start.tier}"
    try:
        tasks = [
            make_task(
                start.task, pdk=start.pdk, tier=start.tier, specs=start.specs,
                stop_at_first_failure=early,
            )
            for early in (False, True)
        ]  # fmt: skip
    except _NO_TASK as error:
        raise TranscriptError(f"{path}: {what} cannot be made here: {error}") from None
    for task in tasks:
        if task.digest == start.task_digest:
            return task
    raise TranscriptError(
        f"{path}: {what} is another task now (digest {tasks[0].digest[:12]}, in the transcript "
        f"{start.task_digest[:12]}): its targets in the transcript, the circuit's files, the PDK's "
        "models or the version of acs-gym have changed. Nothing was simulated"
    )


def settings_of(start: Start, path: Path) -> LlmConfig:
    """The settings of a transcript's agent. Raises TranscriptError naming what is wrong with them."""
    # A table of prices is not in the transcript; what a reply cost is.
    config = {
        k: v for k, v in start.config.items() if k in LlmConfig.model_fields and k != "prices"
    }
    try:
        return LlmConfig.of(config, f"{path}: line 1: config")
    except ConfigError as error:
        raise TranscriptError(str(error)) from None


def _run_again(
    location: str, start: Start, model: ReplayModel, session: Session, path: Path
) -> None:
    module, _, name = location.partition(":")
    agent: Any = getattr(importlib.import_module(module), name)
    options = {}
    if (sizes := getattr(agent, "default_sizes", None)) is not None:
        try:
            options["sizes"] = type(sizes)(**_beyond_settings(start))
        except (TypeError, ValueError) as error:
            raise TranscriptError(f"{path}: line 1: config: {error}") from None
    # So it was recorded, and the run ended there.
    with contextlib.suppress(ModelError, LimitReached):
        agent(settings_of(start, path), model=model, **options).run(session)


def _beyond_settings(start: Start) -> dict[str, Any]:
    """What an agent has in its configuration beside the settings of the model."""
    return {k: v for k, v in start.config.items() if k not in LlmConfig.model_fields}


def _simulate_again(recorded: Sequence[Simulated], session: Session) -> None:
    # What is missing is named as a difference.
    with contextlib.suppress(BudgetExhausted):
        for simulated in recorded:
            session.simulate(simulated.evaluation["design"])


def _last(recorded: Sequence[Simulated]) -> int:
    return max((r.number for r in recorded), default=0)


def _differences(
    recorded: Sequence[Simulated], session: Session, end: End | None, left: int
) -> list[str]:
    found = []
    for record in recorded:
        if record.number > len(session.history):
            found.append(f"design {record.number} was not simulated in the replay")
        elif why := difference(record, session.history[record.number - 1]):
            found.append(f"design {record.number}: {why}")
    ours = [r.evaluation["status"] for r in recorded] + [e.status for e in session.history]
    if end is None or Status.INFRA_ERROR in ours:
        return found
    if len(session.history) > _last(recorded):
        found.append(f"design {_last(recorded) + 1} of the replay does not stand in the transcript")
    if left:
        found.append(f"the replay ended before the last {left} of the recorded replies")
    best = session.best
    now = {
        "score": None if best is None else best.score,
        "feasible": best is not None and best.feasible,
        "simulations": session.meter.used,
    }
    for name, value in now.items():
        if getattr(end, name) != value:
            found.append(f"end: {name}: {_differs(getattr(end, name), value)}")
    return found


def difference(record: Simulated, now: Evaluation) -> str:
    """The first thing in which an evaluation is not as recorded; empty when all is equal.

    `message` is not compared, nor is anything of an `infra_error`, which says nothing of the design.
    """
    before: Mapping[str, Any] = record.evaluation
    if Status.INFRA_ERROR in (before["status"], now.status):
        return ""
    after = now.to_json()
    for name in _COMPARED:
        old, new = before.get(name, {}), after.get(name, {})
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            for key in dict.fromkeys([*old, *new]):
                if old.get(key, math.nan) != new.get(key, math.nan):
                    return f"{name}.{key}: {_differs(old.get(key), new.get(key))}"
        return f"{name}: {_differs(old, new)}"
    return ""


def _differs(recorded: object, now: object) -> str:
    return f"recorded {_text(recorded)}, now {_text(now)}"


def _text(value: object) -> str:
    return "nothing" if value is None else str(value)
