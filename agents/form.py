"""How a conversation about a session is led: what is said first, and what a reply comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from acs_gym.tools.toolbox import ToolAnswer
from agents.model import Message, Reply, ToolCall, ToolDefinition


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of a reply.

    Attributes:
        messages: that answer it.
        calls: of the reply, in order, with the names of tools that were meant.
        answers: to the calls.
        readings: what was read otherwise than it was written, in words; the model is not told.
        refusal: what was wrong with a reply that calls no tools; empty where nothing was.
        ended: why nothing is to be asked after it; empty where the conversation goes on.
    """

    messages: list[Message]
    calls: tuple[ToolCall, ...] = ()
    answers: Sequence[ToolAnswer] = ()
    readings: tuple[str, ...] = ()
    refusal: str = ""
    ended: str = ""


class Form(Protocol):
    """One conversation about one session."""

    @property
    def tools(self) -> Sequence[ToolDefinition]:
        """That every request offers."""

    def opening(self) -> list[Message]:
        """What the model is told before its first turn."""

    def carry_out(self, reply: Reply) -> Carried:
        """Do what a reply asks for."""

    def history(self, tokens: int) -> str:
        """What was simulated, in so many estimated tokens if possible, for turns that are left out."""
