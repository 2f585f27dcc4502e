"""Banks: designs of training circuits with what they were measured to have, one file each.

A bank is of one circuit on one PDK at one supply and load: `<folder>/<task>.<pdk>[.<conditions>].npz`.
That of the circuit's own conditions begins with the training anchors of `targets.json`, whose metrics
are published: they cost nothing here, but they were simulated once (found by an optimiser), and are
counted beside the simulations made for the bank. Its header says how many of which kind there are.
Held-out anchors never enter a bank, nor does a circuit that is not one to train on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acs_gym.task import Task
from tlgrpo.domains.conditions import OWN, Conditions
from tlgrpo.domains.levels import to_level
from tlgrpo.domains.sizing import LEVELS

# Where a design of a bank comes from; the order is that of the numbers in the file.
KINDS = ("anchor", "random", "varied", "again", "optimiser", "policy", "aimed")
ANCHOR, RANDOM, VARIED, AGAIN, OPTIMISER, POLICY, AIMED = range(len(KINDS))
NO_RUN = -1


class BankError(ValueError):
    """A bank that cannot be made or read; the message names the file or the task."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Designs of one circuit on one PDK.

    Attributes:
        levels: shape (designs, parameters), in the order of the task's space. An anchor's are the
            nearest to it.
        metrics: shape (designs, specs), in the order of the task's specs; NaN where not measured.
        source: shape (designs,): places in `KINDS`. `again` is a design of the bank of the
            circuit's own conditions, simulated again at those of this one.
        run: shape (designs,): number of the trajectory that a design is of, in its order, or -1.
    """

    levels: NDArray[np.int64]
    metrics: NDArray[np.float64]
    source: NDArray[np.int64]
    run: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def counts(self) -> dict[str, int]:
        """Designs of each kind. All but the anchors were simulated for the bank."""
        found = np.bincount(self.source, minlength=len(KINDS))
        return {kind: int(n) for kind, n in zip(KINDS, found, strict=True)}

    @property
    def simulated(self) -> int:
        """Simulations made for it, the anchors' own not counted."""
        return int((self.source != ANCHOR).sum())

    @property
    def next_run(self) -> int:
        return int(self.run.max(initial=NO_RUN)) + 1

    def joined(self, other: Bank) -> Bank:
        return Bank(
            np.concatenate([self.levels, other.levels]),
            np.concatenate([self.metrics, other.metrics]),
            np.concatenate([self.source, other.source]),
            np.concatenate([self.run, other.run]),
        )


def bank_of(
    task: Task,
    levels: list[NDArray[np.int64]],
    metrics: list[list[float]],
    source: int | list[int],
    run: int = NO_RUN,
) -> Bank:
    """Rows of one kind, or of the kinds given; there may be none."""
    count = len(levels)
    return Bank(
        np.array(levels, dtype=np.int64).reshape(count, len(task.space)),
        np.array(metrics, dtype=np.float64).reshape(count, len(task.specs)),
        np.broadcast_to(np.asarray(source, dtype=np.int64), count).copy(),
        np.full(count, run, dtype=np.int64),
    )


def anchors(task: Task) -> Bank:
    """The training anchors as a bank. Raises BankError for a circuit that is not one to train on."""
    _check_trains(task)
    found = task.anchors("train")
    levels = [levels_of(task, anchor.design) for anchor in found]
    metrics = [[anchor.metrics.get(s.metric, s.target) for s in task.specs] for anchor in found]
    return bank_of(task, levels, metrics, ANCHOR)


def empty(task: Task) -> Bank:
    """Raises BankError for a circuit that is not one to train on."""
    _check_trains(task)
    return bank_of(task, [], [], RANDOM)


def levels_of(task: Task, design: Mapping[str, float]) -> NDArray[np.int64]:
    """The nearest levels to a design, shape (parameters,)."""
    units = task.space.to_unit(design)
    return np.array([to_level(float(u), LEVELS) for u in units], dtype=np.int64)


def path_of(folder: Path, task: Task, conditions: Conditions = OWN) -> Path:
    return folder / ".".join(filter(None, (task.id, task.pdk_name, conditions.name, "npz")))


def read_bank(folder: Path, task: Task, conditions: Conditions = OWN) -> Bank:
    """Raises BankError where there is none, or one of another version of the task."""
    return _read(path_of(folder, task, conditions), task)[0]


def banks_of(folder: Path, task: Task) -> list[tuple[Conditions, Bank]]:
    """Every bank of a task, that of its own conditions first. Raises BankError without that one."""
    own = path_of(folder, task)
    others = sorted(p for p in folder.glob(f"{task.id}.{task.pdk_name}.*.npz"))
    found = [_read(path, task) for path in (own, *others)]
    return [(conditions, bank) for bank, conditions in found]


def _read(path: Path, task: Task) -> tuple[Bank, Conditions]:
    try:
        with np.load(path) as data:
            if "header" not in data:
                raise BankError(f"{path} is of an older form; delete it and make it anew")
            header = json.loads(str(data["header"]))
            if header["program"] != task.program.key:
                raise BankError(f"{path} is of another version of {task.id}; delete it")
            bank = Bank(
                data["levels"].astype(np.int64),
                data["metrics"],
                data["source"].astype(np.int64),
                data["run"].astype(np.int64),
            )
            return bank, Conditions(**header["conditions"])
    except (OSError, ValueError) as error:
        if isinstance(error, BankError):
            raise
        raise BankError(f"{path} is no bank; make it with python -m tlgrpo.bank") from None


def write_bank(folder: Path, task: Task, bank: Bank, conditions: Conditions = OWN) -> None:
    """Whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, task, conditions)
    making = path.with_name(f".{path.stem}-{os.getpid()}.npz")
    header = {
        "task": task.id,
        "pdk": task.pdk_name,
        "conditions": {"supply": conditions.supply, "load": conditions.load},
        "program": task.program.key,
        "designs": bank.counts,
        "simulations": bank.simulated,
    }
    np.savez_compressed(
        making,
        header=json.dumps(header),
        levels=bank.levels.astype(np.int8),
        metrics=bank.metrics,
        source=bank.source.astype(np.int8),
        run=bank.run.astype(np.int32),
    )
    making.rename(path)


def _check_trains(task: Task) -> None:
    if task.circuit.file.split != "training":
        raise BankError(f"{task.id} is held out; a bank is of training circuits")
