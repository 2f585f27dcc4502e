"""What wrappers of `SizingEnv` share, and the one that shows targets as a goal.

Each wraps an environment as `gymnasium.make` makes it, and passes `snapshot` and `restore` through:
what a wrapper adds to an episode follows from the episode's own state. `GoalConditioned` goes
outside of those of `acs_gym.envs.moves`, which change the action.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import OrderEnforcing
from numpy.typing import ArrayLike, NDArray

from acs_gym.envs.observation import MARGIN_LIMIT, Observation
from acs_gym.envs.sizing import SizingEnv
from acs_gym.envs.snapshot import EnvState
from acs_gym.specs import SpecSheet

Goals = NDArray[np.float64]
Reward = Literal["score", "sparse"]
AnyEnv = gymnasium.Env[Any, Any]
Turn = tuple[Any, float, bool, bool, dict[str, Any]]


class SizingWrapper(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """The base of the wrappers: the environment below, and states that pass through.

    Raises TypeError for an environment that is no `SizingEnv`, ValueError for one whose observation
    another wrapper has changed.
    """

    def __init__(self, env: AnyEnv) -> None:
        super().__init__(env)
        below = env.unwrapped
        if not isinstance(below, SizingEnv):
            raise TypeError(
                f"{type(self).__name__} wraps a SizingEnv, as gymnasium.make('ACS-OpAmp-v0') makes "
                f"it; got {type(below).__name__}"
            )
        if env.observation_space != below.observation_space:
            raise ValueError(
                f"{type(self).__name__} reads the observation of SizingEnv; put wrappers that change "
                "it (such as GoalConditioned or FlattenObservation) outside of this one"
            )
        self._below = below

    def _seen(self, observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """What this wrapper shows of an observation and an info of the environment it wraps."""
        return observation, info

    def _take_up(self, *, new: bool) -> None:
        """Follow the environment to where it now stands; `new` after a reset, else a restore."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """As `SizingEnv.reset`."""
        seen = self.env.reset(seed=seed, options=options)
        self._take_up(new=True)
        return self._seen(*seen)

    def snapshot(self) -> EnvState:
        """As `SizingEnv.snapshot`; the state is of the episode and knows nothing of wrappers."""
        return self._below.snapshot()

    def restore(self, state: EnvState) -> tuple[Any, dict[str, Any]]:
        """As `SizingEnv.restore`, with this wrapper's observation; a reset before is not needed."""
        restore = self.env.get_wrapper_attr("restore")
        seen = restore(state)
        if any(not e.has_reset for e in _layers(self.env) if isinstance(e, OrderEnforcing)):
            self.env.reset()  # All that Gymnasium's order enforcer accepts as a beginning.
            seen = restore(state)
        self._take_up(new=False)
        return self._seen(*seen)


def _layers(env: AnyEnv) -> Iterator[AnyEnv]:
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env


class GoalConditioned(SizingWrapper):
    """The episode's targets as a goal, in the form of Gymnasium-Robotics and hindsight replay.

    Observation, with n parameters and k specs in the order of `task.specs.metrics`:

        observation    (n + 2k + 1,) float32  `design`, `metrics`, `measured` and `remaining` of
                       `SizingEnv`: what does not depend on the targets
        achieved_goal  (k,) float64 in [-5, 5]  where the last design's metrics are
        desired_goal   (k,) float64 in [-5, 5]  where this episode's targets are

    The coordinate of a value is its margin z to the task's *fixed* target, bent into
    `z / (1 + |z|/5)`: dimensionless, 0 at the fixed target, up is better, with slope 1 there, and
    reversible, so that nothing of the reward is lost. A metric that could not be measured is at
    -5, as is everything before the first turn; it meets no goal whatsoever.

    Reward: a function of the two goals alone, `compute_reward`. With `score`, the environment's own
    reward for these targets (the weighted mean satisfaction, in [0, 1]); with `sparse`, 0 where
    every spec is met and -1 elsewhere. `info["is_success"]` says whether every spec is met.

    Whether an episode is over depends on its own targets, not on a relabelled goal; see
    `compute_terminated`.
    """

    def __init__(self, env: AnyEnv, *, reward: Reward = "score") -> None:
        if reward not in get_args(Reward):
            raise ValueError(f"reward is one of {', '.join(get_args(Reward))}; got {reward!r}")
        RecordConstructorArgs.__init__(self, reward=reward)
        super().__init__(env)
        self._reward = reward
        self._fixed = self._below.fixed_specs
        self._weights = [s.weight for s in self._fixed]
        below: Any = self._below.observation_space
        parts = [below[name] for name in _GOAL_FREE]
        goal = Box(-MARGIN_LIMIT, MARGIN_LIMIT, (len(self._fixed),), np.float64)
        self.observation_space = Dict(
            {
                "observation": Box(
                    np.concatenate([p.low for p in parts]), np.concatenate([p.high for p in parts])
                ),
                "achieved_goal": goal,
                "desired_goal": goal,
            }
        )

    def step(self, action: Any) -> Turn:
        """As `SizingEnv.step`, with the goals' observation and reward."""
        observation, _, terminated, truncated, info = self.env.step(action)
        seen, info = self._seen(observation, info)
        reward = self.compute_reward(seen["achieved_goal"], seen["desired_goal"], info)
        return seen, reward, terminated, truncated, info

    def compute_reward(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: Any) -> Any:
        """The reward for goals of shape (..., k): an array of shape (...), a float for one goal.

        `info` is not looked at. Raises ValueError for goals of another shape.
        """
        achieved, desired = self._goals(achieved_goal), self._goals(desired_goal)
        met = self._met(achieved, desired)
        if self._reward == "sparse":
            return _plain(np.where(met.all(axis=-1), 0.0, -1.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            # In float64 for float32 goals too; -5 stands for minus infinity on both sides.
            shortfall = _unbend(desired) - _unbend(achieved)
            satisfaction = np.where(met, 1.0, np.where(_measured(achieved), 1 / (1 + shortfall), 0))
        # Spec by spec, so that a batch gives the same bits as its goals one at a time.
        total = sum(w * satisfaction[..., i] for i, w in enumerate(self._weights))
        score = np.minimum(total / math.fsum(self._weights), math.nextafter(1.0, 0.0))
        return _plain(np.where(met.all(axis=-1), 1.0, score))

    def compute_terminated(
        self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: Any
    ) -> Any:
        """Whether an episode with this goal would end here; shapes as for `compute_reward`."""
        met = self._met(self._goals(achieved_goal), self._goals(desired_goal)).all(axis=-1)
        return _plain(met & self._below.stop_when_feasible)

    def _seen(
        self, observation: Observation, info: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        last = self._below.last
        metrics = {} if last is None else last.metrics
        seen = {
            "observation": np.concatenate([observation[name] for name in _GOAL_FREE]),
            "achieved_goal": _coordinates(self._fixed, metrics),
            "desired_goal": _coordinates(self._fixed, self._below.task.specs.targets),
        }
        return seen, {**info, "is_success": last is not None and last.feasible}

    def _met(self, achieved: Goals, desired: Goals) -> NDArray[np.bool_]:
        return (achieved >= desired) & _measured(achieved)

    def _goals(self, goals: ArrayLike) -> Goals:
        array = np.asarray(goals, dtype=np.float64)
        if not array.ndim or array.shape[-1] != len(self._fixed):
            raise ValueError(
                f"goals have shape (..., {len(self._fixed)}), one coordinate each for "
                f"{', '.join(self._fixed.metrics)}; got {array.shape}"
            )
        return array


# An observation that knew the targets would contradict a goal put in their place afterwards.
_GOAL_FREE = ("design", "metrics", "measured", "remaining")


def _coordinates(fixed: SpecSheet, values: Mapping[str, float]) -> Goals:
    return np.array([_bend(s.margin(values.get(s.metric, math.nan))) for s in fixed])


def _bend(margin: float) -> float:
    if math.isfinite(margin):
        return margin / (1.0 + abs(margin) / MARGIN_LIMIT)
    return MARGIN_LIMIT if margin > 0 else -MARGIN_LIMIT


def _unbend(coordinates: Goals) -> Goals:
    return coordinates / (1.0 - np.abs(coordinates) / MARGIN_LIMIT)


def _measured(coordinates: Goals) -> NDArray[np.bool_]:
    return coordinates > -MARGIN_LIMIT


def _plain(array: Any) -> Any:
    return array if array.ndim else array.item()
