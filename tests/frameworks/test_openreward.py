"""OpenReward (`make test-openreward`): its own server takes the environment, its own calls are paid."""

from __future__ import annotations

import asyncio

import pytest

from acs_gym.tools.definitions import definitions
from acs_gym.tools.problem import Problem, solution
from tests.frameworks.page import code_of

pytest.importorskip("openreward")


@pytest.fixture
def environment():
    from acs_gym.integrations.openreward import SizingEnvironment

    class Small(SizingEnvironment):
        pdk, budget, number, tasks = "generic", 3, 4, ("ACS-OTA5T-v0",)

    return Small


def test_rewards_of_calls_add_up_to_the_best_score(environment):
    async def play():
        problem_record = await environment.get_task("train", 2)
        session = environment(problem_record)
        problem = Problem.from_record(problem_record["problem"])
        space = problem.make().space
        designs = [space.from_unit([0.5] * len(space)), dict(solution(problem))]
        calls = [("simulate", {"designs": [d]}) for d in designs]
        return [(await session._call_tool(name, given)).root for name, given in calls]

    first, second = asyncio.run(play())
    assert first.ok and 0 < first.output.reward < 1 and not first.output.finished
    assert first.output.reward + second.output.reward == pytest.approx(1) and second.output.finished


def test_openreward_s_server_takes_it_with_the_tools_of_every_other_model(environment):
    from openreward.environments import Server

    assert Server([environment])
    theirs = {t.name for t in environment.list_tools().tools}
    assert theirs == {
        d["function"]["name"] for d in definitions(Problem("ACS-OTA5T-v0", "generic").make())
    }
    assert [s.name for s in environment.list_splits()][:2] == ["train", "held-out-targets"]


def test_the_page_s_code_makes_a_server():
    exec(code_of("OpenReward", **{'.run(host="127.0.0.1", port=8080)': ""}), {})
