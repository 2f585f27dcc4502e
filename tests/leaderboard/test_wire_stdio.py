"""`stdio:COMMAND` as an agent of the leaderboard."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest

from acs_gym.session import BudgetExhausted
from leaderboard.agents.registry import build
from leaderboard.cells.records import CellStatus
from leaderboard.cells.runner import run_cell
from leaderboard.contract import Agent, agent_config, agent_track
from leaderboard.errors import LeaderboardError
from leaderboard.running.plan import plan_cells
from leaderboard.wire.isolation.command_line import resolve, split_command
from leaderboard.wire.isolation.levels import Subprocess
from leaderboard.wire.stdio import StdioAgent
from tests.leaderboard.conftest import results, run, small
from tests.leaderboard.wire_runs import EXAMPLES, adversary, analytic_session, drive

MINE = """
import sys
sys.path.insert(0, {sdk!r})
from acs_gym_agent import connect
with connect("mine") as session:
    print("hello from", __file__)
    while session.remaining:
        share = session.remaining / session.budget
        session.simulate({{p["name"]: p["low"] + share * (p["high"] - p["low"]) // 1 if p["integer"]
                          else p["low"] + share * (p["high"] - p["low"]) / 2
                          for p in session.task["parameters"]}})
"""


@pytest.fixture
def mine(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(MINE.format(sdk=str(EXAMPLES)))
    return script


def test_it_is_named_by_its_command(mine):
    agent = build(f"stdio:{sys.executable} {mine}")
    assert isinstance(agent, Agent) and isinstance(agent, StdioAgent)
    assert agent_track(agent) == "metrics"


def test_its_configuration_changes_with_the_files_it_names(mine):
    spec = f"stdio:{sys.executable} {mine} --fast"
    before = agent_config(build(spec))
    assert before["command"] == [sys.executable, str(mine), "--fast"]
    assert list(before["files"]) == [str(mine)]
    mine.write_text("other")
    assert agent_config(build(spec))["files"] != before["files"]


def test_a_program_of_ones_own_is_among_its_files(mine):
    mine.chmod(0o755)
    assert list(agent_config(build(f"stdio:{mine}"))["files"]) == [str(mine)]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("stdio", "write stdio:COMMAND"),
        ("stdio:", "write stdio:COMMAND"),
        ("stdio:'open", "is no command line: No closing quotation"),
        ("stdio:no-such-program x", "there is no program no-such-program"),
        (f"stdio:{EXAMPLES}/optuna_agent.py", "cannot be executed; name its interpreter"),
    ],
)
def test_a_wrong_command_is_explained(spec, message):
    with pytest.raises(LeaderboardError, match=message):
        build(spec)


def test_words_that_name_files_are_found_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "mine.py").touch()
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    words = split_command("./python mine.py --dir ./data data 'not there' -x")
    assert resolve(words) == (
        str(link), str(tmp_path / "mine.py"), "--dir", str(tmp_path / "data"), "data", "not there",
        "-x",
    )  # fmt: skip


def test_an_unlimited_session_is_refused(mine):
    agent = StdioAgent(f"{sys.executable} {mine}")
    with pytest.raises(ValueError, match="needs a session with a budget"):
        agent.run(analytic_session(None))


def test_what_ended_it_is_said_in_its_own_words(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("import no_such_library")
    failed = drive(f"{sys.executable} {script}", tmp_path)
    assert "before it answered initialize: it ended with exit code 1" in str(failed.error)
    assert "No module named 'no_such_library'" in str(failed.error)


def test_an_agent_that_lets_a_refusal_through_is_over_budget(tmp_path):
    script = tmp_path / "greedy.py"
    script.write_text(
        MINE.format(sdk=str(EXAMPLES)).replace("while session.remaining:", "while 1:")
    )
    failed = drive(f"{sys.executable} {script}", tmp_path)
    assert isinstance(failed.error, BudgetExhausted)
    assert "1 designs asked for, 0 remain" in str(failed.error)
    assert failed.session.meter.used == 6


def test_a_program_that_the_system_cannot_execute_is_said(tmp_path):
    script = tmp_path / "no_header"
    script.write_bytes(b"\x00not a program")
    script.chmod(0o755)
    failed = drive(str(script), tmp_path)
    assert f"{script} cannot be run: Exec format error" in str(failed.error)


def test_a_cell_of_it_is_simulated_for_real_verified_and_kept(mine, store):
    (cell,) = plan_cells(
        ["ACS-OTA5T-v0"], [f"stdio:{sys.executable} {mine}"], repetitions=1, pdk="generic",
        tier="tt", budget=3, suite_seed=0,
    )  # fmt: skip
    result = run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
    assert result.status is CellStatus.COMPLETE, result.message
    assert result.usage.simulations == 3 and result.verified is not None
    isolation = result.fingerprint["isolation"]
    assert isolation["level"] == "subprocess" and isinstance(isolation["network_cut"], bool)
    folder = store.cell(result.key)
    assert (folder / "agent.log").read_text() == f"hello from {mine}\n"
    record = json.loads((folder / "wire.json").read_text())
    assert record["agent"] == {"name": "mine", "version": ""} and record["exit_code"] == 0


def test_the_leaderboard_ranks_it_beside_others(mine, tmp_path):
    command = f"stdio:{sys.executable} {mine}"
    done = run(*small(tmp_path / "out", f"random,{command}", "--jobs", "1"))
    assert done.returncode == 0, done.stderr
    assert {r["status"] for r in results(tmp_path / "out").values()} == {"complete"}


def test_interrupted_nothing_is_left_of_it(tmp_path):
    class Impatient(Exception):
        pass

    def stop(_call):
        raise Impatient

    agent = StdioAgent(adversary("forks"))
    session = analytic_session()
    session.on_call = stop
    agent.keep_files_in(tmp_path)
    with pytest.raises(Impatient):
        agent.run(session)
    record = json.loads((tmp_path / "wire.json").read_text())
    assert record["error"].startswith("Impatient") and record["exit_code"] is None


def test_variables_are_passed_on_only_where_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "1")
    passed = drive(
        adversary("hello_environment"), tmp_path, isolation=Subprocess(environment=("MY_KEY",))
    )
    assert "MY_KEY" in passed.said[0]


def test_the_probe_finds_what_was_switched_off():
    nothing = Subprocess(namespaces=False).record()
    assert not nothing["network_cut"] and not nothing["files_read_only"]
    assert nothing["descendants_end"] and "RLIMIT_NPROC" not in nothing["limits"]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="the unshare program is not installed")
def test_the_probe_agrees_with_the_unshare_program():
    command = "unshare --user --net --pid --fork true 2> /dev/null"
    assert Subprocess().record()["network_cut"] == (os.system(command) == 0)
