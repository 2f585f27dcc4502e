"""OpenEnv (`make test-openenv`): a real server on loopback, its own client and its own validation."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from acs_gym.tools.problem import Problem, solution
from tests.frameworks.page import code_of

pytest.importorskip("openenv")
EXAMPLE = Path(__file__).parents[2] / "examples" / "openenv"
OPENENV = Path(sys.executable).with_name("openenv")


def start(*options):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "acs_gym.integrations.openenv", "--pdk", "generic"]
    server = subprocess.Popen([*command, "--port", str(port), "--tasks", "ACS-OTA5T-v0", *options])
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/health").close()
            return server, url
        except OSError:
            time.sleep(0.1)
    server.kill()
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="module")
def url():
    server, url = start("--budget", "4")
    yield url
    server.terminate()
    assert server.wait(20) is not None


@pytest.fixture
def sessions(url):
    from openenv.core import GenericEnvClient

    with GenericEnvClient(base_url=url).sync() as one, GenericEnvClient(base_url=url).sync() as two:
        yield one, two


def simulates(design):
    return {"tool": "simulate", "arguments": {"designs": [dict(design)]}}


def test_sessions_are_apart_and_rewards_add_up_to_the_best_score(sessions):
    one, two = sessions
    told = one.reset(split="held-out-targets", index=3).observation
    assert "# Specs" in told["text"] and told["simulations_left"] == 4
    two.reset(split="train", index=0)
    problem = Problem.from_record(one.state()["problem"])
    task = problem.make()
    first = one.step(simulates(task.space.from_unit([0.5] * len(task.space))))
    named = json.loads(one.step({"tool": "snapshot"}).observation["text"])["state"]
    second = one.step(simulates(solution(problem)))
    assert second.done and first.reward + second.reward == pytest.approx(1)
    restored = one.step({"tool": "restore", "arguments": {"state": named}})
    assert restored.reward == 0 and restored.observation["simulations_left"] == 2
    state = one.state()
    assert state["simulations"] == 2 and state["best_score"] == 1 and state["step_count"] == 4
    assert two.state()["simulations"] == 0


def test_the_oracle_is_paid_1_and_the_constant_leaves_room(url):
    spec = importlib.util.spec_from_file_location("oracle", EXAMPLE / "oracle.py")
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    assert oracle.play(url, "oracle") == 1
    assert 0 < oracle.play(url, "constant") <= 0.9


@pytest.mark.parametrize("arguments", [[EXAMPLE, "--level", "static"], ["--url"]], ids=str)
def test_openenv_validates_it(url, arguments):
    given = [*arguments, url] if "--url" in arguments else arguments
    done = subprocess.run([OPENENV, "validate", *given], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verdict: PASS" in done.stdout


def test_the_page_s_code_runs(url, capsys):
    exec(code_of("OpenEnv", **{"http://127.0.0.1:8000": url}), {})
    assert "# Specs" in (said := capsys.readouterr().out) and "missing: " in said


def test_nobody_calls_so_it_ends():
    server, _ = start("--idle", "1")
    assert server.wait(30) == 0
