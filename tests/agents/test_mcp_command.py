"""`python -m agents.mcp` as a process: what it prints where, how it ends, what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

import acs_gym
from acs_gym.evaluation import Evaluation
from acs_gym.simulation.pool import Simulator
from acs_gym.tools.answers import design_text
from agents.mcp import __main__ as program
from agents.mcp import over_http
from agents.mcp import server as protocol
from agents.mcp.bench import Bench
from agents.transcript.records import End, Simulated, Start, read_transcript
from tests.agents.mcp_process import (
    HELLO,
    PATIENCE_S,
    ROOT,
    SMALL,
    ServerProcess,
    all_gone,
    run,
    tool_call,
)

TASK = acs_gym.make_task("ota5t", pdk="generic")
REFERENCE = design_text(TASK, TASK.reference or {})
MANY = [REFERENCE | {"w_pair": f"{5 + k / 4}u"} for k in range(40)]  # All of them too narrow.


def test_standard_output_is_the_protocol_s_alone_and_its_end_ends_the_server(tmp_path):
    transcript = tmp_path / "run.jsonl"
    with ServerProcess(*SMALL, "--budget", "4", "--transcript", str(transcript)) as server:
        server.send(
            *HELLO,
            tool_call(2, "simulate", {"designs": MANY[:2]}),
            tool_call(3, "simulate", {"designs": [REFERENCE]}),
            tool_call(4, "nothing_like_it", {}),
        )
        assert server.process.stdout is not None
        lines = [server.process.stdout.readline() for _ in range(4)]
        server.process.stdin.close()
        lines += server.process.stdout.readlines()
        code, said = server.end()
    answers = [json.loads(line) for line in lines]
    assert all(a["jsonrpc"] == "2.0" for a in answers)
    assert sorted(a["id"] for a in answers) == [1, 2, 3, 4]
    assert code == 0
    assert "3 of 4 simulations used; best: design 3, score 1.0000, every spec met" in said

    start, *simulated, end = read_transcript(transcript)
    assert isinstance(start, Start) and isinstance(end, End)
    assert (start.agent, start.config, start.task, start.task_digest, start.budget) == (
        "mcp", {}, TASK.id, TASK.digest, 4,
    )  # fmt: skip
    assert [type(r) for r in simulated] == [Simulated] * 3
    assert [r.number for r in simulated] == [1, 2, 3]
    last = Evaluation.from_json(simulated[-1].evaluation, TASK.specs)
    assert last.design == TASK.reference
    assert (end.reason, end.simulations) == ("the client left", 3)
    assert (end.score, end.feasible) == (last.score, True)


def test_the_command_it_prints_at_the_end_simulates_the_best_design_again():
    with ServerProcess(*SMALL) as server:
        server.send(*HELLO, tool_call(2, "simulate", {"designs": [MANY[7]]}))
        server.process.stdout.readline()
        score = json.loads(
            json.loads(server.process.stdout.readline())["result"]["content"][0]["text"]
        )["results"][0]["score"]
        server.process.stdin.close()
        _, said = server.end()
    name, *arguments = said.splitlines()[-1].split()
    assert name == "acs-gym"
    again = subprocess.run(
        [sys.executable, "-m", "acs_gym.cli", *arguments], cwd=ROOT, text=True,
        capture_output=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert f"score {score:.4f}" in again.stdout, again.stderr


def test_a_client_that_dies_in_a_simulation_ends_the_server_and_loses_nothing(tmp_path):
    transcript = tmp_path / "run.jsonl"
    with ServerProcess(*SMALL, "--transcript", str(transcript)) as server:
        server.send(*HELLO, tool_call(2, "simulate", {"designs": MANY}))
        workers = server.workers()
        server.process.stdin.close()
        server.process.stdout.close()
        code, said = server.end()
        assert code == 0 and "Traceback" not in said
        assert "40 of 50 simulations used" in said
        assert all_gone(workers)
    assert [r.number for r in read_transcript(transcript)[1:-1]] == list(range(1, 41))


def test_what_a_client_says_after_finish_ends_as_finished(tmp_path):
    transcript = tmp_path / "run.jsonl"
    with ServerProcess(*SMALL, "--transcript", str(transcript)) as server:
        server.send(*HELLO, tool_call(2, "finish", {"summary": "enough"}))
        for _ in range(2):
            server.process.stdout.readline()
        server.process.stdin.close()
        code, said = server.end()
    assert code == 0 and "no design was simulated" in said
    end = read_transcript(transcript)[-1]
    assert isinstance(end, End)
    assert (end.reason, end.score, end.feasible) == ("the model finished", None, False)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("http", [False, True])
def test_a_signal_ends_it_in_the_middle_of_a_simulation_and_leaves_nothing(sent, http, tmp_path):
    temporary, transcript = tmp_path / "tmp", tmp_path / "run.jsonl"
    temporary.mkdir()
    options = (*SMALL, "--budget", "200", "--transcript", str(transcript))
    where = ("--http", "--port", "0") if http else ()
    with ServerProcess(*options, *where, env={"TMPDIR": str(temporary)}) as server:
        server.line_with("serving at")
        first, more = (tool_call(k, "simulate", {"designs": MANY[:k]}) for k in (2, 40))
        if http:
            client = subprocess.Popen(
                [sys.executable, "-c", HTTP_CLIENT, json.dumps(server.client_config())],
                cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            client.stdin.write(json.dumps([first["params"], more["params"]]) + "\n")
            client.stdin.flush()
            assert client.stdout.readline() == "at it\n"
        else:
            server.send(*HELLO, first)
            for _ in range(2):
                server.process.stdout.readline()
            server.send(more, {"id": 99, "method": "ping"})
            assert json.loads(server.process.stdout.readline())["id"] == 99
        workers = server.workers()
        os.kill(server.process.pid, sent)
        code, said = server.end()
        assert code == 130 and "Traceback" not in said
        assert "best: design" in said
        assert all_gone(workers)
        if http:
            client.kill()
            client.communicate()
    assert list(temporary.iterdir()) == []
    start, *simulated, end = read_transcript(transcript)
    assert isinstance(start, Start) and isinstance(end, End)
    assert len(simulated) >= 2
    assert end.reason == "interrupted"
    assert end.score == max(Evaluation.from_json(r.evaluation, TASK.specs).score for r in simulated)


HTTP_CLIENT = """
import asyncio, json, sys
from tests.agents.mcp_process import http_client
async def talk():
    async with http_client(json.loads(sys.argv[1])) as client:
        first, more = json.loads(sys.stdin.readline())
        await client.call_tool(**first)
        asked = asyncio.ensure_future(client.call_tool(**more))
        await client.list_tools()
        print("at it", flush=True)
        await asked
asyncio.run(talk())
"""


def test_a_transcript_that_exists_is_kept(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("another run's")
    for name in ("run-2.jsonl", "run-3.jsonl"):
        assert name in run(*SMALL, "--transcript", str(path)).stderr
        assert len(read_transcript(tmp_path / name)) == 2
    assert path.read_text() == "another run's"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "opampp"], "did you mean ACS-OpAmp-v0?"),
        (["--pdk", "sky90"], "PDKs: sky130, generic, gf180mcu"),
        (["--tier", "slow"], "tiers: tt, pvt, mc"),
        (["--budget", "0"], "--budget is 0; it must be at least 1"),
        (["--workers", "0"], "--workers is 0; it must be at least 1"),
        (["--task", "opamp", "--tier", "pvt", "--budget", "72"], "a design costs 73 simulations"),
        (["--idle", "0"], "--idle is 0; it must be a positive number of seconds"),
        (["--port", "8000"], "--host and --port belong to --http"),
        (["--host", "127.0.0.1"], "--host and --port belong to --http"),
        (["--http", "--port", "70000"], "--port is 70000; it goes from 0"),
        (["--http", "--host", "192.0.2.7"], "cannot listen at 192.0.2.7 port 8765"),
        (["--transcript", "/dev/null/run.jsonl"], "cannot write --transcript"),
    ],
)
def test_wrong_use_is_told_in_a_line_on_standard_error(options, said):
    ended = run("--pdk", "generic", *options)
    assert ended.returncode == 2
    *_, line = ended.stderr.splitlines()
    assert line.startswith("error: ") and said in line
    assert ended.stdout == "" and "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(*SMALL, "--http", "--port", port)
    assert ended.returncode == 2
    assert f"cannot listen at 127.0.0.1 port {port}: Address already in use" in ended.stderr


def test_without_a_simulator_it_says_what_to_install(tmp_path):
    ended = run(*SMALL, env={"NGSPICE_LIBRARY_PATH": str(tmp_path / "gone.so")})
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: NGSPICE_LIBRARY_PATH=")


def test_without_the_mcp_package_it_says_what_to_install():
    code = (
        "import sys, runpy; sys.modules['mcp'] = sys.modules['mcp_types'] = None; "
        "sys.argv[1:] = ['--pdk', 'generic']; runpy.run_module('agents.mcp', run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "the MCP server needs pip install 'acs-gym[mcp]'" in ended.stderr


def test_beyond_loopback_it_warns(monkeypatch, capsys, in_process: Simulator):
    monkeypatch.setattr(over_http, "listen", lambda *_: socket.create_server(("127.0.0.1", 0)))
    bench = Bench(TASK.session(1, simulator=in_process), in_process, 60.0)
    program._over_http(protocol, bench, "127.0.0.1", 0, 60.0)
    assert "warning" not in capsys.readouterr().err
    program._over_http(protocol, bench, "192.0.2.7", 0, 60.0)
    warning = capsys.readouterr().err
    assert "without encryption" in warning and "192.0.2.7" in warning
