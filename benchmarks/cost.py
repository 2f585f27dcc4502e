"""What does a simulation of each circuit cost a core?

    python benchmarks/cost.py --json benchmarks/results/cost.json

Milliseconds of processor time for a design, in process and at typical conditions: near the reference,
where an optimiser spends most of its simulations, and anywhere in the box, where many circuits are dead
and the rest of them is not simulated. Rounds are interleaved, and the least of each is kept: what a busy
machine adds is no circuit's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

import acs_gym
from acs_gym.design import Design
from acs_gym.simulation.pool import InProcessSimulator, Job
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.simulation.version import simulator_version
from leaderboard.suites import resolve_task

NEAR = 0.003  # Of the unit cube: the sizes differ and the circuit works as the reference does.


def streams(task: acs_gym.Task, count: int) -> dict[str, list[Design]]:
    rng = np.random.default_rng(0)
    reference = task.space.to_unit(task.reference or {})
    near = reference + rng.normal(0, NEAR, (count, len(task.space)))
    return {
        "near": [task.space.from_unit(u) for u in near.clip(0, 1)],
        "random": [task.space.sample(rng) for _ in range(count)],
    }


def milliseconds(task: acs_gym.Task, designs: list[Design], simulator: InProcessSimulator) -> float:
    start = time.process_time()
    simulate_uncharged([Job(task.program, d) for d in designs], simulator)
    return 1e3 * (time.process_time() - start) / len(designs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", help="with commas; default: every one")
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--designs", type=int, default=20, help="of each kind in a round")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = options.tasks.split(",") if options.tasks else acs_gym.task_ids()
    tasks = [acs_gym.make_task(resolve_task(n), pdk=options.pdk) for n in names]
    simulator = InProcessSimulator()
    found: dict[str, dict[str, list[float]]] = {t.id: {} for t in tasks}
    for task in tasks:  # The first simulation of a circuit reads its models.
        simulate_uncharged([task.job(task.reference or {})], simulator)
    for _ in range(options.rounds):
        for task in tasks:
            for kind, designs in streams(task, options.designs).items():
                spent = milliseconds(task, designs, simulator)
                found[task.id].setdefault(kind, []).append(spent)
    cost = {t: {k: round(min(v), 1) for k, v in kinds.items()} for t, kinds in found.items()}
    print("| circuit | near the reference, ms | anywhere, ms |\n|---|--:|--:|")
    for task in tasks:
        print(f"| {task.title} | {cost[task.id]['near']:.0f} | {cost[task.id]['random']:.0f} |")
    if options.json:
        result = {
            "command": "python benchmarks/cost.py " + " ".join(sys.argv[1:]),
            "pdk": options.pdk,
            "ngspice": str(simulator_version()),
            "rounds": options.rounds,
            "designs": options.designs,
            "milliseconds": cost,
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
