"""`python -m leaderboard.run` from end to end, on real simulations with the bundled models."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import time

import pytest
from rich.console import Console

from acs_gym.registry import BUNDLED
from leaderboard.board.standings import standings
from leaderboard.reporting.summary import ranking_table
from leaderboard.running.plan import Durations
from leaderboard.running.progress import (
    CellProgress,
    RunningCell,
    duration_text,
    left_text,
    time_left,
)
from tests.leaderboard.boards import grid
from tests.leaderboard.conftest import AGENTS, plan, results, run, small, start


def comparable(out):
    """Every byte of a run's folder that must not depend on when and where it ran."""
    kept = {}
    for path in sorted(out.glob("*/*.json*")):
        records = [json.loads(line) for line in path.read_text().splitlines()] if (
            path.suffix == ".jsonl"
        ) else [json.loads(path.read_text())]  # fmt: skip
        for record in records:
            for volatile in (
                "timing",
                "fingerprint",
                "seconds",
                "trace_sha256",
                "result_sha256",
                "at",
                "signature",
            ):
                record.pop(volatile, None)
        kept[str(path.relative_to(out))] = json.dumps(records)
    return kept


def test_a_run_ranks_the_agents_resumes_without_simulating_and_repeats_byte_for_byte(tmp_path):
    first = run(*small(tmp_path / "a", "random,sobol", "--seeds", "2", "--json"))
    assert first.returncode == 0, first.stderr
    board = json.loads(first.stdout)
    assert [a["rank"] for a in board["agents"]] == [1, 2]
    assert {a["agent"] for a in board["agents"]} == {"random", "sobol"}
    assert all(not a["ranked"] and a["cells"] == 2 for a in board["agents"])
    assert board["agents"][0]["score_iqm"] >= board["agents"][1]["score_iqm"] > 0
    assert (tmp_path / "a" / "report.html").is_file()
    assert "[4/4]" in first.stderr

    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").glob("*/*")}
    again = run(*small(tmp_path / "a", "random,sobol", "--seeds", "2", "--json"))
    assert json.loads(again.stdout) == board
    assert "4 of them done already" in again.stderr
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "a").glob("*/*")}

    run(*small(tmp_path / "b", "random,sobol", "--seeds", "2", "--jobs", "1"))
    assert comparable(tmp_path / "a") == comparable(tmp_path / "b")


def test_a_run_leaves_no_temporary_file(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = run(*small(tmp_path / "runs", "sobol"), env={"TMPDIR": str(temporary)})
    assert done.returncode == 0, done.stderr
    assert list(temporary.iterdir()) == []


def test_bad_agents_are_recorded_and_the_run_goes_on(tmp_path):
    bad = ",".join(f"{AGENTS}:{name}" for name in ("Raises", "Overspends", "DiesAlways", "Talks"))
    done = run(*small(tmp_path, f"sobol,{bad}"))
    assert done.returncode == 0, done.stderr
    found = results(tmp_path)
    statuses = {agent: r["status"] for (agent, _), r in found.items()}
    assert statuses == {
        "sobol": "complete", "Raises": "agent_error", "Overspends": "over_budget",
        "DiesAlways": "crashed", "Talks": "complete",
    }  # fmt: skip
    assert found["DiesAlways", 0]["score"] == 0
    assert "died (killed by SIGKILL); trying once more" in done.stderr
    assert "1 crashed" in done.stdout and "1 agent error" in done.stdout
    assert f"agent error: {AGENTS}:Raises on ACS-OTA5T-v0, seed 0: " in done.stderr
    assert "over budget: " in done.stderr and "crashed: " in done.stderr
    log = (tmp_path / found["Talks", 0]["key"] / "agent.log").read_text()
    assert log == '{"event": "done"}\nstraight to the descriptor\n'


def test_an_agents_name_is_no_markup():
    board = standings(grid({"[red]me": {"ACS-A-v0": [0.1, 0.2]}}))
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(ranking_table(board))
    assert "[red]me" in console.export_text()


def test_what_an_agent_says_at_its_end_steers_no_terminal(store, finish):
    result = finish("Raises")
    path = store.cell(result.key) / "result.json"
    message = "Traceback\nRuntimeError: \x1b[2J[bold]gone"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"message": message}))
    done = run(*small(store.folder, f"{AGENTS}:Raises"))
    assert "RuntimeError: \N{REPLACEMENT CHARACTER}[2J[bold]gone" in done.stderr


def test_a_killed_cell_process_is_reported_and_its_cell_run_again(tmp_path):
    mark = tmp_path / "mark"
    done = run(
        *small(tmp_path / "out", f"{AGENTS}:DiesOnce", "--seeds", "2"), env={"TEST_MARK": str(mark)}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("trying once more") == 1
    assert [r["status"] for r in results(tmp_path / "out").values()] == ["complete"] * 2


def test_a_damaged_result_is_named_moved_aside_and_run_again(store, finish):
    keys = [finish(agent).key for agent in ("random", "sobol")]
    damaged, sound = (store.cell(key) / "result.json" for key in keys)
    kept = sound.read_bytes()
    whole = json.loads(damaged.read_text())
    damaged.write_text("{")
    done = run(*small(store.folder, "random,sobol"))
    assert done.returncode == 0
    assert f"corrupt: {damaged}: is not JSON" in done.stderr
    assert "1 of them done already" in done.stderr
    assert damaged.with_name("result.json.corrupt-1").read_text() == "{"
    assert json.loads(damaged.read_text())["verified"] == whole["verified"]
    assert sound.read_bytes() == kept


def test_a_result_of_a_newer_version_stops_the_run_before_anything_is_touched(store, finish):
    path = store.cell(finish("random").key) / "result.json"
    newer = json.dumps(json.loads(path.read_text()) | {"schema_version": 2})
    path.write_text(newer)
    done = run(*small(store.folder, "random"))
    assert done.returncode == 2 and "upgrade acs-gym" in done.stderr
    assert path.read_text() == newer


def test_a_circuit_folder_is_a_task_in_every_process(tmp_path):
    folder = tmp_path / "circuits" / "mine"
    shutil.copytree(BUNDLED / "ota5t", folder)
    toml = folder / "circuit.toml"
    toml.write_text(toml.read_text().replace("ACS-OTA5T-v0", "Mine-OTA-v0"))
    options = small(tmp_path / "out", "sobol", "--tasks", f"{folder},ota5t", "--json")
    done = run(*options)
    assert done.returncode == 0, done.stderr
    stored = [json.loads(p.read_text()) for p in (tmp_path / "out").glob("*/result.json")]
    mine, bundled = sorted(stored, key=lambda r: r["spec"]["task"], reverse=True)
    assert (mine["spec"]["task"], bundled["spec"]["task"]) == ("Mine-OTA-v0", "ACS-OTA5T-v0")
    assert mine["status"] == bundled["status"] == "complete" and mine["usage"]["simulations"] == 6

    # Another version of the circuit is another cell.
    toml.write_text(toml.read_text().replace("c_load = 1e-12", "c_load = 2e-12"))
    assert "1 of them done already" in run(*options).stderr


def test_a_folder_that_is_no_circuit_is_one_clear_line(tmp_path):
    from typer.testing import CliRunner

    from leaderboard.run import app

    def refused(folder):
        done = CliRunner().invoke(app, ["--tasks", str(folder), "--pdk", "generic"])
        assert done.exit_code == 2 and done.stderr.count("\n") == 1
        return done.stderr

    assert "no circuit folder: it has no circuit.toml" in refused(tmp_path)
    mine = shutil.copytree(BUNDLED / "ota5t", tmp_path / "mine")
    assert "ACS-OTA5T-v0 is already registered from" in refused(mine)
    (mine / "dut.spice").write_text(".lib secret\n")
    assert "dut.spice:1: " in refused(mine)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_to_go_on_leaves_nothing_running_and_resumes(tmp_path, stop):
    options = small(tmp_path, f"sobol,{AGENTS}:Slow", "--jobs", "1", "--budget", "2")
    process = start(*options)
    spec = wait_for_cell(tmp_path, f"{AGENTS}:Slow")
    children = children_of(process.pid)
    assert children
    os.kill(process.pid, stop)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "1 of 2 cells are done; to go on: python -m leaderboard.run" in err
    assert "Traceback" not in err
    assert not any(alive(pid) for pid in children)
    assert not (spec.parent / "result.json").exists()

    done = run(*options)
    assert done.returncode == 0 and "1 of them done already" in done.stderr
    assert [r["status"] for r in results(tmp_path).values()] == ["complete"] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--agents", "sobl"], "did you mean sobol"),
        (["--tasks", "ota5"], "did you mean ota5t"),
        (["--suite", "demmo"], "did you mean demo"),
        (["--suite", "demo", "--tasks", "ota5t"], "--suite or --tasks, not both"),
        (["--pdk", "generics"], "did you mean generic"),
        (["--budget", "0"], "--budget is 0; it must be at least 1"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--agents", ","], "at least one agent"),
        (["--out", "/dev/null/x"], "cannot write to --out"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_bad_input_is_one_clear_line_and_exit_code_2(options, message):
    from typer.testing import CliRunner

    from leaderboard.run import app

    done = CliRunner().invoke(app, options)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_pdk_that_is_not_installed_is_answered_with_what_to_type(tmp_path):
    nowhere = {"ACS_GYM_CACHE": str(tmp_path / "cache"), "PDK_ROOT": str(tmp_path)}
    done = run("--tasks", "ota5t", "--agents", "random", "--out", str(tmp_path / "o"), env=nowhere)
    assert done.returncode == 2
    assert "acs-gym pdk install sky130" in done.stderr


def test_the_lists_name_agents_and_tasks():
    from typer.testing import CliRunner

    from leaderboard.run import app

    listed = CliRunner().invoke(app, ["--list-agents"])
    assert listed.exit_code == 0 and "skopt-gp" in listed.stdout
    listed = CliRunner().invoke(app, ["--list-tasks"])
    assert "ACS-OTA5T-v0" in listed.stdout and "demo" in listed.stdout


def test_time_left_is_unknown_until_there_is_something_to_go_by():
    one, two = plan("random", budget=8)[0], plan("sobol", budget=8)[0]
    running = RunningCell(one, since=0.0)
    assert time_left([two], [running], Durations(), 1, now=100.0) == (0.0, False)
    running.simulations = 4
    assert time_left([], [running], Durations(), 1, now=8.0) == (pytest.approx(8.0), True)
    assert time_left([two], [running], Durations(), 1, now=8.0) == (pytest.approx(8.0), False)
    finished = Durations()
    finished.add(two.spec, 30.0)
    assert time_left([two], [running], finished, 1, now=8.0) == (pytest.approx(38.0), True)
    assert time_left([two], [running], finished, 2, now=8.0) == (pytest.approx(30.0), True)
    finished.add(one.spec, 4.0)  # A finished cell says more than the pace of one that runs.
    assert time_left([], [running], finished, 1, now=8.0) == (pytest.approx(2.0), True)


def test_what_cannot_be_judged_yet_is_said_to_come_on_top():
    assert left_text(0.0, every=False) == "? left"
    assert left_text(90.0, every=False) == "more than 90 s left"
    assert left_text(90.0, every=True) == "90 s left"


def test_what_an_earlier_attempt_had_is_no_pace():
    cell = plan("random", budget=100)[0]
    continued = RunningCell(cell, since=0.0, known=60, simulations=61)
    assert continued.whole(now=1.0) is None
    continued.simulations = 80
    assert continued.whole(now=20.0) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0, "0 s"), (99, "99 s"), (100, "2 min"), (7500, "2 h 05 min")],
)
def test_durations_are_short(seconds, text):
    assert duration_text(seconds) == text


def test_a_log_gets_a_line_a_second_at_most_and_a_sign_of_life():
    now, text = [0.0], io.StringIO()
    cells = [plan("random", budget=b)[0] for b in range(10, 16)]
    progress = CellProgress(Console(file=text), cells, 1, Durations(), {}, clock=lambda: now[0])
    for cell in cells[:5]:
        progress.started(cell)
        now[0] += 0.25
        progress.finished(cell)
    assert text.getvalue().count("\n") == 2  # At once, and one second later.
    progress.started(cells[5])
    now[0] += 1.0
    progress.tick()
    assert text.getvalue().count("\n") == 2
    now[0] += 60.0
    progress.tick()
    assert "[5/6] running: ACS-OTA5T-v0 · random · 0 0/15" in text.getvalue()
    progress.finished(cells[5])
    assert text.getvalue().splitlines()[-1].startswith("[6/6] ")


def wait_for_cell(out, agent):
    """The spec file of an agent's cell, once it has simulated something."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for spec in out.glob("*/spec.json"):
            trace = spec.with_name("trace.jsonl")
            if json.loads(spec.read_text())["agent"] == agent and trace.exists() and (
                trace.stat().st_size
            ):  # fmt: skip
                return spec
        time.sleep(0.05)
    raise AssertionError("the cell never started")


def children_of(pid):
    """Process ids of a process's descendants."""
    with open(f"/proc/{pid}/task/{pid}/children") as stream:
        direct = [int(p) for p in stream.read().split()]
    return direct + [grandchild for child in direct for grandchild in children_of(child)]


def alive(pid):
    """Whether a process runs still; one that died and waits to be reaped does not."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
