"""Designs as a model writes them, as canonical ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from acs_gym.design import Design, InvalidDesign
from acs_gym.task import Task
from acs_gym.units import parse
from acs_gym.wording import did_you_mean

_QUOTED = 200
# A reply may hold any number of mistakes; a model mends a few at a time.
_MISTAKES = 5


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
            numbers[name] = parse(value) if isinstance(value, str) else value
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


def middle(task: Task) -> Design:
    """The design in the middle of the space."""
    return task.space.from_unit([0.5] * len(task.space))


def quoted(value: object) -> str:
    """What was given, cut to what a message can hold."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."
