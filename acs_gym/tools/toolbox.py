"""The tools at work on a session: a call in, an answer out.

A call that cannot be carried out is answered with what is allowed, and nothing is charged for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acs_gym.design import InvalidDesign
from acs_gym.evaluation import Evaluation
from acs_gym.session import BudgetExhausted, Session
from acs_gym.task import Task
from acs_gym.tools.answers import (
    count,
    design_text,
    evaluation_text,
    json_text,
    rounded,
    transistor_text,
)
from acs_gym.tools.definitions import FINISH, HISTORY, OPERATING_POINT, SIMULATE, definitions
from acs_gym.tools.reading import (
    middle,
    quoted,
    read_designs,
    read_quoted_designs,
    readings_of,
)
from acs_gym.wording import did_you_mean


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a call gave.

    Attributes:
        text: for the model; one JSON object.
        evaluations: of the designs that it simulated, in order.
        finished: the model says that it is done.
        refusal: why the call could not be carried out; empty when it was.
        over_budget: it was refused because it asked for more than remains.
        readings: what was taken otherwise than it was written, in words; not told to the model.
    """

    text: str
    evaluations: tuple[Evaluation, ...] = ()
    finished: bool = False
    refusal: str = ""
    over_budget: bool = False
    readings: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return bool(self.refusal)


class ToolRefused(Exception):
    """A call that cannot be carried out; the message goes to the model."""

    def __init__(self, message: str, *, over_budget: bool = False) -> None:
        super().__init__(message)
        self.over_budget = over_budget


class Toolbox:
    """The tools at work on a session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.task = session.task
        self.definitions = definitions(session.task)
        self._tools = {
            SIMULATE: self._simulate,
            OPERATING_POINT: self._operating_point,
            HISTORY: self._history,
            FINISH: self._finish,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tools."""
        return tuple(self._tools)

    def call(self, name: str, arguments: object) -> ToolAnswer:
        """Carry out a call. `arguments` is what the model gave, of any kind; never raises for it.

        Raises what simulating raises for reasons that are not the model's (no simulator).
        """
        try:
            if name not in self._tools:
                hint = did_you_mean(name, self._tools, " Did you mean {}?")
                raise ToolRefused(
                    f"no tool is called {name[:80]!r}.{hint} Tools: {', '.join(self._tools)}"
                )
            if not isinstance(arguments, Mapping):
                raise ToolRefused(
                    f"the arguments of {name} are no JSON object: {quoted(arguments)}. "
                    f"Write for example {_example(self.task, name)}"
                )
            return self._tools[name](arguments)
        except ToolRefused as refusal:
            return self.refuse(refusal)

    def refuse(self, refusal: ToolRefused) -> ToolAnswer:
        """The answer to a call that is not carried out."""
        answer = {"error": str(refusal), "simulations_left": count(self.session.remaining)}
        return ToolAnswer(json_text(answer), refusal=str(refusal), over_budget=refusal.over_budget)

    def _simulate(self, arguments: Mapping[str, Any]) -> ToolAnswer:
        designs = arguments.get("designs", arguments.get("design"))
        if designs is None:
            # Many a model gives the parameters of one design without the list around it.
            designs = [arguments]
        designs, readings = read_quoted_designs(designs)
        if isinstance(designs, Mapping):
            designs = [designs]
        if not isinstance(designs, Sequence) or isinstance(designs, str) or not designs:
            raise ToolRefused(f"designs is a list of designs, got {quoted(designs)}")
        try:
            read = read_designs(self.task, designs)
        except InvalidDesign as error:
            raise ToolRefused(str(error)) from None
        left = self.session.remaining
        if len(read) > left:
            raise ToolRefused(
                f"{len(read)} design{'s' if len(read) > 1 else ''} asked for, {count(left)} can still "
                "be simulated; nothing was simulated",
                over_budget=True,
            )
        try:
            evaluations = self.session.simulate(read)
        except BudgetExhausted as error:
            raise ToolRefused(str(error), over_budget=True) from None
        history = self.session.history
        first = len(history) - len(evaluations) + 1
        best = max(range(len(history)), key=lambda k: history[k].score)
        answer = {
            "results": [
                evaluation_text(self.task, e, number)
                for number, e in enumerate(evaluations, start=first)
            ],
            "best": {"design": best + 1, "score": rounded(history[best].score)},
            "simulations_left": count(self.session.remaining),
        }
        readings += tuple(said for design in designs for said in readings_of(self.task, design))
        return ToolAnswer(json_text(answer), tuple(evaluations), readings=readings)

    def _operating_point(self, arguments: Mapping[str, Any]) -> ToolAnswer:
        simulated = len(self.session.history)
        if not simulated:
            raise ToolRefused("no design was simulated yet")
        number = arguments.get("design")
        number = simulated if number is None else number
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= simulated:
            raise ToolRefused(f"design is a number from 1 to {simulated}, got {quoted(number)}")
        try:
            points = self.session.operating_points(self.session.history[number - 1].design)
        except ValueError as error:
            raise ToolRefused(str(error)) from None
        if not points:
            raise ToolRefused(f"design {number} has no operating point: ngspice found no solution")
        devices = {p.name: transistor_text(p) for p in points}
        return ToolAnswer(json_text({"design": number, "transistors": devices}))

    def _history(self, _arguments: Mapping[str, Any]) -> ToolAnswer:
        rows = [
            {"parameters": design_text(self.task, e.design)} | evaluation_text(self.task, e, number)
            for number, e in enumerate(self.session.history, start=1)
        ]
        left = count(self.session.remaining)
        return ToolAnswer(json_text({"designs": rows, "simulations_left": left}))

    def _finish(self, _arguments: Mapping[str, Any]) -> ToolAnswer:
        return ToolAnswer(json_text({"finished": True}), finished=True)


def _example(task: Task, name: str) -> str:
    if name == SIMULATE:
        return json_text({"designs": [design_text(task, middle(task))]})
    examples: dict[str, dict[str, Any]] = {
        OPERATING_POINT: {"design": None},
        FINISH: {"summary": "..."},
    }
    return json_text(examples.get(name, {}))
