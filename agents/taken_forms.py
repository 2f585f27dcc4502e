"""The forms of a request that a server takes, learnt from what it refuses.

The other name of the longest reply, tools without `strict`, a reply that fits the context, roles that the
model's chat template has: what is refused in one form is asked for in the other, once, and from then on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.config import LlmConfig
from agents.model import Message, ToolDefinition, estimate_tokens
from agents.refusals import Refusal
from agents.roles import has_tools, in_turns, without_system, without_tools

_LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
# A reply that is to hold a design with its reasons; with less room than that the prompt has to give way.
_USEFUL_REPLY = 256
# By which a prompt may be longer than it is taken for, once the server has counted one.
_MARGIN, _MARGIN_TOKENS = 0.02, 16


class NoRoom(Exception):
    """A prompt leaves no room for a reply; `fits` are the tokens that would, None where nobody knows."""

    def __init__(self, fits: int | None) -> None:
        super().__init__()
        self.fits = fits


@dataclass(slots=True)
class TakenForms:
    """What a server was found to take, which holds for the rest of the run, and requests in that form.

    Attributes:
        length_field: the name that the longest reply goes by.
        strict: whether tools may be marked so.
        system, tools: whether there may be a system message, tool calls and messages of tools.
        answered: whether it has taken a request.
        longest_reply, context: tokens; None where nothing is known.
        per_estimate: tokens that the server counts for one of `estimate_tokens`.
    """

    length_field: str
    strict: bool = True
    system: bool = True
    tools: bool = True
    answered: bool = False
    longest_reply: int | None = None
    context: int | None = None
    per_estimate: float = 1.0

    def allows(self, wanted: int, estimate: int) -> int:
        """Tokens to ask for, given how many the prompt is estimated to have."""
        if self.longest_reply is not None:
            wanted = min(wanted, self.longest_reply)
        if self.context is None:
            return wanted
        prompt = math.ceil(estimate * self.per_estimate * (1 + _MARGIN)) + _MARGIN_TOKENS
        return min(wanted, max(self.context - prompt, _USEFUL_REPLY))

    def request(
        self,
        config: LlmConfig,
        seed: int,
        messages: Sequence[Message],
        tools: Sequence[ToolDefinition],
        tokens: int,
    ) -> dict[str, Any]:
        """The request for a reply of so many tokens, in the form that the server takes."""
        sent = list(messages) if self.tools else without_tools(messages, tools)
        if not self.system:
            sent = without_system(sent)
        if not (self.system and self.tools):
            sent = in_turns(sent)
        request: dict[str, Any] = {"model": config.model, "messages": sent}
        optional = {"temperature": config.temperature, "top_p": config.top_p}
        request |= {k: v for k, v in optional.items() if v is not None}
        if config.seeded:
            request["seed"] = seed % 2**31
        if tools and self.tools:
            request["tools"] = list(tools) if self.strict else [_without_strict(t) for t in tools]
        request[self.length_field] = self.allows(tokens, prompt_estimate(request))
        return request | config.extra_body

    def adapt(
        self,
        refusal: Refusal,
        request: Mapping[str, Any],
        wanted: int,
        context_of: Callable[[], int | None],
    ) -> str:
        """Ask otherwise from now on. Returns what was changed, empty where nothing can be.

        `context_of` asks the server for the tokens of its context.

        Raises NoRoom where the prompt leaves no room for a reply.
        """
        asked = request.get(self.length_field, wanted)
        if self.strict and "tools" in request and refusal.no_strict:
            self.strict = False
            return "the server takes no strict in a tool, so it is left out"
        if refusal.no_role and (note := self._other_roles(refusal, request)):
            return note
        longest = refusal.longest_reply
        if longest is not None and longest < asked and (refusal.too_long or refusal.status == 400):
            self.longest_reply = longest
            return f"replies are {longest} tokens at most, not {wanted}: the server allows no more"
        for field, other in (_LENGTH_FIELDS, _LENGTH_FIELDS[::-1]):
            if self.length_field == field and refusal.refuses_field(field):
                self.length_field = other
                return f"the server takes no {field}, so {other} is sent"
        if not refusal.too_long:
            return ""
        context = refusal.context or context_of()
        if context is None:
            raise NoRoom(None)
        estimate = prompt_estimate(request)
        prompt = refusal.prompt
        if prompt is None:  # Ours is on the high side; it must not rule out what may well fit.
            prompt = min(estimate, context - max(_USEFUL_REPLY, context // 4))
        self.context, self.per_estimate = context, prompt / max(1, estimate)
        if context - prompt < min(_USEFUL_REPLY, wanted):
            room = context - min(wanted, context // 4)
            raise NoRoom(int(room / self.per_estimate))
        if self.allows(wanted, estimate) >= asked:
            raise NoRoom(None)
        return (
            f"replies are shortened to what the server's context of {context} tokens leaves beside the "
            "prompt"
        )

    def _other_roles(self, refusal: Refusal, request: Mapping[str, Any]) -> str:
        """Leave out of the conversation what its template may not know. Returns what, empty where that is
        nothing."""
        messages = request["messages"]
        system = self.system and any(m["role"] == "system" for m in messages)
        tools = self.tools and ("tools" in request or has_tools(messages))
        # A server that has taken a system message already is at odds with what came since.
        if tools and (refusal.of_tools or not system or (self.answered and has_tools(messages))):
            self.tools = False
            return (
                "the model's chat template takes no messages of tools, so tools, calls and answers are "
                "written as text, as with --tool-format text"
            )
        if system:
            self.system = False
            return (
                "the model's chat template takes no system message, so its text begins the first message "
                "of the user"
            )
        return ""


def prompt_estimate(request: Mapping[str, Any]) -> int:
    """Tokens of a request's prompt, tools included, on the high side."""
    return estimate_tokens([*request["messages"], *(dict(t) for t in request.get("tools", ()))])


def _without_strict(tool: ToolDefinition) -> dict[str, Any]:
    function = {k: v for k, v in tool["function"].items() if k != "strict"}
    return {**tool, "function": function}
