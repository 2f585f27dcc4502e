"""What a measure's options are, read off its signature: nothing else declares them.

An option is a number (or an expression for one), a word out of a few, or another signal of the same
analysis. The aliases below are the annotations that say which, and in which unit.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

from acs_gym.simulation.measures.waveform import Real

Sweep = Annotated[float, "sweep"]  # In the unit of the sweep: s, Hz, V, °C.
Level = Annotated[float, "signal"]  # In the unit of the signal.
Fraction = Annotated[float, "1"]
Seconds = Annotated[float, "s"]
Hertz = Annotated[float, "Hz"]
Volts = Annotated[float, "V"]
Degrees = Annotated[float, "°"]
Decibels = Annotated[float, "dB"]
Celsius = Annotated[float, "°C"]
Count = Annotated[float, "count"]  # A whole number; -1 is the last.
Signal = Annotated[Real, "another signal"]
Side = Literal["before", "after"]
Direction = Literal["up", "down", "either"]

Kind = Literal["number", "word", "signal"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a measure.

    Attributes:
        kind: what may be given: a number or an expression for one, one of `words`, or a signal.
        unit: of a number: a unit, `sweep` or `signal` for theirs, `1` for a fraction, or `count`.
        default: None where the option must be given.
    """

    name: str
    kind: Kind
    unit: str
    default: float | str | None
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As the documentation has it: `tolerance` (1), `nth = 1` (count)."""
        head = self.name
        if self.default is not None:
            given = f'"{self.default}"' if self.kind == "word" else f"{self.default:g}"
            head = f"{self.name} = {given}"
        return f"`{head}` ({', '.join(self.words) or self.unit})"


@functools.cache
def options_of(measure: Callable[..., float]) -> tuple[Option, ...]:
    """The options of a measure in their order: what follows its sweep and its signal."""
    hints = get_type_hints(measure, include_extras=True)
    taken = list(inspect.signature(measure).parameters.values())[2:]
    return tuple(_option(p, hints[p.name]) for p in taken)


def _option(parameter: inspect.Parameter, hint: object) -> Option:
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    if get_origin(hint) is Literal:
        return Option(parameter.name, "word", "", default, get_args(hint))
    base, unit = get_args(hint)
    return Option(parameter.name, "number" if base is float else "signal", unit, default)
