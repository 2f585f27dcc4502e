"""Models for tests: what they say depends on the messages alone, so a fault changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from acs_gym.task import Task
from acs_gym.tools.answers import design_text
from agents.model import Message, Reply, ToolCall, ToolDefinition


def results(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Every design's result that the messages hold, in order."""
    found = []
    for message in messages:
        content = message.get("content") or ""
        if message["role"] == "tool" or content.startswith("<tool_response>"):
            for part in content.replace("<tool_response>", "").split("</tool_response>"):
                if part.strip():
                    found += json.loads(part).get("results", [])
    return found


class Walk:
    """Simulates its n-th seeded random design when it has seen n results; looks now and then."""

    def __init__(self, task: Task, *, stop_after: int | None = None, seed: int = 0) -> None:
        self.task, self.stop_after, self.seed = task, stop_after, seed

    def design(self, number: int) -> dict[str, float]:
        return self.task.space.sample(np.random.default_rng((self.seed, number)))

    def __call__(self, messages: Sequence[Message], tools: Sequence[ToolDefinition]) -> Reply:
        seen = len(results(messages))
        if self.stop_after is not None and seen >= self.stop_after:
            return Reply(calls=(ToolCall("f", "finish", '{"summary": "done"}'),))
        design = design_text(self.task, self.design(seen))
        calls = [ToolCall(f"s{seen}", "simulate", json.dumps({"designs": [design]}))]
        if seen % 3 == 1:
            calls.append(ToolCall(f"o{seen}", "operating_point", '{"design": null}'))
        return Reply(text=f"Design {seen + 1}.", reasoning="A guess.", calls=tuple(calls))
