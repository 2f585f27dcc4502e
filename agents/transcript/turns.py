"""The records of a transcript as turns: what was asked, what the model said, what came of it. Pure.

The lines of a transcript stand in the order of events; here they are put together by who answers whom.
Works for every agent, whether its model calls tools, writes calls as text, or writes plain text that the
agent reads, and for one that has no model here at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from acs_gym.tools.definitions import SIMULATE
from acs_gym.tools.reading import read_json, read_quoted_designs
from agents.model import ToolCall, read_arguments
from agents.text_format import read_calls
from agents.transcript.records import End, Fault, Note, Record, Replied, Said, Simulated, Start

_R = TypeVar("_R", Said, Fault, Note, Simulated)
_ANSWER, _ANSWER_END = "<tool_response>", "</tool_response>"


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A tool call of a model's and what came of it.

    Attributes:
        name, arguments: as the model wrote them.
        answer: what the model was told; None where the run ended before it was.
        evaluations: of the designs that the call simulated.
    """

    name: str
    arguments: str
    answer: str | None
    evaluations: tuple[Simulated, ...] = ()

    @property
    def refusal(self) -> str:
        """Why the call was not carried out; empty when it was."""
        error = _object(self.answer or "").get("error", "")
        return error if isinstance(error, str) else ""

    @property
    def designs(self) -> list[Mapping[str, Any]]:
        """The designs asked for, as written; empty where none can be read."""
        arguments, _ = read_arguments(self.arguments)
        if not isinstance(arguments, dict):
            return []
        asked = arguments.get("designs", arguments.get("design", arguments))
        asked, _ = read_quoted_designs(asked)
        asked = [asked] if isinstance(asked, dict) else asked
        if self.name != SIMULATE or not isinstance(asked, list):
            return []
        return [d for d in asked if isinstance(d, dict) and d]

    @property
    def transistors(self) -> dict[str, dict[str, Any]]:
        """The operating point that the call was answered with; empty for other calls."""
        found = _object(self.answer or "").get("transistors")
        if not isinstance(found, dict):
            return {}
        return {str(k): v for k, v in found.items() if isinstance(v, dict) and v}


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said to the model, its reply, and what the agent did with it.

    Attributes:
        number: from 1.
        prompt: what was said since the turn before, answers to calls left out.
        faults: why the model did not answer at first, or at all.
        notes: what was asked otherwise than was set, then what was read otherwise than was written.
        reply: None where it did not answer.
        text: of the reply, without calls that stand in it.
        calls: in order.
        evaluations: of designs that no call asked for; an agent that reads plain text has those only.
    """

    number: int
    prompt: tuple[Said, ...]
    faults: tuple[Fault, ...]
    reply: Replied | None
    text: str = ""
    notes: tuple[str, ...] = ()
    calls: tuple[AnsweredCall, ...] = ()
    evaluations: tuple[Simulated, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """A whole transcript.

    Attributes:
        before: what was simulated before the model was first asked.
        end: None when the transcript is cut off.
    """

    start: Start
    before: tuple[Simulated, ...]
    turns: tuple[Turn, ...]
    end: End | None

    @cached_property
    def evaluations(self) -> tuple[Simulated, ...]:
        """All of them, in order."""
        of_turns = (
            s for t in self.turns for group in (*(c.evaluations for c in t.calls), t.evaluations)
            for s in group
        )  # fmt: skip
        return (*self.before, *of_turns)

    @property
    def best(self) -> Simulated | None:
        """The first with the highest score."""
        return max(self.evaluations, key=lambda s: s.evaluation["score"], default=None)

    @property
    def replies(self) -> tuple[Replied, ...]:
        return tuple(t.reply for t in self.turns if t.reply is not None)

    @property
    def prompt_tokens(self) -> int:
        return sum(r.prompt_tokens for r in self.replies)

    @property
    def completion_tokens(self) -> int:
        return sum(r.completion_tokens for r in self.replies)

    @property
    def usd(self) -> float:
        return sum(r.usd for r in self.replies)

    @property
    def simulations(self) -> int:
        """What was charged; more than the designs in a tier with several conditions."""
        return sum(s.evaluation["cost"] for s in self.evaluations)

    @property
    def model(self) -> str:
        """Its name; empty where the transcript has none."""
        return str(self.start.config.get("model", ""))

    @property
    def reason(self) -> str:
        """Why the run ended."""
        return "cut off: the transcript has no end" if self.end is None else self.end.reason


def read_turns(records: Sequence[Record]) -> Conversation:
    """The turns of what `read_transcript` gives."""
    start = records[0]
    assert isinstance(start, Start)
    end = next((r for r in records if isinstance(r, End)), None)
    head, *rest = _split(records[1:])
    prompt, faults, asked = _of(head, Said), _of(head, Fault), _notes(head, "request")
    turns: list[Turn] = []
    for reply, *events in rest:
        assert isinstance(reply, Replied)
        said = _of(events, Said)
        text, calls = _calls(reply)
        answers = [a for message in said for a in _answers(message)]
        answered, left = _assign(calls, answers, _of(events, Simulated))
        notes = asked + _notes(events, "reading")
        turns.append(Turn(len(turns) + 1, prompt, faults, reply, text, notes, answered, left))
        prompt = tuple(m for m in said if not _answers(m))
        faults, asked = _of(events, Fault), _notes(events, "request")
    if prompt or faults:
        turns.append(Turn(len(turns) + 1, prompt, faults, None))
    return Conversation(start, _of(head, Simulated), tuple(turns), end)


def _split(records: Sequence[Record]) -> list[list[Record]]:
    """What stands before the first reply, then every reply with what follows it."""
    groups: list[list[Record]] = [[]]
    for record in records:
        if isinstance(record, Replied):
            groups.append([])
        groups[-1].append(record)
    return groups


def _of(records: Sequence[Record], kind: type[_R]) -> tuple[_R, ...]:
    return tuple(r for r in records if isinstance(r, kind))


def _notes(records: Sequence[Record], kind: str) -> tuple[str, ...]:
    return tuple(note.message for note in _of(records, Note) if note.kind == kind)


def _calls(reply: Replied) -> tuple[str, tuple[ToolCall, ...]]:
    if reply.calls:
        return reply.content, tuple(ToolCall(c.id, c.name, c.arguments) for c in reply.calls)
    return read_calls(reply.content)


def _answers(message: Said) -> list[str]:
    """The answers to calls in a message, in order. One in text stands on a line of its own."""
    if message.role == "tool":
        return [message.content]
    if message.role != "user" or not message.content.startswith(_ANSWER):
        return []
    lines = message.content.split("\n")
    return [line.removeprefix(_ANSWER).removesuffix(_ANSWER_END) for line in lines]


def _assign(
    calls: Sequence[ToolCall], answers: Sequence[str], evaluations: Sequence[Simulated]
) -> tuple[tuple[AnsweredCall, ...], tuple[Simulated, ...]]:
    """(the calls, with the evaluations that each asked for; those that none did)."""
    queue = list(evaluations)
    done = []
    for call, answer in _paired(calls, answers):
        answered = AnsweredCall(call.name, call.arguments, answer)
        count = len(answered.designs)
        if answer is not None:  # It says what was simulated; without it, what was asked for was.
            results = _object(answer).get("results")
            count = len(results) if isinstance(results, list) else 0
        elif count > len(queue):
            count = 0
        mine, queue = queue[:count], queue[count:]
        done.append(AnsweredCall(call.name, call.arguments, answer, tuple(mine)))
    return tuple(done), tuple(queue)


def _paired(
    calls: Sequence[ToolCall], answers: Sequence[str]
) -> Iterator[tuple[ToolCall, str | None]]:
    for k, call in enumerate(calls):
        yield call, answers[k] if k < len(answers) else None


def _object(text: str) -> dict[str, Any]:
    data = read_json(text)
    return data if isinstance(data, dict) else {}
