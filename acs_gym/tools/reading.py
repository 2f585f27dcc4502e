"""Designs as a model writes them, as canonical ones. Pure, and the same in training.

What is meant beyond doubt is read, though it is not written as it was asked for, and `readings_of` names
it; what may mean two things is refused with both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from acs_gym.design import Design, InvalidDesign, Parameter
from acs_gym.task import Task
from acs_gym.units import format_si, parse
from acs_gym.wording import did_you_mean

_QUOTED = 200
# A reply may hold any number of mistakes; a model mends a few at a time.
_MISTAKES = 5
# A number and a lone `m`, which is the prefix milli of SPICE or the unit metre.
_METRES = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*m\s*")
_ON_BOUND = 1e-9


def read_designs(task: Task, designs: Sequence[object]) -> list[Design]:
    """Every design as a canonical one. Raises InvalidDesign with the mistakes of each."""
    read: list[Design] = []
    problems: list[str] = []
    for number, design in enumerate(designs, start=1):
        try:
            read.append(read_design(task, design))
        except InvalidDesign as error:
            where = f"design {number} of {len(designs)}: " if len(designs) > 1 else ""
            problems.append(f"{where}{error}")
            if len(problems) == _MISTAKES:
                break
    if problems:
        raise InvalidDesign("; ".join(problems) + ". Nothing was simulated")
    return read


def read_design(task: Task, design: object) -> Design:
    """A design with numbers or engineering notation (`12u`, `1.5 pF`) as a canonical one.

    Raises InvalidDesign naming every parameter that is wrong and what is allowed.
    """
    if not isinstance(design, Mapping):
        raise InvalidDesign(f"a design is a JSON object of parameters, got {quoted(design)}")
    problems: list[str] = []
    numbers: dict[str, float] = {}
    unknown = 0
    for name, value in design.items():
        if name not in task.space.names:
            unknown += 1
            if unknown <= _MISTAKES:
                hint = did_you_mean(name, task.space.names, " (did you mean {}?)")
                problems.append(f"unknown parameter {str(name)[:80]!r}{hint}")
            continue
        parameter = task.space[name]
        try:
            numbers[name] = read_value(parameter, value)
            task.space.canonicalize({**middle(task), name: numbers[name]})
        except (InvalidDesign, ValueError) as error:
            said = str(error) if isinstance(error, InvalidDesign) else f"{name}: {error}"
            problems.append(
                f"{name} = {quoted(value)} is not allowed; it goes from {parameter.range_text()}"
                if "outside" in said
                else said[: 2 * _QUOTED]
            )
    if unknown > _MISTAKES:
        problems.append(f"{unknown - _MISTAKES} more unknown parameters")
    if missing := [n for n in task.space.names if n not in design]:
        problems.append(f"missing: {', '.join(missing)}")
    if problems:
        if unknown:
            problems.append(f"the parameters are {', '.join(task.space.names)}")
        raise InvalidDesign("; ".join(problems))
    return task.space.canonicalize(numbers)


def read_value(parameter: Parameter, value: Any) -> Any:
    """A value as a number in SI units; what is neither number nor text is given back.

    A length with a lone `m` is in metres or, as in SPICE, in milli: whichever lies in the parameter's
    range. Raises ValueError where both do, and for a text that is no number.
    """
    if not isinstance(value, str):
        return value
    milli = parse(value)
    match = _METRES.fullmatch(value) if parameter.unit == "m" else None
    if match is None:
        return milli
    metres = float(match[1])
    slack = _ON_BOUND * parameter.high
    fits = [parameter.low - slack <= x <= parameter.high + slack for x in (metres, milli)]
    if metres and all(fits):
        raise ValueError(
            f"{value!r} may be {format_si(metres, 'm')} (m for metre) or {format_si(milli, 'm')} (m for "
            f"milli); write {metres:g} or {milli:g}"
        )
    return metres if fits[0] else milli


def readings_of(task: Task, design: object) -> tuple[str, ...]:
    """What `read_design` took otherwise than the notation has it, one sentence each."""
    if not isinstance(design, Mapping):
        return ()
    found = []
    for name, value in design.items():
        if name in task.space.names and isinstance(value, str):
            try:
                read = read_value(task.space[name], value)
            except ValueError:
                continue
            if read != parse(value):
                found.append(
                    f"{name} = {quoted(value)} was read as {format_si(read, 'm')}, in metres"
                )
    return tuple(found)


def read_quoted_designs(designs: object) -> tuple[object, tuple[str, ...]]:
    """(designs, or a list with some, that were given as JSON texts, as what they hold; what was so)."""
    if isinstance(designs, str):
        read = read_json(designs)
        if isinstance(read, dict | list):
            return read_quoted_designs(read)[0], ("designs was a JSON text, not a list",)
        return designs, ()
    if isinstance(designs, list) and any(isinstance(d, str) for d in designs):
        several = [read_json(d) if isinstance(d, str) else d for d in designs]
        if all(isinstance(d, dict) for d in several):
            return several, ("designs in the list were JSON texts, not objects",)
    return designs, ()


def read_json(text: str) -> Any:
    """The value of a JSON text, or None; NaN and its like are no JSON, and a key twice is none."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None


def _refuse(token: str) -> float:
    raise ValueError(f"{token} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def middle(task: Task) -> Design:
    """The design in the middle of the space."""
    return task.space.from_unit([0.5] * len(task.space))


def quoted(value: object) -> str:
    """What was given, cut to what a message can hold."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."
