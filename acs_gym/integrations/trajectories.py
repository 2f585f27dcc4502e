"""A history as the episode of a policy that proposes the same designs, for whatever format keeps it.

Observations, actions and rewards are those of the Gymnasium environment of the task. Nothing is simulated
for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acs_gym.envs.episode import Rules
from acs_gym.evaluation import Evaluation, Status
from acs_gym.task import Task

_NO_ACTION = (Status.INVALID_DESIGN, Status.INFRA_ERROR)


@dataclass(frozen=True, slots=True)
class Trajectory:
    """An episode of N turns; it ends as truncated unless a turn ended it.

    Attributes:
        evaluations: N, what each turn simulated.
        observations: N + 1, each a dict of arrays, as `SizingEnv` has them.
        actions: N, in [-1, 1].
    """

    evaluations: tuple[Evaluation, ...]
    observations: tuple[dict[str, Any], ...]
    actions: tuple[np.ndarray, ...]
    rewards: tuple[float, ...]
    terminated: tuple[bool, ...]
    truncated: tuple[bool, ...]


def trajectory(task: Task, history: Sequence[Evaluation]) -> Trajectory:
    """A history, such as `session.history`, as an episode of as many turns.

    Designs that were none have no action, so they and those of an `infra_error` are left out. Raises
    ValueError where nothing is left.
    """
    kept = [e for e in history if e.complete and e.status not in _NO_ACTION]
    if not kept:
        raise ValueError("a history without a design that was simulated is no episode")
    rules = Rules.of(task, task.pdk_name, task.tier, task.specs.targets, len(kept), False)
    now = rules.begin(np.random.default_rng(0))
    observations, actions = [dict(now.observation())], []
    rewards, terminated, truncated = [], [], []
    for evaluation in kept:
        now = now.after(evaluation, budget_left=True)
        unit = task.space.to_unit(evaluation.design)
        actions.append((2.0 * np.asarray(unit) - 1.0).astype(np.float32))
        observations.append(dict(now.observation()))
        rewards.append(now.reward)
        terminated.append(now.terminated)
        truncated.append(now.truncated)
    return Trajectory(
        tuple(kept), tuple(observations), tuple(actions), tuple(rewards), tuple(terminated),
        tuple(truncated),
    )  # fmt: skip
