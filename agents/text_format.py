"""Tool calls in plain text, for models and servers that know none.

A reply may hold any prose and any number of calls, each a JSON object between two tags:

    <tool_call>{"name": "simulate", "arguments": {"designs": [{"w1": "20u"}]}}</tool_call>

The answers come in the next user message, in order:

    <tool_response>{"results": [...]}</tool_response>

These are the tags that Qwen and Hermes models were trained on, so what a model learns in one format
carries over to the other. A call that is cut off, or is no JSON, is still a call: the model is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from agents.model import ToolCall, read_json

_BLOCK = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_FENCE = re.compile(r"\A```\w*\s*|\s*```\Z")


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
    calls = []
    for number, match in enumerate(_BLOCK.finditer(text), start=1):
        body = _FENCE.sub("", match[1].strip())
        data = read_json(body)
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            calls.append(ToolCall(f"call_{number}", "", body))
            continue
        arguments = data.get("arguments", data.get("parameters", {}))
        # Some models quote the arguments once more, as the chat format's own field does.
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        calls.append(ToolCall(f"call_{number}", data["name"], written))
    return _BLOCK.sub("", text).strip(), tuple(calls)


def write_calls(prose: str, calls: Sequence[ToolCall]) -> str:
    """A reply with these calls; what `read_calls` reads back."""
    blocks = []
    for call in calls:
        arguments = read_json(call.arguments) if call.readable else call.arguments
        body = json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False)
        blocks.append(f"<tool_call>{body}</tool_call>")
    return "\n".join([*([prose] if prose else []), *blocks])


def write_answers(answers: Sequence[str]) -> str:
    """The user message that answers the calls of a reply, in order."""
    return "\n".join(f"<tool_response>{answer}</tool_response>" for answer in answers)
