"""Designs that optimisers end on, for tests that must hold where optimisers go.

    python benchmarks/winners.py                      # tests/circuits/winners.json, all circuits
    python benchmarks/winners.py --tasks opamp,ldo    # these anew, the others as they are

A simulator's error that flatters is found by an optimiser, so a reference that agrees proves little.
Each method spends its budget on each circuit (seed 0 of `python -m leaderboard.run`), and its best
design is kept, rounded to four significant digits and put on the grid.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from acs_gym.design import Design
from acs_gym.session import Call
from acs_gym.task import Task, make_task, task_ids
from baselines.agent import AskTellAgent
from baselines.registry import get_method
from leaderboard.cells.spec import CellSpec, session_seed
from leaderboard.suites import resolve_task

WINNERS = Path(__file__).parents[1] / "tests" / "circuits" / "winners.json"
METHODS = ("scbo", "botorch-composite")
BUDGET, SEED, PDK = 70, 0, "sky130"


def winner(task: Task, method: str, budget: int) -> Design:
    """The best design that the method finds, rounded."""
    spec = CellSpec(
        task=task.id, pdk=task.pdk_name, tier=task.tier, agent=method, repetition=SEED,
        budget=budget, suite_seed=0,
    )  # fmt: skip
    best: list[tuple[float, Design]] = []

    def keep(call: Call) -> None:
        evaluation = call.evaluation
        if not best or evaluation.score > best[0][0]:
            best[:] = [(evaluation.score, evaluation.design)]

    with task.session(budget, seed=session_seed(spec), on_call=keep) as session:
        AskTellAgent(get_method(method)).run(session)
    return rounded(task, best[0][1])


def rounded(task: Task, design: Design) -> Design:
    """Four significant digits, then the nearest point of the grid inside the bounds."""
    inside = {
        p.name: min(max(float(f"{design[p.name]:.4g}"), p.low), p.high)
        for p in task.space.parameters
    }
    return task.space.canonicalize(inside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", help="only these, comma-separated")
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--out", type=Path, default=WINNERS)
    arguments = parser.parse_args()
    names = [resolve_task(t) for t in arguments.tasks.split(",")] if arguments.tasks else task_ids()
    found: dict[str, dict[str, list[Design]]] = {}
    if arguments.tasks and arguments.out.exists():
        found = json.loads(arguments.out.read_text())
    for name in names:
        task = make_task(name, pdk=PDK)
        designs = []
        for method in METHODS:
            design = winner(task, method, arguments.budget)
            with task.session(1) as session:
                score = session.simulate(design).score
            print(f"{task.id} {method}: score {score:.4f}", flush=True)
            designs.append(design)
        found.setdefault(task.id, {})[PDK] = designs
        arguments.out.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
