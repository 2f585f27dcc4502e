"""The records of protocol v1, both ways. A field that is not here is an error.

All numbers are finite and in SI units; a metric that could not be measured is null. `budget` and
`remaining` count designs: in a tier of several conditions a design is all of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from acs_gym.design import Scale
from acs_gym.session import Session
from acs_gym.specs import Direction
from acs_gym.tools.statement import SEEDS, task_record

PROTOCOL = 1
MAX_LINE = 1 << 20  # bytes, without the newline
MAX_PARAMETERS = 256

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
OVER_BUDGET, NOT_INITIALIZED = -32000, -32001
ERRORS = {
    PARSE_ERROR: "the line is no strict JSON value, or longer than 1 MB (answered with `id` null)",
    INVALID_REQUEST: "the value is no JSON-RPC 2.0 request with an id; no batch, no notification",
    UNKNOWN_METHOD: "there is no such method",
    INVALID_PARAMS: "a parameter is missing, unknown, or of the wrong type",
    OVER_BUDGET: "the batch is larger than what remains; it is refused whole",
    NOT_INITIALIZED: "`initialize` has not been answered yet",
}

Name = Annotated[str, Field(max_length=100)]
Count = Annotated[int, Field(ge=0)]
DesignMessage = Annotated[dict[Name, float], Field(max_length=MAX_PARAMETERS)]
SimulationStatus = Literal[
    "ok", "nonconverged", "measure_failed", "timeout", "invalid_design", "infra_error"
]
Id = Annotated[int, Field(strict=True)] | Name


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ParameterCard(_Message):
    """One parameter: its bounds, both included. `step`: its grid, null for none."""

    name: str
    low: float
    high: float
    scale: Scale
    step: float | None
    integer: bool
    unit: str
    description: str


class SpecCard(_Message):
    """One spec. `tolerance`: shortfall that counts as one unit of margin; null: the logarithm of
    value over target is the margin."""

    metric: str
    direction: Direction
    target: float
    tolerance: float | None
    weight: float
    unit: str


class TaskMessage(_Message):
    """What is sized. `metrics`: every metric with its SI unit. `conditions`: those of the tier."""

    id: str
    title: str
    description: str
    pdk: str
    tier: str
    parameters: list[ParameterCard]
    specs: list[SpecCard]
    metrics: dict[str, str]
    conditions: list[str]


class Initialize(_Message):
    """Harness to agent, once, first. `budget`: designs that may be simulated."""

    protocol: Literal[1]
    task: TaskMessage
    budget: Count
    seed: Annotated[int, Field(ge=0, lt=SEEDS)]
    track: Literal["score", "metrics"]


class Hello(_Message):
    """The agent's answer to `initialize`."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    version: Name = ""


class Simulate(_Message):
    """Simulate designs, all or none: more than remain are refused whole.

    `conditions`: names of those to simulate, which are charged; all by default. What is said of a
    design is of every condition at which it was simulated so far.
    `by_condition`: say of each design what it gave at each of them; that is some ten thousand
    characters a design, and so only for those who ask.
    """

    designs: Annotated[list[DesignMessage], Field(min_length=1)]
    conditions: Annotated[list[Name], Field(min_length=1)] | None = None
    by_condition: bool = False


class ConditionEnd(_Message):
    """How a condition ended that was not `ok`."""

    status: SimulationStatus
    message: str


class ByCondition(_Message):
    """What a design gave at each condition: for every metric a value a condition, in their order.

    `not_ok`: by the condition's name, how those ended that were not `ok`.
    """

    conditions: list[str]
    metrics: dict[str, list[float | None]]
    not_ok: dict[str, ConditionEnd]


class EvaluationMessage(_Message):
    """One design as simulated and judged; see `acs_gym.Evaluation`.

    `by_condition`: where `simulate` asked for it, in a tier of several conditions.
    `unknown`: conditions of the tier that it was not simulated at; 0 in a design that may count.
    """

    design: dict[str, float]
    status: SimulationStatus
    metrics: dict[str, float | None]
    margins: dict[str, float | None]
    satisfaction: dict[str, float]
    score: Annotated[float, Field(ge=0, le=1)]
    feasible: bool
    cost: Count
    message: str
    unknown: Count = 0
    spread: dict[str, Any] | None = None
    by_condition: ByCondition | None = None


class Simulated(_Message):
    """Evaluations in the order of the designs.

    `remaining`: designs that can still be simulated at every condition; `simulations`: at one.
    """

    evaluations: list[EvaluationMessage]
    remaining: Count
    simulations: Count


class Status(_Message):
    """Ask where the run stands; costs nothing."""


class Standing(_Message):
    """`used`: designs spent. `best`: the first evaluation with the highest score; null before any.

    `simulations` are left, of which a design takes one a condition.
    """

    remaining: Count
    simulations: Count
    used: Count
    best: EvaluationMessage | None


class ClaimedUsage(_Message):
    """What the agent spent on a model, all in all: tokens, and US dollars. Shown, not checked."""

    tokens: Annotated[int, Field(ge=0, le=10**15)] = 0
    money: Annotated[float, Field(ge=0, le=1e9)] = 0.0


class Finish(_Message):
    """End the run. The best design simulated counts; `recommendation` is kept for the record."""

    recommendation: DesignMessage | None = None
    usage: ClaimedUsage | None = None


class Finished(_Message):
    """The answer to `finish`, after which the agent is to end."""

    best: EvaluationMessage | None


class Request(_Message):
    """One request, either way. A request without an id is refused: everything is answered."""

    jsonrpc: Literal["2.0"]
    id: Id
    method: Name
    params: dict[str, Any] = Field(default_factory=dict)


class Answer(_Message):
    """The agent's answer to `initialize`."""

    jsonrpc: Literal["2.0"]
    id: Literal[1]
    result: Hello


class Error(_Message):
    """Why a request was not carried out. Nothing was simulated, nothing charged."""

    code: int
    message: str


METHODS: dict[str, tuple[type[_Message], type[_Message]]] = {
    "simulate": (Simulate, Simulated),
    "status": (Status, Standing),
    "finish": (Finish, Finished),
}


def initialize(session: Session, track: Literal["score", "metrics"]) -> Initialize:
    """What an agent is told of a session before its first turn."""
    return Initialize(
        protocol=1,
        task=TaskMessage.model_validate(task_record(session.task)),
        budget=int(session.remaining),
        seed=session.seed % SEEDS,
        track=track,
    )  # fmt: skip
