"""Which device the noise at the output comes from, of a simulated design.

ngspice says it device by device when a noise analysis is asked for a summary. Not part of an evaluation,
for the same reason as the operating point: it is computed again on demand, by the same analysis.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from acs_gym.expressions import Expression
from acs_gym.simulation.program import Deck, Program
from acs_gym.simulation.readout import Waveforms

_TOTAL = "onoise_spectrum"
_RESISTOR = re.compile(r"^(r\S+) ")


@dataclass(frozen=True, slots=True)
class NoiseShare:
    """One device's part of the noise power at the output, over the band of the analysis.

    Attributes:
        name: as in the netlist; `rest` is what no device below has (bodies, the testbench).
        share: of the whole, 0 to 1; flicker: that part of the whole which is its 1/f noise.
    """

    name: str
    share: float
    flicker: float


def noise_program(program: Program) -> Program | None:
    """The program of its first noise analysis alone; None where it has none.

    Run it with `waveforms=True` and hand what it gave to `read_noise`.
    """
    for deck in program.decks:
        for analysis in deck.analyses:
            if analysis.kind == "noise":
                vectors = (_TOTAL, *(v for _, *both in _sources(deck) for v in both if v))
                summed = replace(analysis, command=f"{analysis.command} 1", vectors=vectors)
                return replace(
                    program,
                    decks=(replace(deck, analyses=(summed,)),),
                    metrics=(),
                    gates=(),
                    area=Expression("0"),
                    key=hashlib.sha256(f"noise split {program.key}".encode()).hexdigest(),
                )
    return None


def read_noise(program: Program, waveforms: Waveforms) -> tuple[NoiseShare, ...]:
    """The devices of a `noise_program`, largest first; empty where it found no solution."""
    (deck,) = program.decks
    values = waveforms.get(deck.analyses[0].name)
    if values is None:
        return ()
    sweep = values["sweep"].real

    def power(vector: str) -> float:
        return _power(sweep, values[vector].real) if vector else 0.0

    whole = power(_TOTAL)
    if not whole > 0:
        return ()
    found = [
        NoiseShare(name, power(all_of_it) / whole, power(flicker) / whole)
        for name, all_of_it, flicker in _sources(deck)
    ]
    rest = 1.0 - sum(s.share for s in found)
    if rest > 0.001:
        found.append(NoiseShare("rest", rest, 0.0))
    return tuple(sorted(found, key=lambda s: -s.share))


def _sources(deck: Deck) -> list[tuple[str, str, str]]:
    """(device, vector of its noise, vector of its 1/f noise or none) of transistors and resistors."""
    found = []
    for element in (t.element for t in deck.transistors):
        name = element.rpartition(".")[2].removeprefix("m")
        found.append((name, f"onoise.{element}", f"onoise.{element}.1overf"))
    instance = deck.transistors[0].element.split(".")[1] if deck.transistors else ""
    inside = False
    for line in deck.template:
        inside = line.startswith(".subckt") or (inside and not line.startswith(".ends"))
        if inside and (resistor := _RESISTOR.match(line)):
            found.append((resistor[1][1:], f"onoise_r.{instance}.{resistor[1]}", ""))
    return found


def _power(sweep: NDArray[np.float64], density: NDArray[np.float64]) -> float:
    """The integral of a density's square; its points lie logarithmically."""
    return float(np.trapezoid(density**2 * sweep, np.log(sweep)))
