"""Long runs: interrupted anywhere they lose nothing, and they say beforehand what they will do."""

from __future__ import annotations

import json
import os
import random
import subprocess

import pytest
from typer.testing import CliRunner

from acs_gym.evaluation import Status
from acs_gym.session import Call, shared_pool
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Simulator
from acs_gym.task import make_task
from benchmarks import kill_and_resume
from leaderboard.cells import store as store_module
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import Store, TraceWriter
from leaderboard.errors import LeaderboardError
from leaderboard.files import Corrupt
from leaderboard.run import app
from leaderboard.running.plan import plan_cells
from leaderboard.trust.verify import verify_cell
from tests.leaderboard.conftest import ROOT, command, run, small

AGENTS = __name__


class Batches:
    """Asks for four designs at a time, one of them twice, and looks at the order of what it gets."""

    def run(self, session):
        while session.remaining >= 4:
            designs = [session.task.space.sample(session.rng) for _ in range(3)]
            for evaluation in session.simulate([*designs, designs[0]]):
                session.log_usage(tokens=list(evaluation.metrics).index("area"))


class Moody:
    """Two fixed designs, then whatever the operating system's randomness says; as an LLM might."""

    def run(self, session):
        for _ in range(2):
            session.simulate(session.task.space.sample(session.rng))
        while session.remaining:
            mood = [byte / 255 for byte in os.urandom(len(session.task.space))]
            session.simulate(session.task.space.from_unit(mood))


class Counting(Simulator):
    """Passes jobs on and counts them; `lose` job numbers are lost to a failure of ours."""

    def __init__(self, lose=()):
        self.jobs, self._lose = 0, set(lose)

    def run(self, jobs):
        numbers = range(self.jobs, self.jobs + len(jobs))
        self.jobs += len(jobs)
        lost = Outcome(Status.INFRA_ERROR, {}, "lost")
        done = shared_pool(1).run(jobs)
        return [lost if n in self._lose else o for n, o in zip(numbers, done, strict=True)]


@pytest.fixture
def count(monkeypatch):
    """Let cells simulate through a counter."""

    def _count(lose=()):
        counting = Counting(lose)
        monkeypatch.setattr("acs_gym.session.shared_pool", lambda _workers: counting)
        return counting

    return _count


def planned(agent, *, tier="tt", budget=8, task="ACS-OTA5T-v0"):
    name = agent if agent.islower() else f"{AGENTS}:{agent}"
    (cell,) = plan_cells(
        [task], [name], repetitions=1, pdk="generic", tier=tier, budget=budget, suite_seed=0
    )
    return cell


def finish(cell, store, until=None):
    """Run a cell, or interrupt it when `until` simulations are recorded."""

    def interrupt(n, _best):
        if n == until:
            raise KeyboardInterrupt

    result = run_cell(cell.spec, cell.key, store, interrupt)
    store.finish(result)
    return result


def trace(store, cell):
    return store.cell(cell.key) / "trace.jsonl"


# Killed


@pytest.mark.parametrize(("mode", "after"), [("run", 20), ("tree", 27), ("cell", 20)])
def test_killed_at_any_moment_a_run_ends_as_if_nothing_had_happened(
    undisturbed, tmp_path, mode, after
):
    trial = kill_and_resume.kill_and_resume(
        tmp_path, mode, after, random.Random(after), undisturbed
    )
    assert trial.killed >= 1 and trial.recorded >= after


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    process = kill_and_resume.Run(kill_and_resume.options(folder / "runs"), folder)
    assert process.finish() == 0, process.said
    return kill_and_resume.comparable(folder / "runs")


# A cell that was interrupted


@pytest.mark.parametrize(
    ("agent", "tier"), [("cma-es", "tt"), ("Batches", "tt"), ("sobol", "mc2"), ("Batches", "mc2")]
)
def test_an_interrupted_cell_simulates_only_what_it_lacks_and_ends_the_same(
    store, tmp_path, count, agent, tier
):
    cell = planned(agent, tier=tier, budget=8 if tier == "tt" else 16)
    per_design = 1 if tier == "tt" else 2
    whole = count()
    finish(cell, store)
    other = Store(tmp_path / "interrupted")
    before = count()
    with pytest.raises(KeyboardInterrupt):
        finish(cell, other, until=3 * per_design)
    assert before.jobs == 3 * per_design == other.recorded(cell.key)
    kept = trace(other, cell).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        finish(cell, other, until=2 * per_design)  # Interrupted while it is being repeated.
    assert trace(other, cell).read_bytes() == kept
    after = count()
    finish(cell, other)
    assert before.jobs + after.jobs == whole.jobs
    assert trace(other, cell).read_bytes().startswith(kept)
    comparable = kill_and_resume.comparable
    assert comparable(other.folder) == comparable(store.folder)
    assert verify_cell(other, cell.key).findings == ()


def test_a_failure_of_ours_is_repeated_as_it_was(store, count):
    cell = planned("sobol")
    count(lose=[1])
    with pytest.raises(KeyboardInterrupt):
        finish(cell, store, until=3)  # Four designs: the lost one is not charged.
    after = count()
    result = finish(cell, store)
    assert result.usage.failed["infra_error"] == 1
    assert after.jobs == 9 - 4  # Eight that are charged and the one that was lost, less four.
    assert store.attempts(cell.key) == []


def test_half_a_line_is_dropped(store, count):
    cell = planned("sobol")
    with pytest.raises(KeyboardInterrupt):
        finish(cell, store, until=3)
    path = trace(store, cell)
    path.write_bytes(path.read_bytes()[:-20])
    rest = count()
    assert finish(cell, store).usage.simulations == 8
    assert rest.jobs == 8 - 2
    assert {p.name for p in path.parent.iterdir()} >= {"result.json", "spec.json", "trace.jsonl"}
    assert not list(path.parent.glob("trace.*.jsonl")) and not list(path.parent.glob("*.corrupt*"))


def test_a_finished_cell_whose_trace_lost_its_tail_simulates_the_tail_alone(store, count):
    cell = planned("sobol")
    finish(cell, store)
    path = trace(store, cell)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:5]))
    with pytest.raises(Corrupt):
        store.load(cell.key)
    store.set_aside(cell.key)
    rest = count()
    finish(cell, store)
    assert rest.jobs == 8 - 5
    again = [json.loads(line)["evaluation"] for line in path.read_bytes().splitlines()]
    assert again == [json.loads(line)["evaluation"] for line in whole.splitlines()]
    assert verify_cell(store, cell.key).findings == ()


def test_a_damaged_trace_is_kept_and_used_up_to_the_damage(store, count):
    cell = planned("sobol")
    with pytest.raises(KeyboardInterrupt):
        finish(cell, store, until=4)
    path = trace(store, cell)
    damaged = path.read_bytes().replace(b'"index":2', b'"index":7')
    path.write_bytes(damaged)
    rest = count()
    finish(cell, store)
    assert rest.jobs == 8 - 2
    assert path.with_name("trace.jsonl.corrupt-1").read_bytes() == damaged
    assert verify_cell(store, cell.key).findings == ()


def test_an_agent_that_decides_otherwise_starts_another_attempt_and_both_are_kept(store, count):
    cell = planned("Moody")
    with pytest.raises(KeyboardInterrupt):
        finish(cell, store, until=5)
    first = trace(store, cell).read_bytes()
    rest = count()
    result = finish(cell, store)
    assert result.usage.simulations == 8 and rest.jobs == 8 - 2  # The two that it asked for again.
    assert [p.read_bytes() for p in store.attempts(cell.key)] == [first]
    assert result.message == "attempt 2; earlier ones are kept: trace.1.jsonl"
    lines, were = trace(store, cell).read_bytes().splitlines(), first.splitlines()
    assert lines[:2] == were[:2] and lines[2] != were[2]
    assert verify_cell(store, cell.key).findings == ()


def test_lines_that_are_not_asked_for_again_are_an_attempt_too(tmp_path, store):
    cell = planned("sobol")
    with pytest.raises(KeyboardInterrupt):
        finish(cell, store, until=3)
    path = trace(store, cell)
    first, specs = path.read_bytes(), make_task("ACS-OTA5T-v0", pdk="generic").specs
    with TraceWriter(path) as writer:
        writer.write(Call(writer.recorded[0].evaluation.evaluation(specs), duplicate=False), 0.0)
        digest = writer.seal()
    assert path.read_bytes() == first.splitlines(keepends=True)[0]
    assert [p.read_bytes() for p in store.attempts(cell.key)] == [first]
    with TraceWriter(path) as writer:
        writer.write(Call(writer.recorded[0].evaluation.evaluation(specs), duplicate=False), 0.0)
        assert writer.seal() == digest


def test_what_a_killed_write_left_is_removed(store):
    cell = planned("sobol")
    with pytest.raises(KeyboardInterrupt):
        finish(cell, store, until=1)
    (store.cell(cell.key) / ".acs-gym-result.json-abc").write_text("half a resu")
    finish(cell, store)
    assert not list(store.cell(cell.key).glob(".*"))


# Two at once


def test_a_second_run_of_the_same_folder_is_refused_and_disturbs_nothing(tmp_path):
    out = tmp_path / "runs"
    out.mkdir()
    with Store(out).locked():
        done = CliRunner().invoke(app, small(out, "random"))
        assert done.exit_code == 2 and done.stderr.count("\n") == 1
        assert f"another run (process {os.getpid()} on " in done.stderr
        assert [p.name for p in out.iterdir()] == [".lock"]


def test_two_processes_never_write_one_trace(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_PATIENCE_S", 0.0)
    with (
        TraceWriter(tmp_path / "trace.jsonl"),
        pytest.raises(LeaderboardError, match="written by another process"),
    ):
        TraceWriter(tmp_path / "trace.jsonl")


# What cannot be written


def test_a_full_disk_is_named_and_the_same_command_goes_on(tmp_path):
    # A limit on the size of files is met in the middle of a trace, as a full disk is.
    arguments = small(tmp_path, "sobol")
    limited = ["bash", "-c", 'ulimit -f 2; exec "$@"', "bash", *command(*arguments)]
    done = subprocess.run(
        limited, cwd=ROOT, capture_output=True, text=True, check=False, timeout=80
    )
    assert done.returncode == 2
    assert "File too large" in done.stderr and "Traceback" not in done.stderr
    (cut,) = tmp_path.glob("*/trace.jsonl")
    assert 0 < len(cut.read_bytes()) <= 2048 and cut.read_bytes().endswith(b"\n")
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("*/trace.*.jsonl"))


def test_a_read_only_folder_is_one_clear_line(tmp_path):
    out = tmp_path / "runs"
    out.mkdir(mode=0o555)
    arguments = command(*small(out, "random"))
    if os.geteuid() == 0:  # Modes do not bind root; a mount that only this process sees does.
        script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 77; exec "$@"'
        arguments = ["unshare", "--mount", "bash", "-c", script, str(out), *arguments]
    done = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=80
    )
    if done.returncode in (1, 77) and "cannot write" not in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and f"cannot write to --out {out}" in done.stderr
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_an_out_that_is_a_file_is_one_clear_line(tmp_path, option):
    path = tmp_path / "file"
    path.write_text("mine")
    done = CliRunner().invoke(app, [*small(path, "random"), *option])
    assert done.exit_code == 2 and done.stderr == f"error: --out {path} is a file; give a folder\n"
    assert path.read_text() == "mine"


# Before a run


def dry(out, agents, *more):
    done = CliRunner().invoke(app, [*small(out, agents), "--dry-run", "--json", *more])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_dry_run_writes_nothing_not_even_the_folder(tmp_path):
    found = dry(tmp_path / "new", "random,sobol", "--seeds", "2")
    assert (found["cells"], found["done"], found["to_run"]) == (4, 0, 4)
    assert found["simulations"] == 24 and found["cells_of_unknown_duration"] == 4
    shown = CliRunner().invoke(app, [*small(tmp_path / "new", "random"), "--dry-run"])
    assert shown.exit_code == 0 and "how long is not known" in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_tells_what_is_done_and_how_long_the_rest_takes(store):
    finished = planned("random", budget=6)
    seconds = finish(finished, store).timing.total_seconds
    with pytest.raises(KeyboardInterrupt):
        finish(planned("sobol", budget=6), store, until=2)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in store.folder.glob("*/*")}
    found = dry(store.folder, "random,sobol", "--seeds", "2", "--jobs", "1")
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in store.folder.glob("*/*")} == before
    same, other = found["rows"]
    assert (same["done"], same["to_run"], same["simulations"]) == (1, 1, 6)
    assert same["basis"] == "same agent and task" and same["seconds"] == pytest.approx(seconds)
    assert (other["done"], other["to_run"], other["simulations"]) == (0, 2, 4 + 6)
    assert other["basis"] == "other agents on the task"
    assert other["seconds"] == pytest.approx(seconds * 10 / 6)
    assert found["seconds_of_known"] == pytest.approx(seconds * 16 / 6, abs=0.06)


def test_a_dry_run_names_damage_and_leaves_it(store):
    cell = planned("random", budget=6)
    finish(cell, store)
    path = store.cell(cell.key) / "result.json"
    path.write_text("{")
    assert dry(store.folder, "random")["rows"][0]["damaged"] == 1
    assert path.read_text() == "{"


# Tiers


def test_a_tier_is_run_reported_and_exported(tmp_path):
    done = run(*small(tmp_path, "sobol", "--tier", "mc2", "--budget", "5", "--json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tier"] == "mc2"
    (result,) = [json.loads(p.read_text()) for p in tmp_path.glob("*/result.json")]
    assert result["spec"]["tier"] == "mc2"
    # Five simulations pay for two designs at two draws each.
    assert (result["usage"]["calls"], result["usage"]["simulations"]) == (2, 4)
    assert "after 4 simulations" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tier", "pvtt"], "did you mean pvt"),
        (["--tier", "mc1"], "mismatch draws are 2 to"),
        (["--tier", "pvt", "--budget", "24"], "in tier pvt costs 25 simulations"),
        (
            ["--tier", "pvt", "--budget", "45", "--tasks", "comparator,ota5t"],
            "known to meet tier pvt of: ACS-Comparator-v0 (has tt, mc); leave them out: "
            "--tasks ACS-OTA5T-v0",
        ),
    ],
    ids=["unknown", "too few draws", "budget", "unproved"],
)
def test_a_tier_that_cannot_be_run_is_one_clear_line(tmp_path, options, message):
    done = CliRunner().invoke(app, [*small(tmp_path / "runs", "random"), *options])
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert message in done.stderr
