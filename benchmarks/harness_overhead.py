"""What does the harness cost an agent in its own process?

    python benchmarks/harness_overhead.py --json benchmarks/results/harness_overhead.json

The same designs, real ngspice, one at a time: through a plain session, and through a cell's, which
records each design on disk before it answers and can go on after a kill. In interleaved rounds of
one run; the ratio of the medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from acs_gym.design import Design
from acs_gym.session import Session
from acs_gym.simulation.version import simulator_version
from acs_gym.task import Task, make_task
from leaderboard.cell_runner import _Recorder
from leaderboard.cells import CellSpec
from leaderboard.replay import CellSession, recall
from leaderboard.store import Store


def bare(task: Task, designs: list[Design]) -> float:
    with task.session(len(designs), seed=0) as session:
        return spend(session, designs)


def metered(task: Task, designs: list[Design], number: int) -> float:
    spec = CellSpec(
        task=task.id, pdk=task.pdk.name, tier="tt", agent="none", repetition=number,
        budget=len(designs), suite_seed=0,
    )  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder)).begin("0" * 16, spec) as trace,
    ):
        recorder = _Recorder(trace, lambda _n, _best: None, time.perf_counter())
        known = recall(task, trace.recorded)
        with CellSession(task, len(designs), 0, on_call=recorder, recall=known) as session:
            return spend(session, designs)


def spend(session: Session, designs: list[Design]) -> float:
    session.simulate(designs[0])  # The decks are loaded by then.
    start = time.perf_counter()
    for design in designs[1:]:
        session.simulate(design)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--designs", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for name in ("ACS-OTA5T-v0", "ACS-OpAmp-v0"):
        for pdk in ("sky130", "generic"):
            task = make_task(name, pdk=pdk)
            rng = np.random.default_rng(0)
            designs = [task.space.sample(rng) for _ in range(options.designs)]
            plain, cell = [], []
            for number in range(options.rounds):
                plain.append(bare(task, designs))
                cell.append(metered(task, designs, number))
            one, other = statistics.median(plain), statistics.median(cell)
            rows.append(
                {
                    "task": name,
                    "pdk": pdk,
                    "session_ms": round(1e3 * one / (options.designs - 1), 3),
                    "cell_ms": round(1e3 * other / (options.designs - 1), 3),
                    "added": round(other / one - 1, 4),
                }
            )
            print(rows[-1], flush=True)
    result = {
        "command": "python benchmarks/harness_overhead.py " + " ".join(sys.argv[1:]),
        "ngspice": str(simulator_version()),
        "rows": rows,
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
