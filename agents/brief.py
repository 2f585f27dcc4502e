"""Sizing in a short conversation, for small models that pay for every token.

The prompts of the tool formats take 1,400 to 2,900 tokens. Here one message lists parameters by range and
specs by target, a reply is `name=value ...`, and the answer each spec's metric. A parameter that is left
out stays as in the best design so far (in the middle of its range at first), so that a turn may be a few
words. A reply tries one design; the conversation ends when every spec is met. The same in training
(`tlgrpo.domains.brief_circuits`). Pure but for `BriefForm`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import BudgetExhausted, Session
from acs_gym.task import Task
from acs_gym.units import format_si, parse
from agents.form import Carried
from agents.model import CHARACTERS_PER_TOKEN, Message, Reply, ToolDefinition

SOLVED = "every spec is met"
_SYSTEM = "You size analog circuits."
_PAIR = re.compile(r"([A-Za-z]\w*) ?= ?([^\s,;]+)")
_THOUGHT = "</think>"
_DIGITS = 3
_SIGN = {">=": ">=", "<=": "<=", "within": " within "}


class BriefForm:
    """See `Form`."""

    tools: Sequence[ToolDefinition] = ()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._best, self._start = 0.0, middle(session.task)

    def opening(self) -> list[Message]:
        return opening(self._session.task)

    def carry_out(self, reply: Reply) -> Carried:
        task = self._session.task
        design = read(task, self._start, reply.text)
        if isinstance(design, str):
            return Carried([{"role": "user", "content": design}], refusal=design)
        try:
            evaluation = self._session.simulate(design)
        except BudgetExhausted as error:
            return Carried([{"role": "user", "content": str(error)}], ended=str(error))
        said = answer(task, evaluation, self._best)
        if evaluation.score > self._best:
            self._best, self._start = evaluation.score, design
        ended = SOLVED if evaluation.feasible else ""
        return Carried([{"role": "user", "content": said}], ended=ended)

    def history(self, tokens: int) -> str:
        """The best designs, worst first, each with what it was answered."""
        task = self._session.task
        lines: list[str] = []
        for evaluation in sorted(self._session.history, key=lambda e: -e.score):
            said = answer(task, evaluation, self._best).splitlines()
            line = f"{write(task, evaluation.design)}: {' '.join(said[1:] or said)}"
            if lines and len("\n".join([*lines, line])) > CHARACTERS_PER_TOKEN * tokens:
                break
            lines.append(line)
        return "\n".join(reversed(lines))


def middle(task: Task) -> Design:
    """What a conversation starts from."""
    return task.space.from_unit([0.5] * len(task.space))


def opening(task: Task) -> list[Message]:
    """What to do, parameters by range, specs by target."""
    given = task.program.conditions
    loads = [_short(v, "F") for k, v in given.items() if k.startswith("c_")]
    supply = [_short(given["vdd"], "V")] if "vdd" in given else []
    ranges: dict[str, list[str]] = {}
    for p in task.space:
        ranges.setdefault(f"{_short(p.low, p.unit)}..{_short(p.high, p.unit)}", []).append(p.name)
    lines = [
        f"Size {task.circuit.name} in {', '.join([task.pdk_name, *supply, *loads])}. Write "
        "name=value for each parameter, later only to change the best so far.",
        *(f"{' '.join(names)}: {text}" for text, names in ranges.items()),
        *(f"{s.metric}{_SIGN[s.direction]}{_short(s.target, s.unit)}" for s in task.specs),
    ]
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": "\n".join(lines)}]


def write(
    task: Task,
    design: Mapping[str, float],
    start: Mapping[str, float] | None = None,
    digits: int = _DIGITS,
) -> str:
    """A reply that sets every parameter, or those that differ from `start`: all where none does."""
    units = {p.name: p.unit for p in task.space}
    changed = [n for n in units if start is None or design[n] != start[n]] or list(units)
    return " ".join(f"{n}={_short(design[n], units[n], digits)}" for n in changed)


def read(task: Task, start: Mapping[str, float], text: str) -> Design | str:
    """The design of a reply, `start` where it says nothing, or what is wrong with it.

    What a model thought before it answered is not read.
    """
    found = dict(start)
    pairs = _PAIR.findall(text.rpartition(_THOUGHT)[2])
    if not pairs:
        return f"bad: write name=value, such as {task.space.names[0]}=..."
    for name, value in pairs:
        if name not in found:
            return f"bad: no parameter {name}"
        try:
            number = parse(value.rstrip("."))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            return f"bad: {name}={value} is no number"
        found[name] = number
    # Out of range is the nearest design: a model sees where the range ends.
    return task.space.from_unit(np.clip(task.space.to_unit(_inside(task, found)), 0.0, 1.0))


def answer(task: Task, evaluation: Evaluation, best_before: float) -> str:
    """What the model is told of a design."""
    if evaluation.status not in (Status.OK, Status.MEASURE_FAILED):
        return "failed"
    return told(task, evaluation.metrics, best=evaluation.score > best_before)


def told(task: Task, metrics: Mapping[str, float], *, best: bool) -> str:
    """The same of a design with these metrics; NaN is one that was not measured."""
    lines = ["best so far" if best else "not the best"]
    for spec in task.specs:
        value = metrics[spec.metric]
        missed = "" if spec.margin(value) >= 0 else " missed"
        lines.append(f"{spec.metric} {_short(value, spec.unit)}{missed}")
    return "\n".join(lines)


def _inside(task: Task, design: Mapping[str, float]) -> dict[str, float]:
    return {p.name: min(max(design[p.name], p.low), p.high) for p in task.space}


def _short(value: float, unit: str, digits: int = _DIGITS) -> str:
    return format_si(value, unit, digits).replace(" ", "")
