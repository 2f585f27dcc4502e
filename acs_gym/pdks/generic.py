"""The bundled `generic` PDK: our own BSIM4 cards of a 1.8 V, 130 nm-class technology.

Needs no download; for offline work, unit tests and fast experiments. Its curves are compared with
SKY130's by `benchmarks/generic_vs_sky130.py`; a result on it is never a result on SKY130.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from acs_gym.expressions import Expression
from acs_gym.pdks.base import CORNERS, DIFFUSIONS, PASSIVES, Bin, Device, Pdk
from acs_gym.pdks.generic_cards import MISMATCH, model_cards


def _fet(kind: str) -> dict[str, Expression]:
    # Pelgrom: the thresholds of a pair differ by A_VT over the root of a device's gate area (one
    # sigma), so each of the two deviates by a root of two less.
    matching = MISMATCH[kind].a_vt / math.sqrt(2.0)
    return {
        "w": Expression("w"),
        "l": Expression("l"),
        "m": Expression("m"),
        **DIFFUSIONS,
        "delvto": Expression(f"z*{matching!r}/sqrt(w*l*m)"),
    }


_AREA = Expression("w*l*m")


class Generic(Pdk):
    name = "generic"
    title = "bundled 130 nm-class BSIM4 cards"
    licence = "Apache-2.0 (part of ACS-Gym)"

    def models(self, corner: str) -> Mapping[str, str]:
        self.check_corner(corner)
        cards = model_cards(corner).replace("\n+", " ").splitlines()
        return {card.split()[1]: card for card in cards if card.startswith(".model")}

    def devices(self, corner: str) -> Mapping[str, Device]:
        self.check_corner(corner)
        return {
            "nfet": Device("M", (Bin("nmos_generic"),), _fet("n"), _AREA),
            "pfet": Device("M", (Bin("pmos_generic"),), _fet("p"), _AREA),
            **PASSIVES,
        }

    def digest(self) -> str:
        text = "\n".join(model_cards(corner) for corner in CORNERS)
        return hashlib.sha256(text.encode()).hexdigest()

    def location(self) -> str:
        return "bundled"
