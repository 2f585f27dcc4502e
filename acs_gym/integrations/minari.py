"""Minari: what was simulated, by whomever, as offline data (`pip install 'acs-gym[minari]'`).

An optimiser's history is an episode of the Gymnasium environment that has the same task: observations,
actions and rewards are those that a policy proposing the same designs would have had. Nothing is
simulated for it. A policy's own episodes are collected by `minari.DataCollector` around the environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acs_gym.envs.episode import Rules
from acs_gym.evaluation import Evaluation
from acs_gym.integrations.trajectories import trajectory
from acs_gym.task import Task

try:
    import minari
    from minari.data_collector import EpisodeBuffer
except ImportError as error:
    raise ImportError(f"{__name__} needs Minari; run: pip install 'acs-gym[minari]'") from error


def episode(task: Task, history: Sequence[Evaluation], *, number: int = 0) -> EpisodeBuffer:
    """A history, such as `session.history`, as an episode of as many turns; it ends as truncated.

    Raises what `trajectory` raises.
    """
    found = trajectory(task, history)
    return EpisodeBuffer(
        id=number,
        observations={key: [o[key] for o in found.observations] for key in found.observations[0]},
        actions=list(found.actions),
        rewards=list(found.rewards),
        terminations=list(found.terminated),
        truncations=list(found.truncated),
    )


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
