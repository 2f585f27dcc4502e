"""The rewards of two that play without a model: `python oracle.py URL`, and `... URL constant`.

`oracle` proposes a design that is known to meet the targets and is paid 1; `constant` proposes the middle
of every range, which is the floor.
"""

from __future__ import annotations

import sys

from openenv.core import GenericEnvClient

from acs_gym.tools.problem import Problem, solution


def play(url: str, policy: str, split: str = "train", index: int = 0) -> float:
    """The sum of an episode's rewards."""
    with GenericEnvClient(base_url=url).sync() as env:
        env.reset(split=split, index=index)
        asked = Problem.from_record(env.state()["problem"])
        middle = asked.make().space.from_unit([0.5] * len(asked.make().space))
        design = solution(asked) if policy == "oracle" else middle
        result = env.step({"tool": "simulate", "arguments": {"designs": [dict(design)]}})
        return float(result.reward or 0.0)


if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    policy = sys.argv[2] if len(sys.argv) > 2 else "oracle"
    print(policy, play(url, policy))
