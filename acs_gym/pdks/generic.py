"""The bundled `generic` PDK: our own BSIM4 cards of a 1.8 V, 130 nm-class technology.

Needs no download; for offline work, unit tests and fast experiments. Its curves are compared with
SKY130's by `benchmarks/generic_vs_sky130.py`; a result on it is never a result on SKY130.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from acs_gym.expressions import Expression
from acs_gym.pdks.base import (
    CORNERS,
    FET,
    FET_AREA,
    FET_ATTRIBUTES,
    IDEAL,
    PASSIVE_CORNERS,
    Bin,
    Device,
    Part,
    Pdk,
    fet_defaults,
)
from acs_gym.pdks.generic_cards import MISMATCH, PASSIVES, PNP, model_cards

_M = {"m": Expression("1")}
_SIGNS = {"": 0.0, "l": -1.0, "h": 1.0}


class Generic(Pdk):
    name = "generic"
    title = "bundled 130 nm-class BSIM4 cards"
    label = "generic PDK (bundled models, not SKY130)"
    licence = "Apache-2.0 (part of ACS-Gym)"
    passive_corners = PASSIVE_CORNERS

    def devices(self, corner: str) -> Mapping[str, Device]:
        fets, passives = self.check_corner(corner)
        resistors, capacitors = passives[:1], passives[1:]
        return {
            "nfet": _fet("n", fets),
            "pfet": _fet("p", fets),
            "res": _resistor(1.0 + _SIGNS[resistors] * PASSIVES.poly_spread),
            "cap": _capacitor(1.0 + _SIGNS[capacitors] * PASSIVES.mim_spread),
            "pnp": _pnp(),
            **IDEAL,
        }

    def digest(self) -> str:
        text = "\n".join([*(model_cards(corner) for corner in CORNERS), repr(PASSIVES), PNP])
        return hashlib.sha256(text.encode()).hexdigest()

    def location(self) -> str:
        return "bundled"


def _fet(kind: str, corner: str) -> Device:
    # Pelgrom: the thresholds of a pair differ by A_VT over the root of a device's gate area (one
    # sigma), so each of the two deviates by a root of two less.
    matching = MISMATCH[kind].a_vt / math.sqrt(2.0)
    shift = Expression(f"z*{matching!r}/sqrt(w*l*m)")
    name = f"{kind}mos_generic"
    lines = model_cards(corner).replace("\n+", " ").splitlines()
    cards = {line.split()[1]: line for line in lines if line.startswith(".model")}
    part = Part("M", FET.nodes, {**FET_ATTRIBUTES, "delvto": shift})
    strip = PASSIVES.strip
    return Device(
        FET.nodes, (part,), FET_AREA, fet_defaults(strip, strip), ("z",), (Bin(name),),
        cards={name: cards[name]},
    )  # fmt: skip


def _resistor(corner: float) -> Device:
    """A strip of poly, its two ends loaded with half its capacitance to the substrate each."""
    p = PASSIVES
    value = f"r*{corner!r}/m*(1+z*{p.poly_matching!r}/sqrt(w*l*m))"
    half = {"capacitance": Expression(f"w*l*m*{0.5 * p.poly_oxide!r}")}
    card = f".model poly_generic r tc1={p.poly_tc1!r} tc2={p.poly_tc2!r} tnom=27"
    return Device(
        ("p", "n"),
        (
            Part("R", ("p", "n"), {"resistance": Expression(value)}, model="poly_generic"),
            Part("C", ("p", "0"), half, "cp"),
            Part("C", ("n", "0"), half, "cn"),
        ),
        Expression("w*l*m"),
        {
            **_M,
            "w": Expression(f"{p.poly_width!r}*max(1,{p.poly_wider_below!r}/r)"),
            "l": Expression(f"r/{p.poly_sheet!r}*w"),
        },
        ("z",),
        cards={"poly_generic": card},
    )


def _capacitor(corner: float) -> Device:
    """A square of MIM."""
    p = PASSIVES
    value = Expression(f"c*m*{corner!r}*(1+z*{p.mim_matching!r}/sqrt(area*m))")
    return Device(
        ("p", "n"),
        (Part("C", ("p", "n"), {"capacitance": value}),),
        Expression("area*m"),
        {**_M, "area": Expression(f"c/{p.mim_density!r}")},
        ("z",),
    )


def _pnp() -> Device:
    own = {
        "is": Expression(f"{PASSIVES.pnp_is!r}*(1+z*{PASSIVES.pnp_is_matching!r}/sqrt(m))"),
        "bf": Expression(f"{PASSIVES.pnp_bf!r}*(1+z1*{PASSIVES.pnp_bf_matching!r}/sqrt(m))"),
    }
    part = Part("Q", ("c", "b", "e", "c"), {"m": Expression("m")}, model="pnp_generic", own=own)
    return Device(
        ("c", "b", "e"),
        (part,),
        Expression(f"{PASSIVES.pnp_emitter!r}*m"),
        _M,
        ("z", "z1"),
        cards={"pnp_generic": f".model pnp_generic pnp {PNP}"},
    )
