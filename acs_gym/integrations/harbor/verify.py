"""The score of an answer file: `python -m acs_gym.integrations.harbor.verify PROBLEM ANSWER REWARD`.

A design that is none, or no file, scores 0; so does one with a parameter outside of its range.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from acs_gym import program
from acs_gym.simulation.pool import Simulator
from acs_gym.tools.definitions import SIMULATE
from acs_gym.tools.problem import Problem, Work
from acs_gym.tools.reading import read_json

_LONGEST = 1 << 16


def rewards(
    problem: Problem, answer: Path, *, simulator: Simulator | None = None
) -> dict[str, float]:
    """`reward`, the score in [0, 1], and `solved`, 1 where every spec is met."""
    work = Work(problem, simulator=simulator)
    if answer.is_file() and answer.stat().st_size <= _LONGEST:
        design = read_json(answer.read_text(encoding="utf-8", errors="replace"))
        work.call(SIMULATE, {"designs": [design]})
    return {"reward": work.score, "solved": float(work.best is not None and work.best.feasible)}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; prints what it writes."""
    problem, answer, reward = map(Path, sys.argv[1:4] if arguments is None else arguments)
    found = rewards(Problem.from_json(problem.read_text(encoding="utf-8")), answer)
    reward.write_text(json.dumps(found) + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    program.start()
    main()
