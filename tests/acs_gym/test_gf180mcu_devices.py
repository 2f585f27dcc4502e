"""Every GF180MCU device against the library's own subcircuits, run through `ngspice -b`.

FETs within bins, on their edges, folded; junction devices over their currents; passives at DC and at
1 MHz. Currents of a resolved device and of the distributed one, at the same sources, are compared.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from acs_gym.expressions import Expression
from acs_gym.pdks import get_pdk
from acs_gym.pdks.base import Device
from acs_gym.pdks.gf180mcu import LIBRARY, SWITCHES, _library, find_gf180mcu
from acs_gym.simulation.netlist import Primitive
from acs_gym.simulation.placement import Placed
from tests.conftest import needs_gf180mcu, needs_ngspice_program

pytestmark = [needs_gf180mcu, needs_ngspice_program]

TEMPERATURES = [-40.0, 27.0, 125.0]
um = 1e-6


@dataclass(frozen=True)
class Case:
    """A device of a size, the voltages of its nodes, and how the distributed one is called."""

    device: str
    sizes: Mapping[str, float]
    biases: tuple[tuple[float, ...], ...]
    element: str = "x"


def fet(name: str, w: float, l: float, nf: int = 1) -> Case:  # noqa: E741
    top, sign = (6.0 if "06v0" in name else 3.3), (1 if name[0] == "n" else -1)
    biases = [(0.1, 0.2, 0.0), (0.5, 0.3, 0.0), (0.5, 0.45, -0.15), (1.0, 1.0, 0.0)]
    scaled = tuple((sign * top * d, sign * top * g, 0.0, sign * top * b) for d, g, b in biases)
    return Case(name, {"w": w * um, "l": l * um, "nf": nf}, scaled)


# Inside bins, on their edges and corners, within a nanometre of them, the ends of the range, folded;
# um, um, fingers.
SIZES = {
    "03v3": [
        (0.22, 0.28, 1), (0.22, 50.0, 1), (100.0, 0.28, 1), (100.0, 50.0, 1), (0.36, 0.35, 1),
        (0.5, 0.5, 1), (0.5, 0.28, 1), (0.5005, 0.4995, 1), (1.2, 1.2, 1), (1.205, 1.195, 1),
        (10.0, 10.0, 1), (10.005, 1.2, 1), (9.995, 10.005, 1), (12.345, 0.335, 3), (40.0, 2.0, 8),
        (2.4, 0.5, 2), (20.0, 0.28, 2), (21.0, 1.2, 7),
    ],
    "06v0": [
        (0.3, 0.7, 1), (0.3, 50.0, 1), (100.0, 0.7, 1), (100.0, 50.0, 1), (1.0, 0.6, 1),
        (10.0, 0.705, 1), (10.0, 0.65, 4), (40.0, 5.0, 5),
    ],
    "nvt": [(0.8, 1.8, 1), (100.0, 50.0, 1), (10.0, 2.5, 4)],
}  # fmt: skip
FETS = [
    *(fet(name, *size) for name in ("nfet_03v3", "pfet_03v3") for size in SIZES["03v3"]),
    *(fet(name, *size) for name in ("nfet_06v0", "pfet_06v0") for size in SIZES["06v0"]),
    fet("pfet_06v0", 1.0, 0.5),
    *(fet("nfet_06v0_nvt", *size) for size in SIZES["nvt"]),
]
SIGNATURES = get_pdk("gf180mcu").signatures
_E = [0.55, 0.7, 0.85]
JUNCTIONS = [
    *(
        Case(n, {"m": m}, tuple((-c, 0.0, e) for e in _E for c in (0.0, 2.0)))
        for n in SIGNATURES
        if n.startswith("pnp")
        for m in (1, 8)
    ),
    *(
        Case(n, {"m": m}, tuple((c, 0.0, -e, -0.5) for e in _E for c in (0.0, 2.0)))
        for n in SIGNATURES
        if n.startswith("npn")
        for m in (1, 8)
    ),
    *(
        Case(n, {"area": 1e-10, "pj": 4e-5, "m": m}, ((0.2, 0.0), (0.6, 0.0), (-3.0, 0.0)), "d")
        for n in SIGNATURES
        if "diode" in n
        for m in (1, 3)
    ),
]
PASSIVES = [
    *(
        Case(n, {"r_width": w * um, "r_length": length * um, "m": m}, biases)
        for n, s in SIGNATURES.items()
        if "r_width" in s.required
        for w, length, m in ((1.0, 5.0, 1), (0.8, 50.0, 3), (5.0, 1.0, 1))
        for biases in [tuple((v, 0.0, 0.0)[: len(s.nodes)] for v in (0.0, 1.0))]
    ),
    *(
        Case(n, {"c_width": w * um, "c_length": length * um, "m": m}, ((0.0, 0.0),))
        for n in SIGNATURES
        if n.startswith("cap_mim")
        for w, length, m in ((5.0, 5.0, 1), (30.0, 20.0, 3))
    ),
]


def resolved(
    device: Device, at: Mapping[str, str], name: str, sizes: Mapping[str, float]
) -> Iterator[str]:
    """The lines of a device's parts; those whose card is their own bring it along."""
    given = {key: float(value) for key, value in sizes.items()}
    scope = dict.fromkeys(device.draws, 0.0) | given
    fixed = {key: Expression(repr(value)) for key, value in scope.items()}
    scope |= {key: float(e(scope)) for key, e in device.parameters(fixed).items()}
    for part in device.parts:
        nodes = " ".join(at.get(n) or ("0" if n == "0" else f"{n}_{name}") for n in part.nodes)
        values = device.values(part, given)
        model = part.model
        if device.bins:
            model = device.model(scope["w"] / scope["nf"], scope["l"])
        if part.own:
            own = " ".join(f"{k}={float(e(scope))!r}" for k, e in part.own.items())
            yield f"{device.cards[model]} {own}".replace(model, f"{model}_{name}", 1)
            model = f"{model}_{name}"
        first, *others = values.items()
        if part.letter in "RC":
            value, others = repr(first[1]), [*others]
        else:
            value, others = "", [first, *others]
        rest = " ".join(f"{k}={v!r}" for k, v in others)
        yield f"{part.letter}{part.label}{name} {nodes} {model} {value} {rest}"


def theirs(case: Case, at: Mapping[str, str], name: str) -> str:
    device, sizes = get_pdk("gf180mcu").devices("tt")[case.device], dict(case.sizes)
    if device.bins:
        fixed = {k: Expression(repr(float(v))) for k, v in sizes.items()}
        scope = {k: float(v) for k, v in sizes.items()}
        known = {k: float(e(scope)) for k, e in device.parameters(fixed).items()}
        sizes |= {k.rstrip("_"): known[k] for k in ("ad", "as_", "pd", "ps", "nrd", "nrs")}
    if case.device.startswith("pnp"):
        sizes["par"] = sizes["m"]  # Over how many the library spreads its mismatch.
    text = " ".join(f"{k}={v!r}" for k, v in sizes.items())
    return f"{case.element}t{name} {' '.join(at.values())} {case.device} {text}"


def library(folder: Path, sections: list[str], sigma: bool = False) -> list[str]:
    """The distributed library with the statistics (and nothing else) turned off, in `folder`."""
    source = find_gf180mcu()
    text = _library(source)
    if sigma:  # A draw as the standard deviation that it has.
        text = re.sub(r"agauss\(\s*0\s*,\s*([\w.+-]+)\s*,\s*1\s*\)", r"\1", text)
    # ngspice 39 takes the `r_l` of `l=r_l` for the value of such a resistor, which then has 5 uOhm.
    text, bodies = re.subn(r"(rb +11 +21 +\w+_body) l=r_l w=r_w", r"\1", text)
    assert bodies == 9
    (folder / LIBRARY).write_text(text)
    switches = (source / SWITCHES).read_text()
    switches = re.sub(r"(sw_stat_global\s*=\s*)1", r"\g<1>0", switches)
    switches = re.sub(r"(sw_stat_mismatch\s*=\s*)1", rf"\g<1>{int(sigma)}", switches)
    (folder / SWITCHES).write_text("* switches\n" + switches)
    return [f".include {SWITCHES}", *(f".lib {LIBRARY} {s}" for s in sections)]


def currents(
    cases: list[Case], corner: str, sections: list[str], temperature: float, folder: Path,
    z: float = 0.0, ac: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Currents into every node (at DC, then at 1 MHz) of all resolved and all distributed ones."""
    lines = [
        "devices",
        f".options temp={temperature} reltol=1e-9 abstol=1e-18 vntol=1e-12 gmin=1e-15",
    ]
    probes: tuple[list[str], list[str]] = ([], [])
    cards: dict[str, str] = {}
    devices = get_pdk("gf180mcu").devices(corner)
    for k, case in enumerate(cases):
        device = devices[case.device]
        cards |= device.cards
        sizes = {**case.sizes, **dict.fromkeys(device.draws, z)}
        for b, bias in enumerate(case.biases):
            for kind in (0, 1):
                name = f"{k}_{b}_{'rt'[kind]}"
                at = {node: f"n{node}{name}" for node in device.nodes}
                for j, (node, volts) in enumerate(zip(device.nodes, bias, strict=True)):
                    lines.append(f"v{node}{name} {at[node]} 0 {volts} ac {1 if j == 0 else 0}")
                    probes[kind].append(f"v{node}{name}")
                if kind == 0:
                    lines += resolved(device, at, name, sizes)
                else:
                    lines.append(theirs(case, at, name))
    lines += [*cards.values(), *library(folder, sections, sigma=bool(z))]
    every = [*probes[0], *probes[1]]
    control = [".control", "set numdgt=12", "op", *(f"print i({p})" for p in every)]
    if ac:
        control += ["ac lin 1 1e6 1e6"]
        control += [f"print {part}(i({p}))" for p in every for part in ("real", "imag")]
    # As the PDK's own start-up file has it: with it ngspice chooses cards by the width of a finger.
    (folder / ".spiceinit").write_text("set ngbehavior=hsa\n")
    deck = folder / "deck.sp"
    deck.write_text("\n".join([*lines, *control, ".endc", ".end"]) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "deck.sp"], cwd=folder, capture_output=True, text=True, check=False
    )
    found = re.findall(r"^\S+\(\S+\) = (\S+)", done.stdout, re.M)
    assert len(found) == len(every) * (3 if ac else 1), (done.stdout + done.stderr)[-3000:]
    values = np.array([float(v) for v in found])
    dc, small = values[: len(every)], values[len(every) :]
    ours, distributed = (
        np.concatenate(x) for x in zip(np.split(dc, 2), np.split(small, 2), strict=True)
    )
    return ours, distributed


# The last digit of a current through some siemens of contacts, A (and A per V).
ROUNDING = 5e-15


def agree(ours: np.ndarray, distributed: np.ndarray, to: float) -> bool:
    return bool(np.all(np.abs(ours - distributed) <= to * np.abs(distributed) + ROUNDING))


@pytest.mark.parametrize(
    ("corner", "section", "temperature"),
    [("tt", "typical", -40.0), ("tt", "typical", 27.0), ("tt", "typical", 125.0),
     ("ff", "ff", -40.0), ("ss", "ss", 125.0), ("sf", "sf", 125.0), ("fs", "fs", -40.0)],
)  # fmt: skip
def test_fets(corner: str, section: str, temperature: float, tmp_path: Path) -> None:
    found = currents(FETS, corner, [section], temperature, tmp_path, ac=True)
    assert agree(*found, to=1e-6)


@pytest.mark.parametrize(
    ("corner", "section", "temperature"),
    [("tt", "typical", -40.0), ("tt", "typical", 27.0), ("tt", "typical", 125.0),
     ("ff", "ff", -40.0), ("ss", "ss", 125.0), ("sf", "typical", 27.0)],
)  # fmt: skip
def test_bipolars_and_diodes(corner: str, section: str, temperature: float, tmp_path: Path) -> None:
    sections = [f"bjt_{section}", f"diode_{section}"]
    found = currents(JUNCTIONS, corner, sections, temperature, tmp_path, ac=True)
    assert agree(*found, to=1e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize(
    ("corner", "resistors", "capacitors"),
    [("tt", "typical", "typical"), ("ll", "ff", "ff"), ("hh", "ss", "ss"), ("lh", "ff", "ss"),
     ("ss_hl", "ss", "ff")],
)  # fmt: skip
def test_passives(
    corner: str, resistors: str, capacitors: str, temperature: float, tmp_path: Path
) -> None:
    sections = [f"res_{resistors}", f"mimcap_{capacitors}"]
    found = currents(PASSIVES, corner, sections, temperature, tmp_path, ac=True)
    assert agree(*found, to=1e-9)


def test_a_draw_of_one_is_one_sigma_of_the_library(tmp_path: Path) -> None:
    cases = [*FETS, *(case for case in JUNCTIONS if case.device.startswith("pnp"))]
    sections = ["typical", "bjt_typical"]
    nominal, _ = currents(cases, "tt", sections, 27.0, tmp_path)
    found = currents(cases, "tt", sections, 27.0, tmp_path, z=1.0)
    assert agree(*found, to=1e-6)
    assert np.mean(np.abs(found[0] / np.where(nominal == 0, 1, nominal) - 1) > 1e-5) > 0.5


@pytest.mark.parametrize("name", ["nfet_03v3", "pfet_03v3", "nfet_06v0", "pfet_06v0"])
def test_noise(name: str, tmp_path: Path) -> None:
    """The flicker coefficients are what the library leaves to switches."""
    case, sign = fet(name, 10.0, 1.0), 1 if name[0] == "n" else -1
    device = get_pdk("gf180mcu").devices("tt")[name]
    at = [dict(zip("dgsb", (node, "g", "0", "0"), strict=True)) for node in ("r", "t")]
    deck = [
        "noise", f"vd d 0 {sign * 3.3}", f"vg g 0 {sign * 1.1} ac 1", "rr d r 10k", "rt d t 10k",
        *resolved(device, at[0], "r", case.sizes), theirs(case, at[1], "t"),
        *device.cards.values(), *library(tmp_path, ["typical"]), ".control", "set numdgt=12",
        *("noise v(r) vg dec 1 1 1meg", "print noise1.inoise_spectrum[0] noise1.inoise_spectrum[6]"),
        *("noise v(t) vg dec 1 1 1meg", "print noise3.inoise_spectrum[0] noise3.inoise_spectrum[6]"),
        ".endc", ".end",
    ]  # fmt: skip
    (tmp_path / "deck.sp").write_text("\n".join(deck) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "deck.sp"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    values = [float(x) for x in re.findall(r"inoise_spectrum\[\d\] = (\S+)", done.stdout)]
    assert len(values) == 4, (done.stdout + done.stderr)[-3000:]
    assert values[0] > 5 * values[1], "1 Hz must be flicker noise"
    assert values[:2] == pytest.approx(values[2:], rel=1e-6)


@pytest.mark.parametrize("ohms", [500.0, 10e3, 1e6])
def test_a_neutral_resistor_has_its_value_at_the_typical_corner(ohms: float) -> None:
    device = get_pdk("gf180mcu").devices("tt")["res"]
    total = 0.0
    for part in device.parts:
        if part.letter == "R":
            card = dict(word.split("=") for word in device.cards[part.model].split()[3:])
            heat = 1.0 + float(card["tc1"]) * 2.0 + float(card["tc2"]) * 4.0
            total += device.values(part, {"r": ohms})["resistance"] * heat
    assert total == pytest.approx(ohms, rel=1e-9)


def test_a_neutral_capacitor_has_its_value_at_the_typical_corner() -> None:
    device = get_pdk("gf180mcu").devices("tt")["cap"]
    for farads in (50e-15, 1e-12, 20e-12):
        values = device.values(device.parts[0], {"c": farads})
        assert values["capacitance"] == pytest.approx(farads, rel=1e-9)


def test_an_x_line_of_every_device_is_what_a_simulation_takes(tmp_path: Path) -> None:
    devices, lines, cards = get_pdk("gf180mcu").devices("ss_hl"), ["all"], {}
    cases = {case.device: case for case in (*FETS, *JUNCTIONS, *PASSIVES)}
    assert cases.keys() == SIGNATURES.keys()
    for case in cases.values():
        device = devices[case.device]
        given = {key: Expression(repr(float(value))) for key, value in case.sizes.items()}
        nodes = tuple(f"{node}_{case.device}" for node in device.nodes)
        primitive = Primitive(f"x{case.device}", case.device, nodes, given)
        placed = Placed(primitive, device, "xdut", 0, {})
        text = "\n".join(placed.lines)
        if placed.transistor is not None:
            model = device.model(case.sizes["w"] / case.sizes["nf"], case.sizes["l"])
            text = text.replace(f"{{{placed.transistor.element}}}", model)
        biases = zip(nodes, case.biases[0], strict=True)
        lines += [text, *placed.cards, *(f"v{node} {node} 0 {volts}" for node, volts in biases)]
        cards |= device.cards
    probe = f"i(v{nodes[0]})"
    lines += [*cards.values(), ".control", "op", f"print {probe}", ".endc", ".end"]
    (tmp_path / "deck.sp").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "deck.sp"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert f"{probe} = " in said and "error" not in said.lower(), said[-3000:]
