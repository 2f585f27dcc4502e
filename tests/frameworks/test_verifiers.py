"""verifiers v1 (`make test-verifiers`): its own rollout, with its tool server and its state."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from acs_gym.tools.problem import Problem, problems, solution
from agents.model import Reply, ToolCall
from tests.frameworks.page import code_of, command_of
from tests.frameworks.streaming import StreamingServer

ROOT = Path(__file__).parents[2]

vf = pytest.importorskip("verifiers.v1")


@pytest.fixture
def task():
    from acs_gym.integrations.verifiers import SizingConfig, SizingTaskset

    config = SizingConfig(pdk="generic", number=1, tasks=["ACS-OTA5T-v0"], budget=3)
    (task,) = SizingTaskset(config)
    return task


def test_a_rollout_is_worth_its_best_score(task, monkeypatch):
    problem = Problem.from_record(task.data.problem)
    space = problem.make().space
    designs = [space.from_unit([0.5] * len(space)), dict(solution(problem))]
    monkeypatch.setenv("SCRIPTED_DESIGNS", json.dumps(designs))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from scripted_harness import ScriptedConfig

    agent = vf.make_agent(
        vf.AgentConfig(
            harness=ScriptedConfig(id="scripted_harness"),
            runtime=vf.SubprocessConfig(),
            model="none",
            client=vf.EvalClientConfig(base_url="http://127.0.0.1:9/v1"),
        )
    )
    trace = asyncio.run(_run(agent, task))
    assert not trace.errors, trace.errors
    assert trace.rewards["best_score"].score == pytest.approx(1)
    assert trace.metrics == {"solved": 1, "simulations": 2}
    first, second = trace.state.improvements
    assert 0 < first < 1 and first + second == pytest.approx(1)


async def _run(agent, task):
    async with agent:
        return await agent.run(task)


def test_the_name_of_the_example_is_one_that_verifiers_finds(monkeypatch, task):
    from verifiers.v1.utils.loaders import taskset_class

    monkeypatch.syspath_prepend(str(ROOT / "examples" / "verifiers"))
    assert taskset_class("acs-gym-circuits").__name__ == "SizingTaskset"
    assert "# Specs" in task.data.system_prompt


def test_the_page_s_code_runs(capsys):
    exec(code_of("verifiers"), {})
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_page_s_command_runs_with_a_model_behind_a_server(tmp_path):
    """With fewer problems; a server on loopback, which solves what it is asked, is the model."""

    def solves(messages, tools):
        if any(message["role"] == "tool" for message in messages):
            return Reply(text="Every spec is met.")
        designs = [solutions[messages[0]["content"]]]
        return Reply(calls=(ToolCall("a", "simulate", json.dumps({"designs": designs})),))

    given = problems("train", 100, pdk="generic", budget=5)[:2]
    solutions = {p.messages()[0]["content"]: dict(solution(p)) for p in given}
    variables, (program, *words) = command_of("verifiers")
    assert program == "vf-eval" and words[words.index("-n") + 1] == "5"
    words[words.index("-n") + 1] = "2"
    with StreamingServer(solves) as server:
        words[words.index("https://api.openai.com/v1")] = server.url
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *words, "--output-dir", str(tmp_path)],
            cwd=ROOT,
            env=os.environ | variables | {"OPENAI_API_KEY": "none"},
            capture_output=True,
            text=True,
            timeout=600,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    (traces,) = tmp_path.rglob("traces.jsonl")
    runs = [json.loads(line) for line in traces.read_text(encoding="utf-8").splitlines()]
    assert len(runs) == 2 and len(server.requests) == 4, done.stdout + done.stderr
    for run in runs:
        (trace,) = run["traces"]
        assert run["ok"] and not run["errors"]
        assert trace["rewards"]["best_score"]["score"] == pytest.approx(1)
        assert trace["metrics"] == {"solved": 1, "simulations": 1}
