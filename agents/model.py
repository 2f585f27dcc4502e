"""What a chat model is to an agent: messages and tools in, a reply out.

Messages are those of the OpenAI chat format, as plain dicts. Knows nothing of circuits nor of any
server; `openai_model.py` is the real one, `transcript/replay.py` one that repeats a transcript.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard

from acs_gym.tools.reading import read_json

Message = dict[str, Any]
# Around JSON, with the language that may stand behind the first ticks.
FENCE = re.compile(r"\A```\w*\s*|\s*```\Z")
# Quotes and fences around arguments; nobody means more.
_MOST_WRAPPERS = 4
# A token of English and numbers is about four characters; three leaves room.
CHARACTERS_PER_TOKEN = 3
ToolDefinition = Mapping[str, Any]


class ModelError(RuntimeError):
    """The model cannot be talked to; the message says which server said what, and what to do."""


class ContextTooLong(ModelError):
    """The server says that the messages do not fit the model's context.

    Attributes:
        fits: tokens, as `estimate_tokens` counts them, that a prompt may have; None where that is not
            known.
    """

    def __init__(self, message: str, *, fits: int | None = None) -> None:
        super().__init__(message)
        self.fits = fits


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model asked for.

    Attributes:
        id: names it in the answer; made up where the server gave none.
        name: as the model wrote it; need not be a tool.
        arguments: the JSON text as the model wrote it; need not be JSON.
        form: how the call stood in the reply, where not as it was asked for.
    """

    id: str
    name: str
    arguments: str
    form: str = ""

    @property
    def readable(self) -> bool:
        """Whether `arguments` can be read as a JSON object."""
        return isinstance(read_arguments(self.arguments)[0], dict)

    def to_message(self) -> dict[str, Any]:
        """As part of an assistant message. Some servers parse the arguments of earlier calls and
        fail on what is no JSON object, so what was read as one is written as one, and unreadable ones are
        left out; the answer quotes them."""
        value, wrapped = read_arguments(self.arguments)
        arguments = json.dumps(value, ensure_ascii=False) if wrapped else self.arguments
        arguments = arguments if isinstance(value, dict) else "{}"
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
        notes: what was asked otherwise than was set, because the server takes it so, in words.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    tokens: TokenCount = field(default_factory=TokenCount)
    attempts: int = 1
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

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


def estimate_tokens(messages: Sequence[Message]) -> int:
    """How many tokens messages are, on the high side, where no tokenizer is at hand."""
    return sum(len(json.dumps(m, ensure_ascii=False)) for m in messages) // CHARACTERS_PER_TOKEN


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value of JSON is a number of something."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def read_arguments(text: str) -> tuple[object, tuple[str, ...]]:
    """(the value that a call's arguments are, what they stood in beside the JSON that was asked for).

    Reads through a code fence and through quotes around the whole, as some models and servers write
    them; where no JSON object comes out, the text as it is.
    """
    value: object = text
    notes: list[str] = []
    for _ in range(_MOST_WRAPPERS):
        assert isinstance(value, str)
        bare = FENCE.sub("", value.strip())
        read = read_json(bare)
        if bare != value.strip() and read is not None:
            notes.append("its arguments stood in a code fence")
        if isinstance(read, dict):
            return read, tuple(notes)
        if not isinstance(read, str):
            break
        notes.append("its arguments were a JSON text within a JSON text")
        value = read
    return text, ()
