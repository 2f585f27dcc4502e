"""The wheel holds what the code opens and nothing else, and runs where there is no clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("acs_gym", "agents", "baselines", "leaderboard", "tlgrpo")
# Run in the folder of the project, as PEP 517 asks, offline and with this environment's setuptools.
BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # setuptools writes arguments of its own there
build_meta.build_wheel(folder)
build_meta.build_sdist(folder)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(wheel, sdist), from a copy of what is packed: a build leaves folders behind."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source)
    shutil.copy(ROOT / "CITATION.cff", source)
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    (source / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "test_arrows.py", source / "tests")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(dist)],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    return wheel, sdist


def shipped() -> set[str]:
    """Every file of the packages in the checkout, code and data alike."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_every_file_of_the_packages_and_no_other(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {name.partition(".dist-info/")[2] for name in archive.namelist()} - {""}
    assert inside == shipped()
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= about


def test_the_sdist_has_what_the_wheel_is_built_from_and_no_tests(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        inside = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    assert shipped() <= inside
    rest = {name for name in inside if name.partition("/")[0] not in PACKAGES}
    assert {name for name in rest if not name.startswith("acs_gym.egg-info/")} == {
        "CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md",
        "pyproject.toml", "setup.cfg",
    }  # fmt: skip


def test_unpacked_elsewhere_it_makes_a_circuit_and_simulates_it(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(site)  # What an installer does with a wheel of pure Python.
    code = (
        "import acs_gym, leaderboard; from acs_gym.cli import main; "
        "print(acs_gym.__file__, leaderboard.__file__); "
        "print(main(['new', 'mine']), main(['simulate', './mine', '--pdk', 'generic']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=work, env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first.split() == [f"{site}/{name}/__init__.py" for name in ("acs_gym", "leaderboard")]
    assert last.split() == ["0", "0"]
