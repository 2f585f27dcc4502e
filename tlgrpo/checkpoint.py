"""A run as files: resumed from a checkpoint, it goes on to the same bits as if it had never
stopped.

`<run>/{config.json, metrics.jsonl, checkpoints/<update>/{policy/, state.pt, counters.json}}`. A
checkpoint is written under another name and renamed, so it is whole or absent.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlgrpo import distributed
from tlgrpo.config import TrainConfig
from tlgrpo.policy import Policy

CONFIG, METRICS, CHECKPOINTS, POLICY = "config.json", "metrics.jsonl", "checkpoints", "policy"
_STATE, _COUNTERS = "state.pt", "counters.json"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the folder and says why."""


@dataclass(slots=True)
class Counters:
    """How far a run is."""

    update: int = 0
    simulations: int = 0
    problems: int = 0


def save(
    folder: Path,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    generator: torch.Generator,
    rng: np.random.Generator,
    counters: Counters,
) -> Path:
    """Write a checkpoint of a run in `folder`. Returns its folder.

    Called by every process; the first one writes, with the random streams of all.
    """
    final = folder / CHECKPOINTS / f"{counters.update:06d}"
    streams = distributed.gather((generator.get_state(), rng.bit_generator.state))
    if distributed.rank() == 0:
        making = final.with_name(f".{final.name}-{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        policy.save(making / POLICY)
        torch.save(
            {
                # In their own precision; a saved model folder may round.
                "weights": policy.weights(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "generators": [state for state, _ in streams],
            },
            making / _STATE,
        )
        kept = {"counters": asdict(counters), "rngs": [state for _, state in streams]}
        (making / _COUNTERS).write_text(json.dumps(kept))
        shutil.rmtree(final, ignore_errors=True)
        making.rename(final)
    distributed.wait()
    return final


def latest(folder: Path) -> Path | None:
    """The last whole checkpoint of a run, or None."""
    found = sorted((folder / CHECKPOINTS).glob("[0-9]*"))
    return found[-1] if found else None


def restore(
    checkpoint: Path,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    generator: torch.Generator,
    rng: np.random.Generator,
) -> Counters:
    """Bring everything to where it was. Raises CheckpointError."""
    try:
        state = torch.load(checkpoint / _STATE, weights_only=True)
        kept = json.loads((checkpoint / _COUNTERS).read_text())
        policy.load_weights(state["weights"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        if len(kept["rngs"]) != distributed.size():
            raise ValueError(
                f"it was written by {len(kept['rngs'])} processes, there are {distributed.size()}"
            )
        generator.set_state(state["generators"][distributed.rank()])
        rng.bit_generator.state = kept["rngs"][distributed.rank()]
        return Counters(**kept["counters"])
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{checkpoint}: cannot be resumed: {error}") from None


def begin(folder: Path, config: TrainConfig) -> None:
    """Write the configuration of a run, or check that the folder is of the same one."""
    path = folder / CONFIG
    text = config.model_dump_json(indent=1) + "\n"
    if distributed.rank():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() != text:
        raise CheckpointError(
            f"{path} is of a run with other settings; give another --out, or delete that folder"
        )
    path.write_text(text)


def read_config(folder: Path) -> TrainConfig:
    """The settings of a run's folder, or of a checkpoint in it. Raises CheckpointError."""
    for place in (folder, *folder.parents[:3]):
        if (place / CONFIG).exists() and (place / CONFIG).is_file():
            text = (place / CONFIG).read_text()
            if '"algorithm"' in text:
                return TrainConfig.model_validate_json(text)
    raise CheckpointError(f"{folder}: no {CONFIG} of a training run here or above")


class Metrics:
    """`metrics.jsonl`: one line an update; TensorBoard too, where it is installed."""

    def __init__(self, folder: Path, *, keep: int, tensorboard: bool = True) -> None:
        self._path = folder / METRICS
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        # What was written after the checkpoint that a run goes on from is done again.
        kept = [line for line in lines if json.loads(line)["update"] <= keep]
        self._path.write_text("".join(line + "\n" for line in kept))
        self._file = self._path.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter

                self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=keep + 1)
            except ImportError:
                self._board = None

    def write(self, numbers: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(dict(numbers)) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in numbers.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(name, value, numbers["update"])

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()
