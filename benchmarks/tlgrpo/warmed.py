"""Small warm starts in hindsight on the training circuits: what a study of their settings compares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import resumable

CONFIG = Path(__file__).parents[2] / "examples/tlgrpo/sizing.toml"
RATE = 2e-3  # At the width of the configuration.
_ENDS = ("loss", "simulated", "designs")


def train(
    folder: Path, changes: Mapping[str, Any], wanted: Mapping[str, Any], rate: float = RATE
) -> dict[str, Any]:
    """The end of its curve; what was trained before in that folder is gone on with.

    `changes` are to the configuration; of `wanted` it reads banks, steps, batch and bfloat16.
    """
    from tlgrpo.checkpoint import begin
    from tlgrpo.config import TrainConfig
    from tlgrpo.hindsight import Schedule, WarmStart

    settings = TrainConfig.read(CONFIG, dict(changes))
    begin(folder, settings)
    plan = Schedule(wanted["steps"], wanted["batch"], rate, bfloat16=wanted["bfloat16"])
    WarmStart(settings, Path(wanted["banks"]), folder, plan).run()
    last = resumable.lines(folder / "warm" / "metrics.jsonl")[-1]
    return {name: last[name] for name in _ENDS}
