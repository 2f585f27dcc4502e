"""`llm-scripted`: the language-model agent with a designer's procedure in the model's place.

Prompt, tools, HTTP, parsing and transcript are those of any model; what it scores is what a model has to
beat to be worth its tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from acs_gym.session import Session
from agents.chat_server import ChatServer
from agents.config import LlmConfig
from agents.llm import TRANSCRIPT, LlmAgent
from agents.scripted.policy import designer

MODEL = "scripted-designer"
# Changes whenever the procedure may simulate something else.
VERSION = 1
# As long as any conversation of it gets: what was simulated is all it knows.
_CONTEXT_TOKENS = 10_000_000


class ScriptedAgent:
    """One run of the procedure.

    Args:
        tool_format: how it calls tools, `tools` or `text`.
        transcript: where to write the transcript; the leaderboard sets it through `keep_files_in`.
    """

    id = "llm-scripted"
    track = "metrics"
    deterministic = True

    def __init__(
        self,
        *,
        tool_format: Literal["tools", "text"] = "tools",
        transcript: Path | None = None,
    ) -> None:
        self.tool_format: Literal["tools", "text"] = tool_format
        self.transcript = transcript
        self.ended = ""

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour; part of a result's identity."""
        return {"policy": MODEL, "version": VERSION, "tool_format": self.tool_format}

    def keep_files_in(self, folder: Path) -> None:
        """Where the harness wants the files of this run."""
        self.transcript = folder / TRANSCRIPT

    def run(self, session: Session) -> None:
        """Size the session's circuit. Raises what `LlmAgent.run` raises."""
        with ChatServer(designer(session.task), MODEL) as server:
            settings = LlmConfig(
                model=MODEL,
                base_url=server.url,
                # A server on loopback needs no key, and gets none.
                api_key_env="ACS_GYM_SCRIPTED_API_KEY",
                tool_format=self.tool_format,
                context_tokens=_CONTEXT_TOKENS,
            )
            agent = LlmAgent(settings, transcript=self.transcript)
            agent.id = self.id
            agent.run(session)
            self.ended = agent.ended


def scripted() -> ScriptedAgent:
    """A designer's gm/Id procedure in the model's place, through the real wire."""
    return ScriptedAgent()
