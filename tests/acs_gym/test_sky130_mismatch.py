"""SKY130's mismatch: what our draws do to a device, and what the library's own `tt_mm` does to many."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acs_gym.expressions import Expression
from acs_gym.pdks import Device, get_pdk
from acs_gym.pdks.base import Part
from acs_gym.simulation.netlist import Primitive
from acs_gym.simulation.placement import Placed
from tests.acs_gym.test_sky130 import (
    BIPOLARS,
    DIODES,
    PREFIX,
    TIGHT,
    Line,
    changed,
    library,
    ngspice,
    si,
    theirs,
)
from tests.conftest import needs_ngspice_program, needs_sky130

# A sample's standard deviation is itself known to 1/sqrt(2·500) = 3.2 %: 10 % is three of those, and an
# error of sqrt(2), as of a forgotten m, is thirteen. The seed is fixed, so a pass stays one.
INSTANCES = 500
WITHIN = 0.10

FETS = {
    "nfet_01v8": {"w": 2.0, "l": 0.15}, "pfet_01v8": {"w": 2.0, "l": 0.35},
    "nfet_01v8_lvt": {"w": 2.0, "l": 0.5}, "pfet_01v8_lvt": {"w": 3.0, "l": 1.0},
    "pfet_01v8_hvt": {"w": 2.0, "l": 0.15}, "nfet_g5v0d10v5": {"w": 4.0, "l": 0.5},
    "pfet_g5v0d10v5": {"w": 4.0, "l": 2.0}, "nfet_03v3_nvt": {"w": 10.0, "l": 0.5},
    "nfet_05v0_nvt": {"w": 10.0, "l": 0.9},
}  # fmt: skip
# Random parameters of the bipolar subcircuits, and how ngspice gives one value to all that name them.
ONCE = (
    re.compile(r"^(\+|\.param) +((?:mm|var)_\w+) = (\{.*AGAUSS.*\})$", re.M),
    r"\1 \2_drawn = \3\n+ \2 = {\2_drawn}",
)
FOLDED = {"nf": 4, "mult": 3, "m": 3}
# Wide and short, narrow and long: of the one the heads' mismatch shows, of the other the body's.
TWO_POLES = [
    ("cap_mim_m3_1", {"w": 2.0, "l": 2.0}), ("cap_mim_m3_2", {"w": 10.0, "l": 5.0}),
    ("cap_mim_m3_1", {"w": 2.0, "l": 2.0, "mult": 3, "m": 3}),
    ("res_high_po", {"w": 0.35, "l": 10.0}), ("res_high_po", {"w": 5.73, "l": 3.0}),
    ("res_high_po", {"w": 0.69, "l": 5.0, "mult": 3, "m": 3}),
    ("res_xhigh_po", {"w": 0.35, "l": 10.0}), ("res_xhigh_po", {"w": 5.73, "l": 6.0}),
    ("res_xhigh_po", {"w": 0.69, "l": 5.0, "mult": 3, "m": 3}),
    ("res_generic_po", {"w": 0.33, "l": 20.0}),
    ("res_generic_po", {"w": 2.0, "l": 30.0, "mult": 3, "m": 3}),
    ("cap_var_lvt", {"w": 1.0, "l": 0.5}), ("cap_var_lvt", {"w": 5.0, "l": 0.5, "vm": 3}),
    ("cap_var_hvt", {"w": 1.0, "l": 0.5}), ("cap_var_hvt", {"w": 5.0, "l": 0.5, "vm": 3}),
]  # fmt: skip


def at(device: Device, draws: Mapping[str, float]) -> Device:
    """The device with its draws as numbers."""
    known = {z: Expression(repr(draws.get(z, 0.0))) for z in device.draws}

    def fixed(part: Part) -> Part:
        return replace(
            part,
            attributes={k: e.substitute(known) for k, e in part.attributes.items()},
            own={k: e.substitute(known) for k, e in part.own.items()},
        )

    return replace(device, parts=tuple(map(fixed, device.parts)), draws=())


def placed(line: Line, draws: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """(elements, cards) of a device of ours with these draws."""
    device = at(get_pdk("sky130").devices("tt")[PREFIX + line.kind], draws)
    given = {"as_" if k == "as" else k: Expression(repr(v)) for k, v in si(line).items()}
    found = Placed(Primitive(line.name, line.kind, line.nodes, given), device, "xdut", 0, {})
    cards = [*found.cards, *(device.cards[p.model] for p in device.parts if p.model)]
    if found.transistor is None:
        return found.lines, cards
    model = finger_model(line)
    element = found.transistor.element
    return [x.replace(f"{{{element}}}", model) for x in found.lines], [device.cards[model]]


def finger_model(line: Line) -> str:
    size = si(line)
    device = get_pdk("sky130").devices("tt")[PREFIX + line.kind]
    return device.model(size["w"] / size.get("nf", 1), size["l"])


def fet_bench(line: Line) -> tuple[list[str], list[str]]:
    """(sources, branches to measure): a FET in strong inversion, saturated."""
    drain, gate = line.nodes[:2]
    high = (-1 if line.kind.startswith("p") else 1) * (3.0 if "v0" in line.kind else 1.8)
    name = line.name
    return [f"vd{name} {drain} 0 {high}", f"vg{name} {gate} 0 {high / 1.5}"], [f"vd{name}"]


def two_pole_bench(line: Line) -> tuple[list[str], list[str]]:
    return [f"vd{line.name} {line.nodes[0]} 0 dc 0.1 ac 1"], [f"vd{line.name}"]


def bipolar_bench(line: Line) -> tuple[list[str], list[str]]:
    """Collector and base at ground, each by a source that measures; 0.65 V forward."""
    c, b, e = line.nodes[:3]
    forward = 0.65 if line.kind.startswith("p") else -0.65
    name = line.name
    return (
        [f"vc{name} {c} 0 0", f"vb{name} {b} 0 0", f"ve{name} {e} 0 {forward}"],
        [f"vc{name}", f"vb{name}"],
    )


BENCHES = {"n": fet_bench, "p": fet_bench, "r": two_pole_bench, "c": two_pole_bench}


def bench(line: Line) -> tuple[list[str], list[str]]:
    return (bipolar_bench if line.kind in BIPOLARS else BENCHES[line.kind[0]])(line)


def measured(
    head: Sequence[str], body: Sequence[str], lines: Sequence[Line], folder: Path
) -> np.ndarray:
    """[line, branch]: the logarithm of the current; a capacitor's at 1 MHz."""
    branches = [name for line in lines for name in bench(line)[1]]
    sources = [text for line in lines for text in bench(line)[0]]
    analysis = "ac lin 1 1e6 1e6" if lines[0].kind.startswith("cap") else "op"
    tail = [".control", "set numdgt=12", analysis, *(f"print i({b})" for b in branches), ".endc"]
    found = ngspice([*head, *body, *sources, *tail, ".end"], folder)
    logarithms: np.ndarray = np.log(np.abs(found)).reshape(len(lines), -1)
    return logarithms


def ports(kind: str, name: str) -> tuple[str, ...]:
    """Every node a line has of its own; bulk, source and substrate are at ground."""
    nodes = get_pdk("sky130").signatures[PREFIX + kind].nodes
    own = 3 if kind in BIPOLARS else 2
    if kind[0] in "rc":
        own = 1
    return tuple(f"{n}{name}" if k < own else "0" for k, n in enumerate(nodes))


def ours_sigma(kind: str, size: Mapping[str, float], folder: Path) -> np.ndarray:
    """Sigma of each branch's current, as a fraction, from each draw at -1 and +1.

    The draws are independent and standard normal, and over a few sigmas the logarithm of a current is
    as good as linear in each; then its variance is the sum of the squares of its slopes.
    """
    draws = get_pdk("sky130").devices("tt")[PREFIX + kind].draws
    lines: list[Line] = []
    body: list[str] = []
    cards: set[str] = set()
    for z in draws:
        for value in (-1.0, 1.0):
            name = f"{z}{'n' if value < 0 else 'p'}"
            line = Line(name, kind, ports(kind, name), size)
            elements, used = placed(line, {z: value})
            lines.append(line)
            body += elements
            cards |= set(used)
    found = measured(["ours", f".options {TIGHT}"], [*body, *sorted(cards)], lines, folder)
    slopes = (found[1::2] - found[::2]) / 2
    sigma: np.ndarray = np.sqrt(np.sum(slopes**2, axis=0))
    return sigma


def only_the_card(text: str, model: str) -> str:
    """A FET's subcircuit with the one card that is used, as each instance copies all it has."""
    head, *cards = re.split(r"(?=^\.model)", text, flags=re.M)
    index = int(model.rpartition("_")[2])
    return f"{head}{cards[index - 1].rsplit('.ends', 1)[0]}\n.ends\n"


def their_sigma(kind: str, size: Mapping[str, float], folder: Path) -> np.ndarray:
    """Sigma over instances of the distributed subcircuit at `tt_mm`: `tt` with one switch on.

    ngspice makes a random parameter a function, so each place that names it draws anew: a bipolar's
    `bf` and `ise`, both of `mm_bf`, would vary on their own. By another parameter it is drawn once.
    """
    lines = [Line(f"_{k}", kind, ports(kind, f"_{k}"), size) for k in range(INSTANCES)]
    text = [
        x.replace("MC_MM_SWITCH=0", "MC_MM_SWITCH=1") if x.startswith(".param") else x
        for x in library("tt", [kind])
    ]
    if kind in BIPOLARS:
        text = changed(text, folder, *ONCE)
    if kind in FETS:
        text[-1] = only_the_card(text[-1], finger_model(lines[0]))
    head = ["theirs", f".options seed=20 {TIGHT}"]
    found = measured(head, [*text, *map(theirs, lines)], lines, folder)
    sigma: np.ndarray = found.std(axis=0, ddof=1)
    return sigma


def agree(kind: str, size: Mapping[str, float], folder: Path) -> None:
    ours, theirs_ = ours_sigma(kind, size, folder), their_sigma(kind, size, folder)
    assert np.all(theirs_ > 1e-4)
    assert ours == pytest.approx(theirs_, rel=WITHIN)


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize("more", [{}, FOLDED], ids=["single", "folded"])
@pytest.mark.parametrize("kind", FETS)
def test_fets_vary_as_the_subcircuits_do(
    kind: str, more: Mapping[str, float], tmp_path: Path
) -> None:
    agree(kind, {**FETS[kind], **more}, tmp_path)


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize(("kind", "size"), TWO_POLES)
def test_passives_vary_as_the_subcircuits_do(
    kind: str, size: Mapping[str, float], tmp_path: Path
) -> None:
    agree(kind, size, tmp_path)


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize("size", [{}, {"mult": 4, "m": 4}], ids=["one", "four"])
@pytest.mark.parametrize("kind", BIPOLARS)
def test_collector_and_base_currents_vary_as_the_subcircuits_do(
    kind: str, size: Mapping[str, float], tmp_path: Path
) -> None:
    agree(kind, size, tmp_path)


@needs_sky130
@pytest.mark.parametrize("kind", DIODES)
def test_the_library_has_no_mismatch_of_diodes(kind: str) -> None:
    assert get_pdk("sky130").devices("tt")[PREFIX + kind].draws == ()
