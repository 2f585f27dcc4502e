"""The program a simulation worker runs, as plain frozen records.

Made by `deck.py` in the parent, pickled to a worker once, run by `engine.py` there. Knows nothing of
circuit folders, so that a worker starts without the machinery that reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from acs_gym.expressions import Expression, evaluate_all
from acs_gym.pdks.base import Device

_PLACE = re.compile(r"\{([\w.]+)\}")


@dataclass(frozen=True, slots=True)
class DeviceBinding:
    """A device: design expressions -> primitive parameters -> instance attributes."""

    element: str
    kind: str
    parameters: Mapping[str, Expression]
    device: Device | None
    attributes: Mapping[str, Expression]

    @property
    def is_transistor(self) -> bool:
        return self.kind in ("nfet", "pfet")


@dataclass(frozen=True, slots=True)
class SourceBinding:
    """A source or passive element of a bench: attribute -> one or (for `pulse`) several values."""

    element: str
    attribute: str
    values: tuple[Expression, ...]
    vector: bool = False


@dataclass(frozen=True, slots=True)
class Analysis:
    """One ngspice analysis, the sources it excites and the vectors it must yield.

    `sweep` names the vector of its independent variable (None for `op`), which rises and must
    reach at least `last`.
    """

    name: str
    kind: str
    command: str
    excite: tuple[str, ...]
    vectors: tuple[str, ...]
    sweep: str | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Deck:
    """One testbench: its netlist, what is set before each run, and its analyses.

    `template` has `{element}` where a binned device's model name belongs: which card a size needs
    is part of the netlist, not of what is set afterwards (see `netlist`).
    """

    name: str
    template: tuple[str, ...]
    models: Mapping[str, str]
    devices: tuple[DeviceBinding, ...]
    sources: tuple[SourceBinding, ...]
    excitable: tuple[str, ...]
    analyses: tuple[Analysis, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """How one metric is read off the waveforms, or computed from other metrics."""

    name: str
    analysis: str | None
    signal: Expression | None
    measure: str
    options: Mapping[str, Expression]
    formula: Expression | None


@dataclass(frozen=True, slots=True)
class Gate:
    """`low <= signal <= high`, or the metrics it kills do not exist."""

    description: str
    analysis: str
    signal: Expression
    low: Expression | None
    high: Expression | None
    kills: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """All that a worker needs to simulate designs of one circuit on one PDK corner.

    `area` is the sum of W·L·M and of capacitor and resistor areas, in m².
    """

    name: str
    parameters: tuple[str, ...]
    conditions: Mapping[str, float]
    decks: tuple[Deck, ...]
    metrics: tuple[Metric, ...]
    gates: tuple[Gate, ...]
    area: Expression
    key: str = field(default="")


def netlist(deck: Deck, models: Mapping[str, str]) -> tuple[str, ...]:
    """The deck as text for ngspice, given the model name of each binned device."""
    title, *rest = deck.template
    cards = (deck.models[name] for name in sorted(set(models.values())))
    body = (_PLACE.sub(lambda m: models[m[1]], line) if "{" in line else line for line in rest)
    return title, *cards, *body


def device_values(deck: Deck, scope: Mapping[str, float]) -> list[dict[str, float]]:
    """The primitive parameters (w, l, m, r, c, i in SI units) of each device of a deck."""
    expressions = tuple(e for d in deck.devices for e in d.parameters.values())
    numbers = iter(evaluate_all(expressions, scope))
    return [{name: next(numbers) for name in d.parameters} for d in deck.devices]
