"""GF180MCU's resolved cards against the library's own subcircuits, run through `ngspice -b`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from acs_gym.pdks import PdkError, PdkNotFound, get_pdk, store
from acs_gym.pdks.base import CORNERS
from acs_gym.pdks.gf180mcu import LIBRARY, SWITCHES, find_gf180mcu
from tests.conftest import needs_gf180mcu, needs_ngspice_program

# Inside bins, on their edges and corners, a nanometre beyond, and the ends of the range (um).
SIZES = [
    (0.22, 0.28), (0.22, 50.0), (100.0, 0.28), (100.0, 50.0), (0.36, 0.35), (0.5, 0.5), (0.5, 0.28),
    (0.501, 0.499), (1.2, 1.2), (1.2, 0.8), (1.205, 1.195), (10.0, 10.0), (10.0, 0.5), (10.005, 1.2),
    (9.995, 10.005), (5.0, 0.28), (12.345, 0.335), (40.0, 2.0), (2.2, 8.0), (0.8, 20.0),
]  # fmt: skip
# vgs, vds, vbs in V: weak and moderate inversion, strong with a body bias, the full supply.
BIASES = [(0.6, 0.1, 0.0), (0.9, 1.65, 0.0), (1.5, 1.0, -0.5), (3.3, 3.3, 0.0)]
QUANTITIES = ("id", "gm", "gds", "gmbs", "cgg", "cgd", "cgs", "cbd", "capbd", "capbs")
# GlobalFoundries' own names, and open_pdks'.
SUBCKTS = {"nfet": ("nmos_3p3", "nfet_03v3"), "pfet": ("pmos_3p3", "pfet_03v3")}
SECTIONS = {"tt": "typical", "ff": "ff", "ss": "ss", "sf": "sf", "fs": "fs"}


@pytest.fixture
def library() -> Path:
    """The folder of the models."""
    return find_gf180mcu()


@pytest.fixture
def not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the models, until a test sets PDK_ROOT."""
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("PDK_ROOT", raising=False)


def run_ngspice(deck: list[str], folder: Path) -> str:
    (folder / "deck.sp").write_text("\n".join(deck) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "deck.sp"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def printed(output: str) -> np.ndarray:
    """The values of a deck's `print @device[quantity]` lines, in order."""
    values = re.findall(r"^@\S+ = (\S+)$", output, re.MULTILINE)
    assert values, output[-3000:]
    return np.array([float(v) for v in values])


def original(folder: Path, corner: str) -> list[str]:
    """The PDK's own files, with the two statistics switches (and nothing else) turned off."""
    switches = (folder / SWITCHES).read_text()
    switches, turned = re.subn(r"(?m)^(\+\s*sw_stat_\w+\s*=\s*)1", r"\g<1>0", switches)
    assert turned == 2
    lines = [line for line in switches.splitlines() if line.startswith((".", "+"))]
    return [*lines, f".lib {folder / LIBRARY} {SECTIONS[corner]}"]


def ours(
    kind: str,
    corner: str,
    w: float,
    l: float,  # noqa: E741
    z: float = 0.0,
) -> tuple[str, str]:
    """(model name, instance attributes) of a device of a size in um."""
    device = get_pdk("gf180mcu").devices(corner)[kind]
    size = {"w": w * 1e-6, "l": l * 1e-6, "m": 1.0, "z": z}
    text = " ".join(f"{a}={float(e(size))!r}" for a, e in device.attributes.items())
    return device.model(size["w"], size["l"]), text


def theirs(folder: Path, kind: str, w: float, l: float) -> str:  # noqa: E741
    text = (folder / LIBRARY).read_text()
    subckt = next(name for name in SUBCKTS[kind] if f".subckt {name} " in text)
    area, edge = w * 0.29, 2 * (w + 0.29)
    strip = f"ad={area}p as={area}p pd={edge}u ps={edge}u"
    return f"{subckt} w={w}u l={l}u {strip}"


def cards(corner: str, names: Iterable[str]) -> list[str]:
    models = get_pdk("gf180mcu").models(corner)
    return [models[name] for name in sorted(set(names))]


@needs_gf180mcu
@needs_ngspice_program
@pytest.mark.parametrize("temperature", [-40.0, 27.0, 125.0])
@pytest.mark.parametrize("corner", CORNERS)
def test_resolved_cards_equal_the_subcircuits(
    library: Path, corner: str, temperature: float, tmp_path: Path
) -> None:
    lines = ["device curves", f".options temp={temperature} reltol=1e-9 abstol=1e-18 gmin=1e-15"]
    plain: list[str] = []
    wrapped: list[str] = []
    used: list[str] = []
    for kind in SUBCKTS:
        sign = 1 if kind == "nfet" else -1
        for k, (w, l) in enumerate(SIZES):  # noqa: E741
            card, attributes = ours(kind, corner, w, l)
            used.append(card)
            for b, (vgs, vds, vbs) in enumerate(BIASES):
                node = f"{kind[0]}{k}_{b}"
                lines += [
                    f"mr{node} r{node} g{node} 0 b{node} {card} {attributes}",
                    f"xs{node} s{node} g{node} 0 b{node} {theirs(library, kind, w, l)}",
                    f"vr{node} r{node} 0 {sign * vds}",
                    f"vs{node} s{node} 0 {sign * vds}",
                    f"vg{node} g{node} 0 {sign * vgs}",
                    f"vb{node} b{node} 0 {sign * vbs}",
                ]
                plain.append(f"mr{node}")
                wrapped.append(f"m.xs{node}.m0")
    lines += [*cards(corner, used), *original(library, corner)]
    prints = [f"print @{name}[{q}]" for name in (*plain, *wrapped) for q in QUANTITIES]
    control = [".control", "set numdgt=12", "op", *prints, ".endc", ".end"]
    resolved, expected = printed(run_ngspice([*lines, *control], tmp_path)).reshape(2, -1)
    assert expected.size == 2 * len(SIZES) * len(BIASES) * len(QUANTITIES)
    # Relative, with a floor far below anything a circuit could notice (1 fA, 1 fS, 1e-24 F).
    floor = np.where(np.abs(expected) < 1e-12, 1e-24, 1e-15)
    worst = np.max(np.abs(resolved - expected) / (np.abs(expected) + floor))
    assert worst < 1e-6


@needs_gf180mcu
@needs_ngspice_program
@pytest.mark.parametrize("kind", SUBCKTS)
def test_noise_equals_the_subcircuit(library: Path, kind: str, tmp_path: Path) -> None:
    """The flicker coefficients are the only numbers that are not in the cards themselves."""
    card, attributes = ours(kind, "tt", 10.0, 1.0)
    v, vg = (3.3, 1.1) if kind == "nfet" else (-3.3, -1.1)
    deck = [
        "noise", f"vd d 0 {v}", f"vg g 0 {vg} ac 1", "rr d r 10k", "rs d s 10k",
        f"mr r g 0 0 {card} {attributes}", f"xs s g 0 0 {theirs(library, kind, 10.0, 1.0)}",
        *cards("tt", [card]), *original(library, "tt"),
        ".control", "set numdgt=12",
        *("noise v(r) vg dec 1 1 1meg", "print noise1.inoise_spectrum[0] noise1.inoise_spectrum[6]"),
        *("noise v(s) vg dec 1 1 1meg", "print noise3.inoise_spectrum[0] noise3.inoise_spectrum[6]"),
        ".endc", ".end",
    ]  # fmt: skip
    output = run_ngspice(deck, tmp_path)
    values = [float(x) for x in re.findall(r"inoise_spectrum\[\d\] = (\S+)", output)]
    assert len(values) == 4, output[-3000:]
    assert values[0] > 5 * values[1], "1 Hz must be flicker noise"
    assert values[:2] == pytest.approx(values[2:], rel=1e-6)


@needs_gf180mcu
@needs_ngspice_program
def test_a_mismatch_draw_of_one_is_one_sigma_of_the_library(library: Path, tmp_path: Path) -> None:
    """The library with its draw replaced by that draw's standard deviation, mismatch on."""
    text, draws = re.subn(r"agauss\(0,var_vth,1\)", "var_vth", (library / LIBRARY).read_text())
    assert draws
    (tmp_path / LIBRARY).write_text(text)
    switches = original(library, "tt")[:-1]
    deck = [*switches, ".param sw_stat_mismatch=1", f".lib {tmp_path / LIBRARY} typical"]
    names: list[str] = []
    used: list[str] = []
    for kind in SUBCKTS:
        for k, (w, l) in enumerate(SIZES):  # noqa: E741
            card, attributes = ours(kind, "tt", w, l, z=1.0)
            used.append(card)
            deck += [
                f"mr{kind}{k} 0 0 0 0 {card} {attributes}",
                f"xs{kind}{k} 0 0 0 0 {theirs(library, kind, w, l)}",
            ]
            names += [f"mr{kind}{k}", f"m.xs{kind}{k}.m0"]
    prints = [f"print @{name}[delvto]" for name in names]
    control = [".control", "set numdgt=12", "op", *prints, ".endc", ".end"]
    deck = ["mismatch", "r1 0 1 1", *deck, *cards("tt", used), *control]
    values = printed(run_ngspice(deck, tmp_path)).reshape(-1, 2)
    assert np.all(values > 0)
    assert values[:, 0] == pytest.approx(values[:, 1], rel=1e-6)
    # The draw is shared by m devices and falls with their total area.
    shift = get_pdk("gf180mcu").devices("tt")["nfet"].attributes["delvto"]
    one, four = (shift({"w": 1e-6, "l": 1e-6, "m": m, "z": -1.0}) for m in (1.0, 4.0))
    assert one < 0
    assert four == pytest.approx(one / 2)


@needs_gf180mcu
def test_the_first_letter_of_a_corner_is_the_nmos(library: Path) -> None:
    """At equal size and bias, seen in the thresholds of the cards."""

    def vth0(kind: str, corner: str) -> float:
        device = get_pdk("gf180mcu").devices(corner)[kind]
        card = get_pdk("gf180mcu").models(corner)[device.model(5e-6, 1.1e-6)]
        match = re.search(r" vth0=(\S+)", card)
        assert match
        return abs(float(match[1]))

    for corner, faster in (("ff", "np"), ("fs", "n"), ("sf", "p"), ("ss", "")):
        for kind in ("nfet", "pfet"):
            assert (vth0(kind, corner) < vth0(kind, "tt")) == (kind[0] in faster), (corner, kind)
    assert len({str(get_pdk("gf180mcu").models(c)) for c in CORNERS}) == len(CORNERS)
    with pytest.raises(PdkError, match="no corner 'xx'; use one of: tt, ff, ss, sf, fs"):
        get_pdk("gf180mcu").models("xx")


@needs_gf180mcu
@pytest.mark.parametrize(("w", "l"), [(0.2e-6, 1e-6), (101e-6, 1e-6), (1e-6, 0.27e-6)])
def test_a_size_without_a_card_is_refused(library: Path, w: float, l: float) -> None:  # noqa: E741
    with pytest.raises(PdkError, match="no model card for w"):
        get_pdk("gf180mcu").devices("tt")["nfet"].model(w, l)


@needs_gf180mcu
@pytest.mark.parametrize("inside", [False, True])
def test_pdk_root_may_be_the_root_or_the_variant(
    library: Path,
    not_installed: None,
    inside: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variant = tmp_path / "gf180mcuC"
    (variant / "libs.tech").mkdir(parents=True)
    (variant / "libs.tech" / "ngspice").symlink_to(library, target_is_directory=True)
    monkeypatch.setenv("PDK_ROOT", str(variant if inside else tmp_path))
    assert "gf180mcuC" in get_pdk("gf180mcu").location()
    # Where the models lie is no part of a result's identity.
    digest = get_pdk("gf180mcu").digest()
    monkeypatch.undo()
    assert get_pdk("gf180mcu").digest() == digest


def test_a_missing_pdk_says_what_to_type(
    not_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pdk = get_pdk("gf180mcu")
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    with pytest.raises(PdkNotFound, match=r'run "acs-gym pdk install gf180mcu" \(0.4 MB'):
        pdk.models("tt")
    assert not pdk.available()


# --- a library of our own, to say what is refused -------------------------------------------------

WRAPPER = """
.subckt {name} d g s b w=1e-5 l=2.8e-7
+ as=0 ad=0 ps=0 pd=0 nrd=0 nrs=0 par=1
+ sa=0 sb=0 nf=1 sd=0 m=1
.param
+ area='sqrt((l-1e-7)*par*w)'
+ var_vth='5e-9/area'
+ mis_vth=agauss(0,var_vth,1)
m0 d g s b {name} w=w l=l as=as ad=ad ps=ps pd=pd nrd=nrd nrs=nrs
+delvto='mis_vth*sw_stat_mismatch' sa=sa sb=sb nf=nf sd=sd
.ends {name}
.model {name}.0 {polarity}
+level = 54 lmin = 2.8e-7 lmax = 1e-5 wmin = 2.2e-7 wmax = 1e-4
+noia = {name}_noia
"""
SMALL = (
    ".LIB typical\n .lib 'sm141064.ngspice' noise_corner\n .lib 'sm141064.ngspice' fets\n.ENDL\n"
    ".LIB noise_corner\n .param\n"
    " +nfet_03v3_noia='(fnoicor==0)*3e+041 + (fnoicor==1)*4e+042'\n"
    "* a remark between continuations\n"
    " +pfet_03v3_noia='2*nfet_03v3_noia'\n.ENDL\n.lib fets\n"
    + WRAPPER.format(name="nfet_03v3", polarity="nmos")
    + WRAPPER.format(name="pfet_03v3", polarity="pmos")
    + ".endl fets\n"
)


def small_library(root: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "gf180mcuD" / "libs.tech" / "ngspice"
    folder.mkdir(parents=True)
    (folder / LIBRARY).write_text(text, newline="\r\n")
    (folder / SWITCHES).write_text(
        "** comments\n.param\n+  sw_stat_global = 1\n+  sw_stat_mismatch = 1\n+ fnoicor = 0\n"
    )
    monkeypatch.setenv("PDK_ROOT", str(root))


NEW_INSTANCE = "mulu0='1-mis_k*sw_stat_mismatch' sa=sa sb=sb nf=nf sd=sd m=m"


@pytest.mark.parametrize("instance", ["sa=sa sb=sb nf=nf sd=sd", NEW_INSTANCE])
def test_both_known_layouts_are_read(
    instance: str, not_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_library(tmp_path, SMALL.replace("sa=sa sb=sb nf=nf sd=sd", instance), monkeypatch)
    pdk = get_pdk("gf180mcu")
    assert pdk.models("tt")["nfet_1"] == ".model nfet_1 nmos level=54 noia=3e+41"
    assert pdk.models("tt")["pfet_1"] == ".model pfet_1 pmos level=54 noia=6e+41"
    device = pdk.devices("tt")["nfet"]
    assert device.model(1e-6, 1e-6) == "nfet_1"
    size = {"w": 1e-6, "l": 1.1e-6, "m": 4.0, "z": 2.0}
    assert device.attributes["delvto"](size) == pytest.approx(2 * 5e-9 / 2e-6)


def test_the_names_of_globalfoundries_and_of_open_pdks_are_one_library(
    not_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolved(text: str, root: Path) -> object:
        small_library(root, text, monkeypatch)
        return get_pdk("gf180mcu").models("tt"), get_pdk("gf180mcu").devices("tt")

    own = SMALL.replace("nfet_03v3", "nmos_3p3").replace("pfet_03v3", "pmos_3p3")
    assert "fet_" not in own
    assert resolved(SMALL, tmp_path / "a") == resolved(own, tmp_path / "b")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("nrd=nrd", "nrd='0.1/w'", "does not look as expected"),
        ("nf=1", "nf=2", "does not look as expected"),
        ("m0 d g", "r1 d 0 1k\nm0 d g", "does not look as expected"),
        ("agauss(0,var_vth,1)", "agauss(0,var_vth,3)", "does not look as expected"),
        ("*sw_stat_mismatch", "*sw_stat_mismatch+1e-3", "does not look as expected"),
        ("'5e-9/area'", "'5e-9/area*mis_vth'", "does not look as expected"),
        (".subckt pfet_03v3", ".subckt pfet_03v4", "does not look as expected"),
        (" +pfet_03v3_noia", " +pfet_03v4_noia", "cannot resolve pfet_03v3_noia"),
        ("2*nfet_03v3_noia", "2*pfet_03v3_noia", "cannot resolve pfet_03v3_noia"),
        ("2*nfet_03v3_noia", "2*nfet_03v3_noia?1:0", "not an arithmetic expression"),
        ("level = 54", "level = 14", "not a BSIM4 nmos card"),
        ("wmax = 1e-4", "", "has no 'wmax'"),
        (".model pfet_03v3.0", ".model pfet_03v4.0", "no model cards pfet_03v3.N"),
        (".LIB noise_corner", ".LIB noise", "has no section noise_corner"),
    ],
)
def test_a_layout_it_does_not_know_is_refused(
    old: str,
    new: str,
    said: str,
    not_installed: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert old in SMALL
    small_library(tmp_path, SMALL.replace(old, new), monkeypatch)
    with pytest.raises(PdkError, match=re.escape(said)):
        get_pdk("gf180mcu").models("tt")
