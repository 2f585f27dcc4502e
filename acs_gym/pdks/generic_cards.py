"""BSIM4 model cards of the bundled ``generic`` technology: 1.8 V, about 130 nm, one NMOS, one PMOS.

What they are: two unbinned BSIM4.5 cards with a modest parameter set, everything else at the BSIM4
defaults, so that the package simulates with no download.

How they were chosen: oxide thickness, gate doping and junction exponents are round figures for a
4 nm oxide process. The remaining values were fitted to simulated curves (drain current, gm/Id and
gm/gds over W 1..20 um and L 0.15..4 um, -40..125 C, gate and junction capacitance, input noise) of
the open SKY130 typical 1.8 V transistors, then rounded to three digits. The starting points of the
fit were round numbers chosen with SKY130's model files at hand, as were the sizes of the oxide and
length shifts of the corners, the noise exponents and the mismatch coefficients; no card was copied.

What they are not: a foundry model. They are meant for studying sizing methods; a circuit for
silicon needs the models of the process it is made in. Ranges: W 0.42..100 um, L 0.15..20 um,
-40..125 C. Gate leakage, well proximity and stress are not modelled;
junction leakage is the BSIM4 default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Plain options, identical for both types: every optional effect that adds internal nodes or cost
# (gate and substrate resistance networks, non-quasi-static charge, tunnelling) is switched off.
_SWITCHES: dict[str, float | int] = {
    "mobmod": 0,
    "capmod": 2,
    "rdsmod": 0,
    "igcmod": 0,
    "igbmod": 0,
    "rgatemod": 0,
    "rbodymod": 0,
    "trnqsmod": 0,
    "acnqsmod": 0,
    "fnoimod": 1,
    "tnoimod": 0,
    "diomod": 1,
    "tempmod": 0,
    "permod": 1,
    "geomod": 0,
    "tnom": 27,
}

NMOS: dict[str, float | int] = {
    # Oxide and gate: a 4 nm oxide, poly doped to a light depletion.
    "toxe": 4.1e-9,
    "ngate": 2e20,
    # Threshold and body effect; k3 and w0 give the width dependence.
    "vth0": 0.541,
    "k1": 0.557,
    "k2": -0.0491,
    "k3": 6.67,
    "w0": 1e-7,
    # Threshold over length: halo (lpe0, lpeb), roll-off (dvt0..2), barrier lowering (eta0, dsub,
    # etab) and, where given, its long-channel tail (dvtp0, dvtp1).
    "lpe0": 1.29e-7,
    "lpeb": -1.27e-8,
    "dvt0": 0.0929,
    "dvt1": 0.1,
    "eta0": 0.5,
    "dsub": 0.905,
    "etab": -0.1,
    "dvtp0": 2.34e-7,
    "dvtp1": 0.518,
    # Mobility, velocity saturation and series resistance (diffusion resistance included).
    "u0": 0.0342,
    "ua": -6.75e-10,
    "ub": 1.66e-18,
    "uc": 6.63e-11,
    "vsat": 98900,
    "rdsw": 106,
    "prwg": 0,
    # Weak and moderate inversion.
    "voff": -0.123,
    "nfactor": 2.58,
    "cdsc": 0.0002,
    "cdscd": 0,
    # Bulk charge and the knee between triode and saturation.
    "a0": 0.949,
    "ags": 0.428,
    "keta": -0.0524,
    "delta": 0.0137,
    # Output conductance: what sets gm/gds over length.
    "pclm": 0.562,
    "pdiblc1": 0.6,
    "pdiblc2": 0.00297,
    "drout": 0.695,
    "pvag": 0.275,
    "pscbe1": 7e8,
    "pscbe2": 1e-8,
    # Difference between drawn and electrical size.
    "lint": 5.28e-9,
    "wint": 2e-8,
    # Temperature.
    "kt1": -0.269,
    "kt1l": -3.78e-9,
    "ute": -0.814,
    "ua1": 3.57e-9,
    "ub1": -3.12e-18,
    "at": 0,
    # Gate charge; cf = 0 because the fitted overlap already holds the fringe field.
    "cgso": 2.8e-10,
    "cgdo": 2.8e-10,
    "cf": 0,
    "dlc": 1.22e-8,
    "voffcv": -0.0953,
    "noff": 2.71,
    # Junctions: bottom, isolation edge, gate edge.
    "cjs": 0.000639,
    "mjs": 0.4,
    "pbs": 0.75,
    "cjsws": 6.29e-11,
    "mjsws": 0.1,
    "pbsws": 0.8,
    "cjswgs": 3.96e-10,
    "mjswgs": 0.6,
    "pbswgs": 0.9,
    # Flicker noise: carrier number fluctuation only, so noib and noic vanish.
    "noia": 1.4e42,
    "noib": 0,
    "noic": 0,
    "ef": 0.85,
}

PMOS: dict[str, float | int] = {
    # Oxide and gate: a 4 nm oxide, poly doped to a light depletion.
    "toxe": 4.1e-9,
    "ngate": 2e20,
    # Threshold and body effect; k3 and w0 give the width dependence.
    "vth0": -1.05,
    "k1": 0.667,
    "k2": -0.08,
    "k3": -24.7,
    "w0": 1e-7,
    # Threshold over length: halo (lpe0, lpeb), roll-off (dvt0..2), barrier lowering (eta0, dsub,
    # etab) and, where given, its long-channel tail (dvtp0, dvtp1).
    "lpe0": -6e-8,
    "lpeb": -2.59e-8,
    "dvt0": 0.183,
    "dvt1": 0.1,
    "dvt2": 0.1,
    "eta0": 2,
    "dsub": 0.578,
    "etab": -0.0318,
    # Mobility, velocity saturation and series resistance (diffusion resistance included).
    "u0": 0.006,
    "ua": -1.14e-9,
    "ub": 8.46e-19,
    "uc": -5.14e-11,
    "vsat": 89700,
    "rdsw": 900,
    "prwg": 0,
    # Weak and moderate inversion.
    "voff": -0.245,
    "nfactor": 2.5,
    "minv": 0.332,
    "cit": 0.001,
    "cdscd": 0.000899,
    # Bulk charge and the knee between triode and saturation.
    "a0": 0.746,
    "ags": 0.05,
    "keta": -0.084,
    "delta": 0.00613,
    # Output conductance: what sets gm/gds over length.
    "pclm": 0.959,
    "pdiblc1": 0.01,
    "pdiblc2": 8.81e-5,
    "drout": 0.221,
    "pvag": 5,
    "pscbe1": 7e8,
    "pscbe2": 1e-8,
    # Difference between drawn and electrical size.
    "lint": -1.06e-8,
    "wint": 2e-8,
    # Temperature.
    "kt1": -0.424,
    "kt1l": -3.49e-8,
    "ute": -0.217,
    "ua1": 6.3e-10,
    "ub1": 2e-19,
    "at": 59700,
    # Gate charge; cf = 0 because the fitted overlap already holds the fringe field.
    "cgso": 1.15e-10,
    "cgdo": 1.15e-10,
    "cf": 0,
    "dlc": 3.77e-9,
    "voffcv": -0.0765,
    "noff": 1.86,
    # Junctions: bottom, isolation edge, gate edge.
    "cjs": 0.000488,
    "mjs": 0.4,
    "pbs": 0.75,
    "cjsws": 6.89e-11,
    "mjsws": 0.1,
    "pbsws": 0.8,
    "cjswgs": 3.54e-10,
    "mjswgs": 0.6,
    "pbswgs": 0.9,
    # Flicker noise: carrier number fluctuation only, so noib and noic vanish.
    "noia": 5e41,
    "noib": 0,
    "noic": 0,
    "ef": 1,
}


@dataclass(frozen=True)
class TypeShift:
    """How one transistor type moves at a corner."""

    vth0: float
    """Added to the magnitude of the threshold (V): positive is slower for both types."""
    u0: float
    """Factor on the low-field mobility."""
    toxe: float
    """Factor on the oxide thickness."""
    xl: float = 0.0
    """Added to the drawn gate length (m)."""


@dataclass(frozen=True)
class CornerShift:
    """One process corner: how the NMOS and the PMOS move."""

    n: TypeShift
    p: TypeShift


_TYPICAL = TypeShift(vth0=0.0, u0=1.0, toxe=1.0)

# The first letter of a key is the NMOS, the second the PMOS. ff and ss share the oxide and the gate
# length, which one wafer has in common; sf and fs move only what differs between the two types.
CORNERS: dict[str, CornerShift] = {
    "tt": CornerShift(n=_TYPICAL, p=_TYPICAL),
    "ff": CornerShift(
        n=TypeShift(vth0=-0.02, u0=1.0, toxe=0.97, xl=-10e-9),
        p=TypeShift(vth0=-0.017, u0=1.0, toxe=0.97, xl=-10e-9),
    ),
    "ss": CornerShift(
        n=TypeShift(vth0=0.02, u0=1.0, toxe=1.03, xl=10e-9),
        p=TypeShift(vth0=0.017, u0=1.0, toxe=1.03, xl=10e-9),
    ),
    "sf": CornerShift(
        n=TypeShift(vth0=0.035, u0=1.0, toxe=1.0),
        p=TypeShift(vth0=-0.05, u0=1.03, toxe=1.0),
    ),
    "fs": CornerShift(
        n=TypeShift(vth0=-0.035, u0=1.0, toxe=1.0),
        p=TypeShift(vth0=0.05, u0=0.97, toxe=1.0),
    ),
}


@dataclass(frozen=True)
class Pelgrom:
    """Area law of mismatch for one device: sigma = coefficient / sqrt(W * L)."""

    a_vt: float
    """Threshold coefficient (V*m)."""
    a_beta: float
    """Relative current factor coefficient (m)."""


# About 1 mV*um per nanometre of oxide is usual; the buried-channel-like PMOS is somewhat worse.
MISMATCH: dict[str, Pelgrom] = {
    "n": Pelgrom(a_vt=3.5e-9, a_beta=1.0e-8),
    "p": Pelgrom(a_vt=5.0e-9, a_beta=1.0e-8),
}


@dataclass(frozen=True, slots=True)
class Passives:
    """Resistor, capacitor and substrate PNP of the same class of technology; SI units.

    `spread` is how far the low and high corners are from the nominal one. Matching constants are one
    device's sigma times the root of its area (m), for the PNP relative to one emitter.
    """

    strip: float = 0.29e-6
    poly_width: float = 0.35e-6
    poly_wider_below: float = 3e3
    poly_sheet: float = 300.0
    poly_tc1: float = 4e-4
    poly_tc2: float = 1e-6
    poly_matching: float = 2e-8
    poly_oxide: float = 1e-4
    poly_spread: float = 0.15
    mim_density: float = 2e-3
    mim_matching: float = 5e-9
    mim_spread: float = 0.10
    pnp_emitter: float = 10e-12
    pnp_is: float = 6e-18
    pnp_bf: float = 12.0
    pnp_is_matching: float = 2e-3
    pnp_bf_matching: float = 2e-2


PASSIVES = Passives()
# A vertical PNP to the substrate: low gain, a saturation current that doubles every few degrees.
PNP = (
    "level=1 vaf=120 nf=1.0 ikf=4e-4 ise=5e-16 ne=1.6 rb=80 re=6 rc=90 br=0.2 nr=1.0 "
    "cje=1e-14 vje=0.75 mje=0.33 cjc=1.5e-14 vjc=0.55 mjc=0.3 tf=6e-10 xtb=1.6 xti=4.5 eg=1.12 "
    "tnom=27 af=1 kf=1e-13"
)


def _card(kind: str, parameters: Mapping[str, float | int], shift: TypeShift) -> str:
    """Return one ``.model`` card of type ``kind`` ("n" or "p") with ``shift`` applied."""
    values = {**_SWITCHES, **parameters}
    slower = shift.vth0 if kind == "n" else -shift.vth0
    values["vth0"] = values["vth0"] + slower
    values["u0"] = values["u0"] * shift.u0
    # toxm is left to follow toxe: the threshold shift above is then the whole body-effect change.
    values["toxe"] = values["toxe"] * shift.toxe
    values["xl"] = shift.xl
    items = [f"{name}={value:.5g}" for name, value in values.items()]
    lines = [f".model {kind}mos_generic {kind}mos level=54 version=4.8"]
    lines += ["+ " + " ".join(items[i : i + 6]) for i in range(0, len(items), 6)]
    return "\n".join(lines)


def model_cards(corner: str) -> str:
    """Return both ``.model`` cards, ``nmos_generic`` and ``pmos_generic``, at ``corner``."""
    shift = CORNERS.get(corner)
    if shift is None:
        raise ValueError(f"unknown corner {corner!r}; allowed: {', '.join(CORNERS)}")
    return _card("n", NMOS, shift.n) + "\n" + _card("p", PMOS, shift.p) + "\n"
