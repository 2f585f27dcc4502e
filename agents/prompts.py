"""What a language model is told before its first turn. Pure, and the same in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from acs_gym.task import Task
from acs_gym.tools.statement import statement

ToolFormat = Literal["tools", "text"]
BEGIN = "Begin."


def system_prompt(
    task: Task, budget: float, *, tool_format: ToolFormat = "tools", tools: Sequence[Any] = ()
) -> str:
    """The system message.

    Args:
        budget: simulations of designs that are left; inf for no limit.
        tool_format: `text` adds how to call `tools` in plain text, for a model without tool calling.
    """
    told = statement(task, budget)
    if tool_format == "text":
        from agents.text_format import instructions

        told += "\n\n" + instructions(tools)
    return told
