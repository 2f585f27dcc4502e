"""Two simulators' metrics side by side, and how far apart they may be. Pure.

All tolerances are here. What decides is the unit, and what the number comes from: an operating point
and small signals are the same arithmetic in both simulators, a transient depends on each one's time
steps, and noise adds one formula of the transistor model to a small-signal analysis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from acs_gym.simulation.program import Program

Origin = Literal["static", "rejection", "transient", "noise"]
_NOISE = ("integrated_noise", "density_at", "flicker_corner")
# The weakest of several that a formula combines.
_ORDER: tuple[Origin, ...] = ("static", "rejection", "noise", "transient")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """At most `absolute` (in the metric's unit) or `relative` of ngspice's value, whichever is more.

    Of a rejection in dB, also what a change of `residue` (V/V) in the signal that is left makes of it.
    """

    absolute: float = 0.0
    relative: float = 0.0
    residue: float = 0.0

    def allowed(self, value: float) -> float:
        allowed = max(self.absolute, self.relative * abs(value))
        if not self.residue or not math.isfinite(value):
            return allowed
        return max(allowed, 20.0 * math.log10(1.0 + self.residue * 10.0 ** (value / 20.0)))


# docs/second-simulator.md has what was measured beside each.
TOLERANCES: Mapping[tuple[Origin, str], Tolerance] = {
    ("static", "dB"): Tolerance(absolute=0.01),
    # What is left of two signals that nearly cancel. Newton's iterations end with the output some tenths
    # of a microvolt from where it would be, which moves what is left by as much per volt.
    ("rejection", "dB"): Tolerance(absolute=0.03, residue=1.5e-7),
    ("static", "°"): Tolerance(absolute=0.2),
    ("static", "Hz"): Tolerance(relative=0.005),
    ("static", "W"): Tolerance(relative=0.001),
    ("static", "A"): Tolerance(relative=0.001),
    ("static", "F"): Tolerance(relative=0.001),
    # Newton's iterations end within microvolts of each other.
    ("static", "V"): Tolerance(absolute=20e-6, relative=0.001),
    ("static", ""): Tolerance(absolute=1e-4, relative=0.001),
    ("noise", "V"): Tolerance(relative=0.005),
    ("transient", "V/s"): Tolerance(relative=0.01),
    ("transient", "s"): Tolerance(relative=0.03),
    ("transient", "V"): Tolerance(absolute=50e-6, relative=0.01),
    ("transient", "A"): Tolerance(relative=0.01),
    ("transient", "W"): Tolerance(relative=0.01),
    # An overshoot is a share of its step: 0.5 % of the step.
    ("transient", ""): Tolerance(absolute=0.005, relative=0.01),
}
OTHERWISE = Tolerance(relative=0.01)


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """One metric in both simulators, in SI units; NaN where it cannot be measured."""

    metric: str
    unit: str
    ngspice: float
    vacask: float
    allowed: float

    @property
    def difference(self) -> float:
        """VACASK's value less ngspice's."""
        return self.vacask - self.ngspice

    @property
    def agrees(self) -> bool:
        """Within what is allowed; or not measurable in either."""
        if math.isnan(self.ngspice) or math.isnan(self.vacask):
            return math.isnan(self.ngspice) and math.isnan(self.vacask)
        return abs(self.difference) <= self.allowed


def compare(
    program: Program,
    units: Mapping[str, str],
    ngspice: Mapping[str, float],
    vacask: Mapping[str, float],
) -> tuple[ComparedMetric, ...]:
    """Each metric of the program compared, in its order; `units` by metric."""
    origin = origins(program)
    found: list[ComparedMetric] = []
    for metric in program.metrics:
        name, unit = metric.name, units.get(metric.name, "")
        allowed = allowed_difference(origin[name], unit, ngspice[name])
        found.append(ComparedMetric(name, unit, ngspice[name], vacask[name], allowed))
    return tuple(found)


def allowed_difference(origin: Origin, unit: str, value: float) -> float:
    """How far VACASK may be from ngspice's `value`, in SI units."""
    return TOLERANCES.get((origin, unit), OTHERWISE).allowed(value)


def origins(program: Program) -> dict[str, Origin]:
    """What each metric comes from; a formula, from the least exact of what it combines."""
    kinds = {a.name: a.kind for deck in program.decks for a in deck.analyses}
    found: dict[str, Origin] = {}
    for metric in program.metrics:
        if metric.formula is not None:
            parts = [found[n] for n in metric.formula.names if n in found]
            found[metric.name] = max(parts, key=_ORDER.index, default="static")
        elif metric.measure in _NOISE:
            found[metric.name] = "noise"
        elif metric.measure == "rejection_db":
            found[metric.name] = "rejection"
        else:
            transient = kinds[metric.analysis or ""] == "tran"
            found[metric.name] = "transient" if transient else "static"
    return found
