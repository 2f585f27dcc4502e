"""Runs of several machines become one folder; nothing is lost, overwritten or taken twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import RESULT, TRACE, Store
from leaderboard.merge import main
from leaderboard.trust.merge import merge
from leaderboard.trust.verified import sign
from leaderboard.trust.verify import verify_cell
from tests.leaderboard.conftest import ROOT, plan
from tests.leaderboard.tampering import edit_result, edit_trace, invoke


def run(folder: Path, agent: str) -> Path:
    cell = plan(agent)[0]
    store = Store(folder)
    store.finish(run_cell(cell.spec, cell.key, store, lambda _n, _best: None))
    return store.cell(cell.key)


@pytest.fixture(scope="module")
def machines(tmp_path_factory) -> Path:
    """`a` ran two agents, `b` one of them again and another."""
    root = tmp_path_factory.mktemp("machines")
    run(root / "a", "Walker")
    run(root / "a", "KeepsFiles")
    run(root / "b", "KeepsFiles")
    run(root / "b", "Raises")
    return root


@pytest.fixture
def two(machines: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Copies of both machines' folders, and where to merge them."""
    shutil.copytree(machines, tmp_path / "m")
    return tmp_path / "m/a", tmp_path / "m/b", tmp_path / "c"


def key(agent: str) -> str:
    return plan(agent)[0].key


def finished(folder: Path, when: str) -> None:
    edit_result(folder, lambda r: r["timing"].update(finished=when))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_cell_arrives_once_with_all_its_files_and_verifies(two):
    a, b, c = two
    merged = merge([a, b], c)
    assert set(merged.cells) == {key("Walker"), key("KeepsFiles"), key("Raises")}
    assert merged.left_out == ()
    assert (c / key("KeepsFiles") / "notes.txt").read_text() == "what I thought"
    assert contents(c / key("Walker")) == contents(a / key("Walker"))
    assert sorted(p.name for p in c.iterdir()) == sorted(merged.cells)
    assert all(verify_cell(Store(c), k).findings == () for k in merged.cells)


def test_a_date_decides_nothing_of_runs_that_differ_in_time_or_machine(two):
    a, b, c = two
    finished(a / key("KeepsFiles"), "2026-01-02T00:00:00+00:00")
    finished(b / key("KeepsFiles"), "2026-01-01T00:00:00+00:00")
    edit_result(b / key("KeepsFiles"), lambda r: r["fingerprint"].update(cpu="another"))
    edit_trace(b / key("KeepsFiles"), lambda t: [line.update(seconds=0.001) for line in t])
    merged = merge([a, b], c)
    assert contents(c / key("KeepsFiles")) == contents(a / key("KeepsFiles"))
    (remark,) = merged.remarks
    assert (
        key("KeepsFiles") in remark
        and "differ in timing or machine only; kept what came first" in remark
    )
    assert merged.left_out == ()


def test_identical_results_need_no_remark(two):
    a, _, c = two
    again = shutil.copytree(a, a.parent / "again")
    assert merge([a, Path(again)], c).remarks == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda f: edit_result(f, lambda r: r.update(score=0.5)), f"{RESULT}: score"),
        (lambda f: edit_trace(f, lambda t: t[0]["evaluation"].update(score=0.5)), TRACE),
    ],
    ids=["score", "trace"],
)
def test_another_result_under_ones_key_silences_nobody(two, change, field):
    """Whoever sends a rival's cell along, with another result in it, does not have it dropped."""
    a, b, c = two
    change(b / key("KeepsFiles"))
    merged = merge([b, a], c)
    assert contents(c / key("KeepsFiles")) == contents(a / key("KeepsFiles"))
    (remark,) = merged.remarks
    assert f"2 runs that differ in {field}; kept what came first: {a.resolve()}" in remark
    assert merged.left_out == ()


def test_of_two_sound_results_the_one_signed_for_here_is_kept(two):
    """A rival's shorter trace follows from itself as well as the honest one does."""
    a, b, c = two
    edit_result(b / key("KeepsFiles"), lambda r: r["usage"].update(tokens=5))
    sign(a / key("KeepsFiles"), "run", ("winner",))
    merged = merge([b, a], c)
    assert "kept the one signed for here" in merged.remarks[0]
    assert set(merged.unsigned) == set(merged.cells) - {key("KeepsFiles")}
    assert json.loads((c / key("KeepsFiles") / RESULT).read_text())["usage"]["tokens"] == 0


def test_what_is_there_already_is_never_overwritten(two):
    a, b, c = two
    merge([a], c)
    before = contents(c)
    finished(b / key("KeepsFiles"), "2020-01-01T00:00:00+00:00")
    merged = merge([b], c)
    assert "kept what came first" in merged.remarks[0]
    after = contents(c)
    assert {k: after[k] for k in before} == before
    assert set(merged.cells) == {key("Walker"), key("KeepsFiles"), key("Raises")}
    assert merge([a, b], c).cells == merged.cells
    assert contents(c) == after


def test_a_conflict_with_what_is_there_leaves_it(two):
    a, b, c = two
    merge([a], c)
    before = contents(c)
    edit_result(b / key("KeepsFiles"), lambda r: r.update(score=0.5))
    assert len(merge([b], c).remarks) == 1
    assert before.items() <= contents(c).items()


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / TRACE).write_text("{"),
        lambda f: (f / RESULT).write_text("{"),
        lambda f: edit_result(f, lambda r: r.update(schema_version=2)),
        lambda f: ((f / TRACE).unlink(), os.mkfifo(f / TRACE)),
    ],
    ids=["trace", "result", "newer", "pipe"],
)
def test_a_damaged_cell_is_named_and_left_out(two, damage):
    a, b, c = two
    damage(a / key("Walker"))
    merged = merge([a, b], c)
    assert key("Walker") not in merged.cells
    (said,) = merged.left_out
    assert said.startswith(f"damaged: {a.resolve() / key('Walker')}: files: ")
    assert not (c / key("Walker")).exists()


def test_a_sound_copy_takes_the_place_of_a_damaged_one(two):
    a, b, c = two
    (a / key("KeepsFiles") / TRACE).write_text("{")
    assert key("KeepsFiles") in merge([a, b], c).cells


def test_an_unfinished_cell_in_the_way_is_named_and_left(two):
    a, _, c = two
    (c / key("Walker")).mkdir(parents=True)
    (c / key("Walker") / TRACE).write_text("half")
    merged = merge([a], c)
    assert "is in the way" in merged.left_out[0]
    assert contents(c / key("Walker")) == {TRACE: b"half"}


def test_a_copy_that_fails_leaves_no_half_of_a_cell(two, monkeypatch):
    a, _, c = two

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    merged = merge([a], c)
    assert len(merged.left_out) == 2 and "No space left" in merged.left_out[0]
    assert list(c.iterdir()) == []


def test_the_command(two):
    a, b, c = two

    done = subprocess.run(
        [sys.executable, "-m", "leaderboard.merge", str(a), str(b), "--out", str(c)], cwd=ROOT,
        text=True, capture_output=True, timeout=80, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"3 cells in {c}")
    (a / key("Walker") / RESULT).write_text(json.dumps({}))
    done = invoke(main, a, "--out", c.with_name("d"))
    assert done.exit_code == 1
    assert done.stderr.startswith("left out: damaged: ")
    done = invoke(main, a.with_name("absent"), "--out", c)
    assert (done.exit_code, done.stderr.startswith("error: no folder ")) == (2, True)
