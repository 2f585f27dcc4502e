"""What does the harness cost an agent in its own process?

    python benchmarks/harness_overhead.py --json benchmarks/results/harness_overhead.json

The same designs, real ngspice, one at a time: through a plain session, and through a cell's, which
records each design on disk before it answers, tells a run how far it is, and can go on after a kill.
The two take turns, design by design, and in the next round the other way round, so that each design
is timed in both, on the same simulator, milliseconds apart. Means over the designs of the medians
over the rounds. The same command again goes on where an interrupted one stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from resumable import Parts

from acs_gym.design import Design
from acs_gym.session import Session
from acs_gym.simulation.version import simulator_version
from acs_gym.task import Task, make_task, task_ids
from leaderboard.cells.replay import recall
from leaderboard.cells.runner import Recorder
from leaderboard.cells.spec import CellSpec
from leaderboard.cells.store import Store
from leaderboard.running.cell_process import Events


def take_turns(task: Task, designs: list[Design], first: int) -> NDArray[np.float64]:
    """Seconds of every design but the first; the cell has those whose number plus `first` is odd."""
    spec = CellSpec(
        task=task.id, pdk=task.pdk.name, tier="tt", agent="none", repetition=0,
        budget=len(designs), suite_seed=0,
    )  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder)).begin("0" * 16, spec) as trace,
        open(os.devnull, "w", encoding="utf-8") as nobody,
    ):
        recorder = Recorder(trace, Events(nobody).progress, time.perf_counter())
        known = recall(task.specs, trace.recorded)
        plain = task.session(len(designs), seed=0)
        cell = Session(task, len(designs), one_by_one=True, on_call=recorder, recall=known)
        with plain, cell:
            for session in (plain, cell):
                session.simulate(designs[0])  # The decks are loaded by then.
            spent = np.empty(len(designs) - 1)
            for number, design in enumerate(designs[1:]):
                session = cell if (number + first) % 2 else plain
                start = time.perf_counter()
                session.simulate(design)
                spent[number] = time.perf_counter() - start
    return spent


def row(task: Task, number: int, rounds: int) -> dict[str, Any]:
    """What recording adds on one task."""
    rng = np.random.default_rng(0)
    designs = [task.space.sample(rng) for _ in range(number)]
    # Rounds x which of the two began x designs.
    spent = np.array(
        [[take_turns(task, designs, first) for first in (0, 1)] for _ in range(rounds)]
    )
    middle = np.median(spent, axis=0)
    odd = np.arange(number - 1) % 2
    plain = np.where(odd, middle[1], middle[0]).mean()
    cell = np.where(odd, middle[0], middle[1]).mean()
    return {
        "task": task.id,
        "pdk": task.pdk.name,
        "session_ms": round(1e3 * float(plain), 3),
        "cell_ms": round(1e3 * float(cell), 3),
        "added": round(float(cell / plain) - 1, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--designs", type=int, default=101)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tasks = [make_task(name, pdk=pdk) for pdk in ("sky130", "generic") for name in task_ids()]
    head = {
        "command": "python benchmarks/harness_overhead.py " + " ".join(sys.argv[1:]),
        "ngspice": str(simulator_version()),
    }
    parts = Parts(options.json, {**head, "tasks": [task.digest for task in tasks]})
    rows = []
    for task in tasks:
        measure = partial(row, task, options.designs, options.rounds)
        rows.append(parts.get(f"{task.id} {task.pdk.name}", measure))
        print(rows[-1], flush=True)
    totals = {
        pdk: sum(r["cell_ms"] for r in of) / sum(r["session_ms"] for r in of) - 1
        for pdk in ("sky130", "generic")
        if (of := [r for r in rows if r["pdk"] == pdk])
    }
    print(totals)
    shares = {pdk: round(share, 4) for pdk, share in totals.items()}
    parts.finish({**head, "added_over_all_tasks": shares, "rows": rows})


if __name__ == "__main__":
    main()
