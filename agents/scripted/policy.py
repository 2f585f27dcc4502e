"""A designer's procedure as a language model: messages in, tool calls out.

A pure function of the messages: it goes through its procedure from the beginning each time, answers it
from what the messages say was simulated, and asks for the first thing that they do not say. So a reply
that is lost on the wire is simply said again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from acs_gym.design import Design
from acs_gym.task import Task
from acs_gym.tools.answers import design_text
from acs_gym.tools.definitions import FINISH, OPERATING_POINT, SIMULATE
from agents.chat_server import Policy
from agents.model import Message, Reply, ToolCall, ToolDefinition
from agents.scripted.circuits import PLANS
from agents.scripted.generic import plan_from_netlist
from agents.scripted.notebook import Notebook, Seen, read_notebook
from agents.scripted.procedure import Procedure, Trial, size_by_hand
from agents.text_format import write_calls


def designer(task: Task) -> Policy:
    """The policy for a task: by the plan of its circuit, or by one made from its netlist."""

    def policy(messages: Sequence[Message], tools: Sequence[ToolDefinition]) -> Reply:
        notebook = read_notebook(task, messages)
        text, calls = _next(task, notebook)
        numbered = tuple(
            ToolCall(f"call_{len(messages)}_{number}", name, json.dumps(arguments))
            for number, (name, arguments) in enumerate(calls, start=1)
        )
        return Reply(text, calls=numbered) if tools else Reply(write_calls(text, numbered))

    return policy


def _next(task: Task, notebook: Notebook) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """What to say, and which tools to call with what."""
    if notebook.solved:
        return "Every spec is met.", [(FINISH, {"summary": "Every spec is met."})]
    procedure = _procedure(task)
    try:
        design = next(procedure)
        while (seen := notebook.seen.get(task.space.key(design))) is not None:
            missing = [s.number for s in notebook.seen.values() if s.number not in notebook.points]
            if seen.number in missing:
                return "Where is everything biased?", [
                    (OPERATING_POINT, {"design": number}) for number in sorted(missing)
                ]
            design = procedure.send(_trial(task, design, seen, notebook))
    except StopIteration:
        return "Nothing is left to try.", [(FINISH, {"summary": "Some specs are missed."})]
    return _comment(task, notebook), [
        (SIMULATE, {"designs": [design_text(task, design)]}),
        (OPERATING_POINT, {"design": None}),
    ]


def _procedure(task: Task) -> Procedure:
    if (plan := PLANS.get(task.id)) is not None:
        try:
            return size_by_hand(task, plan)
        except ValueError:  # Another circuit under the same id.
            pass
    return size_by_hand(task, plan_from_netlist(task))


def _trial(task: Task, design: Design, seen: Seen, notebook: Notebook) -> Trial:
    margins = task.specs.judge(seen.metrics).margins
    return Trial(design, margins, seen.score, notebook.points.get(seen.number, {}))


def _comment(task: Task, notebook: Notebook) -> str:
    """A line on why, for who reads the transcript."""
    if not notebook.seen:
        return "A first design from the specs, sized by gm/Id."
    best = max(notebook.seen.values(), key=lambda s: s.score)
    margins: Mapping[str, float] = task.specs.judge(best.metrics).margins
    missed = [m for m, margin in margins.items() if not margin >= 0]
    missed.sort(key=lambda m: -math.inf if math.isnan(margins[m]) else margins[m])
    return f"Best so far: design {best.number}; it misses {', '.join(missed) or 'nothing'}."
