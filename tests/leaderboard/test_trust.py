"""A rank is claimed from what was run here or is asked for again; strangers' files are read with care."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from acs_gym.task import make_task
from baselines.initial import default_size
from leaderboard.board.chosen import choose
from leaderboard.cells.runner import run_cell
from leaderboard.cells.spec import CellSpec, run_key
from leaderboard.cells.store import RESULT, SPEC, TRACE, Store
from leaderboard.errors import LeaderboardError
from leaderboard.files import DEEPEST, Corrupt, read, read_json
from leaderboard.running.plan import plan_cells
from leaderboard.trust.copies import copied
from leaderboard.trust.perturbations import PUBLIC, Salt
from leaderboard.trust.ranked import TRANSCRIPT, paid
from leaderboard.trust.replayed import replay
from leaderboard.trust.submission import MANIFEST, load_submission
from leaderboard.trust.verified import KEY_VARIABLE, VERIFIED, look, sign, signing_key
from leaderboard.trust.verify import ROBUST, Thoroughness, verify_cell, verify_runs
from tests.leaderboard.conftest import plan
from tests.leaderboard.tampering import edit_result, edit_trace, findings

QUICK = Thoroughness(replay=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Store:
    """Two seeds of an agent of this package, run and signed for by this harness."""
    store = Store(tmp_path_factory.mktemp("runs"))
    for cell in plan("random", budget=14, repetitions=2):
        store.finish(run_cell(cell.spec, cell.key, store, lambda _n, _best: None))
        sign(store.cell(cell.key), "run", ("winner",))
    return store


@pytest.fixture
def copy(runs, tmp_path) -> Store:
    return Store(Path(shutil.copytree(runs.folder, tmp_path / "runs")))


def state(store: Store, key: str):
    found = look(store.cell(key), store.result(key))
    return found if isinstance(found, str) else (found.by, *found.checks)


def relabel(store: Store, key: str, agent: str, config: dict) -> str:
    """The cell as one of another agent, with every hash put right."""
    folder = store.cell(key)
    spec = store.result(key).spec.model_copy(update={"agent": agent})
    edit_result(folder, lambda r: r.update(spec=spec.model_dump(), agent_config=config))
    result = json.loads((folder / RESULT).read_text())
    new = run_key(spec, config, result["task"]["digest"], result["fingerprint"]["simulator"])
    edit_result(folder, lambda r: r.update(key=new))
    (folder / SPEC).write_text(spec.model_dump_json())
    (folder / VERIFIED).unlink(missing_ok=True)
    folder.rename(store.cell(new))
    return new


# Who signed for a cell


def test_what_was_run_here_is_signed_for_until_it_is_edited(copy):
    first, second = copy.finished()
    assert state(copy, first) == ("run", "winner")
    edit_result(copy.cell(first), lambda r: r["usage"].update(tokens=1))
    (copy.cell(second) / VERIFIED).unlink()
    assert state(copy, first) == "changed since it was verified"
    assert state(copy, second) == "not verified"
    (row,) = choose(copy.folder).board().rows
    assert row.unwitnessed == 2
    assert {"1 cell not verified", "1 cell changed since it was verified"} <= set(row.reasons)


def test_nobody_else_can_sign(copy, tmp_path, monkeypatch):
    first, second = copy.finished()
    note = json.loads((copy.cell(first) / VERIFIED).read_text())
    edited = note | {"checks": ["winner", "replay"]}
    (copy.cell(first) / VERIFIED).write_text(json.dumps(edited))
    assert state(copy, first) == "not verified here"
    another = tmp_path / "another.key"
    monkeypatch.setenv(KEY_VARIABLE, str(another))
    assert state(copy, second) == "not verified here" and not another.exists()
    assert signing_key() and state(copy, second) == "not verified here"


def test_a_key_is_private_and_one_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "new" / "signing.key"))
    assert signing_key() == signing_key()
    assert (tmp_path / "new" / "signing.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "file" / "signing.key"))
    with pytest.raises(LeaderboardError, match="name a file that can be written: ACS_GYM_KEY_FILE"):
        signing_key()


def test_verification_signs_for_what_holds_and_takes_back_what_does_not(copy):
    first, second = copy.finished()
    (copy.cell(first) / VERIFIED).unlink()
    edit_result(copy.cell(second), lambda r: r.update(score=0.999))
    reports = {r.cell: r for r in verify_runs(copy, QUICK)}
    assert reports[first].findings == () and reports[second].findings
    assert state(copy, first) == ("verify", "winner")
    assert state(copy, second) == "not verified"


def test_verification_adds_to_what_a_run_signed_for(copy):
    list(verify_runs(copy, Thoroughness(all_designs=True, replay=False)))
    assert {state(copy, key) for key in copy.finished()} == {("run", "winner", "all designs")}


# Agents asked again


def test_an_agent_of_this_package_asked_again_wants_the_designs_of_its_trace(runs):
    key = runs.finished()[0]
    played = replay(runs, runs.load(key))
    assert played.agrees and played.finding is None


def test_an_agent_that_looks_at_operating_points_is_shown_them_when_it_is_asked_again(
    store, finish
):
    """A trace does not hold them: they are not charged."""
    result = finish("llm-scripted", budget=8)
    transcript = (store.cell(result.key) / TRANSCRIPT).read_text()
    assert "operating" in transcript, "it has looked at none"
    played = replay(store, store.load(result.key))
    assert played.agrees and played.finding is None


def test_a_trained_policy_is_asked_again_like_the_optimiser_that_goes_on_from_it(store, finish):
    result = finish("tlgrpo:pretrained+composite-ei", budget=8)
    played = replay(store, store.load(result.key))
    assert played.agrees and not played.remark


def test_of_a_policy_with_other_weights_nothing_is_said(store, finish):
    """Another policy wants other designs: that is no sign of a trace that was made up."""
    result = finish("tlgrpo:pretrained", budget=4)
    config = {**result.agent_config, "weights": "0" * 64}
    key = relabel(store, result.key, "tlgrpo:pretrained", config)
    played = replay(store, store.load(key))
    assert played.finding is None and not played.agrees
    assert played.remark == "its agent is not the one that is here: other weights"


def test_a_trace_under_another_name_parts_where_that_name_goes_its_own_way(copy):
    """Everything else about it holds; methods share the initial designs of a repetition."""
    initial = default_size(14, len(make_task("ACS-OTA5T-v0", pdk="generic").space))
    key = relabel(copy, copy.finished()[0], "sobol", {"method": "sobol", "n_initial": None})
    assert findings(copy.cell(key), QUICK) == []
    (finding,) = verify_cell(copy, key, Thoroughness()).findings
    assert (finding.check, finding.where) == ("replay", f"{TRACE} line {initial + 1}")


def test_a_trace_that_goes_its_own_way_parts_where_it_does(copy):
    key = copy.finished()[0]
    other = copy.load(copy.finished()[1]).trace[9].model_dump(mode="json")
    edit_trace(copy.cell(key), lambda lines: lines.__setitem__(9, other))
    (line,) = [replay(copy, copy.load(key)).finding]
    assert line is not None and line.where == f"{TRACE} line 10"


def test_an_agent_of_somebody_else_is_not_asked(store, finish):
    played = replay(store, store.load(finish("Walker").key))
    assert (played.agrees, played.finding) == (False, None)


# Copies


def test_the_same_designs_under_another_agents_name_are_a_copy(copy):
    """Times, order of keys and the last design are another; it is the designs that are compared."""
    original, other = copy.finished()
    folder = Path(shutil.copytree(copy.cell(original), copy.folder / "copy"))
    edit_trace(folder, lambda lines: [line.update(seconds=0.001) for line in lines])
    spec = copy.result(original).spec.model_copy(update={"agent": "mine:Agent"})
    edit_result(folder, lambda r: r.update(spec=spec.model_dump(), key="copy"))
    found = copied(copy, copy.finished())
    assert set(found) == {original, "copy"} and other not in found
    assert "5 designs with the metrics of" in found["copy"][0].text


# Held-out targets

SALT = Salt(b"a secret that nobody could guess")


def held_out(salt: Salt, repetitions: int = 2):
    return plan_cells(
        ["ACS-OTA5T-v0"], ["random"], repetitions=repetitions, pdk="generic", tier="tt", budget=6,
        suite_seed=0, salt=salt,
    )  # fmt: skip


def test_held_out_targets_are_others_in_every_repetition_and_for_every_salt():
    first, second = held_out(SALT)
    assert first.targets != second.targets and first.key != second.key
    assert first.targets != held_out(PUBLIC)[0].targets
    assert first.spec.targets == f"held-out:{SALT.sha256}"
    assert held_out(SALT) == held_out(SALT)


def test_whoever_has_the_salt_can_tell_targets_that_are_not_of_it(store):
    cell = held_out(SALT)[0]
    store.finish(run_cell(cell.spec, cell.key, store, lambda _n, _best: None, cell.targets))
    known = Thoroughness(replay=False, salt=SALT)
    assert verify_cell(store, cell.key, known).checks == ("winner", "targets")
    assert verify_cell(store, cell.key, QUICK).checks == ("winner",)
    easy = held_out(SALT)[1]
    spec = easy.spec.model_copy(update={"repetition": 0})
    digest_of_easy = run_cell(
        easy.spec, easy.key, Store(store.folder / "other"), lambda _n, _best: None, easy.targets
    ).task.digest
    key = run_key(
        spec, easy.config, digest_of_easy, store.result(cell.key).fingerprint["simulator"]
    )
    store.finish(run_cell(spec, key, store, lambda _n, _best: None, easy.targets))
    assert verify_cell(store, key, QUICK).findings == ()
    assert any("drawn from the salt" in f.text for f in verify_cell(store, key, known).findings)


def test_targets_that_no_table_of_anchors_gives_are_refused_before_anything_runs():
    with pytest.raises(LeaderboardError, match=r"--targets held-out: .*tt"):
        plan_cells(
            ["ACS-OTA5T-v0"], ["random"], repetitions=1, pdk="generic", tier="pvt", budget=600,
            suite_seed=0, salt=SALT,
        )  # fmt: skip


@pytest.mark.parametrize("targets", ["held-out", "held-out:xyz", "hard", "fixed "])
def test_targets_of_a_spec_are_fixed_or_of_a_named_salt(targets):
    spec = plan("random")[0].spec.model_dump() | {"targets": targets}
    with pytest.raises(ValueError, match="targets"):
        CellSpec.model_validate(spec)


# What a paid model leaves behind


@pytest.mark.parametrize(
    ("lines", "is_paid"),
    [
        ([{"prompt_tokens": 3, "completion_tokens": 2, "usd": 0.25}], True),
        ([{"prompt_tokens": 3, "completion_tokens": 2, "usd": 0.1}], False),
        ([{"prompt_tokens": 9, "completion_tokens": 2, "usd": 0.25}], False),
        ([], False),
    ],
)
def test_a_transcript_shows_what_was_paid_or_nothing_does(copy, lines, is_paid):
    key = copy.finished()[0]
    edit_result(copy.cell(key), lambda r: r["usage"].update(tokens=5, money=0.25))
    said = [{"type": "start", "agent": "llm"}, *({"type": "reply", **line} for line in lines)]
    said += [{"type": "evaluation"}] * 14
    text = "".join(json.dumps(line) + "\n" for line in said)
    (copy.cell(key) / TRANSCRIPT).write_text(text)
    assert paid(copy.cell(key), copy.result(key)) is is_paid


# Files of strangers


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(60 << 30)


def link(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def deep(path: Path) -> None:
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


@pytest.mark.parametrize("name", [RESULT, TRACE, SPEC, ROBUST, VERIFIED])
@pytest.mark.parametrize("attack", [pipe, sparse, link, deep])
def test_no_file_of_a_cell_makes_a_reader_hang_or_die(copy, name, attack):
    key = copy.finished()[0]
    attack(copy.cell(key) / name)
    found = verify_cell(copy, key, QUICK).findings
    assert name == VERIFIED or any(f.where in (name, RESULT) for f in found)
    chosen = choose(copy.folder)  # The other cell is there all the same.
    assert chosen.cells and chosen.board().rows


def test_a_cell_that_is_a_link_is_refused(copy, tmp_path):
    key = copy.finished()[0]
    shutil.move(copy.cell(key), tmp_path / "elsewhere")
    copy.cell(key).symlink_to(tmp_path / "elsewhere")
    (finding,) = verify_cell(copy, key, QUICK).findings
    assert "is a link" in finding.text


def test_what_is_nested_deeper_than_anything_here_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[" * DEEPEST + "]" * DEEPEST)
    assert read_json(path, read(path))
    path.write_text("[" * (DEEPEST + 3) + "]" * (DEEPEST + 3))
    with pytest.raises(Corrupt, match="nested more than"):
        read_json(path, read(path))


def test_the_shipped_sizing_does_not_answer_held_out_targets(in_process):
    """An agent that brings `reference.toml` along meets the fixed targets at once, these hardly ever."""
    task = make_task("ACS-OTA5T-v0", pdk="generic")
    with task.session(1, simulator=in_process) as session:
        shipped = session.simulate(task.reference)
    assert shipped.feasible
    drawn = [task.with_specs(cell.targets) for cell in held_out(SALT, repetitions=20)]
    assert sum(t.specs.judge(shipped.metrics).feasible for t in drawn) <= 2


@pytest.mark.parametrize("attack", [pipe, sparse, link, deep])
def test_no_manifest_makes_a_reader_hang_or_die(tmp_path, attack):
    attack(tmp_path / MANIFEST)
    with pytest.raises(LeaderboardError, match=MANIFEST):
        load_submission(tmp_path)
    (tmp_path / MANIFEST).unlink()
    (tmp_path / MANIFEST).write_text("a" + ".a" * 30_000 + " = 1\n")
    with pytest.raises(LeaderboardError, match="is not TOML"):
        load_submission(tmp_path)
