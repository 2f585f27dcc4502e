"""Parquet: what was simulated, by whomever, as a table of turns (`pip install 'acs-gym[parquet]'`).

For offline data that is read with pandas, Polars, DuckDB or `datasets` rather than with Minari. A row is
a turn; a file is of one task, whose parameters, metrics and observations are its columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from acs_gym.evaluation import Evaluation
from acs_gym.integrations.trajectories import Trajectory, trajectory
from acs_gym.task import Task

try:
    import pyarrow as pa
    import pyarrow.parquet
except ImportError as error:
    raise ImportError(f"{__name__} needs pyarrow; run: pip install 'acs-gym[parquet]'") from error


def write(
    path: Path | str, task: Task, histories: Sequence[Sequence[Evaluation]], *, algorithm: str
) -> int:
    """A file with an episode a history, such as `session.history`. Returns how many rows it has.

    Args:
        algorithm: who proposed the designs.

    Raises ValueError without histories and for one that is no episode; nothing is written then.
    """
    if not histories:
        raise ValueError("no history, so there is nothing to write")
    episodes = [trajectory(task, history) for history in histories]
    rows = [row for number, e in enumerate(episodes) for row in _rows(task, e, number, algorithm)]
    table = pa.Table.from_pylist(rows, schema=_schema(task, episodes))
    pa.parquet.write_table(table, path)
    return len(rows)


def _rows(task: Task, e: Trajectory, episode: int, algorithm: str) -> Iterator[dict[str, Any]]:
    for turn, evaluation in enumerate(e.evaluations):
        yield {
            "task": task.id,
            "pdk": task.pdk_name,
            "tier": task.tier,
            "algorithm": algorithm,
            "episode": episode,
            "turn": turn,
            "observation": e.observations[turn],
            "action": e.actions[turn],
            "reward": e.rewards[turn],
            "next_observation": e.observations[turn + 1],
            "terminated": e.terminated[turn],
            "truncated": e.truncated[turn],
            "design": dict(evaluation.design),
            "status": str(evaluation.status),
            "score": evaluation.score,
            "feasible": evaluation.feasible,
            # What was not measured is null, as in JSON.
            "metrics": {k: None if math.isnan(v) else v for k, v in evaluation.metrics.items()},
        }


def _schema(task: Task, episodes: Sequence[Trajectory]) -> Any:
    """Named rather than guessed, so that files of a task have the same columns whatever is in them."""
    word, number = pa.string(), pa.float64()
    seen = pa.struct([(key, pa.list_(pa.float32())) for key in episodes[0].observations[0]])
    return pa.schema(
        {
            "task": word, "pdk": word, "tier": word, "algorithm": word,
            "episode": pa.int32(), "turn": pa.int32(),
            "observation": seen, "action": pa.list_(pa.float32()), "reward": number,
            "next_observation": seen, "terminated": pa.bool_(), "truncated": pa.bool_(),
            "design": pa.struct([(p.name, number) for p in task.space]),
            "status": word, "score": number, "feasible": pa.bool_(),
            "metrics": pa.struct([(metric, number) for metric in _metrics(task, episodes)]),
        }
    )  # fmt: skip


def _metrics(task: Task, episodes: Sequence[Trajectory]) -> list[str]:
    """Those of the specs, and whatever else was measured."""
    evaluations = (e for episode in episodes for e in episode.evaluations)
    seen = (name for e in evaluations for name in e.metrics)
    return list(dict.fromkeys([*task.specs.metrics, *seen]))
