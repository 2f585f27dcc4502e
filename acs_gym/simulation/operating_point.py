"""The DC operating point of every transistor of a simulated design, as a designer reads it.

Not part of an evaluation, which would pay for reading some hundred numbers that most agents never look
at: the operating point is computed again on demand. It is the same analysis of the same netlist at the
nominal condition, so it says how things were in the simulation that gave the metrics.

What BSIM4 calls its output parameters: BSIM4 manual, appendix on operating-point information.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from acs_gym.expressions import Expression
from acs_gym.simulation.program import Analysis, Program
from acs_gym.simulation.readout import Waveforms

_READ = ("id", "gm", "gds", "vgs", "vds", "vth", "vdsat")
_OFF_CURRENT = 1e-9
_ANALYSIS = "operating_point"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One transistor at DC. Voltages and currents are those of an n-channel device: positive when on.

    Attributes:
        name: as in the netlist, without its leading X (`pair_p`).
        kind: `nfet` or `pfet`.
        id: drain current, A, of all its multiples.
        gm, gds: transconductance and output conductance, S, of all its multiples.
        vgs, vds, vth, vdsat: V.
    """

    name: str
    kind: str
    id: float
    gm: float
    gds: float
    vgs: float
    vds: float
    vth: float
    vdsat: float

    @property
    def gm_over_id(self) -> float:
        """Transconductance efficiency, 1/V; NaN without current."""
        return self.gm / self.id if self.id > 0 else math.nan

    @property
    def saturation_margin(self) -> float:
        """vds − vdsat, V: how far the device is from the triode region; negative inside it."""
        return self.vds - self.vdsat

    @property
    def region(self) -> str:
        """`off` below 1 nA, `triode` below vdsat, else `saturation`."""
        if not self.id > _OFF_CURRENT:
            return "off"
        return "triode" if self.saturation_margin < 0 else "saturation"


def operating_point_program(program: Program) -> Program:
    """The program that computes the operating point alone, in the first testbench that has one.

    Run it with `waveforms=True` and hand what it gave to `read_operating_points`.
    """
    decks = program.decks
    deck = next((d for d in decks if any(a.kind == "op" for a in d.analyses)), decks[0])
    vectors = tuple(f"@{t.element}[{name}]" for t in deck.transistors for name in _READ)
    return replace(
        program,
        decks=(
            replace(deck, analyses=(Analysis(_ANALYSIS, "op", "op", (), vectors, None, None),)),
        ),
        metrics=(),
        gates=(),
        area=Expression("0"),
        key=hashlib.sha256(f"{_ANALYSIS} {program.key}".encode()).hexdigest(),
    )


def read_operating_points(
    program: Program, waveforms: Waveforms, kinds: Mapping[str, str]
) -> tuple[OperatingPoint, ...]:
    """One record a transistor, in the netlist's order; `kinds` maps its name to `nfet` or `pfet`."""
    values = waveforms[_ANALYSIS]
    found = []
    for transistor in program.decks[0].transistors:
        name = transistor.element.rpartition(".")[2].removeprefix("m")
        # BSIM4 turns a p-channel device's signs round, but for its threshold.
        numbers = {q: float(values[f"@{transistor.element}[{q}]"].real[0]) for q in _READ}
        numbers["vth"] = abs(numbers["vth"])
        found.append(OperatingPoint(name=name, kind=kinds[name], **numbers))
    return tuple(found)
