"""Whatever an agent does, the harness neither hangs nor ends, charges what was simulated, and says so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acs_gym.evaluation import Status
from acs_gym.session import BudgetExhausted
from leaderboard.wire.exchange import AgentFailed, Patience
from leaderboard.wire.isolation.command_line import resolve, split_command
from leaderboard.wire.isolation.levels import Container, Subprocess
from tests.leaderboard.wire_runs import ADVERSARIES, PATIENT, SHORT, adversary, drive, running

# A container's adversaries name their folder, for what they share.
TIERS = pytest.mark.parametrize(
    "isolation",
    [
        pytest.param(Subprocess(), id="namespaces"),
        pytest.param(Subprocess(namespaces=False), id="none"),
        pytest.param(
            Container(),
            id="container",
            marks=pytest.mark.skipif(
                Container().record()["level"] != "container",
                reason="this machine has no level container",
            ),
        ),
    ],
)


def needs(what: str):
    """Where the kernel does not allow it, there is nothing to see."""
    return pytest.mark.skipif(
        not Subprocess().record()[what], reason=f"{what} does not hold on this machine"
    )


def test_asking_for_more_gets_nothing_more_and_ends_the_run(tmp_path):
    run = drive(adversary("overspends"), tmp_path)
    assert run.said[0]["code"] == -32000
    assert "9 designs asked for, 6 remain; nothing was simulated" in run.said[0]["message"]
    assert isinstance(run.error, BudgetExhausted)
    assert run.session.meter.used == 6


def test_what_an_agent_says_of_scores_is_refused_and_never_counts(tmp_path):
    run = drive(adversary("fabricates"), tmp_path)
    assert run.error is None
    assert run.said[:3] == [-32600, -32602, -32602]
    assert run.session.best.score == run.said[3] < 1
    assert len(run.session.history) == 1


@TIERS
def test_the_harness_environment_is_not_passed_on(tmp_path, monkeypatch, isolation):
    monkeypatch.setenv("HARNESS_SECRET", "hunter2")
    run = drive(adversary("hello_environment", ADVERSARIES), tmp_path, isolation=isolation)
    assert run.error is None
    names = set(run.said[0])
    assert "HARNESS_SECRET" not in names and {"PATH", "HOME", "TMPDIR"} <= names


def test_a_key_that_an_agent_is_given_stands_in_no_command_line(monkeypatch):
    """Which every local user could read, for as long as the agent runs."""
    monkeypatch.setenv("AGENT_KEY", "hunter2")
    command = resolve(split_command(adversary("idles", "a word to look for")))
    with open(os.devnull, "wb") as nowhere:
        confined = Subprocess(environment=("AGENT_KEY",)).start(command, nowhere.fileno())
        try:
            deadline = time.monotonic() + 20
            while not running("a word to look for") and time.monotonic() < deadline:
                time.sleep(0.02)
            assert running("a word to look for") and not running("hunter2")
        finally:
            confined.close()


@needs("harness_hidden")
def test_the_harness_environment_is_not_found_in_any_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.leaderboard.wire_runs import *;"
        "from leaderboard.wire.isolation.levels import *;"
        "run = drive(adversary('reads_secrets'), Path(sys.argv[1])); assert run.error is None"
    )
    root = Path(__file__).parents[2]
    environment = os.environ | {"HARNESS_SECRET": "hunter2"}
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=root, env=environment)
    log = (tmp_path / "agent.log").read_text()
    assert "hunter2" not in log and "PATH=" in log


@needs("files_read_only")
def test_nothing_is_written_outside_its_own_folder(tmp_path):
    run = drive(adversary("writes_files", tmp_path / "result.json"), tmp_path)
    assert run.said == ["Read-only file system", "written"]
    assert not (tmp_path / "result.json").exists()


@needs("network_cut")
def test_a_listener_sees_no_connection(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        run = drive(adversary("calls_out", listener.getsockname()[1]), tmp_path)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert run.said == ["Connection refused"]


def test_the_network_is_left_to_an_agent_that_is_given_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = adversary("calls_out", listener.getsockname()[1])
        run = drive(command, tmp_path, isolation=Subprocess(network=True))
    assert run.said == ["connected"]


@pytest.mark.parametrize(
    ("command", "message", "simulated"),
    [
        (adversary("hangs"), "did not say anything, or read, for 1 s", 1),
        (adversary("trickles"), "did not say anything, or read, for 1 s", 0),
        (adversary("deaf"), "did not say anything, or read, for 1 s", 0),
        (adversary("idles"), "1000 calls in a row that simulate nothing", 0),
        (adversary("closes_descriptors"), "closed the conversation before finish", 1),
        (adversary("floods_protocol", "line"), "20 errors in a row, the last: a line is at most", 1),
        (adversary("floods_protocol", "lines"), "20 errors in a row, the last: not JSON", 1),
    ],
    ids=lambda v: v.rpartition("/")[2] if isinstance(v, str) and ".py" in v else "",
)  # fmt: skip
def test_an_agent_that_does_not_do_its_part_is_ended(tmp_path, command, message, simulated):
    run = drive(command, tmp_path, patience=SHORT)
    assert isinstance(run.error, AgentFailed) and message in str(run.error)
    assert message in run.record["error"]
    assert len(run.session.history) == run.session.meter.used == simulated


def test_an_agent_that_does_not_answer_initialize_is_ended(tmp_path):
    run = drive(adversary("never_answers"), tmp_path, patience=Patience(start_s=1))
    assert "did not answer initialize for 1 s" in str(run.error)


@TIERS
def test_children_that_left_its_session_are_gone_with_it(tmp_path, isolation):
    token = f"bomb-{os.urandom(8).hex()}"
    run = drive(adversary("forks", token, ADVERSARIES), tmp_path, isolation=isolation)
    assert run.error is None and run.session.meter.used == 1
    assert run.said == [50]
    assert running(token) == []


def test_a_flood_of_output_is_cut_and_blocks_nobody(tmp_path):
    run = drive(adversary("floods_stdout"), tmp_path)
    assert run.error is None and run.session.meter.used == 1
    assert len(run.log) < (1 << 20) + 100
    assert run.log.endswith("[the rest of the output was not kept]\n")


def test_lines_that_are_no_strict_json_rpc_are_answered_and_the_run_goes_on(tmp_path):
    run = drive(adversary("bad_lines"), tmp_path)
    assert run.error is None
    parse_errors = {
        "nan", "infinity", "too large", "huge integer", "twice", "deep", "not utf-8", "surrogate",
        "long", "empty",
    }  # fmt: skip
    expected = dict.fromkeys(parse_errors, -32700) | {
        "batch": -32600, "no id": -32600, "extra field": -32600, "text for a number": -32602,
        "unknown method": -32601,
    }  # fmt: skip
    assert run.said == [expected]
    assert run.session.meter.used == 1
    assert len(run.record["errors"]) == len(expected)


def test_parameters_named_like_paths_are_invalid_designs_and_charged(tmp_path):
    run = drive(adversary("path_names"), tmp_path, budget=7)
    assert run.error is None
    assert run.said == [["invalid_design"] * 7, -32602, -32602]
    assert run.session.meter.used == 7
    assert {e.status for e in run.session.history} == {Status.INVALID_DESIGN}


@TIERS
def test_killing_its_parent_ends_the_agent_and_not_the_harness(tmp_path, isolation):
    run = drive(adversary("kills_parent", ADVERSARIES), tmp_path, isolation=isolation)
    assert isinstance(run.error, AgentFailed)
    assert "closed the conversation before finish" in str(run.error)
    assert run.session.meter.used == 1


def test_what_is_asked_after_finish_is_not_simulated(tmp_path):
    run = drive(adversary("writes_after_finish"), tmp_path, patience=SHORT)
    assert run.error is None
    assert run.session.meter.used == 1
    assert run.record["lines_after_finish"] == 3


def test_memory_has_an_end(tmp_path):
    run = drive(adversary("eats_memory"), tmp_path, isolation=Subprocess(memory_bytes=1 << 30))
    assert run.error is None and run.said == ["refused"]


def test_nothing_is_left_of_a_run(tmp_path, monkeypatch):
    own = tmp_path / "tmp"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    descriptors = set(os.listdir("/proc/self/fd"))
    for name in ("hangs", "fabricates"):
        drive(adversary(name), tmp_path, patience=SHORT)
    assert list(own.iterdir()) == []
    assert set(os.listdir("/proc/self/fd")) == descriptors


@TIERS
def test_a_harness_that_is_killed_takes_the_agent_with_it(tmp_path, isolation):
    token = f"hang-{os.urandom(8).hex()}"
    code = (
        "import sys; from pathlib import Path; from tests.leaderboard.wire_runs import *;"
        "from leaderboard.wire.isolation.levels import *;"
        "drive(adversary('hangs', sys.argv[1], ADVERSARIES), Path(sys.argv[2]),"
        f"isolation={isolation})"
    )
    command = [sys.executable, "-c", code, token, str(tmp_path)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    harness = subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment)
    wait_until(lambda: len(running(token)) >= 2)  # The harness and the agent.
    harness.kill()
    harness.wait()
    wait_until(lambda: not running(token))
    wait_until(lambda: not list(tmp_path.glob("acs-gym-agent-*")))


def wait_until(condition):
    """Until it holds; a minute is for ever."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_record_says_what_held(tmp_path):
    run = drive(adversary("fabricates"), tmp_path, patience=PATIENT)
    isolation = run.record["isolation"]
    assert isolation["level"] == "subprocess"
    assert isolation["network_cut"] == isolation["held"]["network"]
    assert "RLIMIT_AS" in isolation["limits"]
    assert run.record["finish"]["recommendation"].keys() == set(run.session.task.space.names)


def test_what_a_level_leaves_within_reach_is_recorded_as_within_reach():
    """By trying: without a container it opens sockets, pipes, terminals and locks by their paths."""
    ways = {"sockets_hidden", "fifos_hidden", "terminal_hidden", "locks_refused", "files_hidden"}
    assert not any(Subprocess().record()[way] for way in ways)
    contained = Container().record()
    if contained["level"] == "container":
        assert all(contained[way] for way in ways)
