"""Designs and evaluations of a transcript as rows of text: engineering notation, specs met or missed.

A transcript holds SI numbers and targets. Units and directions are those of the circuit, where it is
known here; nothing is simulated, so neither models nor ngspice are needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acs_gym.circuit import CircuitError
from acs_gym.circuit_reading import load_circuit
from acs_gym.registry import circuit_folders
from acs_gym.specs import InvalidSpec, Spec
from acs_gym.tiers import get_tier
from acs_gym.units import format_si, parse
from agents.transcript.records import Simulated, Start

_DIGITS = 5
_LONE_M = re.compile(r"[\d.]\s*m\s*$")
# C0 and C1 control characters but tab and newline, and halves of surrogate pairs.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """Without characters that would steer a terminal or are no text, each replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as a person reads it; `met` None where no spec is on it, `note` a second line."""

    text: str
    met: bool | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity of several designs. `spec` is empty where there is none."""

    name: str
    cells: tuple[Cell, ...]
    spec: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is known of a transcript's task without simulating it.

    Attributes:
        title: of the circuit; empty where it is not known here.
        units: of every parameter and metric.
        specs: with the transcript's targets, by metric.
        targets: the transcript's own, for a circuit that is not known.
    """

    title: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    specs: Mapping[str, Spec] = field(default_factory=dict)
    targets: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, start: Start) -> Sheet:
        """By the circuit of that id; numbers alone where there is none, or not with these specs."""
        try:
            circuit = load_circuit(circuit_folders()[start.task])
            specs = circuit.specs(start.pdk, get_tier(start.tier).kind).with_targets(start.specs)
            units = {p.name: p.unit for p in circuit.space(start.pdk)}
        except (KeyError, CircuitError, InvalidSpec, ValueError):
            return cls(targets=start.specs)
        units |= {m.name: m.unit for m in circuit.file.metric} | {"area": "m^2"}
        return cls(circuit.file.title, units, {s.metric: s for s in specs}, start.specs)

    def design_quantities(self, designs: Sequence[Mapping[str, Any]]) -> list[Quantity]:
        """One a parameter. A value may be a number or what a model wrote for one."""
        names = dict.fromkeys(str(name) for design in designs for name in design)
        return [
            Quantity(name, tuple(Cell(self._value(name, design.get(name))) for design in designs))
            for name in names
        ]

    def metric_quantities(self, evaluations: Sequence[Simulated]) -> list[Quantity]:
        """One a metric, those with a spec first."""
        measured = dict.fromkeys(m for s in evaluations for m in s.evaluation["metrics"])
        names = dict.fromkeys([*(m for m in self.targets if m in measured), *measured])
        return [
            Quantity(
                name, tuple(self._measured(name, s) for s in evaluations), self.spec_text(name)
            )
            for name in names
        ]

    def spec_text(self, metric: str) -> str:
        """`≥ 60 dB`; empty where there is no spec on it."""
        if metric in self.specs:
            return self.specs[metric].text()
        return f"target {self.targets[metric]:.4g}" if metric in self.targets else ""

    def _measured(self, metric: str, simulated: Simulated) -> Cell:
        evaluation = simulated.evaluation
        value = evaluation["metrics"].get(metric)
        text = "not measured" if value is None else format_si(value, self.units.get(metric, ""))
        met = evaluation["satisfaction"].get(metric)
        places = evaluation.get("spread", {}).get("worst_at", {})
        return Cell(
            text,
            None if met is None else met == 1.0,
            str(places.get(metric, "")) if isinstance(places, dict) else "",
        )

    def _value(self, name: str, value: object) -> str:
        if value is None:
            return "–"
        if isinstance(value, str):
            try:
                number = parse(value)
            except ValueError:
                return value
            # Metres or milli, as the parameter's range has it, which is not known here.
            if self.units.get(name) == "m" and _LONE_M.search(value):
                return value
            value = number
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return str(value)
        try:
            return format_si(value, self.units.get(name, ""), digits=_DIGITS)
        except OverflowError:  # An integer beyond any float.
            return str(value)
