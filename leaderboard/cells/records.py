"""What is written of a cell. One schema; every field is checked when it is read."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Direction, SpecSheet
from leaderboard.cells.spec import CellSpec
from leaderboard.files import JsonObject

SCHEMA = 1

Score = Annotated[float, Field(ge=0, le=1)]
# Beyond it sums of counts would leave the floats, and `10**400` does at once.
Count = Annotated[int, Field(ge=0, le=10**15)]


class CellStatus(StrEnum):
    """How a cell ended. All but `invalid` and `crashed` count with the best design simulated.

    `complete`: the agent returned. `over_budget`: it asked for more than remained and let the
    refusal through. `agent_error`: it raised. `invalid`: its best design did not simulate to the
    same metrics in a fresh simulator, or the simulator itself failed; counts as 0. `crashed`: the
    process of the cell died twice; counts as 0.
    """

    COMPLETE = "complete"
    OVER_BUDGET = "over_budget"
    AGENT_ERROR = "agent_error"
    INVALID = "invalid"
    CRASHED = "crashed"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ConditionEnd(_Record):
    status: str
    message: str


class ConditionsRecord(_Record):
    """`acs_gym.Evaluation.by_condition`, in the order of the tier.

    A resumed cell answers with it, so it is in the trace and not left to be simulated again.

    Attributes:
        metrics: for each metric a value a condition.
        not_ok: how those ended that were not `ok`.
    """

    conditions: tuple[str, ...]
    metrics: dict[str, tuple[float | None, ...]]
    not_ok: dict[str, ConditionEnd]


class EvaluationRecord(_Record):
    """`acs_gym.Evaluation.to_json`; None is a metric that could not be measured.

    In an invalid design None also stands for a value that was no finite number.
    """

    design: dict[str, float | None]
    status: str
    metrics: dict[str, float | None]
    margins: dict[str, float | None]
    satisfaction: dict[str, float]
    score: Score
    feasible: bool
    cost: Count
    message: str
    unknown: Count = 0
    spread: JsonObject | None = None
    by_condition: ConditionsRecord | None = None

    @classmethod
    def of(cls, evaluation: Evaluation) -> EvaluationRecord:
        return cls.model_validate(recordable(evaluation))

    def evaluation(self, specs: SpecSheet) -> Evaluation:
        """What was recorded, judged anew. Raises ValueError where no evaluation gives that."""
        several = ("spread", "by_condition")
        data = self.model_dump(exclude={name for name in several if getattr(self, name) is None})
        data["design"] = {k: math.nan if v is None else v for k, v in self.design.items()}
        return Evaluation.from_json(data, specs)


def recordable(evaluation: Evaluation) -> dict[str, Any]:
    """The JSON of an EvaluationRecord."""
    data = evaluation.to_json()
    if evaluation.status is Status.INVALID_DESIGN:
        data["design"] = {k: v if math.isfinite(v) else None for k, v in data["design"].items()}
    return data


class TraceLine(_Record):
    """One line of `trace.jsonl`: one design through the meter. `seconds` since the cell began.

    `conditions`: those asked for, where that was not every one of the tier.
    """

    index: Count
    evaluation: EvaluationRecord
    duplicate: bool
    seconds: float
    conditions: list[str] | None = None


class SpecRow(_Record):
    metric: str
    direction: Direction
    target: float
    unit: str


class TaskCard(_Record):
    """What a report needs to know of a task, so that it can be read where the PDK is not."""

    title: str
    digest: str
    parameter_units: dict[str, str]
    metric_units: dict[str, str]
    specs: tuple[SpecRow, ...]


class Usage(_Record):
    """What was spent. `failed`: simulations by status, other than `ok`."""

    simulations: Count
    calls: Count
    duplicates: Count
    failed: dict[str, Count]
    tokens: Count
    money: Annotated[float, Field(ge=0, le=1e12)]


class Timing(_Record):
    """Wall-clock seconds, and when it was finished (UTC, ISO 8601). Never part of a comparison.

    `peak_memory_mib`: what the cell's process held at most, libraries included; an agent in a process of
    its own is not in it. None where the system does not tell.
    """

    total_seconds: float
    simulator_seconds: float
    finished: str
    peak_memory_mib: float | None = None


class Result(_Record):
    """`result.json`. Its presence says that the cell is done.

    Attributes:
        score: of the winning design as simulated again in a fresh simulator; 0 when there is none.
        feasible: whether that design meets every spec.
        best: the winning design as the agent's session saw it.
        verified: the same design simulated again; None when there was nothing to verify.
        trace_sha256: of `trace.jsonl`, so that a truncated or edited trace is noticed.
    """

    schema_version: Literal[1] = 1
    key: str
    spec: CellSpec
    agent_config: JsonObject
    track: Literal["score", "metrics"]
    status: CellStatus
    message: str
    score: Score
    feasible: bool
    best: EvaluationRecord | None
    verified: EvaluationRecord | None
    usage: Usage
    task: TaskCard
    trace_sha256: str
    timing: Timing
    fingerprint: JsonObject
