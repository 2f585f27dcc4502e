"""The lines of a transcript: one JSON object each, one schema, checked when read.

`start` (what was asked of whom), then in the order of events `message` (what the agent said to the model,
tool answers included), `reply` (what the model said, with tokens, cost and timing), `fault` (the model
could not answer), `note` (what was asked, or read, otherwise than was set or written), `evaluation` (a
design simulated), and at last `end`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TextIO

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # Pydantic takes no other before Python 3.12.

from acs_gym.evaluation import Evaluation, Status
from acs_gym.wording import first_problem
from agents.model import Reply, TokenCount, ToolCall

SCHEMA = 1


class TranscriptError(ValueError):
    """A file that is no transcript; the message names file, line and field."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Start(_Record):
    """What was asked of whom. `config` is the agent's; it holds no key. `workers` are the session's: an
    optimiser may propose as many designs at once."""

    type: Literal["start"] = "start"
    schema_version: Literal[1] = 1
    agent: str
    task: str
    task_digest: str
    pdk: str
    tier: str
    specs: dict[str, float]
    budget: int | None
    seed: int
    workers: Annotated[int, Field(ge=1)] = 1
    config: dict[str, Any]
    started: str


class Said(_Record):
    """A message of the agent's: to the model, or in answer to its calls."""

    type: Literal["message"] = "message"
    role: Literal["system", "user", "tool"]
    content: str
    tool_call_id: str = ""
    name: str = ""


class Call(_Record):
    id: str
    name: str
    arguments: str


class Replied(_Record):
    """A reply of the model. `seconds` is its own time with its way over the wire; `agent_seconds` is
    ours since the one before, without the simulator's."""

    type: Literal["reply"] = "reply"
    content: str
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish_reason: str = ""
    prompt_tokens: int
    completion_tokens: int
    tokens_estimated: bool = False
    usd: float = 0.0
    attempts: int = 1
    seconds: float
    agent_seconds: float

    def to_reply(self) -> Reply:
        return Reply(
            text=self.content,
            reasoning=self.reasoning,
            calls=tuple(ToolCall(c.id, c.name, c.arguments) for c in self.calls),
            finish_reason=self.finish_reason,
            tokens=TokenCount(self.prompt_tokens, self.completion_tokens, self.tokens_estimated),
            attempts=self.attempts,
        )


class Fault(_Record):
    """The model did not answer: `context` when the messages were too long for it, `model` otherwise."""

    type: Literal["fault"] = "fault"
    kind: Literal["context", "model"]
    message: str


class Note(_Record):
    """Something was not done to the letter: in a `request`, because the server takes it so, or in the
    `reading` of a call that was not written as the tools say."""

    type: Literal["note"] = "note"
    kind: Literal["request", "reading"]
    message: str


class Evaluated(TypedDict):
    """What `Evaluation.to_json` gives: SI units, None where there is no number.

    Without `by_condition`: no model is shown it, and a replay simulates anew.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)  # type: ignore[misc]

    design: dict[str, float]
    status: Status
    metrics: dict[str, float | None]
    margins: dict[str, float | None]
    satisfaction: dict[str, float]
    score: float
    feasible: bool
    cost: int
    message: str
    unknown: NotRequired[int]
    spread: NotRequired[dict[str, Any]]


class Simulated(_Record):
    """One design through the session's meter, numbered from 1 as the session's history is."""

    type: Literal["evaluation"] = "evaluation"
    number: Annotated[int, Field(ge=1)]
    evaluation: Evaluated

    @classmethod
    def of(cls, number: int, evaluation: Evaluation) -> Simulated:
        return cls.model_validate(
            {"number": number, "evaluation": evaluation.to_json(by_condition=False)}
        )


class End(_Record):
    """Why the run ended, and what it came to."""

    type: Literal["end"] = "end"
    reason: str
    score: float | None
    feasible: bool
    simulations: int
    replies: int
    prompt_tokens: int
    completion_tokens: int
    usd: float
    seconds: float


Record = Annotated[
    Start | Said | Replied | Fault | Note | Simulated | End, Field(discriminator="type")
]
_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


class TranscriptWriter:
    """Appends records to a file, each on disk before anything else happens.

    Args:
        secret: a text that must never be written (the key), wherever it may come from.
    """

    def __init__(self, path: Path | None, *, secret: str = "") -> None:
        self.path = path
        self._secret = secret if len(secret) > 3 else ""
        self._stream: TextIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("w", encoding="utf-8")

    def write(self, record: Record) -> None:
        if self._stream is None:
            return
        # A lone surrogate, which a model's text may hold, is no UTF-8.
        text = json.dumps(record.model_dump(mode="json"), ensure_ascii=True, allow_nan=False)
        if self._secret:
            text = text.replace(json.dumps(self._secret)[1:-1], "[key]")
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def read_transcript(path: Path) -> list[Record]:
    """Every record. A last line that was cut off by an interrupt is left out.

    Raises TranscriptError naming file, line and field.
    """
    return list(_records(path))


def _records(path: Path) -> Iterator[Record]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TranscriptError(f"{path}: cannot be read: {error.strerror}") from None
    whole = lines[:-1]
    if not whole:
        raise TranscriptError(f"{path}: is empty")
    for number, line in enumerate(whole, start=1):
        try:
            data = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise TranscriptError(f"{path}: line {number}: is no JSON: {error}") from None
        if number == 1 and (not isinstance(data, dict) or data.get("type") != "start"):
            raise TranscriptError(f"{path}: line 1: is not the start of a transcript")
        version = data.get("schema_version", SCHEMA) if isinstance(data, dict) else SCHEMA
        if number == 1 and version != SCHEMA:
            raise TranscriptError(
                f"{path}: line 1: schema_version: is {version!r}, and this version of acs-gym reads "
                f"{SCHEMA}; use the version that wrote it"
            )
        if number > 1 and isinstance(data, dict) and data.get("type") == "start":
            raise TranscriptError(f"{path}: line {number}: type: a second start in one transcript")
        try:
            yield _RECORD.validate_python(data)
        except ValidationError as error:
            problem = first_problem(error, "type")
            raise TranscriptError(f"{path}: line {number}: {problem}") from None


def _refuse(token: str) -> float:
    raise ValueError(f"{token} is no JSON number")
