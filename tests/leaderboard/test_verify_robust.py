"""Robust scores: who has the salt draws the same, who has it not learns nothing, edits are found."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acs_gym.pdks.base import CORNERS
from acs_gym.simulation.pool import Job
from acs_gym.task import make_task
from leaderboard.cells.store import RESULT, Store
from leaderboard.errors import LeaderboardError
from leaderboard.trust import perturbations as draws
from leaderboard.trust.perturbations import PUBLIC, Perturbation, Salt, read_salt
from leaderboard.trust.verify import ROBUST, Thoroughness, verify_cell
from leaderboard.verify import main
from tests.leaderboard.tampering import edit_result, invoke, verify

SECRET = "a secret of more than sixteen characters"
HIDDEN = Salt(SECRET.encode())
TASK = "ACS-OTA5T-v0"


@pytest.fixture
def task():
    return make_task(TASK, pdk="generic")


@pytest.fixture
def folder(store, finish) -> Path:
    """A finished cell."""
    return store.cell(finish("Walker").key)


def robust(folder: Path, salt: Salt = PUBLIC, *, compute: bool = True):
    return verify_cell(Store(folder.parent), folder.name, Thoroughness(robust=compute, salt=salt))


# Draws


@given(secret=st.binary(min_size=16), task_id=st.text(min_size=1))
def test_perturbations_follow_from_salt_and_task_and_stay_in_their_ranges(secret, task_id):
    drawn = draws.perturbations(task_id, Salt(secret))
    assert drawn == draws.perturbations(task_id, Salt(secret))
    assert drawn != draws.perturbations(task_id + "'", Salt(secret))
    assert drawn != draws.perturbations(task_id, Salt(secret + b"'"))
    assert len(drawn) == draws.PERTURBATIONS
    for p in drawn:
        assert 0.8 <= p.load <= 1.25 and 0.95 <= p.supply <= 1.05
        assert -20 <= p.temperature <= 85 and p.corner in CORNERS


def test_published_perturbations_never_change():
    """Scores of years ago must be found again."""
    assert PUBLIC.sha256 == "63bc5afa5e70c6097d8bc9912b5fd4160fd75ad8c0f640bd768fa5c4cdf70283"
    first = draws.perturbations(TASK, PUBLIC)[0]
    assert first == Perturbation(load=1.081, supply=1.0198, temperature=4.9, corner="sf")


def test_a_perturbation_changes_the_conditions_that_the_circuit_has():
    p = Perturbation(load=1.2, supply=0.95, temperature=60.0, corner="ss")
    nominal = {"vdd": 2.0, "temperature": 27.0, "c_load": 1e-12, "v_cm": 0.9}
    assert p.overrides(nominal) == {"vdd": 1.9, "temperature": 60.0, "c_load": 1.2e-12}
    assert p.overrides({"v_cm": 0.9}) == {}


def test_a_perturbed_simulation_is_that_of_its_conditions(task, in_process):
    """Corner, load, supply and temperature all reach ngspice: each alone changes the metrics."""
    assert task.reference is not None
    nominal = {"load": 1.0, "supply": 1.0, "temperature": 27.0, "corner": "tt"}
    changes = [{"load": 1.2}, {"supply": 0.95}, {"temperature": 80.0}, {"corner": "ss"}]
    chosen = [Perturbation(**(nominal | c)) for c in ({}, *changes)]
    outcomes = in_process.run(draws.jobs(task, task.reference, chosen))
    (plain,) = in_process.run([Job(task.program, task.reference)])
    assert outcomes[0].metrics == plain.metrics
    assert len({o.metrics["ugbw"] for o in outcomes}) == len(chosen)
    assert draws.scores(task, task.reference, outcomes)[0] == 1.0


def test_held_out_targets_follow_from_the_salt_and_come_from_the_held_out_anchors(task):
    targets = draws.held_out_specs(task, HIDDEN, 0)
    assert targets == draws.held_out_specs(task, HIDDEN, 0)
    assert targets != draws.held_out_specs(task, PUBLIC, 0)
    assert targets != draws.held_out_specs(task, HIDDEN, 1)
    harder = task.with_specs(targets)
    meets = [harder.specs.judge(a.metrics).feasible for a in task.anchors("held-out")]
    assert any(meets)
    assert targets != task.sample_specs(np.random.default_rng(0), "held-out")


# The salt


def test_the_salt_comes_from_a_file_or_the_environment_and_is_not_shown(tmp_path):
    path = tmp_path / "salt"
    path.write_text(f"{SECRET}\n")
    assert read_salt(path, {}) == read_salt(None, {draws.SALT_VARIABLE: SECRET}) == HIDDEN
    assert read_salt(path, {draws.SALT_VARIABLE: "x"}) == HIDDEN
    assert read_salt(None, {}) is PUBLIC
    assert SECRET not in repr(HIDDEN) + str(Thoroughness(salt=HIDDEN))


@pytest.mark.parametrize("text", ["", "short", " " * 99])
def test_a_salt_that_can_be_guessed_is_refused(tmp_path, text):
    path = tmp_path / "salt"
    path.write_text(text)
    with pytest.raises(LeaderboardError, match="can be guessed; make a salt with"):
        read_salt(path, {})


# Scores


def test_the_robust_score_is_the_mean_over_the_perturbations(folder, task, in_process):
    report = robust(folder)
    assert report.findings == ()
    stored = json.loads((folder / ROBUST).read_text())
    design = json.loads((folder / RESULT).read_text())["verified"]["design"]
    chosen = draws.perturbations(TASK, PUBLIC)
    outcomes = in_process.run(draws.jobs(task, design, chosen))
    expected = [task.specs.judge(o.metrics).score for o in outcomes]
    assert stored["scores"] == pytest.approx(expected, rel=1e-9)
    assert stored["robust_score"] == report.robust_score == math.fsum(stored["scores"]) / 8
    assert stored["label"] == "public"
    assert stored["perturbations"] == [p.model_dump() for p in chosen]


def test_a_hidden_score_gives_away_no_condition_and_names_its_salt(folder):
    robust(folder, HIDDEN)
    text = (folder / ROBUST).read_text()
    stored = json.loads(text)
    assert (stored["label"], stored["perturbations"], stored["scores"]) == ("hidden", None, None)
    assert stored["salt_hash"] == HIDDEN.sha256
    assert SECRET not in text


def test_another_salt_computes_anew_and_the_same_salt_leaves_the_file(folder):
    first = robust(folder).robust_score
    before = (folder / ROBUST).stat()
    assert robust(folder).robust_score == first
    assert (folder / ROBUST).stat().st_mtime_ns == before.st_mtime_ns
    assert robust(folder, HIDDEN).robust_score != first
    assert json.loads((folder / ROBUST).read_text())["salt_hash"] == HIDDEN.sha256


@pytest.mark.parametrize("agent", ["Idle", "Nonsense"])
def test_a_cell_that_counts_as_zero_is_robustly_zero(store, finish, agent):
    report = robust(store.cell(finish(agent).key))
    assert (report.findings, report.robust_score) == ((), 0.0)


def test_no_score_is_written_beside_an_unsound_result(folder):
    edit_result(folder, lambda r: r.update(score=0.999))
    assert robust(folder).robust_score is None
    assert not (folder / ROBUST).exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r.update(robust_score=0.999), f"{ROBUST}: robust_score"),
        (lambda r: r.update(key="0" * 16), f"{ROBUST}: key"),
        (lambda r: r.update(salt_hash="0" * 64), f"{ROBUST}: salt_hash"),
        (lambda r: r["scores"].pop(), f"{ROBUST}: scores"),
        (lambda r: r["perturbations"][3].update(load=1.0), f"{ROBUST}.perturbations.3.load"),
        (lambda r: r.update(scores=[0.999] * 8, robust_score=0.999), f"{ROBUST}.scores.0"),
        (lambda r: r.update(scores=[2.0] * 8), ROBUST),
        (lambda r: r.update(schema_version=2), ROBUST),
        (lambda r: r.clear(), ROBUST),
    ],
)  # fmt: skip
def test_an_edited_robust_score_is_named_and_kept_as_it_is(folder, change, named):
    robust(folder)
    data = json.loads((folder / ROBUST).read_text())
    change(data)
    (folder / ROBUST).write_text(json.dumps(data))
    for compute in (False, True):
        report = robust(folder, compute=compute)
        assert named in [f.where for f in report.findings]
        assert report.robust_score is None
    assert json.loads((folder / ROBUST).read_text()) == data


def test_a_hidden_score_is_simulated_again_by_those_who_have_the_salt(folder):
    robust(folder, HIDDEN)
    data = json.loads((folder / ROBUST).read_text())
    data |= {"robust_score": 0.999}
    (folder / ROBUST).write_text(json.dumps(data))
    without = robust(folder, compute=False)  # Nothing to hold it against, and so not repeated.
    assert (without.findings, without.robust_score) == ((), None)
    (finding,) = robust(folder, HIDDEN, compute=False).findings
    assert finding.where == f"{ROBUST}.robust_score"


def test_the_command_takes_the_salt_from_a_file_or_the_environment(folder, tmp_path):
    salt = tmp_path / "salt"
    salt.write_text(SECRET)
    done = invoke(main, folder.parent, "--robust", "--salt-file", salt)
    assert done.exit_code == 0
    score = json.loads((folder / ROBUST).read_text())["robust_score"]
    assert f"robust score: {score:.4f}, the mean of 1 cells" in done.stdout
    again = verify(str(folder.parent), "--robust", "--json", env={draws.SALT_VARIABLE: SECRET})
    assert json.loads(again.stdout)["reports"][0]["robust_score"] == score
