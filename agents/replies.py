"""A chat completion as servers write it, as a Reply. Pure, and the same in training.

What servers differ in is settled here: reasoning in a field or in the text, content in parts, arguments
as an object, calls in the older form, no count of tokens.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.model import (
    CHARACTERS_PER_TOKEN,
    Message,
    Reply,
    TokenCount,
    ToolCall,
    estimate_tokens,
    is_count,
)
from agents.refusals import words_of

_THINKING = re.compile(r"\A\s*(?:<think>)?(.*?)</think>", re.DOTALL)
_UNFINISHED_THINKING = re.compile(r"\A\s*<think>(.*)\Z", re.DOTALL)


def not_a_reply(raw: object) -> str:
    """Why a body is no chat completion with something in it; empty when it is one."""
    if not isinstance(raw, dict):
        return f"the answer is no JSON object: {str(raw)[:200]!r}"
    if raw.get("error"):
        return f"the server says: {words_of(json.dumps(raw))}"
    choices = raw.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return "the answer holds no choices"
    if not isinstance(choices[0].get("message"), dict):
        return "the answer holds no message"
    return ""


def read_reply(
    raw: Mapping[str, Any],
    messages: Sequence[Message],
    attempts: int = 1,
    seconds: float = 0.0,
    notes: tuple[str, ...] = (),
) -> Reply:
    """A chat completion as a Reply; what servers differ in is settled here."""
    choice = raw["choices"][0]
    message = choice["message"]
    text = _text_of(message.get("content"))
    reasoning = _text_of(message.get("reasoning_content") or message.get("reasoning"))
    if not reasoning and "</think>" in text:
        match = _THINKING.match(text)
        if match is not None:
            reasoning, text = match[1].strip(), text[match.end() :].lstrip()
    elif not reasoning and (match := _UNFINISHED_THINKING.match(text)) is not None:
        reasoning, text = match[1].strip(), ""
    calls = tuple(_calls(message))
    usage = raw.get("usage")
    return Reply(
        text=text,
        reasoning=reasoning,
        calls=calls,
        finish_reason=str(choice.get("finish_reason") or ""),
        tokens=_tokens(usage, messages, text + reasoning + "".join(c.arguments for c in calls)),
        attempts=attempts,
        seconds=seconds,
        notes=notes,
    )


def _calls(message: Mapping[str, Any]) -> list[ToolCall]:
    found = []
    entries = message.get("tool_calls")
    entries = entries if isinstance(entries, list) else []
    form = ""
    if not entries and isinstance(older := message.get("function_call"), dict):
        entries = [{"function": older}]
        form = "it stood in the older field function_call"
    for number, entry in enumerate(entries, start=1):
        entry = entry if isinstance(entry, dict) else {}
        function = entry.get("function")
        function = function if isinstance(function, dict) else {}
        arguments = function.get("arguments", "")
        # Ollama gives an object where the format has its text.
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        name = function.get("name")
        found.append(
            ToolCall(
                id=str(entry.get("id") or f"call_{number}"),
                name=_plain(name) if isinstance(name, str) else "",
                arguments=_plain(written) or "{}",
                form=form,
            )
        )
    return found


def _text_of(content: object) -> str:
    """A message's content, which may be a list of parts."""
    if isinstance(content, str):
        return _plain(content)
    if isinstance(content, list):
        parts = (p.get("text") for p in content if isinstance(p, dict))
        return _plain("".join(p for p in parts if isinstance(p, str)))
    return ""


def _plain(text: str) -> str:
    """Without half a surrogate pair, which no next request could carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _tokens(usage: object, messages: Sequence[Message], reply: str) -> TokenCount:
    if isinstance(usage, dict):
        read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if is_count(read) and is_count(written):
            return TokenCount(read, written)
    return TokenCount(
        estimate_tokens(messages), math.ceil(len(reply) / CHARACTERS_PER_TOKEN), estimated=True
    )
