"""Banks: designs of training circuits with what they were measured to have.

python -m tlgrpo.bank --tasks ACS-OTA5T-v0,ACS-OpAmp-v0 --pdks sky130 --simulations 500

A bank is one file a circuit and PDK, `<out>/<task>.<pdk>.npz`. It begins with the training anchors
of `targets.json`, whose metrics are published: they cost nothing here, but they were simulated once
(found by an optimiser), and are counted beside the simulations made here. A quarter of the designs
made here are random levels, the others vary one in it. The same command goes on where it stopped.
Held-out anchors never enter a bank, nor does a circuit that is not one to train on.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

import acs_gym
from acs_gym import program
from acs_gym.evaluation import Status
from acs_gym.simulation.pool import Simulator, WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task
from tlgrpo.domains.levels import from_level, to_level
from tlgrpo.domains.sizing import LEVELS

ANCHOR, RANDOM, VARIED = range(3)
_CHUNK = 32


class BankError(ValueError):
    """A bank that cannot be made or read; the message names the file or the task."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Designs of one circuit on one PDK.

    Attributes:
        levels: shape (designs, parameters), in the order of the task's space. An anchor's are the
            nearest to it.
        metrics: shape (designs, specs), in the order of the task's specs; NaN where not measured.
        source: shape (designs,): `ANCHOR`, `RANDOM` or `VARIED`.
    """

    levels: NDArray[np.int64]
    metrics: NDArray[np.float64]
    source: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def simulated(self) -> int:
        """Simulations made for it, the anchors' own not counted."""
        return int((self.source != ANCHOR).sum())

    def joined(self, other: Bank) -> Bank:
        return Bank(
            np.concatenate([self.levels, other.levels]),
            np.concatenate([self.metrics, other.metrics]),
            np.concatenate([self.source, other.source]),
        )


def path_of(folder: Path, task: Task) -> Path:
    return folder / f"{task.id}.{task.pdk_name}.npz"


def read_bank(folder: Path, task: Task) -> Bank:
    """Raises BankError where there is none, or one of another version of the task."""
    path = path_of(folder, task)
    try:
        with np.load(path) as data:
            if str(data["program"]) != task.program.key:
                raise BankError(f"{path} is of another version of {task.id}; delete it")
            return Bank(
                data["levels"].astype(np.int64), data["metrics"], data["source"].astype(np.int64)
            )
    except OSError:
        raise BankError(f"{path} is no bank; make it with python -m tlgrpo.bank") from None


def write_bank(folder: Path, task: Task, bank: Bank) -> None:
    """Whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, task)
    making = path.with_name(f".{path.stem}-{os.getpid()}.npz")
    np.savez_compressed(
        making,
        levels=bank.levels.astype(np.int8),
        metrics=bank.metrics,
        source=bank.source.astype(np.int8),
        program=task.program.key,
    )
    making.rename(path)


def anchors(task: Task) -> Bank:
    """The training anchors as a bank. Raises BankError for a circuit that is not one to train on."""
    if task.circuit.file.split != "training":
        raise BankError(f"{task.id} is held out; a bank is of training circuits")
    found = task.anchors("train")
    levels = [[to_level(u, LEVELS) for u in task.space.to_unit(anchor.design)] for anchor in found]
    metrics = [[anchor.metrics.get(s.metric, s.target) for s in task.specs] for anchor in found]
    return Bank(np.array(levels, dtype=np.int64), np.array(metrics), np.full(len(found), ANCHOR))


def grown(task: Task, bank: Bank, count: int, simulator: Simulator, seed: int = 0) -> Bank:
    """The bank with `count` more designs simulated; what comes is decided by its size."""
    rng = np.random.default_rng((seed, len(bank)))
    rows: list[NDArray[np.int64]] = []
    source: list[int] = []
    for _ in range(count):
        if rng.random() < 0.25:
            rows.append(rng.integers(LEVELS, size=(bank.levels.shape[1],), dtype=np.int64))
            source.append(RANDOM)
            continue
        parent = bank.levels[rng.integers(len(bank))]
        step = rng.choice([1.0, 3.0, 8.0])
        moved = rng.random(len(parent)) < rng.choice([0.2, 0.5, 1.0])
        row = np.rint(parent + moved * rng.normal(0.0, step, len(parent)))
        rows.append(np.clip(row, 0, LEVELS - 1).astype(np.int64))
        source.append(VARIED)
    designs = [task.space.from_unit([from_level(int(k), LEVELS) for k in row]) for row in rows]
    outcomes = simulate_uncharged([task.job(d) for d in designs], simulator)
    known = (Status.OK, Status.MEASURE_FAILED)
    metrics = [
        [(o.metrics.get(s.metric, np.nan) if o.status in known else np.nan) for s in task.specs]
        for o in outcomes
    ]
    return bank.joined(Bank(np.array(rows), np.array(metrics, dtype=float), np.array(source)))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    tasks: Annotated[str, typer.Option(help="Task ids, or `training` for all of them.")],
    pdks: Annotated[str, typer.Option(help="PDKs.")] = "sky130",
    simulations: Annotated[int, typer.Option(help="Of each circuit and PDK, in all.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the banks.")] = Path("runs/banks"),
    workers: Annotated[int, typer.Option(help="Simulation processes.")] = 1,
) -> None:
    """Make banks of simulated designs, or go on making them."""
    names = acs_gym.task_ids() if tasks == "training" else tasks.split(",")
    made = [acs_gym.make_task(t, pdk=p) for p in pdks.split(",") for t in names]
    if tasks == "training":
        made = [t for t in made if t.circuit.file.split == "training"]
    try:
        with WorkerPool(workers) as pool:
            _make(made, simulations, out, pool)
    except BankError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _make(tasks: list[Task], simulations: int, out: Path, simulator: Simulator) -> None:
    for task in tasks:
        if not path_of(out, task).exists():
            write_bank(out, task, anchors(task))
    # A chunk of each in turn, so that all banks are of use while they grow.
    todo = list(tasks)
    while todo:
        for task in list(todo):
            bank = read_bank(out, task)
            if (missing := simulations - bank.simulated) <= 0:
                todo.remove(task)
                print(
                    f"{task.id} {task.pdk_name}: {len(bank)} designs, {bank.simulated} simulated "
                    f"here, {len(bank) - bank.simulated} anchors, simulated before",
                    flush=True,
                )
                continue
            start = time.perf_counter()
            bank = grown(task, bank, min(_CHUNK, missing), simulator)
            write_bank(out, task, bank)
            took = time.perf_counter() - start
            print(f"{task.id} {task.pdk_name}: {bank.simulated} in {took:.1f} s more", flush=True)


if __name__ == "__main__":
    program.start()
    app()
