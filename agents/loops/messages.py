"""What the loops tell a model: the task once, then the designs that matter. Pure.

Like `acs_gym.tools.statement`, whose texts these are made of, it gives no hint at a solution.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from acs_gym.design import DesignSpace
from acs_gym.evaluation import Evaluation
from acs_gym.task import Task
from acs_gym.tools.answers import design_text, evaluation_text
from acs_gym.tools.statement import circuit_text, parameters_text, specs_text
from agents.dialogue import best_so_far
from agents.model import Message, estimate_tokens
from baselines.failures import teaches

# A design with its number in the history, from 1.
Numbered = tuple[int, Evaluation]

_SCORE = (
    "A design is scored from 0 to 1: the weighted mean of how far each spec is satisfied, 1 when all are "
    "met. Simulations are few and the best design counts."
)
_NUMBERS = (
    'Write numbers in SI units (2e-05) or in engineering notation in quotes ("20u", "1.5p"). '
    "Sizes are rounded to their grid."
)


def task_message(task: Task, work: str) -> Message:
    """The system message: circuit, parameters, specs, and what the model's part in the work is."""
    parts = [
        "You help to size an analog circuit, so that every spec is met.",
        circuit_text(task),
        parameters_text(task),
        specs_text(task),
        f"# Work\n{_SCORE} {work} {_NUMBERS}",
    ]
    return {"role": "system", "content": "\n\n".join(parts)}


def designs_format(task: Task) -> str:
    """How an answer with designs is written."""
    template = ", ".join(f'"{name}": ...' for name in task.space.names)
    return (
        "End your reply with a JSON list of designs in a ```json fence, each with every parameter: "
        f"[{{{template}}}]"
    )


def ranges_format(task: Task) -> str:
    """How an answer with ranges is written."""
    first = task.space.names[0]
    return (
        "End your reply with one JSON object in a ```json fence that gives ranges as [low, high], such "
        f'as {{"{first}": [..., ...]}}; a parameter left out keeps its present range'
    )


def best_designs(history: Sequence[Evaluation], count: int) -> list[Numbered]:
    """The `count` best, in ascending order of score; what the simulator lost is none."""
    ranked = best_so_far(history, len(history)) if history else []
    return [(n, e) for n, e in ranked if teaches(e)][-count:]


def diverse_designs(
    space: DesignSpace, history: Sequence[Evaluation], count: int
) -> list[Numbered]:
    """`count` good designs that differ, in ascending order of score.

    Of the 2·count best: the best, then each time the one whose nearest neighbour among those chosen
    is farthest in the unit cube; of equals the better.
    """
    pool = best_designs(history, 2 * count)[::-1]
    if len(pool) <= count:
        return pool[::-1]
    points = np.array([space.to_unit(e.design) for _, e in pool])
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < count:
        distance[chosen] = -1.0
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return [pool[k] for k in sorted(chosen, reverse=True)]


def designs_text(task: Task, designs: Sequence[Numbered]) -> str:
    """One line of JSON a design: parameters, score, metrics, what is missed."""
    rows: list[dict[str, Any]] = [
        {"parameters": design_text(task, e.design)} | evaluation_text(task, e, number)
        for number, e in designs
    ]
    return "\n".join(
        json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")) for row in rows
    )


def request_message(
    task: Task, limit: int, head: Sequence[Message], title: str, designs: Sequence[Numbered],
    request: str,
) -> list[Message]:  # fmt: skip
    """`head` and a user message: a title, as many of the designs, the last ones, as fit, a request.

    Args:
        limit: estimated tokens of the whole; kept to as long as one design is left.
    """
    for first in range(max(1, len(designs))):
        text = f"{title}\n{designs_text(task, designs[first:])}\n\n{request}"
        messages: list[Message] = [*head, {"role": "user", "content": text}]
        if estimate_tokens(messages) <= limit:
            break
    return messages
