"""What a model may do with a session: four tools, their JSON schemas and their answers.

The one place where text becomes designs and evaluations become text. The agent, the MCP server and
the trainer all go through it, so a policy meets in evaluation what it met in training. A call that
cannot be carried out is answered with what is allowed, and nothing is charged for it.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acs_gym.design import Design, InvalidDesign
from acs_gym.evaluation import Evaluation
from acs_gym.session import BudgetExhausted, Session
from acs_gym.task import Task
from acs_gym.units import format_si, parse

SIMULATE, OPERATING_POINT, HISTORY, FINISH = "simulate", "operating_point", "history", "finish"
_DIGITS = 5
_QUOTED = 200


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a call gave.

    Attributes:
        text: for the model; one JSON object.
        evaluations: of the designs that it simulated, in order.
        finished: the model says that it is done.
        refused: the call could not be carried out.
    """

    text: str
    evaluations: tuple[Evaluation, ...] = ()
    finished: bool = False
    refused: bool = False


class _Refused(Exception):
    """A call that cannot be carried out; the message goes to the model."""


def definitions(task: Task) -> list[dict[str, Any]]:
    """The tools for this task, as the OpenAI chat format has them, with strict schemas."""
    names = ", ".join(p.name for p in task.space)
    return [
        _function(
            SIMULATE,
            f"Simulate one or several designs; each costs {_cost(task)} of the budget. "
            "Answers with every metric, the score, and the specs that are missed.",
            {"designs": {"type": "array", "items": design_schema(task), "minItems": 1,
                         "description": f"Designs, each with all of: {names}."}},
        ),
        _function(
            OPERATING_POINT,
            "DC operating point of every transistor of a design that was simulated: id, gm, gm/id, "
            "vgs, vds, vdsat, the margin to the triode region. Free.",
            {"design": {"type": ["integer", "null"],
                        "description": "Its number; null for the last one simulated."}},
        ),
        _function(HISTORY, "Every design simulated so far, with its score and metrics. Free.", {}),
        _function(
            FINISH,
            "End the work. The best design simulated counts; what is left of the budget is lost.",
            {"summary": {"type": "string", "description": "What was achieved, in a sentence."}},
        ),
    ]  # fmt: skip


def design_schema(task: Task) -> dict[str, Any]:
    """The strict JSON schema of one design."""
    properties = {
        p.name: {
            "type": ["number", "string"],
            "description": f"{p.description or p.name}; {p.range_text()}"
            + (", an integer" if p.integer else ""),
        }
        for p in task.space
    }
    return _object(properties)


def design_text(task: Task, design: Mapping[str, float]) -> dict[str, str | float]:
    """A design in engineering notation, as a person or a model writes it."""
    return {p.name: _value(design[p.name], p.unit) for p in task.space if p.name in design}


def evaluation_text(task: Task, evaluation: Evaluation, number: int) -> dict[str, Any]:
    """One evaluation for the model: metrics in engineering notation and what misses its spec."""
    units = task.metric_units
    measured = {k: format_si(v, units[k]) for k, v in evaluation.metrics.items() if v == v}
    missed = {
        s.metric: f"{measured.get(s.metric, 'not measured')}, needs {s.text()}"
        for s in task.specs
        if not evaluation.margins[s.metric] >= 0
    }
    found: dict[str, Any] = {
        "design": number,
        "status": str(evaluation.status),
        "score": _score(evaluation.score),
        "all_specs_met": evaluation.feasible,
        "metrics": measured,
    }
    if missed:
        found["missed"] = missed
    if evaluation.spread.worst_at:
        found["worst_at"] = dict(evaluation.spread.worst_at)
    if evaluation.message:
        found["message"] = evaluation.message
    return found


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

    def call(self, name: str, arguments: object) -> ToolAnswer:
        """Carry out a call. `arguments` is what the model gave, of any kind; never raises for it.

        Raises what simulating raises for reasons that are not the model's (no simulator).
        """
        try:
            if name not in self._tools:
                close = difflib.get_close_matches(name, self._tools, n=1)
                hint = f" Did you mean {close[0]}?" if close else ""
                raise _Refused(
                    f"no tool is called {name[:80]!r}.{hint} Tools: {', '.join(self._tools)}"
                )
            if not isinstance(arguments, Mapping):
                raise _Refused(
                    f"the arguments of {name} are no JSON object: {_quote(arguments)}. "
                    f"Write for example {_example(self.task, name)}"
                )
            return self._tools[name](arguments)
        except _Refused as refusal:
            left = self.session.remaining
            return ToolAnswer(
                _text({"error": str(refusal), "simulations_left": _count(left)}), refused=True
            )

    def _simulate(self, arguments: Mapping[str, Any]) -> ToolAnswer:
        designs = arguments.get("designs", arguments.get("design"))
        if designs is None:
            # Many a model gives the parameters of one design without the list around it.
            designs = [arguments]
        if isinstance(designs, Mapping):
            designs = [designs]
        if not isinstance(designs, Sequence) or isinstance(designs, str) or not designs:
            raise _Refused(f"designs is a list of designs, got {_quote(designs)}")
        read = read_designs(self.task, designs)
        left = self.session.remaining
        if len(read) > left:
            raise _Refused(
                f"{len(read)} design{'s' if len(read) > 1 else ''} asked for, {_count(left)} can still "
                "be simulated; nothing was simulated"
            )
        try:
            evaluations = self.session.simulate(read)
        except BudgetExhausted as error:
            raise _Refused(str(error)) from None
        first = len(self.session.history) - len(evaluations) + 1
        best = max(range(len(self.session.history)), key=lambda k: self.session.history[k].score)
        answer = {
            "results": [
                evaluation_text(self.task, e, number)
                for number, e in enumerate(evaluations, start=first)
            ],
            "best": {"design": best + 1, "score": _score(self.session.history[best].score)},
            "simulations_left": _count(self.session.remaining),
        }
        return ToolAnswer(_text(answer), tuple(evaluations))

    def _operating_point(self, arguments: Mapping[str, Any]) -> ToolAnswer:
        count = len(self.session.history)
        if not count:
            raise _Refused("no design was simulated yet")
        number = arguments.get("design")
        number = count if number is None else number
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= count:
            raise _Refused(f"design is a number from 1 to {count}, got {_quote(number)}")
        try:
            points = self.session.operating_points(self.session.history[number - 1].design)
        except ValueError as error:
            raise _Refused(str(error)) from None
        if not points:
            raise _Refused(f"design {number} has no operating point: ngspice found no solution")
        devices = {
            p.name: {
                "kind": p.kind,
                "id": format_si(p.id, "A"),
                "gm": format_si(p.gm, "S"),
                "gds": format_si(p.gds, "S"),
                "gm/id": _score(p.gm_over_id),
                "vgs": format_si(p.vgs, "V"),
                "vds": format_si(p.vds, "V"),
                "vth": format_si(p.vth, "V"),
                "vdsat": format_si(p.vdsat, "V"),
                "saturation_margin": format_si(p.saturation_margin, "V"),
                "region": p.region,
            }
            for p in points
        }
        return ToolAnswer(_text({"design": number, "transistors": devices}))

    def _history(self, _arguments: Mapping[str, Any]) -> ToolAnswer:
        rows = [
            {"parameters": design_text(self.task, e.design)} | evaluation_text(self.task, e, number)
            for number, e in enumerate(self.session.history, start=1)
        ]
        left = _count(self.session.remaining)
        return ToolAnswer(_text({"designs": rows, "simulations_left": left}))

    def _finish(self, _arguments: Mapping[str, Any]) -> ToolAnswer:
        return ToolAnswer(_text({"finished": True}), finished=True)


def read_designs(task: Task, designs: Sequence[object]) -> list[Design]:
    """Designs as a model wrote them, as canonical ones.

    Raises `_Refused` with every mistake of every design, and what is allowed.
    """
    read: list[Design] = []
    problems: list[str] = []
    for number, design in enumerate(designs, start=1):
        try:
            read.append(read_design(task, design))
        except InvalidDesign as error:
            where = f"design {number} of {len(designs)}: " if len(designs) > 1 else ""
            problems.append(f"{where}{error}")
    if problems:
        raise _Refused("; ".join(problems[:5]) + ". Nothing was simulated")
    return read


def read_design(task: Task, design: object) -> Design:
    """A design with numbers or engineering notation (`12u`, `1.5 pF`) as a canonical one.

    Raises InvalidDesign naming every parameter that is wrong and what is allowed.
    """
    if not isinstance(design, Mapping):
        raise InvalidDesign(f"a design is a JSON object of parameters, got {_quote(design)}")
    problems: list[str] = []
    numbers: dict[str, float] = {}
    for name, value in design.items():
        if name not in task.space.names:
            close = difflib.get_close_matches(str(name), task.space.names, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            problems.append(f"unknown parameter {str(name)[:80]!r}{hint}")
            continue
        parameter = task.space[name]
        try:
            numbers[name] = parse(value) if isinstance(value, str) else value
            task.space.canonicalize({**_middle(task), name: numbers[name]})
        except (InvalidDesign, ValueError) as error:
            said = str(error) if isinstance(error, InvalidDesign) else f"{name}: {error}"
            problems.append(
                f"{name} = {_quote(value)} is not allowed; it goes from {parameter.range_text()}"
                if "outside" in said
                else said
            )
    if missing := [n for n in task.space.names if n not in design]:
        problems.append(f"missing: {', '.join(missing)}")
    if problems:
        if any(p.startswith("unknown") for p in problems):
            problems.append(f"the parameters are {', '.join(task.space.names)}")
        raise InvalidDesign("; ".join(problems))
    return task.space.canonicalize(numbers)


def _middle(task: Task) -> Design:
    return task.space.from_unit([0.5] * len(task.space))


def _function(name: str, description: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "strict": True,
            "parameters": _object(properties),
        },
    }


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _cost(task: Task) -> str:
    return "one simulation" if task.cost == 1 else f"{task.cost} simulations"


def _example(task: Task, name: str) -> str:
    if name == SIMULATE:
        return _text({"designs": [design_text(task, _middle(task))]})
    examples: dict[str, dict[str, Any]] = {
        OPERATING_POINT: {"design": None},
        FINISH: {"summary": "..."},
    }
    return _text(examples.get(name, {}))


def _value(value: float, unit: str) -> str | float:
    if not unit:
        return int(value) if value == int(value) else value
    return format_si(value, unit, digits=_DIGITS)


def _score(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _count(left: float) -> int | str:
    return int(left) if math.isfinite(left) else "unlimited"


def _quote(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."


def _text(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half a surrogate pair, quoted from a call, could go into no request.
    return text.encode("utf-8", "replace").decode("utf-8")
