"""Damaged files are noticed, named and moved aside; nothing else is lost."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import acs_gym
from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import Call
from leaderboard.cells.records import EvaluationRecord, TraceLine
from leaderboard.cells.store import RESULT, TRACE, NewerResult, TraceWriter
from leaderboard.files import OURS, Corrupt, remove_unfinished, write_atomically


@pytest.fixture
def stored(store, finish):
    """A finished cell: its store, its key, its folder."""
    key = finish("Walker").key
    return store, key, store.cell(key)


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_finished_cell_reads_back_as_it_was_written(store, finish):
    result = finish("Walker")
    cell = store.load(result.key)
    assert cell.result == result
    assert [line.index for line in cell.trace] == list(range(6))
    assert max(line.evaluation.score for line in cell.trace) == result.best.score


def test_what_lies_behind_the_metrics_of_a_tier_is_kept():
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier="mc2")
    with task.session(2) as session:
        evaluation = session.simulate(
            task.reference or task.space.from_unit([0.5] * len(task.space))
        )
    record = EvaluationRecord.of(evaluation)
    assert EvaluationRecord.model_validate_json(record.model_dump_json()) == record
    assert record.spread["sigma"].keys() == evaluation.spread.sigma.keys()
    assert record.by_condition.conditions == ("draw 0", "draw 1")
    assert record.evaluation(task.specs) == evaluation


def test_a_nominal_trace_bears_nothing_of_conditions(stored):
    _, _, folder = stored
    assert "by_condition" not in (folder / TRACE).read_text()


NUMBERS = st.floats(width=64) | st.sampled_from([math.nan, math.inf, -math.inf, 5e-324, 1.7e308])


@given(
    status=st.sampled_from(Status),
    design=st.dictionaries(st.text(max_size=5), NUMBERS, max_size=4),
    metrics=st.dictionaries(st.sampled_from(["gain", "ugbw", "pm", "power", "area"]), NUMBERS),
    message=st.text(max_size=20),
    duplicate=st.booleans(),
    seconds=st.floats(0, 1e6),
)
def test_every_line_of_a_trace_is_what_its_record_says_digit_for_digit(
    tmp_path_factory, status, design, metrics, message, duplicate, seconds
):
    if status is not Status.INVALID_DESIGN:
        design = {name: value for name, value in design.items() if math.isfinite(value)}
    specs = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic").specs
    evaluation = Evaluation.judged(design, status, metrics, specs, message=message)
    path = tmp_path_factory.mktemp("cell") / TRACE
    with TraceWriter(path) as trace:
        trace.write(Call(evaluation, duplicate), seconds)
        trace.seal()
    with TraceWriter(path) as again:
        (line,) = again.recorded
    assert line == TraceLine(
        index=0,
        evaluation=EvaluationRecord.of(evaluation),
        duplicate=duplicate,
        seconds=round(seconds, 3),
    )


def test_a_cell_is_not_done_until_its_result_is_there(stored):
    store, key, folder = stored
    (folder / RESULT).unlink()
    assert store.load(key) is None
    assert store.load("0" * 16) is None
    assert store.finished() == []


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (lambda f: (f / RESULT).write_text((f / RESULT).read_text()[:200]), RESULT),
        (lambda f: (f / RESULT).write_text(""), RESULT),
        (lambda f: (f / RESULT).write_bytes(b"\xff\xfe\x00"), RESULT),
        (lambda f: edit(f / RESULT, score=float("nan")), RESULT),
        (lambda f: edit(f / RESULT, score=1.5), RESULT),
        (lambda f: edit(f / RESULT, status="splendid"), RESULT),
        (lambda f: edit(f / RESULT, key="0" * 16), RESULT),
        (lambda f: (f / TRACE).write_text((f / TRACE).read_text()[:-30]), TRACE),
        (lambda f: (f / TRACE).unlink(), TRACE),
    ],
    ids=["truncated", "empty", "binary", "nan", "range", "status", "key", "trace", "no-trace"],
)  # fmt: skip
def test_damage_is_noticed_and_the_file_named(stored, damage, name):
    store, key, folder = stored
    damage(folder)
    with pytest.raises(Corrupt, match=name):
        store.load(key)


def test_damaged_files_are_kept_under_names_that_are_never_reused(stored):
    store, key, folder = stored
    (folder / TRACE).write_text((folder / TRACE).read_text().replace("score", "scare"))
    for number in (1, 2):
        (folder / RESULT).write_text("{" * number)
        (folder / TRACE).write_text(f"{number}\n")
        moved = [p.rpartition("/")[2] for p in store.set_aside(key)]
        assert moved == [f"{RESULT}.corrupt-{number}", f"{TRACE}.corrupt-{number}"]
    assert (folder / f"{RESULT}.corrupt-1").read_text() == "{"
    assert (folder / f"{RESULT}.corrupt-2").read_text() == "{{"
    assert store.load(key) is None


def cut(folder, lines, torn=""):
    raw = (folder / TRACE).read_text().splitlines(keepends=True)
    (folder / TRACE).write_text("".join(raw[:lines]) + torn)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: cut(folder, 1),
        lambda folder: cut(folder, 1, torn='{"index": 1, "evalu'),
        lambda folder: cut(folder, 0),
        lambda folder: (folder / RESULT).write_text("{"),
    ],
    ids=["tail lost", "torn", "all lost", "result lost"],
)
def test_a_cell_goes_on_from_a_trace_that_lost_its_tail(stored, damage):
    """As after a power loss, which a file system may survive without what was written last."""
    store, key, folder = stored
    damage(folder)
    left = (folder / TRACE).read_text()
    assert [p.rpartition("/")[2] for p in store.set_aside(key)] == [f"{RESULT}.corrupt-1"]
    assert (folder / TRACE).read_text() == left and not store.is_done(key)


def test_a_trace_that_was_edited_is_no_trace_to_go_on_from(stored):
    store, key, folder = stored
    raw = (folder / TRACE).read_text()
    (folder / TRACE).write_text(raw.replace('"duplicate":false', '"duplicate":true', 1))
    assert len(store.set_aside(key)) == 2


def test_a_finished_trace_is_on_the_disk_before_its_result(tmp_path, monkeypatch):
    done = []
    sync = os.fsync

    def noted(handle):
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    with TraceWriter(tmp_path / TRACE) as trace:
        trace.seal()
    write_atomically(tmp_path / RESULT, "{}")
    assert done[0] == TRACE and RESULT in done[1] and done[2] == tmp_path.name


def test_a_result_of_a_newer_version_is_an_error_that_says_so(stored):
    store, key, folder = stored
    edit(folder / RESULT, schema_version=2)
    with pytest.raises(NewerResult, match="schema 2; this one reads up to 1"):
        store.load(key)


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(TypeError):
        write_atomically(path, None)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_only_what_is_ours_is_removed_from_a_folder_that_holds_other_things(tmp_path):
    theirs = [".env.prod-2026", ".result.json-abc", "notes-1.txt", f"{OURS}link", f"{OURS}folder"]
    for name in theirs[:3]:
        (tmp_path / name).write_text("precious")
    (tmp_path / theirs[3]).symlink_to(tmp_path / theirs[0])
    (tmp_path / theirs[4]).mkdir()
    (tmp_path / f"{OURS}report.html-1a2b").write_text("half a rep")
    remove_unfinished(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(theirs)
    assert (tmp_path / theirs[0]).read_text() == "precious"
