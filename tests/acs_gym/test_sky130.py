"""SKY130's resolved devices against its own subcircuits, run through `ngspice -b`."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from acs_gym.expressions import Expression
from acs_gym.pdks import PdkError, PdkNotFound, get_pdk, store
from acs_gym.pdks.base import CORNERS, PASSIVE_CORNERS, NoCard
from acs_gym.pdks.sky130 import find_sky130
from acs_gym.simulation.netlist import Primitive
from acs_gym.simulation.placement import Placed
from tests.conftest import needs_ngspice_program, needs_sky130

PREFIX = "sky130_fd_pr__"
FETS = [
    "nfet_01v8", "pfet_01v8", "nfet_01v8_lvt", "pfet_01v8_lvt", "pfet_01v8_hvt",
    "nfet_g5v0d10v5", "pfet_g5v0d10v5", "nfet_03v3_nvt", "nfet_05v0_nvt",
]  # fmt: skip
# Inside bins, on their edges, at the ends of the characterised range, folded; um, um, fingers.
SIZES = [
    (0.42, 0.15, 1), (0.55, 0.18, 1), (1.0, 0.25, 1), (1.68, 0.15, 1), (3.0, 0.5, 1), (5.0, 0.5, 1),
    (5.0, 1.0, 1), (7.0, 8.0, 1), (0.6, 2.0, 1), (12.345, 0.335, 1), (40.0, 1.0, 1), (100.0, 4.0, 1),
    (6.0, 0.15, 1), (2.2, 8.0, 1), (20.0, 0.15, 10), (10.0, 1.0, 2), (21.0, 0.5, 3), (1.3, 0.9, 1),
]  # fmt: skip
BIASES = [(0.45, 0.1, 0.0), (0.7, 0.9, 0.0), (0.9, 0.9, -0.3), (1.8, 1.8, 0.0)]
FET_QUANTITIES = ("id", "gm", "gds", "gmbs", "cgg", "cgd", "cgs", "cbd", "capbd", "capbs")


@dataclass(frozen=True)
class Line:
    """One X line: its device without prefix, nodes, parameters in the PDK's own microns."""

    name: str
    kind: str
    nodes: tuple[str, ...]
    microns: Mapping[str, float]


_POWERS = {"w": 1, "l": 1, "ad": 2, "as": 2, "pd": 1, "ps": 1, "area": 4, "perim": 2}


def si(line: Line) -> dict[str, float]:
    """Its parameters in SI units."""
    return {k: v * 1e-6 ** _POWERS.get(k, 0) for k, v in line.microns.items()}


def ours(line: Line, corner: str) -> tuple[list[str], list[str]]:
    """(elements, cards) that a program would have."""
    device = get_pdk("sky130").devices(corner)[PREFIX + line.kind]
    size = si(line)
    given = {"as_" if k == "as" else k: Expression(repr(v)) for k, v in size.items()}
    placed = Placed(Primitive(line.name, line.kind, line.nodes, given), device, "xdut", 0, {})
    cards = [*placed.cards, *(device.cards[p.model] for p in device.parts if p.model)]
    if placed.transistor is None:
        return placed.lines, cards
    model = device.model(size["w"] / size.get("nf", 1), size["l"])
    element = placed.transistor.element
    return [x.replace(f"{{{element}}}", model) for x in placed.lines], [device.cards[model]]


def theirs(line: Line) -> str:
    size = " ".join(f"{k}={v!r}" for k, v in line.microns.items())
    return f"x{line.name} {' '.join(line.nodes)} {PREFIX}{line.kind} {size}"


def library(corner: str, subckts: Sequence[str]) -> list[str]:
    """The PDK's own text: the corner's parameters, the globals, and what is used of the rest."""
    folder = find_sky130()
    passives = corner if corner in PASSIVE_CORNERS else ""
    fets_of = "tt" if passives else corner
    level = {"l": "low", "h": "high", "": "nom"}
    fets = [s for s in subckts if s in FETS]
    text = (folder / "models_fet.spice").read_text(errors="replace") if fets else ""
    cut = []
    for name in fets:
        full = PREFIX + name
        match = re.search(rf"^\.subckt\s+{full}\s.*?^\.ends\s+{full}\s*$", text, re.M | re.S)
        assert match
        cut.append(match[0])
    switches = "MC_MM_SWITCH=0 MC_PR_SWITCH=0 corner_factor=1 process_mc_factor=1 mismatch_factor=1"
    others = ("resistors", "capacitors", "bjt", "diodes") if len(fets) < len(subckts) else ()
    if set(subckts) & {"cap_var_lvt", "cap_var_hvt"}:
        return varactor_library(fets_of, passives, subckts)
    names = [
        f"parameters_fet_{fets_of}", f"parameters_res_{level[passives[:1]]}",
        f"parameters_cap_{level[passives[1:]]}", "models_global",
        *(f"models_{kind}" for kind in others),
    ]  # fmt: skip
    return [
        f".param {switches}",
        *(f".include {folder / name}.spice" for name in names),
        *cut,
    ]


def varactor_library(fets: str, passives: str, subckts: Sequence[str]) -> list[str]:
    """They are not among the continuous models, and have corner files of their own."""
    models = find_sky130().parent
    cells = models.parent / "cells"
    level = {"l": "low", "h": "high", "t": "typical"}
    resistors, capacitors = (level[x] for x in passives or "tt")
    return [
        ".param MC_MM_SWITCH=0",
        f".include {models}/corners/{fets}/nonfet.spice",
        f".include {models}/rescap/res_{resistors}__cap_{capacitors}.spice",
        *(f".include {cells}/{x}/{PREFIX}{x}.model.spice" for x in sorted(set(subckts))),
    ]


def ngspice(deck: list[str], folder: Path) -> np.ndarray:
    """Run a deck whose .control block prints `value = x` lines; the values in order."""
    # What users of SKY130 have in their .spiceinit: W is the total width, nf divides it.
    (folder / ".spiceinit").write_text("set ngbehavior=hsa\nset num_threads=1\n")
    (folder / "deck.sp").write_text("\n".join(deck) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "deck.sp"], cwd=folder, capture_output=True, text=True, check=False
    )
    found = re.findall(r"^(?:@\S+|[iv]\(\S+\)) = (\S+)$", done.stdout, re.MULTILINE)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return np.array([complex(*map(float, v.split(","))) for v in found])


TIGHT = "reltol=1e-9 abstol=1e-18 vntol=1e-12 gmin=1e-15"


def fet_lines(kind: str) -> list[tuple[Line, str, list[str]]]:
    """Each size at each bias: (line, element, sources)."""
    sign = -1 if kind.startswith("p") else 1
    found = []
    device = get_pdk("sky130").devices("tt")[PREFIX + kind]
    for k, (w, l, nf) in enumerate(SIZES):  # noqa: E741
        try:
            device.model(w / nf * 1e-6, l * 1e-6)
        except NoCard:
            continue
        drains, sources = (nf + 1) // 2, (nf + 2) // 2
        size = {
            "w": w, "l": l, "nf": nf, "nrd": 0.29 / w, "nrs": 0.29 / w,
            "ad": drains * w / nf * 0.29, "as": sources * w / nf * 0.29,
            "pd": 2 * drains * (w / nf + 0.29), "ps": 2 * sources * (w / nf + 0.29),
        }  # fmt: skip
        for b, bias in enumerate(BIASES):
            name = f"{k}_{b}"
            voltages = zip("gdb", bias, strict=True)
            sources_ = [f"v{n}{name} {n}{name} 0 {sign * v}" for n, v in voltages]
            line = Line(name, kind, (f"d{name}", f"g{name}", "0", f"b{name}"), size)
            found.append((line, name, sources_))
    return found


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize(
    ("corner", "temperature"),
    [("tt", -40.0), ("tt", 27.0), ("tt", 125.0),
     ("ff", -40.0), ("ss", 125.0), ("sf", 125.0), ("fs", -40.0)],
)  # fmt: skip
@pytest.mark.parametrize("kind", FETS)
def test_fets_equal_the_subcircuits(
    kind: str, corner: str, temperature: float, tmp_path: Path
) -> None:
    """All of a symbol's diffusions are given to the PDK; here they are what is left to itself."""
    every = fet_lines(kind)
    assert len(every) >= 4 * len(BIASES)
    # BSIM4 corrects a card's A1 where a size makes A2 more than 1, and with the card every other
    # size that shares it: folded and unfolded sizes have decks of their own here.
    for folded in (False, True):
        lines = [x for x in every if (x[0].microns["nf"] > 1) == folded]
        if lines:
            hold(kind, lines, corner, temperature, tmp_path)


def hold(
    kind: str,
    lines: Sequence[tuple[Line, str, list[str]]],
    corner: str,
    temperature: float,
    tmp_path: Path,
) -> None:
    head = ["fets", f".options temp={temperature} {TIGHT}"]
    body: list[str] = []
    cards: set[str] = set()
    bare = {"w", "l", "nf"}
    for line, _, sources in lines:
        own = Line(
            line.name, kind, line.nodes, {k: v for k, v in line.microns.items() if k in bare}
        )
        elements, used = ours(own, corner)
        body += [*elements, *sources]
        cards |= set(used)
    resolved = ngspice(
        [*head, *body, *sorted(cards), *control([f"m{line.name}" for line, _, _ in lines])],
        tmp_path,
    )
    body = [text for line, _, sources in lines for text in (theirs(line), *sources)]
    names = [f"m.x{line.name}.m{PREFIX}{kind}" for line, _, _ in lines]
    original = ngspice([*head, *library(corner, [kind]), *body, *control(names)], tmp_path)
    agree(resolved.real, original.real, 1e-6)


def control(elements: Sequence[str]) -> list[str]:
    wanted = [f"print @{n}[{q}]" for n in elements for q in FET_QUANTITIES]
    return [".control", "set numdgt=12", "op", *wanted, ".endc", ".end"]


def agree(ours: np.ndarray, theirs: np.ndarray, relative: float) -> None:
    assert ours.size == theirs.size > 0
    # Relative, with a floor far below anything a circuit could notice (1 fA, 1 fS, 1e-24 F).
    floor = np.where(np.abs(theirs) < 1e-12, 1e-24, 1e-15)
    worst = np.max(np.abs(ours - theirs) / (np.abs(theirs) + floor))
    assert worst < relative


# Device, its parameters in microns; driven between its first two nodes, the rest at ground.
TWO_POLES: list[tuple[str, dict[str, float]]] = [
    ("res_high_po", {"w": 0.35, "l": 10.0}), ("res_high_po", {"w": 1.0, "l": 29.617}),
    ("res_high_po", {"w": 5.73, "l": 3.0}), ("res_high_po", {"w": 0.69, "l": 100.0}),
    ("res_generic_po", {"w": 0.33, "l": 20.0}), ("res_generic_po", {"w": 2.0, "l": 3.0}),
    ("cap_mim_m3_1", {"w": 10.0, "l": 10.0}), ("cap_mim_m3_2", {"w": 2.0, "l": 30.0}),
]  # fmt: skip
VOLTAGES = (0.05, 1.2)


def driven(line: Line, voltage: float) -> str:
    node = next(n for n in line.nodes if n != "0")
    return f"v{line.name} {node} 0 dc {voltage} ac 1"


def two_pole_lines(
    devices: Sequence[tuple[str, dict[str, float]]], voltages: Sequence[float] = VOLTAGES
) -> list[tuple[Line, float]]:
    signatures = get_pdk("sky130").signatures
    found = []
    for k, (kind, size) in enumerate(devices):
        others = ["0"] * (len(signatures[PREFIX + kind].nodes) - 1)
        for v, voltage in enumerate(voltages):
            found.append((Line(f"{k}_{v}", kind, (f"n{k}_{v}", *others), size), voltage))
    return found


def currents(
    lines: Sequence[tuple[Line, float]],
    corner: str,
    temperature: float,
    folder: Path,
    change: tuple[re.Pattern[str], str] | None = None,
    analyses: Sequence[str] = ("op", "ac lin 1 1e6 1e6"),
) -> tuple[np.ndarray, np.ndarray]:
    """(ours, theirs): each line's current at DC, and its admittance at 1 MHz."""
    head = ["two poles", f".options temp={temperature} {TIGHT}"]
    prints = [f"print i(v{x.name})" for x, _ in lines]
    runs = [text for analysis in analyses for text in (analysis, *prints)]
    tail = [".control", "set numdgt=12", *runs, ".endc", ".end"]
    body: list[str] = []
    cards: set[str] = set()
    for line, voltage in lines:
        elements, used = ours(line, corner)
        body += [*elements, driven(line, voltage)]
        cards |= set(used)
    resolved = ngspice([*head, *body, *sorted(cards), *tail], folder)
    body = [text for line, voltage in lines for text in (theirs(line), driven(line, voltage))]
    original = library(corner, [x.kind for x, _ in lines])
    if change is not None:
        original = changed(original, folder, *change)
    return resolved, ngspice([*head, *original, *body, *tail], folder)


def changed(lines: list[str], folder: Path, old: re.Pattern[str], new: str) -> list[str]:
    """The library's text with something said otherwise in one of its files."""
    found = []
    for line in lines:
        if line.startswith(".include"):
            path = Path(line.removeprefix(".include "))
            text, times = old.subn(new, path.read_text(errors="replace"))
            if times:
                (folder / path.name).write_text(text)
                line = f".include {folder / path.name}"
        found.append(line)
    assert sum(a != b for a, b in zip(found, lines, strict=True)) == 1
    return found


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize("temperature", [-40.0, 27.0, 125.0])
@pytest.mark.parametrize("corner", ["tt", "ss", *PASSIVE_CORNERS])
def test_passives_equal_the_subcircuits(corner: str, temperature: float, tmp_path: Path) -> None:
    agree(*currents(two_pole_lines(TWO_POLES), corner, temperature, tmp_path), 1e-9)


VARACTORS: list[tuple[str, dict[str, float]]] = [
    ("cap_var_lvt", {"w": 5.0, "l": 0.5}), ("cap_var_lvt", {"w": 1.0, "l": 0.18, "vm": 4}),
    ("cap_var_hvt", {"w": 5.0, "l": 0.5}), ("cap_var_hvt", {"w": 20.0, "l": 5.0, "vm": 2}),
]  # fmt: skip
# In depletion, about their thresholds, in accumulation.
GATE = (-1.2, -0.1, 0.2, 0.4, 1.0)


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize("temperature", [-40.0, 27.0, 125.0])
@pytest.mark.parametrize("corner", [*CORNERS, *PASSIVE_CORNERS])
def test_varactors_equal_the_subcircuits(corner: str, temperature: float, tmp_path: Path) -> None:
    """Their charge at 1 MHz, and the resistance in series with it at 10 GHz."""
    sweeps = ("ac lin 1 1e6 1e6", "ac lin 1 1e10 1e10")
    lines = two_pole_lines(VARACTORS, GATE)
    found, original = currents(lines, corner, temperature, tmp_path, analyses=sweeps)
    agree(found, original, 1e-9)
    # And they are varactors: their capacitance at least doubles.
    capacitance = found.imag[: len(lines)].reshape(-1, len(GATE))
    assert np.all(capacitance[:, -1] / capacitance[:, 0] > 2)


XHIGH = [("res_xhigh_po", {"w": 0.35, "l": 10.0}), ("res_xhigh_po", {"w": 2.85, "l": 40.0})]


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize("temperature", [-40.0, 25.0, 125.0])
@pytest.mark.parametrize("corner", ["tt", *PASSIVE_CORNERS])
def test_the_voltage_dependent_resistor_keeps_its_temperature_coefficients(
    corner: str, temperature: float, tmp_path: Path
) -> None:
    """ngspice reads the body's card and drops it, as the value depends on voltages.

    So the library's own text, with the same coefficients on the resistor's line, is what is compared.
    """
    line = "rbody t1 t2 resbody r = {rbody*"
    sheet = "sw_sky130_fd_pr__res_xhigh_po_rs"
    body = f"(1+(-1.47e-3-5e-7*{sheet})*(temper-25)+2.7e-6*(temper-25)*(temper-25))*"
    change = (re.compile(re.escape(line)), line + body)
    agree(*currents(two_pole_lines(XHIGH), corner, temperature, tmp_path, change), 1e-9)


BIPOLARS = [
    "pnp_05v5_w0p68l0p68", "pnp_05v5_w3p40l3p40", "npn_05v5_w1p00l1p00", "npn_05v5_w1p00l2p00",
    "npn_11v0_w1p00l1p00",
]  # fmt: skip
DIODES = [
    "diode_pw2nd_05v5", "diode_pw2nd_05v5_lvt", "diode_pw2nd_05v5_nvt", "diode_pw2nd_11v0",
    "diode_pd2nw_05v5", "diode_pd2nw_05v5_lvt", "diode_pd2nw_05v5_hvt", "diode_pd2nw_11v0",
]  # fmt: skip
FORWARD = (-1.0, 0.45, 0.62, 0.75)


def bipolar_lines() -> list[tuple[Line, float]]:
    """Collector and base at ground, the emitter driven: two devices in parallel, m = 2."""
    found = []
    for kind in BIPOLARS:
        for forward in FORWARD:
            name = f"q{len(found)}"
            nodes = ("0", "0", f"e{name}", *(["0"] if kind[0] == "n" else []))
            voltage = forward if kind[0] == "p" else -forward
            found.append((Line(name, kind, nodes, {"m": 2}), voltage))
    return found


def diode_lines() -> list[tuple[Line, float]]:
    """Four um² and nine um, as a schematic symbol writes them."""
    size = {"area": 4e12, "perim": 9e6}
    pairs = [(kind, v) for kind in DIODES for v in FORWARD]
    return [(Line(f"d{k}", kind, (f"a{k}", "0"), size), v) for k, (kind, v) in enumerate(pairs)]


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize("temperature", [-40.0, 27.0, 125.0])
@pytest.mark.parametrize("corner", CORNERS)
def test_bipolars_equal_the_subcircuits(corner: str, temperature: float, tmp_path: Path) -> None:
    agree(*currents(bipolar_lines(), corner, temperature, tmp_path), 1e-6)


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize("analysis", ["op", "ac lin 1 1e6 1e6"])
@pytest.mark.parametrize("temperature", [-40.0, 27.0, 125.0])
@pytest.mark.parametrize("corner", CORNERS)
def test_diodes_equal_the_subcircuits(
    corner: str, temperature: float, analysis: str, tmp_path: Path
) -> None:
    """One analysis a run, as ngspice scales a diode's area once more before each.

    Their series resistance is scaled to 1e-10 Ohm, of which only rounding errors are left: without.
    """
    without = (re.compile(r"^\+ rs = .*$", re.M), "+ rs = 0")
    agree(*currents(diode_lines(), corner, temperature, tmp_path, without, (analysis,)), 1e-6)


@needs_sky130
def test_a_corner_changes_the_cards_and_an_unknown_one_is_refused() -> None:
    pdk = get_pdk("sky130")
    assert len({str(pdk.devices(c)["nfet"].cards) for c in CORNERS}) == len(CORNERS)
    assert pdk.devices("hl")["res"].parts != pdk.devices("tt")["res"].parts
    # A slow corner's poly is also a little wider or narrower, so a resistor sees both.
    three = [str(pdk.devices(c)["res"].parts) for c in ("ss", "hl", "ss_hl")]
    assert len(set(three)) == len(three)
    with pytest.raises(PdkError, match="no corner 'xx'; use one of: tt, ff, ss, sf, fs, ll, lh"):
        pdk.devices("xx")


@needs_sky130
@pytest.mark.parametrize("ohms", [100.0, 999.0, 3e3, 1e4, 1e6])
def test_a_neutral_resistor_has_its_value_at_the_typical_corner_and_27_degrees(
    ohms: float, tmp_path: Path
) -> None:
    device = get_pdk("sky130").devices("tt")["res"]
    value = {"r": Expression(repr(ohms))}
    placed = Placed(Primitive("r", "res", ("a", "0"), value), device, "xdut", 0, {})
    cards = [device.cards[p.model] for p in device.parts if p.model]
    tail = [".control", "set numdgt=12", "op", "print i(v1)", ".endc", ".end"]
    found = ngspice(["r", "v1 a 0 1", *placed.lines, *cards, *tail], tmp_path)
    assert -1 / found[0].real == pytest.approx(ohms, rel=1e-9)


@needs_sky130
def test_a_resistor_whose_name_has_its_width_may_say_it_again() -> None:
    kind = f"{PREFIX}res_high_po_5p73"
    assert "w" in get_pdk("sky130").signatures[kind].optional
    device = get_pdk("sky130").devices("tt")[kind]
    named, said = ({"l": 20e-6, **more} for more in ({}, {"w": 5.73e-6}))
    for part in device.parts:
        assert device.values(part, named) == device.values(part, said)


@needs_sky130
def test_a_neutral_capacitor_has_its_value_at_the_typical_corner() -> None:
    device = get_pdk("sky130").devices("tt")["cap"]
    for farads in (50e-15, 1e-12, 20e-12):
        values = device.values(device.parts[0], {"c": farads})
        assert values["capacitance"] == pytest.approx(farads, rel=1e-12)


def test_a_size_without_a_card_is_refused() -> None:
    pytest.importorskip("acs_gym.pdks.sky130")
    if not get_pdk("sky130").available():
        pytest.skip("sky130 models are not on this machine")
    device = get_pdk("sky130").devices("tt")["nfet"]
    with pytest.raises(PdkError, match=r"no model card for w = 1 um, l = 1000 um; cards are for"):
        device.model(1e-6, 1e-3)
    with pytest.raises(PdkError, match="were microns meant"):
        device.model(60.0, 0.15)


def test_a_missing_pdk_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.delenv("PDK_ROOT", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PdkNotFound, match=r'run "acs-gym pdk install sky130"'):
        find_sky130()
