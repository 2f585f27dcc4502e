"""Circuit folders: what is accepted, and that whatever is wrong is named with file and field."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import acs_gym
from acs_gym.circuit import CircuitError
from acs_gym.circuit_reading import load_circuit
from acs_gym.pdks import get_pdk
from acs_gym.registry import BUNDLED
from acs_gym.simulation.deck import build_program
from tests.conftest import OTA_WITHOUT_KIT

BUNDLED_FOLDERS = sorted(p.parent for p in BUNDLED.glob("*/circuit.toml"))


@pytest.fixture(autouse=True)
def _registered_here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten with it."""
    monkeypatch.setattr("acs_gym.registry._registered", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A writable copy of the OTA's folder, with all that its kit stands for in its own files."""
    mine = Path(shutil.copytree(BUNDLED / "ota5t", tmp_path / "mine"))
    return Path(shutil.copytree(OTA_WITHOUT_KIT, mine, dirs_exist_ok=True))


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("path", BUNDLED_FOLDERS, ids=lambda p: p.name)
def test_bundled_circuits_load_and_tie_matched_devices(path: Path) -> None:
    circuit = load_circuit(path)
    sizes: dict[str, set[str]] = {}
    for device in circuit.dut.primitives:
        if device.kind in ("nfet", "pfet"):
            family = device.name.split("_")[0]
            sizes.setdefault(family, set()).add(device.parameters["w"].text)
    assert sizes and all(len(widths) == 1 for widths in sizes.values())


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("circuit.toml", 'id = "ACS-OTA5T-v0"', 'id = "ota"', r"circuit.toml:1: id:.* write Yours-"),
        ("circuit.toml", "low = 0.5e-6", 'low = "tiny"', r"circuit.toml:21: parameter\.0\.low"),
        ("circuit.toml", "[conditions]", "[conditoins]", "did you mean conditions"),
        ("circuit.toml", 'title = "', 'titel = "', "circuit.toml:2: titel: Extra .* mean title"),
        ("circuit.toml", 'measure = "phase_margin"', 'measure = "pm"', "'pm' is not one of: value"),
        ("circuit.toml", 'analysis = "loop"', 'analysis = "lop"', "no analysis 'lop'"),
        ("circuit.toml", 'kills = "all"', 'kills = ["gian"]', r"kills unknown metrics \['gian'\]"),
        ("circuit.toml", 'kills = "all"', "kills = []", "kills nothing"),
        ("circuit.toml", 'command = "op"', 'command = "dc vdd 2 1 0.1"', "analysis op: cannot read"),
        ("circuit.toml", "[pdk.generic]", '[tier.fast]\n[pdk.generic]', r"tier\.fast"),
        ("circuit.toml", "[pdk.generic]", "[pdk.generic]\ntier.tt.targets = {gian = 1}", "gian"),
        ("reference.toml", "[generic.tt]", "[generic.xy]", r"generic\.xy"),
        ("circuit.toml", 'signal = "v(out)-v_cm"', 'signal = "__import__"', "Python's own"),
        ("circuit.toml", 'command = "op"', 'command = "shell ls"', r"bench\.0\.analysis\.0\.command"),
        ("circuit.toml", 'command = "op"', 'command = "op; quit"', r"bench\.0\.analysis\.0\.command"),
        ("circuit.toml", 'excite = ["vin", "vfb"]', 'excite = ["vx"]', "excites vx"),
        ("circuit.toml", 'command = "op"', 'command = "op"\ntrtol = 7', "op is no transient"),
        ("circuit.toml", 'command = "op"', 'command = "op"\ntrtol = 0', r"bench\.0\.analysis\.0\.trtol"),
        ("circuit.toml", "tolerance = 20", "tolerance = -1", r"spec\.0\.tolerance"),
        ("circuit.toml", '[[spec]]\nmetric = "gain"', '[[spec]]\nmetric = "gian"', "unknown metric"),
        ("circuit.toml", "= 1.8", "= = 1.8", "circuit.toml:13: not TOML: "),
        ("reference.toml", "w_pair = ", "w_pair = 1", "reference.toml:3: sky130.tt.w_pair: .*its range"),
        ("dut.spice", "{w_pair}", "{w_piar}", "dut.spice:.*'w_piar' is neither a parameter"),
        ("dut.spice", "nfet w={w_bias}", "nmos w={w_bias}", "'nmos' is no device that any PDK"),
        ("dut.spice", "Xib     vdd", ".include /etc/passwd\nXib vdd", "not allowed here"),
        ("dut.spice", "Xtail   tail nb   vss  vss", "Xtail tail nb vss", r"4 nodes \(d g s b\), got 3"),
        ("dut.spice", "Xtail", "Xbias", "'bias' is already used at dut.spice"),
        ("dut.spice", "l={l_pair}", "", "nfet needs l"),
        ("dut.spice", "w={w_pair}", "width={w_pair}", "nfet has no parameter 'width'"),
        ("dut.spice", "w={w_pair}", "w={open('x')}", "only these functions"),
        ("bench_follower.spice", "vdd  vdd 0", ".control\nvdd vdd 0", "bench_follower.spice:4"),
        ("bench_follower.spice", "vdd  vdd 0", ".lib /etc/x tt\nvdd vdd 0", "the only directives are"),
        ("bench_follower.spice", "Xdut inp inn", "Xdut inp", "5 ports|6 ports"),
        ("bench_follower.spice", "dc {vdd}", 'dc "$HOME"', "runs no programs"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(folder: Path, file: str, old: str, new: str, message: str) -> None:
    edit(folder, file, old, new)
    with pytest.raises(CircuitError, match=message):
        build_program(load_circuit(folder), get_pdk("generic"))


@pytest.mark.parametrize("file", ["circuit.toml", "dut.spice", "bench_follower.spice"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(CircuitError, match=file):
        load_circuit(folder)


def test_a_folder_of_one_s_own_is_a_task_and_an_environment(folder: Path) -> None:
    edit(folder, "circuit.toml", "ACS-OTA5T-v0", "Mine-OTA-v3")
    code = (
        "import acs_gym, gymnasium, sys\n"
        "name = acs_gym.register_circuit(sys.argv[1])\n"
        "env = gymnasium.make(name, pdk='generic')\n"
        "env.reset(seed=0)\n"
        "print(name, env.step(env.action_space.sample())[4]['evaluation'].status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[0] == "Mine-OTA-v3", done.stderr


def test_an_edited_folder_registered_again_is_the_edited_task(folder: Path) -> None:
    edit(folder, "circuit.toml", "ACS-OTA5T-v0", "Edited-OTA-v1")
    acs_gym.register_circuit(folder)
    before = acs_gym.make_task("Edited-OTA-v1", pdk="generic")
    edit(folder, "circuit.toml", "c_load = 1e-12", "c_load = 2e-12")
    acs_gym.register_circuit(folder)
    after = acs_gym.make_task("Edited-OTA-v1", pdk="generic")
    assert after.program.conditions["c_load"] == 2e-12 and after.digest != before.digest
    assert acs_gym.make_task(folder.name, pdk="generic").id == "Edited-OTA-v1"


def test_benches_that_name_the_circuit_differently_are_refused(tmp_path: Path) -> None:
    """Else a mismatch draw would reach the devices of one bench alone."""
    folder = Path(shutil.copytree(BUNDLED / "ldo", tmp_path / "mine"))
    (folder / "bench_full.spice").write_text(load_circuit(folder).netlists["bench_full.spice"])
    edit(folder, "bench_full.spice", "Xdut ", "Xother ")
    with pytest.raises(CircuitError, match=r"called xother here and xdut in bench_light\.spice"):
        load_circuit(folder)


def test_an_id_cannot_be_taken_twice(folder: Path) -> None:
    with pytest.raises(CircuitError, match="ACS-OTA5T-v0 is already registered from"):
        acs_gym.register_circuit(folder)


PLUG_IN = """
[acs_gym.circuits]
bought = plugged_circuits:FOLDER
broken = plugged_circuits:MISSING
nowhere = plugged_circuits:NOWHERE
"""


def test_a_circuit_from_an_installed_package_is_found_and_a_broken_one_is_left_out(
    folder: Path, tmp_path: Path
) -> None:
    """What pip would have put on the path: a module, and metadata that names the folder."""
    edit(folder, "circuit.toml", "ACS-OTA5T-v0", "Bought-OTA-v2")
    site = tmp_path / "site"
    metadata = site / "plugged_circuits-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: plugged-circuits\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(PLUG_IN)
    (site / "plugged_circuits.py").write_text(
        f"FOLDER = {str(folder)!r}\nNOWHERE = {str(tmp_path / 'nowhere')!r}\n"
    )
    code = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import acs_gym, gymnasium\n"
        "print(len(caught), *(str(w.message).split(' is left out')[0] for w in caught), sep=';')\n"
        "env = gymnasium.make('Bought-OTA-v2', pdk='generic')\n"
        "env.reset(seed=0)\n"
        "print(env.step(env.action_space.sample())[4]['evaluation'].status)\n"
        "print(acs_gym.make_task('mine', pdk='generic').id, 'ACS-OTA5T-v0' in acs_gym.task_ids())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    warned, status, last = done.stdout.splitlines() or pytest.fail(done.stderr)
    assert warned == f"2;circuit plug-in broken;circuit folder {tmp_path / 'nowhere'}"
    assert status in ("ok", "measure_failed") and last == "Bought-OTA-v2 True"
