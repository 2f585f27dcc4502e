"""Minari: what was simulated, by whomever, as offline data (`pip install 'acs-gym[minari]'`).

An optimiser's history is an episode of the Gymnasium environment that has the same task: observations,
actions and rewards are those that a policy proposing the same designs would have had. Nothing is
simulated for it. A policy's own episodes are collected by `minari.DataCollector` around the environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from acs_gym.envs.episode import Rules
from acs_gym.evaluation import Evaluation, Status
from acs_gym.task import Task

try:
    import minari
    from minari.data_collector import EpisodeBuffer
except ImportError as error:
    raise ImportError(f"{__name__} needs Minari; run: pip install 'acs-gym[minari]'") from error


_NO_ACTION = (Status.INVALID_DESIGN, Status.INFRA_ERROR)


def episode(task: Task, history: Sequence[Evaluation], *, number: int = 0) -> EpisodeBuffer:
    """A history, such as `session.history`, as an episode of as many turns; it ends as truncated.

    Designs that were none have no action, so they and `infra_error`s are left out. Raises ValueError
    where nothing is left.
    """
    kept = [e for e in history if e.complete and e.status not in _NO_ACTION]
    if not kept:
        raise ValueError("a history without a design that was simulated is no episode")
    rules = Rules.of(task, task.pdk_name, task.tier, task.specs.targets, len(kept), False)
    now = rules.begin(np.random.default_rng(0))
    buffer: dict[str, list[Any]] = {
        name: [] for name in ("observations", "actions", "rewards", "terminations", "truncations")
    }
    buffer["observations"].append(now.observation())
    for evaluation in kept:
        now = now.after(evaluation, budget_left=True)
        unit = task.space.to_unit(evaluation.design)
        buffer["actions"].append((2.0 * np.asarray(unit) - 1.0).astype(np.float32))
        buffer["observations"].append(now.observation())
        buffer["rewards"].append(now.reward)
        buffer["terminations"].append(now.terminated)
        buffer["truncations"].append(now.truncated)
    observations = {
        key: [o[key] for o in buffer["observations"]] for key in buffer["observations"][0]
    }
    return EpisodeBuffer(id=number, **(buffer | {"observations": observations}))


def write(
    dataset_id: str,
    task: Task,
    histories: Sequence[Sequence[Evaluation]],
    *,
    algorithm: str,
    **minari_arguments: Any,
) -> minari.MinariDataset:
    """A dataset of one episode a history, in Minari's folder (`MINARI_DATASETS_PATH`).

    Args:
        dataset_id: as Minari has it, e.g. `acs-gym/ota5t/random-v0`.
        algorithm: who proposed the designs.
        minari_arguments: of `create_dataset_from_buffers`: `author`, `description`, ...

    Raises ValueError for a history that is no episode.
    """
    rules = Rules.of(task, task.pdk_name, task.tier, None, 1, False)
    return minari.create_dataset_from_buffers(
        dataset_id,
        [episode(task, history, number=k) for k, history in enumerate(histories)],
        observation_space=rules.observation_space(),
        action_space=rules.action_space(),
        algorithm_name=algorithm,
        **minari_arguments,
    )
