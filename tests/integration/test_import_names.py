"""Another distribution with a package of ours is named, and what to do about it is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import acs_gym
from acs_gym.import_names import shared_names
from leaderboard.run import app as leaderboard

ADVICE = "install acs-gym into an environment of its own (python -m venv)"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages: the distribution `other-agents` 1.0 with its package `agents`."""
    metadata = "Metadata-Version: 2.1\nName: other-agents\nVersion: 1.0\n"
    files = {
        "agents/__init__.py": "",
        "agents/registry.py": "import what_other_agents_needs",
        "other_agents-1.0.dist-info/METADATA": metadata,
    }
    for name, text in files.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text)
    record = [*files, "other_agents-1.0.dist-info/RECORD"]
    (tmp_path / "site" / record[-1]).write_text("".join(f"{name},,\n" for name in record))
    return tmp_path / "site"


@pytest.fixture
def beside(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, in this process."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    return site


def ran(site: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command where that distribution's files come first, as where they overwrote ours."""
    path = os.pathsep.join((str(site), str(Path(acs_gym.__file__).parents[1])))
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=site.parent, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **environment},
    )  # fmt: skip


def test_the_distribution_is_named_with_the_import_name(beside: Path) -> None:
    (sentence,) = shared_names()
    assert sentence.startswith("the import name 'agents' is also that of other-agents")
    assert sentence.endswith(ADVICE)


def test_alone_nothing_is_said() -> None:
    assert shared_names() == []


def test_doctor_finds_it(site: Path) -> None:
    done = ran(site, "acs_gym.cli", "doctor", NGSPICE_LIBRARY_PATH="/nowhere/libngspice.so")
    assert done.returncode == 1
    assert "import names: the import name 'agents' is also that of other-agents" in done.stdout
    assert ADVICE in done.stdout


def test_the_list_of_agents_warns_of_it(beside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaderboard(["--list-agents"], standalone_mode=False)
    said = capsys.readouterr().err
    assert "warning: the import name 'agents' is also that of other-agents" in said


def test_an_agent_that_cannot_be_imported_says_so(site: Path) -> None:
    done = ran(site, "leaderboard.run", "--agents", "agents.registry:llm_scripted", "--out", "runs")
    assert done.returncode == 2
    assert "cannot import agents.registry: No module named 'what_other_agents" in done.stderr
    assert "the import name 'agents' is also that of other-agents" in done.stderr
    assert ADVICE in done.stderr
