"""How hard is every task for blind search? Writes each circuit's `difficulty.json`.

    python benchmarks/difficulty.py
    python benchmarks/difficulty.py opamp path/to/my/circuit --pdk generic --tier tt

For every circuit, on every PDK asked for and in every tier that the circuit is proved in: how many of
2,000 scrambled Sobol designs are feasible, and the best score among the first 100 (how, says
`acs_gym/difficulty.py`). What is in the file already and was measured of this version of the task,
with as many designs, is not measured again, and each entry is written as soon as it is there: an
interrupted run goes on where it stopped. Ends with a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import acs_gym
from acs_gym.circuit import Circuit
from acs_gym.circuit_reading import load_circuit
from acs_gym.difficulty import Difficulty, known_difficulty, measure_difficulty, write_difficulty
from acs_gym.registry import BUNDLED, circuit_folders
from acs_gym.simulation.pool import WorkerPool
from acs_gym.task import task_of


def chosen(names: list[str]) -> list[Circuit]:
    """Circuits by id, short name or folder; every bundled one by default."""
    if not names:
        return [load_circuit(p.parent) for p in sorted(BUNDLED.glob("*/circuit.toml"))]
    known = circuit_folders()
    by_name = {folder.name: folder for folder in known.values()} | dict(known)
    for name in names:
        if name not in by_name and not (Path(name) / "circuit.toml").is_file():
            sys.exit(f"no circuit {name!r}; there are: {', '.join(sorted(by_name))}, or a folder")
    return [load_circuit(by_name.get(name, Path(name))) for name in names]


def measured(task: acs_gym.Task, designs: int, pool: WorkerPool) -> Difficulty:
    """What the file says where that is of this task and of enough designs; else measured, and kept."""
    known = known_difficulty(task)
    if known is not None and known.designs >= designs:
        return known
    start = time.monotonic()
    found = measure_difficulty(task, designs=designs, simulator=pool)
    write_difficulty(task.circuit.folder, task.pdk_name, task.tier, found)
    what = f"{task.id} on {task.pdk_name}, {task.tier}"
    print(f"{what}: {found.text} ({time.monotonic() - start:.0f} s)", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("circuit", nargs="*", help="ids, names or folders; by default all bundled")
    parser.add_argument("--pdk", action="append", help="may be repeated; sky130 and generic")
    parser.add_argument("--tier", action="append", help="may be repeated; all that are proved")
    parser.add_argument("--designs", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = []
    with WorkerPool(arguments.workers) as pool:
        for circuit in chosen(arguments.circuit):
            for pdk in arguments.pdk or ("sky130", "generic"):
                if pdk not in circuit.file.pdk:
                    continue
                for tier in arguments.tier or circuit.tiers:
                    found = measured(task_of(circuit, pdk, tier), arguments.designs, pool)
                    advice = found.advice.partition(":")[0]
                    feasible = f"{found.feasible} of {found.designs}"
                    rows.append(
                        (circuit.id, pdk, tier, feasible, f"{found.best_of_100:.3f}", advice)
                    )
    print("| circuit | PDK | tier | feasible | best of the first 100 | note |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
