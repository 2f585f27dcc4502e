"""verifiers v1 (`make test-verifiers`): its own rollout, with its tool server and its state."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from acs_gym.tools.problem import Problem, solution
from tests.frameworks.page import code_of

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

    example = Path(__file__).parents[2] / "examples" / "verifiers"
    monkeypatch.syspath_prepend(str(example))
    assert taskset_class("acs-gym-circuits").__name__ == "SizingTaskset"
    assert "# Specs" in task.data.system_prompt


def test_the_page_s_code_runs(capsys):
    exec(code_of("verifiers"), {})
    assert len(capsys.readouterr().out.splitlines()) == 2
