"""What may be chosen: named, bounded, scaled parameters in SI units, and the map to the unit cube.

A *design* is a plain `dict[str, float]` of SI values. Everything that enters the simulator goes
through `DesignSpace.canonicalize`, so two designs that print alike simulate alike, duplicates can
be found by comparing floats, and no NaN ever reaches ngspice (which would silently keep the
previous value). This module knows nothing of circuits or simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from acs_gym.units import format_si
from acs_gym.wording import did_you_mean

Design = dict[str, float]
Scale = Literal["linear", "log"]

# Continuous values keep nine significant digits: far below any metric's sensitivity, and it makes
# the unit-cube round trip exact, so a design read back from JSON or a unit vector is the same one.
_DIGITS = 9
_BOUND_SLACK = 1e-9


class InvalidDesign(ValueError):
    """A design outside its space; the message names the parameter, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One free quantity of a circuit.

    Args:
        name: as written in the netlist's braces.
        low, high: bounds in SI units, both included.
        scale: `log` for sizes, currents, R and C; `linear` for voltages and counts.
        step: grid in SI units (the layout grid for W and L, 1 for multipliers), or None.
        integer: a count; implies `step=1`.
        unit: SI unit for display (`m`, `A`, `F`, `Ohm`, or empty).
    """

    name: str
    low: float
    high: float
    scale: Scale = "linear"
    step: float | None = None
    integer: bool = False
    unit: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"parameter {self.name}: need finite low < high, got {self.low}, {self.high}"
            )
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"parameter {self.name}: a log scale needs low > 0, got {self.low}")
        if self.integer and self.step not in (None, 1):
            raise ValueError(f"parameter {self.name}: an integer has step 1, got {self.step}")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"parameter {self.name}: step {self.step} does not fit into its range")

    @property
    def grid(self) -> float | None:
        return 1.0 if self.integer else self.step

    def snap(self, value: float) -> float:
        """The canonical float nearest to `value`: on the grid, inside the bounds."""
        value = min(max(value, self.low), self.high)
        if self.grid is None:
            return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)
        # The grid is anchored at zero, as a layout grid is; bounds that are off it stay reachable.
        snapped = float(f"{round(value / self.grid) * self.grid:.12g}")
        return min(max(snapped, self.low), self.high)

    def to_unit(self, value: float) -> float:
        if self.scale == "log":
            unit = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            unit = (value - self.low) / (self.high - self.low)
        return min(max(unit, 0.0), 1.0)

    def from_unit(self, unit: float) -> float:
        unit = min(max(unit, 0.0), 1.0)
        if self.scale == "log":
            return self.snap(self.low * math.exp(unit * math.log(self.high / self.low)))
        return self.snap(self.low + unit * (self.high - self.low))

    def range_text(self) -> str:
        return f"{format_si(self.low, self.unit)} to {format_si(self.high, self.unit)}"


@dataclass(frozen=True, slots=True)
class DesignSpace:
    """An ordered set of parameters; the only place that knows bounds, scales, grids and integers.

    Attributes:
        names: of the parameters, in order.
    """

    parameters: tuple[Parameter, ...]
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _wanted: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(p.name for p in self.parameters)
        # Kept, because every design is held against them.
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "_wanted", frozenset(names))
        if not names:
            raise ValueError("a design space needs at least one parameter")
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"parameter named twice: {', '.join(sorted(twice))}")

    def __len__(self) -> int:
        return len(self.parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(self._unknown(name))

    def canonicalize(self, design: Mapping[str, float]) -> Design:
        """`design` with every value snapped to its grid, in the order of the space.

        Raises InvalidDesign on a missing or unknown name, a value that is not a finite real
        number, or one outside its bounds (beyond one part in 1e9, which is rounded in).
        """
        if not isinstance(design, Mapping):
            raise InvalidDesign(
                f"a design maps parameter names to numbers, got {type(design).__name__}; "
                f"the parameters are: {', '.join(self.names)}"
            )
        if design.keys() != self._wanted:
            for name in design:
                if name not in self._wanted:
                    raise InvalidDesign(self._unknown(name))
            missing = [n for n in self.names if n not in design]
            raise InvalidDesign(f"missing parameter: {', '.join(missing)}")
        return {p.name: self._checked(p, design[p.name]) for p in self.parameters}

    def _checked(self, parameter: Parameter, value: object) -> float:
        # Nearly every value is a float within its bounds, and this is done for every simulation.
        number = value if type(value) is float else _number(parameter, value)
        if parameter.low <= number <= parameter.high:
            return parameter.snap(number)
        if not math.isfinite(number):
            raise InvalidDesign(f"{parameter.name} is {number}, not a finite number")
        slack = _BOUND_SLACK * max(abs(parameter.low), abs(parameter.high))
        if not parameter.low - slack <= number <= parameter.high + slack:
            raise InvalidDesign(
                f"{parameter.name} = {number:.6g} is outside its range: "
                f"{parameter.low:.6g} to {parameter.high:.6g} {parameter.unit}".rstrip()
            )
        return parameter.snap(number)

    def _unknown(self, name: object) -> str:
        hint = did_you_mean(name, self.names)
        known = ", ".join(self.names)
        return f"unknown parameter {str(name)[:80]!r}; {hint}The parameters are: {known}"

    def to_unit(self, design: Mapping[str, float]) -> NDArray[np.float64]:
        """Unit-cube coordinates of a design, shape (n,), each in [0, 1]."""
        canonical = self.canonicalize(design)
        return np.array([p.to_unit(canonical[p.name]) for p in self.parameters])

    def from_unit(self, unit: ArrayLike) -> Design:
        """The canonical design at unit-cube coordinates of shape (n,); values are clipped to [0, 1].

        Raises InvalidDesign on a wrong shape or a NaN.
        """
        vector = np.asarray(unit, dtype=np.float64)
        if vector.shape != (len(self),):
            raise InvalidDesign(
                f"expected {len(self)} coordinates, shape ({len(self)},), got {vector.shape}"
            )
        if np.isnan(vector).any():
            bad = [n for n, v in zip(self.names, vector, strict=True) if np.isnan(v)]
            raise InvalidDesign(f"coordinate is NaN: {', '.join(bad)}")
        return {p.name: p.from_unit(float(v)) for p, v in zip(self.parameters, vector, strict=True)}

    def sample(self, rng: np.random.Generator) -> Design:
        """One design, uniform in the unit cube."""
        return self.from_unit(rng.random(len(self)))

    def key(self, design: Mapping[str, float]) -> tuple[float, ...]:
        """A hashable identity: equal exactly when two designs simulate alike."""
        return tuple(self.canonicalize(design).values())


def _number(parameter: Parameter, value: object) -> float:
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        raise InvalidDesign(f"{parameter.name} is {repr(value)[:80]}, not a number")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidDesign(f"{parameter.name} is {str(value)[:80]!r}, not a real number") from None


def space_of(parameters: Sequence[Parameter]) -> DesignSpace:
    return DesignSpace(tuple(parameters))
