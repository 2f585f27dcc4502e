"""Names to PDKs: ours, and those that other packages bring."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acs_gym.pdks import PdkError, PdkNotFound, available_pdks, get_pdk, pdk_names

OURS = ("sky130", "generic", "gf180mcu")
MODULE = """
from acs_gym.pdks.generic import Generic

class Toy(Generic):
    name = "toy"

class Called(Generic):
    name = "something"

class Failing(Generic):
    def __init__(self):
        raise OSError("no disk")
"""
POINTS = """
[acs_gym.pdks]
toy = {module}:Toy
missing = {module}:Nobody
nowhere = {module}_nowhere:Toy
failing = {module}:Failing
called = {module}:Called
dictionary = builtins:dict
"""


def brought(site: Path, module: str, points: str) -> None:
    """What pip would have put on the path: a module, and metadata that names its PDKs."""
    metadata = site / f"{module}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(points)
    (site / f"{module}.py").write_text(MODULE)


def python(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{root}", "COLUMNS": "400"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_ours_come_first_and_are_what_they_are_called() -> None:
    assert pdk_names()[:3] == OURS
    for name in OURS:
        pdk = get_pdk(name)
        assert (pdk.name, pdk.available()) == (name, name in available_pdks())
        assert pdk.title and pdk.label and pdk.licence
    assert "not SKY130" in get_pdk("generic").label


def test_an_unknown_one_gets_a_suggestion() -> None:
    with pytest.raises(PdkNotFound, match="no PDK called 'sky13'; did you mean sky130"):
        get_pdk("sky13")


def test_one_that_comes_with_the_package_is_not_installed_from_a_wheel(tmp_path: Path) -> None:
    get_pdk("generic").install()
    with pytest.raises(PdkError, match="generic is not installed from a wheel"):
        get_pdk("generic").install(tmp_path / "a.whl")


def test_a_broken_plug_in_is_named_and_in_nobodys_way(tmp_path: Path) -> None:
    brought(tmp_path, "toy_pdk", POINTS.format(module="toy_pdk"))
    code = (
        "import acs_gym\n"
        "for name in acs_gym.pdk_names()[3:]:\n"
        "    try:\n"
        "        print(name, acs_gym.get_pdk(name).label)\n"
        "    except acs_gym.PdkError as error:\n"
        "        print(error)\n"
        "print(acs_gym.available_pdks()[-1])\n"
    )
    done = python(tmp_path, "-c", code)
    prefix = "of toy_pdk 1.0: toy_pdk"
    assert done.stdout.splitlines() == [
        "toy generic PDK (bundled models, not SKY130)",
        f"PDK missing {prefix}:Nobody cannot be loaded: AttributeError: module 'toy_pdk' has no "
        "attribute 'Nobody'; update or uninstall that package",
        f"PDK nowhere {prefix}_nowhere:Toy cannot be loaded: ModuleNotFoundError: No module named "
        "'toy_pdk_nowhere'; update or uninstall that package",
        f"PDK failing {prefix}:Failing cannot be loaded: OSError: no disk; update or uninstall that "
        "package",
        f"PDK called {prefix}:Called calls itself 'something'; the entry point and `name` must agree",
        "PDK dictionary of toy_pdk 1.0: builtins:dict gives a dict; it must name a subclass of "
        "acs_gym.pdks.Pdk",
        "toy",
    ], done.stderr  # fmt: skip

    listed = python(tmp_path, "-m", "acs_gym.cli", "pdk", "list")
    assert listed.returncode == 0 and "not usable: PDK failing" in listed.stdout
    assert "bundled" in listed.stdout and "Traceback" not in listed.stderr
    asked = python(tmp_path, "-m", "acs_gym.cli", "simulate", "ota5t", "--pdk", "failing")
    assert asked.returncode == 2 and "OSError: no disk" in asked.stderr
    assert len(asked.stderr.splitlines()) == 1


def test_of_two_with_one_name_the_first_counts_and_the_other_is_told(tmp_path: Path) -> None:
    brought(tmp_path, "a_pdk", "[acs_gym.pdks]\nsky130 = a_pdk:Toy\ntoy = a_pdk:Toy\n")
    brought(tmp_path, "b_pdk", "[acs_gym.pdks]\ntoy = b_pdk:Toy\n")
    done = python(tmp_path, "-c", "import acs_gym; print(acs_gym.get_pdk('sky130').title)")
    assert "SkyWater" in done.stdout
    assert "PDK sky130 of a_pdk 1.0 is left out: acs-gym has one of that name" in done.stderr
    # Of two packages, the first on the path.
    assert "PDK toy of" in done.stderr


def test_a_circuit_takes_a_pdk_that_it_names_or_that_is_like_one_it_names(tmp_path: Path) -> None:
    brought(tmp_path, "toy_pdk", "[acs_gym.pdks]\ntoy = toy_pdk:Toy\n")
    code = (
        "import acs_gym\n"
        "try:\n"
        "    acs_gym.make_task('ota5t', pdk='toy')\n"
        "except acs_gym.CircuitError as error:\n"
        "    print(error)\n"
        "acs_gym.get_pdk('toy').like = 'gf180mcu'\n"
        "print(acs_gym.make_task('ota5t', pdk='toy').circuit.conditions('toy')['vdd'])\n"
    )
    refused, supply = python(tmp_path, "-c", code).stdout.splitlines()
    assert refused.startswith("ACS-OTA5T-v0 has no sizing on PDK 'toy'; it supports: sky130")
    assert float(supply) == 3.3
