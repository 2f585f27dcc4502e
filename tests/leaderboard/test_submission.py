"""A submission is validated field by field, verified cell by cell, and says what it was trained on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from acs_gym import registry
from acs_gym.registry import BUNDLED, register_circuit
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError
from leaderboard.submission import main
from leaderboard.trust.submission import (
    MANIFEST,
    RUNS,
    Submission,
    assess,
    held_out,
    load_submission,
)
from leaderboard.trust.verify import Thoroughness
from tests.leaderboard.conftest import ROOT, plan
from tests.leaderboard.tampering import edit_result, invoke

TEMPLATE = ROOT / "examples" / "submission"
QUICK = Thoroughness(replay=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The template with two seeds of its agent."""
    folder = Path(shutil.copytree(TEMPLATE, tmp_path_factory.mktemp("made") / "submission"))
    store = Store(folder / RUNS)
    for cell in plan("random", repetitions=2):
        store.finish(run_cell(cell.spec, cell.key, store, lambda _n, _best: None))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "submission"))


def write(folder: Path, **changes: object) -> None:
    """The template's manifest with some fields replaced, or left out where they are None."""
    data = tomllib.loads((TEMPLATE / MANIFEST).read_text()) | changes
    lines = [f"{name} = {json.dumps(v)}" for name, v in data.items() if v is not None]
    (folder / MANIFEST).write_text("\n".join(lines))


def test_the_template_is_a_submission_once_it_has_runs(folder):
    found = assess(folder, QUICK)
    assert (found.sound, found.category, found.findings) == (True, "open", ())
    assert len(found.reports) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"name": 3}, "name"),
        ({"authors": []}, "authors"),
        ({"authors": ["A", ""]}, "authors.1"),
        ({"contact": "nobody"}, "contact"),
        ({"code": "ftp://example.org"}, "code"),
        ({"code": "javascript:alert(1)"}, "code"),
        ({"agent": ""}, "agent"),
        ({"track": "speed"}, "track"),
        ({"trained_on": None}, "trained_on"),
        ({"trained_on": ["ACS-OpAmp-v0", "../x"]}, "trained_on.1"),
        ({"trained_on": ["ACS-OpAmp-v0:test"]}, "trained_on.0"),
        ({"description": "short"}, "description"),
        ({"score": 1.0}, "score"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tmp_path, changes, field):
    write(tmp_path, **changes)
    with pytest.raises(LeaderboardError) as error:
        load_submission(tmp_path)
    assert f"\n  {tmp_path / MANIFEST}: {field}: " in str(error.value)


def test_an_unknown_training_task_is_named_with_the_close_one(tmp_path):
    write(tmp_path, trained_on=["ACS-OpAmps-v0"])
    with pytest.raises(LeaderboardError, match=r"trained_on\.0: .*did you mean ACS-OpAmp-v0\?"):
        load_submission(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("name = ", "is not TOML"), (b"\xff", "is not TOML")],
)
def test_a_manifest_that_is_missing_or_no_toml_is_said(tmp_path, text, said):
    if text is not None:
        (tmp_path / MANIFEST).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LeaderboardError, match=said):
        load_submission(tmp_path)


def test_training_on_training_tasks_leaves_the_row_open(folder):
    write(folder, trained_on=["ACS-OTA5T-v0", "ACS-OpAmp-v0"])
    assert assess(folder, QUICK).category == "open"


def test_training_on_held_out_targets_makes_the_row_custom(folder):
    write(folder, trained_on=["ACS-OTA5T-v0", "ACS-OpAmp-v0:held-out"])
    found = assess(folder, QUICK)
    assert (found.category, found.held_out) == ("custom", ("ACS-OpAmp-v0:held-out",))
    assert found.sound


def test_a_task_of_the_held_out_split_is_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    circuit = Path(shutil.copytree(BUNDLED / "ota5t", tmp_path / "sealed"))
    text = (circuit / "circuit.toml").read_text().replace("ACS-OTA5T-v0", "ACS-Sealed-v0")
    (circuit / "circuit.toml").write_text(text.replace('split = "training"', 'split = "held-out"'))
    register_circuit(circuit)
    assert held_out(["ACS-OTA5T-v0", "ACS-Sealed-v0"]) == ("ACS-Sealed-v0",)


@pytest.mark.parametrize(
    ("changes", "field"), [({"agent": "sobol"}, "agent"), ({"track": "metrics"}, "track")]
)
def test_runs_of_another_agent_or_track_are_named(folder, changes, field):
    write(folder, **changes)
    found = assess(folder, QUICK)
    assert not found.sound
    assert {f.where for f in found.findings} == {
        f"{RUNS}/{c.key}: {field}" for c in plan("random", repetitions=2)
    }


def test_a_missing_repetition_is_remarked(folder):
    first, _ = plan("random", repetitions=2)
    shutil.rmtree(folder / RUNS / first.key)
    remarks = assess(folder, QUICK).remarks
    assert any("repetitions 0 are missing; every attempt belongs here" in r for r in remarks)
    assert any("1 seeds; fewer than 10 are shown, not ranked" in r for r in remarks)


def test_verification_is_the_gate(folder):
    key = plan("random")[0].key
    edit_result(folder / RUNS / key, lambda r: r.update(score=0.999))
    done = invoke(main, folder)
    assert done.exit_code == 1
    assert "score: score: found 0.999" in done.stdout
    assert done.stdout.endswith("cannot be handed in as it is\n")


def test_the_command(folder, tmp_path):
    write(folder, trained_on=["ACS-OpAmp-v0:held-out"])
    data = json.loads(invoke(main, folder, "--json").stdout)
    assert (data["sound"], data["submission"]["name"]) == (True, "Random search")
    assert [r["checks"] for r in data["reports"]] == [["winner", "replay"]] * 2
    done = subprocess.run(
        [sys.executable, "-m", "leaderboard.submission", str(folder)], cwd=ROOT, text=True,
        capture_output=True, timeout=80, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "2 of 2 cells hold in every check" in done.stdout
    assert "category: custom, because it was trained on ACS-OpAmp-v0:held-out" in done.stdout
    shutil.rmtree(folder / RUNS)
    for wrong in (folder, tmp_path / "absent", tmp_path):
        assert invoke(main, wrong).exit_code == 2


def test_the_page_describes_every_field():
    page = (ROOT / "docs" / "verification.md").read_text()
    assert [name for name in Submission.model_fields if f"| `{name}` |" not in page] == []
