"""What the messages of a conversation say was simulated, by design.

Reads the answers of `acs_gym.tools` in both formats, together with the calls that they answer; whatever
else stands in the messages, garbage included, says nothing. Knows no plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acs_gym.design import Design, InvalidDesign
from acs_gym.task import Task
from acs_gym.tools.answers import design_text
from acs_gym.tools.definitions import OPERATING_POINT, SIMULATE
from acs_gym.tools.reading import read_design, read_json
from acs_gym.units import parse
from agents.model import Message, ToolCall
from agents.text_format import read_calls

Key = tuple[float, ...]
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Point:
    """A transistor at DC: drain current (A), gm/Id (1/V), room to the triode region (V)."""

    id: float
    gm_id: float
    room: float
    saturated: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What was answered for a design. `metrics` in SI units, those measured only."""

    number: int
    metrics: Mapping[str, float]
    score: float
    feasible: bool


@dataclass(slots=True)
class Notebook:
    """Attributes:
    seen: by the design's canonical values.
    points: by the design's number; empty where there is no operating point.
    """

    seen: dict[Key, Seen] = field(default_factory=dict)
    points: dict[int, dict[str, Point]] = field(default_factory=dict)

    @property
    def solved(self) -> bool:
        return any(s.feasible for s in self.seen.values())


def as_written(task: Task, design: Mapping[str, float]) -> Design:
    """The canonical design that is read back from `design` written down."""
    return read_design(task, design_text(task, task.space.canonicalize(design)))


def read_notebook(task: Task, messages: Sequence[Message]) -> Notebook:
    """Everything that the messages say; never raises for what stands in them."""
    notebook = Notebook()
    for call, answer in _exchanges(messages):
        if isinstance(designs := answer.get("designs"), list):
            for row in designs:
                if isinstance(row, dict):
                    _note(notebook, task, row.get("parameters"), row)
        elif isinstance(results := answer.get("results"), list):
            asked = _arguments(call).get("designs") if call.name == SIMULATE else None
            if isinstance(asked, list) and len(asked) == len(results):
                for design, result in zip(asked, results, strict=True):
                    _note(notebook, task, design, result)
        elif call.name == OPERATING_POINT:
            _note_points(notebook, call, answer)
    return notebook


def _exchanges(messages: Sequence[Message]) -> Iterator[tuple[ToolCall, dict[str, Any]]]:
    """(call, answer) in order; what is told without a call has one without a name."""
    waiting: dict[str, ToolCall] = {}
    nothing = ToolCall("", "", "{}")
    for message in messages:
        role, content = message.get("role"), message.get("content")
        text = content if isinstance(content, str) else ""
        if role == "assistant":
            waiting = {c.id: c for c in _calls(message, text)}
        elif role == "tool":
            call = waiting.get(str(message.get("tool_call_id")), nothing)
            if isinstance(answer := read_json(text), dict):
                yield call, answer
        elif role == "user":
            responses = _RESPONSE.findall(text)
            for call, response in zip(waiting.values(), responses, strict=False):
                if isinstance(answer := read_json(response), dict):
                    yield call, answer
            # A summary of turns that were left out is the answer of `history` behind a sentence.
            if not responses and "{" in text:
                summary = read_json(text[text.index("{") :])
                if isinstance(summary, dict):
                    yield nothing, summary


def _calls(message: Message, text: str) -> list[ToolCall]:
    entries = message.get("tool_calls")
    if not isinstance(entries, list) or not entries:
        return list(read_calls(text)[1])
    found = []
    for entry in entries:
        function = entry.get("function") if isinstance(entry, dict) else None
        if isinstance(function, dict):
            name, arguments = function.get("name"), function.get("arguments")
            found.append(ToolCall(str(entry.get("id")), str(name), str(arguments)))
    return found


def _arguments(call: ToolCall) -> dict[str, Any]:
    found = read_json(call.arguments)
    return found if isinstance(found, dict) else {}


def _note(notebook: Notebook, task: Task, design: object, result: object) -> None:
    if not isinstance(result, dict) or not isinstance(number := result.get("design"), int):
        return
    try:
        key = task.space.key(read_design(task, design))
    except (InvalidDesign, TypeError):
        return
    metrics = result.get("metrics")
    notebook.seen[key] = Seen(
        number=number,
        metrics=_numbers(metrics if isinstance(metrics, dict) else {}),
        score=_numbers({"score": result.get("score")}).get("score", 0.0),
        feasible=result.get("all_specs_met") is True,
    )


def _note_points(notebook: Notebook, call: ToolCall, answer: Mapping[str, Any]) -> None:
    number = answer.get("design", _arguments(call).get("design"))
    if number is None:
        number = max((s.number for s in notebook.seen.values()), default=0)
    if not isinstance(number, int):
        return
    devices = answer.get("transistors")
    points = notebook.points.setdefault(number, {})
    for name, quantities in devices.items() if isinstance(devices, dict) else ():
        if not isinstance(quantities, dict):
            continue
        read = _numbers(quantities)
        points[str(name).lower()] = Point(
            id=read.get("id", 0.0),
            gm_id=read.get("gm/id", 0.0),
            room=read.get("saturation_margin", 0.0),
            saturated=quantities.get("region") == "saturation",
        )


def _numbers(texts: Mapping[str, Any]) -> dict[str, float]:
    """Those values that are numbers, or text in engineering notation."""
    found = {}
    for name, value in texts.items():
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            try:
                found[str(name)] = parse(value) if isinstance(value, str) else float(value)
            except (ValueError, OverflowError):
                continue
    return found
