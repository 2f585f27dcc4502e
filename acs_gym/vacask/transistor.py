"""One transistor between voltage sources as a program, which either simulator can be asked.

Its drain current is turned into a voltage by 1 Ohm without noise, so that the output noise density in
V/sqrt(Hz) is that of the drain current in A/sqrt(Hz).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from acs_gym.expressions import Expression
from acs_gym.pdks.base import Pdk
from acs_gym.simulation.deck import OPTIONS
from acs_gym.simulation.engine import TEMPERATURE
from acs_gym.simulation.program import Analysis, Deck, Metric, Program, Transistor

# Noise density of the drain current (A/sqrt(Hz)) of this transistor with the cards as they are
# served: at 1 kHz (flicker) and at 100 MHz (thermal). From `python benchmarks/noise_by_hand.py`;
# docs/noise.md says why it is worth knowing when a simulator gives something else.
PINNED_NOISE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"sky130": (2.011e-10, 4.375e-12), "generic": (2.101e-10, 2.822e-12)}
)
PINNED_TO = 0.01
_NONE: Mapping[str, str] = MappingProxyType({})
_QUANTITIES = ("id", "gm", "gmbs", "gds", "vth", "vdsat")


@dataclass(frozen=True, slots=True)
class Bias:
    """An n-channel transistor of this size (m), its gate and drain voltages against its source (V)."""

    w: float = 7.07e-6
    l: float = 0.775e-6  # noqa: E741
    vgs: float = 0.8
    vds: float = 1.2


def one_transistor(pdk: Pdk, bias: Bias, changes: Mapping[str, str] = _NONE) -> Program:
    """Its operating point and noise at 27 °C. `changes` are parameters of its card to set otherwise.

    Metrics: id (A), gm, gmbs, gds (S), vth, vdsat (V) as the simulator itself prints them,
    `transfer` (S), the derivative dId/dVgs that its AC analysis gives, and the noise density of the
    drain current in A/sqrt(Hz) at 1 kHz (`low`) and at 100 MHz (`high`).
    """
    device = pdk.devices("tt")["nfet"]
    values = device.values(device.parts[0], {"w": bias.w, "l": bias.l})
    attributes = " ".join(f"{k}={v!r}" for k, v in values.items())
    model = device.model(bias.w, bias.l)
    card = device.cards[model]
    for name, value in changes.items():
        card = (
            re.sub(rf"\b{name}\s*=\s*[^\s)]+", "", card, flags=re.IGNORECASE) + f" {name}={value}"
        )
    deck = Deck(
        name="transistor",
        template=(
            "one transistor",
            f"vd d 0 dc {bias.vds!r}",
            f"vg g 0 dc {bias.vgs!r} ac 0",
            f"m1 d g 0 0 {{m1}} {attributes}",
            "hd n 0 vd 1",
            f".options {OPTIONS}",
            ".end",
        ),
        models={model: card},
        shared=(),
        transistors=(Transistor("m1", device, *(Expression(repr(x)) for x in (bias.w, bias.l))),),
        draws=(),
        settings=(),
        excitable=("vg",),
        analyses=(
            Analysis("op", "op", "op", (), tuple(f"@m1[{q}]" for q in _QUANTITIES), None, None),
            Analysis("ac", "ac", "ac lin 1 1k 1k", ("vg",), ("i(vd)",), "frequency", 999.0),
            Analysis(
                "noise", "noise", "noise v(n) vg dec 1 1k 100meg", ("vg",),
                ("v(onoise_spectrum)",), "frequency", 99e6,
            ),
        ),
    )  # fmt: skip
    quantities: list[tuple[str, str, str, str, dict[str, Expression]]] = [
        (q, "op", f"@m1[{q}]", "value", {}) for q in _QUANTITIES
    ]
    quantities.append(("transfer", "ac", "-i(vd)", "value", {}))
    for name, frequency in (("low", 1e3), ("high", 100e6)):
        options = {"at": Expression(repr(frequency))}
        quantities.append((name, "noise", "v(onoise_spectrum)", "density_at", options))
    metrics = tuple(
        Metric(name, analysis, Expression(signal), measure, options, None)
        for name, analysis, signal, measure, options in quantities
    )
    return Program(
        name=f"transistor@{pdk.name}",
        parameters=(),
        conditions={TEMPERATURE: 27.0},
        decks=(deck,),
        metrics=metrics,
        gates=(),
        area=Expression("0"),
        key=f"transistor {pdk.name} {bias} {sorted(changes.items())} {pdk.digest()}",
    )
