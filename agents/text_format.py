"""Tool calls in plain text, for models and servers that know none.

A reply may hold any prose and any number of calls, each a JSON object between two tags:

    <tool_call>{"name": "simulate", "arguments": {"designs": [{"w1": "20u"}]}}</tool_call>

The answers come in the next user message, in order:

    <tool_response>{"results": [...]}</tool_response>

These are the tags that Qwen and Hermes models were trained on, so what a model learns in one format
carries over to the other. A call that is cut off, or is no JSON, is still a call: the model is told.

Models that were trained on another notation fall back into it. Where a reply has no such tags, calls are
read as Mistral, Qwen's coders and Llama write them, and as a JSON object in a code fence; `ToolCall.form`
then says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from acs_gym.tools.reading import read_json
from agents.model import FENCE, ToolCall, read_arguments

_BLOCK = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_XML = re.compile(r"<function=([\w.:-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_XML_PARAMETER = re.compile(r"<parameter=([\w.-]+)>\s*(.*?)\s*</parameter>", re.DOTALL)
_MISTRAL = "[TOOL_CALLS]"
_MISTRAL_NAME = re.compile(r"\s*([\w.:-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\]\s*)?(?=\{)")
# What stands before and behind a call of Llama's.
_LLAMA = re.compile(r"\A\s*(?:<\|python_tag\|>)?\s*|\s*(?:<\|e(?:om|ot)_id\|>)*\s*\Z")
_FENCED = re.compile(r"```(?:json|tool_call)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_BETWEEN = re.compile(r"[\s;,]*")
_DECODER = json.JSONDecoder()


def instructions(tools: Sequence[Any]) -> str:
    """How to call these tools, for the system message."""
    described = "\n".join(
        json.dumps(
            {k: t["function"][k] for k in ("name", "description", "parameters")},
            ensure_ascii=False, separators=(",", ":"),
        )
        for t in tools
    )  # fmt: skip
    return (
        "# Tools\nCall a tool by writing, anywhere in your reply,\n"
        '<tool_call>{"name": NAME, "arguments": {...}}</tool_call>\n'
        "with valid JSON between the tags; several calls may follow each other. The answers come in "
        f"<tool_response> tags. The tools:\n{described}"
    )


def read_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """(the prose, the calls) of a reply."""
    if "<tool_call>" in text:
        found = [call for match in _BLOCK.finditer(text) for call in _in_tags(match[1].strip())]
        return _BLOCK.sub("", text).strip(), _numbered(found)
    if _MISTRAL in text:
        prose, _, rest = text.partition(_MISTRAL)
        return prose.strip(), _numbered(_after_mistral(rest))
    if found := _objects(_LLAMA.sub("", FENCE.sub("", text.strip())), "a JSON object without tags"):
        return "", _numbered(found)
    fenced = [c for m in _FENCED.finditer(text) for c in _objects(m[1], "JSON in a code fence")]
    return (_FENCED.sub("", text).strip() if fenced else text.strip()), _numbered(fenced)


def _in_tags(body: str) -> list[ToolCall]:
    """The calls between two tags: one, but in the XML of Qwen's coders."""
    if xml := _XML.findall(body):
        return [_xml(name, inside) for name, inside in xml]
    call = _of_object(read_json(FENCE.sub("", body)))
    return [call or ToolCall("", "", FENCE.sub("", body))]


def _xml(name: str, inside: str) -> ToolCall:
    values = {k: _value(v) for k, v in _XML_PARAMETER.findall(inside)}
    return ToolCall("", name, json.dumps(values), form="it was written as XML, not as JSON")


def _value(text: str) -> Any:
    value = read_json(text)
    return text if value is None and text != "null" else value


def _after_mistral(text: str) -> list[ToolCall]:
    """The calls behind Mistral's mark: a list of objects, or a name and its arguments each."""
    form = f"it stood behind {_MISTRAL}, not in tags"
    found: list[ToolCall] = []
    for part in text.split(_MISTRAL):
        if listed := _objects(part, ""):
            found += listed
        elif (name := _MISTRAL_NAME.match(part)) and (read := _decoded(part, name.end())):
            found.append(ToolCall("", name[1], part[name.end() : read[1]]))
        else:
            found.append(ToolCall("", "", part.strip()))
    return [replace(call, form=form) for call in found]


def _objects(text: str, form: str) -> list[ToolCall]:
    """The calls of a text that is one object, a list of objects, or some with separators, and no more."""
    position, found = _end(_BETWEEN.match(text)), list[ToolCall]()
    while position < len(text):
        if text[position] not in "{[" or (read := _decoded(text, position)) is None:
            return []
        value, position = read
        for entry in value if isinstance(value, list) else [value]:
            if (call := _of_object(entry, strictly=True)) is None:
                return []
            found.append(replace(call, form=f"it was {form}" if form else ""))
        position = _end(_BETWEEN.match(text, position))
    return found


def _of_object(data: object, *, strictly: bool = False) -> ToolCall | None:
    """The call that a JSON object is, in the chat format's own nesting or without; None when it is none.

    `strictly` takes none without arguments, which might be any object with a name.
    """
    if isinstance(data, dict) and isinstance(data.get("function"), dict):
        data = data["function"]
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        return None
    if strictly and not isinstance(data.get("arguments", data.get("parameters")), dict | str):
        return None
    arguments = data.get("arguments", data.get("parameters", {}))
    # Some models quote the arguments once more, as the chat format's own field does.
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall("", data["name"], written)


def _decoded(text: str, start: int) -> tuple[Any, int] | None:
    """(the JSON value that starts there, where it ends)."""
    try:
        _, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    value = read_json(text[start:end])
    return None if value is None else (value, end)


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # The pattern matches nothing too.
    return match.end()


def _numbered(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    return tuple(replace(call, id=f"call_{k}") for k, call in enumerate(calls, start=1))


def write_calls(prose: str, calls: Sequence[ToolCall]) -> str:
    """A reply with these calls; what `read_calls` reads back."""
    blocks = []
    for call in calls:
        arguments, _ = read_arguments(call.arguments)
        body = json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False)
        blocks.append(f"<tool_call>{body}</tool_call>")
    return "\n".join([*([prose] if prose else []), *blocks])


def write_answers(answers: Sequence[str]) -> str:
    """The user message that answers the calls of a reply, in order."""
    return "\n".join(f"<tool_response>{answer}</tool_response>" for answer in answers)
