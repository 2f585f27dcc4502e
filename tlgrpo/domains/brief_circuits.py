"""Sizing circuits in a short conversation, for chat models that pay for every token.

The prompts of `chat-circuits` are those of the `llm` agent, tools and all: 1,400 to 2,900 tokens. Here
one message lists parameters by range and specs by target, an action is `name=value ...`, and the
observation each spec's metric. A parameter that is left out stays as in the best design so far
(in the middle of its range at first), so that a turn may be a few words. Evaluate such a policy with
`tlgrpo.evaluate`: no agent of the leaderboard speaks this way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation, Status
from acs_gym.simulation.pool import Simulator
from acs_gym.task import Task
from acs_gym.units import format_si, parse
from tlgrpo.domain import Problem, Reaction, Split, State
from tlgrpo.domains.circuits import Circuits, design_key
from tlgrpo.tokens import CUT_OFF, write_conversation

_SYSTEM = "You size analog circuits."
_PAIR = re.compile(r"([A-Za-z]\w*) ?= ?([^\s,;]+)")
_THOUGHT = "</think>"
_DIGITS = 3
_SIGN = {">=": ">=", "<=": "<=", "within": " within "}


class BriefCircuits(Circuits):
    """Tasks of one PDK, for a model with a chat template.

    Args:
        tasks: ids; the problem's number chooses one in turn.
        pdk: a PDK of `acs_gym.pdk_names()`.
        workers: simulation processes; 0 is one a core.
        simulator: another one than the pool that is shared.
    """

    name = "brief-circuits"

    def __init__(
        self,
        tasks: Sequence[str] = ("ACS-OTA5T-v0",),
        pdk: str = "sky130",
        workers: int = 0,
        simulator: Simulator | None = None,
    ) -> None:
        super().__init__(tasks, pdk, workers, simulator=simulator)

    def problem(self, seed: int, split: Split) -> Problem:
        """With the targets that `circuits` has for that number."""
        drawn = super().problem(seed, split)
        return Problem(drawn.key, brief(self.task_of(drawn)))

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        """Every design simulated at once; equal designs once, those of earlier calls included."""
        tasks = [self.task_of(state.problem) for state, _ in tries]
        read = [
            read_brief(task, _best(task, state), text)
            for task, (state, text) in zip(tasks, tries, strict=True)
        ]
        jobs = {
            design_key(task, design): task.job(design)
            for task, design in zip(tasks, read, strict=True)
            if not isinstance(design, str)
        }
        outcomes = self._outcomes_of(jobs)
        return [
            Reaction(0.0, False, design, valid=False)
            if isinstance(design, str)
            else _reaction(task, task.judge(design, outcomes[design_key(task, design)]), state.best)
            for task, design, (state, _) in zip(tasks, read, tries, strict=True)
        ]

    def grammar(self) -> tuple[str, ...]:
        """None: the policy comes with a vocabulary."""
        return ()

    def random_action(self, problem: Problem, rng: np.random.Generator) -> str:
        task = self.task_of(problem)
        return write_brief(task, task.space.sample(rng))

    def vary(self, problem: Problem, action: str, rng: np.random.Generator) -> str:
        """Some parameters move, by some 12 % of their range."""
        task = self.task_of(problem)
        design = read_brief(task, _best(task, State(problem)), action)
        if isinstance(design, str):
            return self.random_action(problem, rng)
        units = task.space.to_unit(design)
        moves = rng.normal(0.0, 0.12, len(units)) * (rng.random(len(units)) < 0.5)
        return write_brief(task, task.space.from_unit(np.clip(units + moves, 0.0, 1.0)))


def brief(task: Task) -> str:
    """The prompt: what to do, parameters by range, specs by target."""
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
    return write_conversation(
        [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": "\n".join(lines)}]
    )


def write_brief(task: Task, design: Mapping[str, float]) -> str:
    """An action that sets every parameter."""
    return " ".join(f"{p.name}={_short(design[p.name], p.unit, 5)}" for p in task.space)


def read_brief(task: Task, start: Mapping[str, float], text: str) -> Design | str:
    """The design of an action, `start` where it says nothing, or what is wrong with it.

    What a model thought before it answered is not read.
    """
    said = text.removesuffix(CUT_OFF).rpartition(_THOUGHT)[2]
    found = dict(start)
    pairs = _PAIR.findall(said)
    if not pairs:
        return f"bad: write name=value, such as {task.space.names[0]}=..."
    for name, value in pairs:
        if name not in found:
            return f"bad: no parameter {name}"
        try:
            number = parse(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            return f"bad: {name}={value} is no number"
        found[name] = number
    # Out of range is the nearest design: a model sees where the range ends.
    return task.space.from_unit(np.clip(task.space.to_unit(_inside(task, found)), 0.0, 1.0))


def _inside(task: Task, design: Mapping[str, float]) -> dict[str, float]:
    return {p.name: min(max(design[p.name], p.low), p.high) for p in task.space}


def _best(task: Task, state: State) -> Design:
    best, found = 0.0, task.space.from_unit([0.5] * len(task.space))
    for action, reaction in state.turns:
        if reaction.score > best:
            design = read_brief(task, found, action)
            if not isinstance(design, str):
                best, found = reaction.score, design
    return found


def _reaction(task: Task, evaluation: Evaluation, best_before: float) -> Reaction:
    if evaluation.status not in (Status.OK, Status.MEASURE_FAILED):
        return Reaction(0.0, False, "failed")
    score = evaluation.score if math.isfinite(evaluation.score) else 0.0
    lines = ["best so far" if score > best_before else "not the best"]
    for spec in task.specs:
        missed = "" if evaluation.margins[spec.metric] >= 0 else " missed"
        lines.append(f"{spec.metric} {_short(evaluation.metrics[spec.metric], spec.unit)}{missed}")
    return Reaction(score, evaluation.feasible, "\n".join(lines))


def _short(value: float, unit: str, digits: int = _DIGITS) -> str:
    return format_si(value, unit, digits).replace(" ", "")
