"""What was tampered with is found and named; what was not, holds; nothing crashes on damage."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.task import make_task
from leaderboard.cells.fingerprint import simulator_version
from leaderboard.cells.runner import crashed_result, run_cell
from leaderboard.cells.spec import CellSpec, run_key
from leaderboard.cells.store import RESULT, SPEC, TRACE, Store
from leaderboard.trust.verification import of_cell, of_files, of_simulation
from leaderboard.trust.verify import verify_cell, verify_runs
from leaderboard.verify import main
from tests.leaderboard.conftest import AGENTS, plan
from tests.leaderboard.tampering import (
    ALL,
    WINNERS,
    Json,
    edit_result,
    edit_trace,
    findings,
    invoke,
    run_and_store,
    unfollowed,
    verify,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A cell with a duplicate and an invalid design, as the harness wrote it."""
    store = Store(tmp_path_factory.mktemp("sound"))
    return store.cell(run_and_store(store, "Repeats"))


@pytest.fixture
def cell(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound cell to tamper with."""
    return Path(shutil.copytree(sound, tmp_path / sound.name))


# What is sound


@pytest.mark.parametrize("agent", ["Walker", "Raises", "Overspends", "Idle", "Nonsense"])
def test_whatever_the_harness_writes_holds(store, finish, agent):
    report = verify_cell(store, finish(agent).key, ALL)
    assert report.findings == ()
    assert report.label == f"ACS-OTA5T-v0 · {AGENTS}:{agent} · 0"


def test_duplicates_and_invalid_designs_hold(cell):
    assert findings(cell, ALL) == []


@pytest.mark.parametrize("tier", ["mc2", "pvt"])
def test_a_cell_of_several_conditions_holds(store, tier):
    task = make_task("ACS-OTA5T-v0", pdk="generic", tier=tier)
    spec = CellSpec(
        task=task.id, pdk="generic", tier=tier, agent=f"{AGENTS}:Walker", repetition=0,
        budget=2 * task.cost, suite_seed=0,
    )  # fmt: skip
    key = run_key(spec, {}, task.digest, simulator_version())
    store.finish(run_cell(spec, key, store, lambda _n, _best: None))
    assert verify_cell(store, key, ALL).findings == ()
    edit_result(store.cell(key), lambda r: r["usage"].update(simulations=2))
    assert any("usage.simulations" in f.text for f in verify_cell(store, key).findings)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        # The offset has no spec, so no margin follows from it; the mean over the draws does.
        (lambda e: e["by_condition"]["metrics"].update(offset=[0.5, 0.5]), "spread.mean.offset: "),
        (lambda e: e["by_condition"]["conditions"].reverse(), "conditions: found draw 1, draw 0"),
        (lambda e: e.pop("by_condition"), "conditions: found none, expected draw 0, draw 1"),
    ],
    ids=["number", "order", "none"],
)
def test_what_is_recorded_of_the_conditions_is_held_against_the_rest(store, change, named):
    key = run_and_store(store, "Repeats", tier="mc2", budget=10)
    assert findings(store.cell(key), ALL) == []
    edit_trace(store.cell(key), lambda lines: change(lines[-1]["evaluation"]))
    task = make_task("ACS-OTA5T-v0", pdk="generic", tier="mc2")
    assert any(named in f.text for f in of_cell(of_files(store, key)[0], task))


def test_a_condition_that_simulates_differently_is_named():
    task = make_task("ACS-OTA5T-v0", pdk="generic", tier="mc2")
    metrics = dict.fromkeys(task.metric_units, 1.0)
    claimed = task.judge({}, Outcome(Status.OK, metrics), Outcome(Status.OK, metrics))
    off = task.judge({}, Outcome(Status.OK, metrics), Outcome(Status.OK, {**metrics, "pm": 2.0}))
    again = replace(claimed, by_condition=off.by_condition)
    assert list(of_simulation("here", claimed, claimed)) == []
    (finding,) = of_simulation("here", claimed, again)
    assert "by_condition.draw 1.pm 1.0, then 2.0" in finding.text


def test_a_crashed_cell_holds_and_its_score_cannot_be_raised(store):
    planned = plan("Walker")[0]
    store.finish(
        crashed_result(
            planned.spec, planned.key, store, config=planned.config, track="metrics", message="died"
        )
    )
    folder = store.cell(planned.key)
    assert findings(folder) == []
    edit_result(folder, lambda r: r.update(score=0.5))
    assert findings(folder) == ["score: score: found 0.5, expected 0.0"]


# Files


@pytest.mark.parametrize("name", [RESULT, TRACE, SPEC])
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda p: p.write_bytes(p.read_bytes()[:-40]),
        lambda p: p.write_bytes(b"\xff\xfe\x00"),
        lambda p: p.write_text("[" * 100_000),
        lambda p: (p.unlink(), p.mkdir()),
        lambda p: (p.unlink(), os.mkfifo(p)),
    ],
    ids=["missing", "truncated", "binary", "deep", "folder", "pipe"],
)
def test_a_damaged_file_is_a_finding_that_names_it(cell, name, damage):
    damage(cell / name)
    if (name, damage) == (RESULT, Path.unlink):
        assert Store(cell.parent).finished() == []  # Not a finished cell at all.
    found = findings(cell)
    assert len(found) == 1
    assert found[0].startswith(f"files: {name}: ")


def test_a_result_of_a_newer_version_is_a_finding(cell):
    edit_result(cell, lambda r: r.update(schema_version=2))
    assert "written by a newer version" in findings(cell)[0]


def test_a_cell_under_another_name_is_a_finding(cell):
    other = cell.rename(cell.with_name("0" * 16))
    assert findings(other) == [
        f"files: {RESULT}: found is the result of {cell.name}, expected the file as it was written"
    ]


def test_a_name_given_twice_is_a_finding(cell):
    text = (cell / RESULT).read_text()
    (cell / RESULT).write_text(text.replace('"score": ', '"score": 1.0, "score": ', 1))
    assert findings(cell) == [
        f"files: {RESULT}: found 'score' given twice, expected every name once"
    ]


def test_another_spec_beside_the_result_is_a_finding(cell):
    data = json.loads((cell / SPEC).read_text()) | {"budget": 7}
    (cell / SPEC).write_text(json.dumps(data))
    assert findings(cell) == [f"files: {SPEC}.budget: found 7, expected 6"]


# Fields of a result


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r["spec"].update(repetition=3), "key: key:"),
        (lambda r: r["agent_config"].update(step=2), "key: key:"),
        (lambda r: r["fingerprint"].update(simulator="ngspice 99"), "key: key:"),
        (lambda r: r["fingerprint"].pop("simulator"), "key: key:"),
        (lambda r: r["fingerprint"].update(pdk_digest="0"), "task: fingerprint.pdk_digest:"),
        (lambda r: r["task"].update(digest="0" * 64), "task: task.digest: found 0000000000000000: "),
        (lambda r: r["task"]["specs"][0].update(target=1.0), "task: task.specs.0.target:"),
        (lambda r: r["task"]["metric_units"].pop("gain"), "task: task.metric_units.gain:"),
        (lambda r: r["spec"].update(tier="xyz"), "budget: spec.tier:"),
        (lambda r: r["spec"].update(pdk="none"), "task: spec: found cannot be simulated here"),
        (lambda r: r["spec"].update(task="ACS-None-v0"), "task: spec: found cannot be simulated"),
        (lambda r: r.update(score=0.999), "score: score: found 0.999"),
        (lambda r: r.update(feasible=not r["feasible"]), "score: feasible:"),
        (lambda r: r.update(status="invalid"), "status: status:"),
        (lambda r: r.update(best=None), "winner: best:"),
        (lambda r: r.update(verified=None), "verified: verified:"),
        (lambda r: r["best"].update(score=0.999), "winner: best.score: found 0.999"),
        (lambda r: r["best"]["metrics"].update(gain=99.0), "winner: best.metrics.gain: found 99.0"),
        (lambda r: r["best"]["metrics"].pop("area"), "judgement: best: metrics:"),
        (lambda r: r["verified"]["design"].update(m_tail=99.0), "design: verified:"),
        (lambda r: r["verified"]["metrics"].update(power=1e-9), "judgement: verified.margins.power:"),
        (lambda r: r["verified"]["metrics"].update(area=1e-9), "simulation: verified: found area"),
        (lambda r: r["verified"].update(status="splendid"), "judgement: verified:"),
        (lambda r: r["verified"].update(spread={"worst_at": 3}), "judgement: verified:"),
        (lambda r: r["usage"].update(simulations=1), "budget: usage.simulations: found 1,"),
        (lambda r: r["usage"].update(calls=9), "budget: usage.calls:"),
        (lambda r: r["usage"].update(duplicates=0), "budget: usage.duplicates:"),
        (lambda r: r["usage"].update(failed={}), "budget: usage.failed.invalid_design:"),
        (lambda r: r["timing"].update(finished="tomorrow"), "trace: timing.finished:"),
        (lambda r: r["timing"].update(total_seconds=-1.0), "trace: timing.total_seconds:"),
    ],
)  # fmt: skip
def test_an_edited_field_of_a_result_is_named(cell, change, named):
    edit_result(cell, change)
    needs_more = named.startswith(("task: spec", "task: task.digest", "simulation"))
    found = findings(cell) if needs_more else unfollowed(cell)
    assert [f for f in found if f.startswith(named)] != []


def test_a_consistent_lie_about_the_winner_is_found_by_simulating_it(cell):
    """Metrics, judgement, trace, digest and score all agree, and ngspice does not."""
    task = make_task("ACS-OTA5T-v0", pdk="generic")
    result = json.loads((cell / RESULT).read_text())
    record = of_files(Store(cell.parent), cell.name)[0].result.best  # type: ignore[union-attr]
    wonders = {s.metric: s.target for s in task.specs}
    lie = record.model_copy(update={"metrics": {**record.metrics, **wonders}, "status": "ok"})
    better = lie.evaluation(task.specs).to_json()
    assert better["score"] == 1.0

    def lie(lines: list[Json]) -> None:
        for line in lines:
            if line["evaluation"]["design"] == result["best"]["design"]:
                line["evaluation"] = {**better, "spread": None}

    edit_trace(cell, lie)
    edit_result(cell, lambda r: r.update(score=1.0, feasible=True, best=better, verified=better))
    found = findings(cell)
    assert len(found) == 1
    assert found[0].startswith("simulation: verified: found ")
    assert found[0].endswith("when simulated again, expected the same in a fresh simulator")


# Lines of a trace


def evaluation(line: int, **fields: object) -> Callable[[list[Json]], object]:
    return lambda lines: lines[line]["evaluation"].update(fields)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop(0), "trace: trace.jsonl line 1: index:"),
        (lambda t: t.reverse(), "trace: trace.jsonl line 1: index:"),
        (lambda t: t[2].update(duplicate=False), "duplicate: trace.jsonl line 3: duplicate:"),
        (lambda t: t[1].update(duplicate=True), "duplicate: trace.jsonl line 2: duplicate:"),
        (lambda t: t[4].update(seconds=0.0), "trace: trace.jsonl line 5: seconds:"),
        (lambda t: t[4].update(seconds=1e6), "trace: timing.total_seconds:"),
        (lambda t: t[2]["evaluation"]["metrics"].update(area=1.0), "duplicate: trace.jsonl line 3.m"),
        (lambda t: t[0]["evaluation"]["metrics"].update(gain=99.0), "judgement: trace.jsonl line 1.m"),
        (lambda t: t[0]["evaluation"]["margins"].update(gain=9.0), "judgement: trace.jsonl line 1.ma"),
        (lambda t: t[0]["evaluation"]["design"].update(m_tail=1.5), "design: trace.jsonl line 1: des"),
        (lambda t: t[0]["evaluation"]["design"].pop("m_tail"), "design: trace.jsonl line 1:"),
        (evaluation(0, cost=0), "budget: trace.jsonl line 1: cost: found 0, expected 1"),
        (evaluation(3, cost=0), "budget: trace.jsonl line 4: cost: found 0, expected 1"),
        (evaluation(0, score=1.0), "judgement: trace.jsonl line 1.score:"),
        (evaluation(0, feasible=True), "judgement: trace.jsonl line 1.feasible:"),
        (evaluation(0, status="splendid"), "judgement: trace.jsonl line 1:"),
        (evaluation(0, status="nonconverged"), "judgement: trace.jsonl line 1.metrics."),
        (lambda t: t.extend([t[0] | {"index": 5}] * 2), "budget: trace.jsonl: found 7 simulations"),
    ],
)  # fmt: skip
def test_an_edited_line_of_a_trace_is_named(cell, change, named):
    edit_trace(cell, change)
    assert [f for f in unfollowed(cell) if f.startswith(named)] != []


def test_an_unspecified_metric_of_a_loser_is_found_by_simulating_every_design(cell):
    best = json.loads((cell / RESULT).read_text())["best"]["design"]
    lines = [json.loads(line) for line in (cell / TRACE).read_text().splitlines()]
    loser = next(
        k for k, t in enumerate(lines)
        if t["evaluation"]["status"] == "ok" and t["evaluation"]["design"] != best
        and [u["evaluation"]["design"] for u in lines].count(t["evaluation"]["design"]) == 1
    )  # fmt: skip
    edit_trace(cell, lambda t: t[loser]["evaluation"]["metrics"].update(gain_margin=1.0))
    assert findings(cell) == []
    (found,) = findings(cell, ALL)
    assert found.startswith(f"simulation: trace.jsonl line {loser + 1}: found gain_margin 1, then ")


# The command


def test_the_command_says_what_does_not_hold_line_by_line(cell):
    done = verify(str(cell.parent))
    assert (done.returncode, done.stdout) == (0, "1 of 1 cells hold in every check\n")
    edit_result(cell, lambda r: r.update(score=0.999))
    done = verify(str(cell.parent), "--jobs", "2")
    line, summary = done.stdout.splitlines()
    assert done.returncode == 1
    assert line.startswith(f"{cell.name} (ACS-OTA5T-v0 · ")
    assert ": score: score: found 0.999, expected 0." in line
    assert summary == "0 of 1 cells hold in every check"


def test_the_command_as_json(cell):
    edit_result(cell, lambda r: r.update(score=0.999))
    done = invoke(main, cell.parent, "--json", "--all-designs")
    data = json.loads(done.stdout)
    assert (done.exit_code, data["cells"], data["sound"]) == (1, 1, 0)
    (finding,) = data["reports"][0]["findings"]
    assert (finding["check"], finding["where"], finding["found"]) == ("score", "score", "0.999")


def test_text_from_a_file_cannot_steer_the_terminal(cell):
    edit_result(cell, lambda r: r["spec"].update(agent="\x1b[2J\x1b]0;owned\x07"))
    done = invoke(main, cell.parent)
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{tmp}/absent"], "no folder"),
        (["{tmp}"], "no finished cells in"),
        (["{tmp}", "--salt-file", "{tmp}/absent"], "cannot be read"),
        (["{tmp}", "--jobs", "0"], "--jobs"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_is_said_and_exits_2(tmp_path, arguments, said):
    done = invoke(main, *[a.format(tmp=tmp_path) for a in arguments])
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_cell_that_is_a_copy_of_another_is_found_though_everything_in_it_fits(tmp_path):
    store = Store(tmp_path)
    first, second = plan("Walker", budget=12, repetitions=2)
    store.finish(run_cell(first.spec, first.key, store, lambda _n, _best: None))
    copy = Path(shutil.copytree(store.cell(first.key), store.cell(second.key)))
    edit_result(copy, lambda r: r.update(key=second.key, spec=second.spec.model_dump()))
    (copy / SPEC).write_text(second.spec.model_dump_json())
    reports = list(verify_runs(store, WINNERS))
    assert [verify_cell(store, r.cell).findings for r in reports] == [(), ()]
    for report, other in zip(reports, reversed(reports), strict=True):
        (finding,) = report.findings
        assert finding.check == "trace" and other.cell in finding.found
