"""Ranges of parameters that a model chose, and the design space within them. Pure.

A design of the narrowed space is a design of the whole one, to the bit: grids, integers and scales stay
and the new bounds lie on the grid, inside the ranges that were given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from acs_gym.design import DesignSpace, InvalidDesign, Parameter
from acs_gym.evaluation import Evaluation
from acs_gym.task import Task
from acs_gym.tools.answers import design_text
from acs_gym.tools.reading import read_value, readings_of
from acs_gym.units import format_si
from agents.loops.proposals import find_json, join_problems

Ranges = Mapping[str, tuple[float, float]]

# A bound this close to a grid line, in steps, is on it.
_ON_GRID = 1e-6
_WRAPPER = "ranges"
_PAIRS = (("low", "high"), ("min", "max"))


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Ranges of an answer, in SI units.

    Attributes:
        ranges: parameter -> (low, high), both of its grid; parameters left out are missing.
        complaint: what was wrong with the answer, for the model; never empty without ranges.
        readings: what in them was taken otherwise than it was written, in words.
    """

    ranges: Ranges = field(default_factory=dict)
    complaint: str = ""
    readings: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        return bool(self.ranges) and not self.complaint


def read_ranges(task: Task, text: str) -> Narrowing:
    """The ranges that the last JSON object of a text gives; a complaint with every mistake of it."""
    values, why = find_json(text)
    objects = [v for v in values if isinstance(v, dict)]
    if not objects:
        return Narrowing(complaint=why or "the JSON is no object of ranges")
    given = objects[-1]
    inside = given.get(_WRAPPER)
    given = inside if isinstance(inside, dict) else given
    ranges: dict[str, tuple[float, float]] = {}
    readings: list[str] = []
    problems = [
        f"unknown parameter {name[:80]!r}; the parameters are {', '.join(task.space.names)}"
        for name in given
        if name not in task.space.names
    ]
    for parameter in task.space:
        if parameter.name in given:
            try:
                ranges[parameter.name] = _read_range(parameter, given[parameter.name])
            except InvalidDesign as error:
                problems.append(str(error))
                continue
            value = given[parameter.name]
            bounds = value.values() if isinstance(value, Mapping) else value
            readings += (said for b in bounds for said in readings_of(task, {parameter.name: b}))
    if not given:
        problems.append("it names no parameter")
    return Narrowing(ranges, join_problems(problems), tuple(readings))


def narrow(space: DesignSpace, ranges: Ranges) -> DesignSpace:
    """The space with these bounds, parameters without one keep theirs.

    `ranges` are as `read_ranges` gives them; others may raise ValueError.
    """
    return DesignSpace(
        tuple(
            replace(p, low=ranges[p.name][0], high=ranges[p.name][1]) if p.name in ranges else p
            for p in space
        )
    )


def inside(space: DesignSpace, evaluation: Evaluation) -> bool:
    """Whether a design lies in a space."""
    try:
        space.canonicalize(evaluation.design)
    except InvalidDesign:
        return False
    return True


def ranges_text(task: Task, space: DesignSpace) -> dict[str, list[str | float]]:
    """The bounds of a space of the task in engineering notation, as a model writes them."""
    low = design_text(task, {p.name: p.low for p in space})
    high = design_text(task, {p.name: p.high for p in space})
    return {name: [low[name], high[name]] for name in space.names}


def _read_range(parameter: Parameter, value: Any) -> tuple[float, float]:
    """A range on the parameter's grid. Raises InvalidDesign saying what is wrong with it."""
    name = parameter.name
    if isinstance(value, Mapping):
        pair = next((p for p in _PAIRS if set(p) == set(value)), None)
        value = [value[k] for k in pair] if pair else value
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidDesign(f"{name} needs [low, high], got {str(value)[:80]!r}")
    low, high = (_read_bound(parameter, v) for v in value)
    if low >= high:
        raise InvalidDesign(f"{name}: low must be less than high, got {str(value)[:80]}")
    low, high = _on_grid(parameter, low, high)
    # An integer needs two values; of a finer grid, two steps are asked for.
    least = 1.0 if parameter.integer else 1.5 * (parameter.grid or 0.0)
    if low >= high or high - low < least:
        grid = (
            f" of its grid, {format_si(parameter.grid, parameter.unit)}" if parameter.grid else ""
        )
        raise InvalidDesign(f"{name}: the range {str(value)[:80]} is narrower than two steps{grid}")
    return low, high


def _read_bound(parameter: Parameter, value: Any) -> float:
    try:
        number = read_value(parameter, value)
    except ValueError as error:
        raise InvalidDesign(f"{parameter.name}: {error}") from None
    try:
        DesignSpace((parameter,)).canonicalize({parameter.name: number})
    except InvalidDesign as error:
        raise InvalidDesign(f"{error} (it goes from {parameter.range_text()})") from None
    return min(max(float(number), parameter.low), parameter.high)


def _on_grid(parameter: Parameter, low: float, high: float) -> tuple[float, float]:
    """The bounds moved inwards to the grid; those of the whole range stay as they are."""
    grid = parameter.grid
    if grid is None:
        return parameter.snap(low), parameter.snap(high)
    if low > parameter.low:
        low = parameter.snap(math.ceil(low / grid - _ON_GRID) * grid)
    if high < parameter.high:
        high = parameter.snap(math.floor(high / grid + _ON_GRID) * grid)
    return low, high
