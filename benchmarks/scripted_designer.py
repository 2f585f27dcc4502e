"""Does a designer's hand procedure beat uniform random search?

    python benchmarks/scripted_designer.py --json benchmarks/results/scripted_designer.json
    python benchmarks/scripted_designer.py --tasks opamp --pdks generic --seeds 8

The procedure (`llm-scripted`) is deterministic: one run a task, through the real wire. Random search runs
`--seeds` times with the same budget. Both stop at the first design that meets every spec, which is the
best there is. The procedure's plans and step sizes were settled while looking at its results on these
very tasks and PDKs, so this says what it reaches on them and not what it would on others.

Columns: best score of the procedure, and its simulations until every spec was met; of random search the
interquartile mean, mean and highest of the best scores, the share of its runs that met every spec, and
the share that scored less than the procedure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import acs_gym
from acs_gym.session import Call, Session
from acs_gym.simulation.version import simulator_version
from agents.scripted.agent import VERSION, ScriptedAgent
from leaderboard.board.statistics import interquartile_mean

PDKS = "generic,sky130"


@dataclass(frozen=True)
class Measured:
    """One task; `digest` is the task's, `random` the best score of each seed's run."""

    task: str
    pdk: str
    digest: str
    scripted: float
    scripted_met_after: int | None
    scripted_simulations: int
    seconds: float
    random: list[float]


class _EverySpecMet(Exception):
    """There is nothing left to gain in this run."""


def _stop_when_met(call: Call) -> None:
    if call.evaluation.feasible:
        raise _EverySpecMet


def random_search(task: acs_gym.Task, budget: int, seed: int) -> float:
    """The best score of uniform random designs, up to the first that meets every spec."""
    with task.session(budget, seed=seed, on_call=_stop_when_met) as session:
        try:
            while session.remaining:
                session.simulate(task.space.sample(session.rng))
        except _EverySpecMet:
            pass
        return _best(session)


def measure(task_id: str, pdk: str, budget: int, seeds: int) -> Measured:
    """Both methods on one task."""
    task = acs_gym.make_task(task_id, pdk=pdk)
    with task.session(budget) as session:
        start = time.perf_counter()
        ScriptedAgent().run(session)
        seconds = time.perf_counter() - start - session.usage.simulator_seconds
        met = [n for n, e in enumerate(session.history, start=1) if e.feasible]
        scores = [random_search(task, budget, seed) for seed in range(seeds)]
        return Measured(
            task=task.id,
            pdk=pdk,
            digest=task.digest,
            scripted=_best(session),
            scripted_met_after=met[0] if met else None,
            scripted_simulations=len(session.history),
            seconds=round(seconds, 3),
            random=scores,
        )


def table(rows: Sequence[Measured]) -> str:
    """The rows as a markdown table."""
    lines = [
        "| task | PDK | procedure | met after | random IQM | mean | highest | met | beaten |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        scores = np.array(row.random)
        lines.append(
            f"| `{row.task}` | {row.pdk} | {row.scripted:.4f} | {row.scripted_met_after or '-'} "
            f"| {interquartile_mean(scores):.3f} | {scores.mean():.3f} | {scores.max():.3f} "
            f"| {np.mean(scores == 1.0):.0%} | {np.mean(scores < row.scripted):.0%} |"
        )
    return "\n".join(lines)


def _best(session: Session) -> float:
    return 0.0 if session.best is None else session.best.score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", default=",".join(acs_gym.task_ids()), help="ids or short names")
    parser.add_argument("--pdks", default=PDKS)
    parser.add_argument("--budget", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=32, help="runs of random search a task")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for pdk in options.pdks.split(","):
        for name in options.tasks.split(","):
            rows.append(measure(name, pdk, options.budget, options.seeds))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(rows))
    if options.json:
        result = {
            "command": "python benchmarks/scripted_designer.py " + " ".join(sys.argv[1:]),
            "budget": options.budget,
            "seeds": options.seeds,
            "policy_version": VERSION,
            "ngspice": str(simulator_version()),
            "rows": [asdict(row) for row in rows],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
