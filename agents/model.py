"""What a chat model is to an agent: messages and tools in, a reply out.

Messages are those of the OpenAI chat format, as plain dicts. Knows nothing of circuits nor of any
server; `openai_model.py` is the real one, `transcript/replay.py` one that repeats a transcript.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Message = dict[str, Any]
ToolDefinition = Mapping[str, Any]


class ModelError(RuntimeError):
    """The model cannot be talked to; the message says which server said what, and what to do."""


class ContextTooLong(ModelError):
    """The server says that the messages do not fit the model's context."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model asked for.

    Attributes:
        id: names it in the answer; made up where the server gave none.
        name: as the model wrote it; need not be a tool.
        arguments: the JSON text as the model wrote it; need not be JSON.
    """

    id: str
    name: str
    arguments: str

    @property
    def readable(self) -> bool:
        """Whether `arguments` are a JSON object."""
        return isinstance(read_json(self.arguments), dict)

    def to_message(self) -> dict[str, Any]:
        """As part of an assistant message. Some servers parse the arguments of earlier calls and
        fail on what is no JSON, so unreadable ones are left out; the answer quotes them."""
        arguments = self.arguments if self.readable else "{}"
        function = {"name": self.name or "unknown", "arguments": arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of one reply; `estimated` where the server did not say."""

    prompt: int = 0
    completion: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said.

    Attributes:
        text: without its reasoning.
        reasoning: from a field of its own or a <think> block; empty where there is none.
        calls: in order.
        finish_reason: `stop`, `tool_calls`, `length`, ... as the server has it.
        attempts: requests it took.
        seconds: from the first request to the reply.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    tokens: TokenCount = field(default_factory=TokenCount)
    attempts: int = 1
    seconds: float = 0.0

    @property
    def truncated(self) -> bool:
        """Whether the reply was cut off at its length limit."""
        return self.finish_reason == "length"

    def to_message(self, *, with_reasoning: bool = False) -> Message:
        """As the assistant message that goes back to the server with the next request."""
        message: Message = {"role": "assistant", "content": self.text}
        if self.calls:
            message["tool_calls"] = [call.to_message() for call in self.calls]
        if with_reasoning and self.reasoning:
            message["reasoning_content"] = self.reasoning
        return message


class ChatModel(Protocol):
    """Anything that answers messages."""

    def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolDefinition], *, limits: Allowance
    ) -> Reply:
        """One reply. Raises ModelError, and ContextTooLong, which is one."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one reply may use: completion tokens, and seconds until it must be there."""

    tokens: int
    seconds: float


def read_json(text: str) -> Any:
    """The value of a JSON text, or None; NaN and its like are no JSON, and a key twice is none."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None


def _refuse(token: str) -> float:
    raise ValueError(f"{token} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found
