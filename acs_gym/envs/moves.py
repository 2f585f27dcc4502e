"""Wrappers whose action changes a design instead of naming one: increments, and steps on a grid."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from gymnasium.spaces import MultiDiscrete
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import ArrayLike

from acs_gym.design import Design, DesignSpace, Parameter
from acs_gym.envs.episode import numbers_of
from acs_gym.envs.snapshot import rng_to_text
from acs_gym.envs.wrappers import AnyEnv, SizingWrapper, Turn

Start = Literal["centre", "reference", "random"]


class _FromCurrentDesign(SizingWrapper):
    """Actions that change the last design of the episode, or before its first turn a start.

    The start is not simulated: the first action already counts from it. The observation's `design`
    is the design that the next action changes.
    """

    def __init__(self, env: AnyEnv, start: Start | Mapping[str, float]) -> None:
        super().__init__(env)
        if env.action_space != self._below.action_space:
            raise ValueError(
                f"{type(self).__name__} gives SizingEnv a design to simulate; it cannot wrap one "
                "whose action another wrapper has already changed"
            )
        self._start_rule = start
        # A start that does not exist is an error now, and not at the first reset.
        self._start = self._begin()

    @property
    def design(self) -> Design:
        """The design that the next action changes, in SI units."""
        last = self._below.last
        return dict(self._start if last is None else last.design)

    @property
    def _space(self) -> DesignSpace:
        return self._below.task.space

    def _take_up(self, *, new: bool) -> None:
        if new and self._start_rule == "random":
            self._below.np_random.random()  # So that the next episode starts elsewhere.
        self._start = self._begin()

    def _begin(self) -> Design:
        rule, space, task = self._start_rule, self._space, self._below.task
        if isinstance(rule, Mapping):
            return space.canonicalize(rule)
        match rule:
            case "centre":
                return space.from_unit([0.5] * len(space))
            case "reference":
                if task.reference is None:
                    raise ValueError(
                        f"{task.id} ships no reference on {task.pdk_name} in tier {task.tier}; "
                        "start at 'centre', 'random' or a design"
                    )
                return task.reference
            case "random":
                # A function of the generator's state, which is all that a state before the first
                # turn has; drawing from it directly would leave nothing to find the start again.
                text = rng_to_text(self._below.np_random)
                digest = hashlib.sha256(text.encode()).digest()
                return space.sample(np.random.default_rng(list(digest)))
        raise ValueError(
            f"start is one of {', '.join(get_args(Start))} or a design; got {str(rule)[:80]!r}"
        )

    def _seen(self, observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        coordinates = 2.0 * self._space.to_unit(self.design) - 1.0
        return {**observation, "design": coordinates.astype(np.float32)}, info

    def _try(self, design: Design) -> Turn:
        """A turn with this very design: in float64 an action names every design of the grid."""
        action = 2.0 * self._space.to_unit(design) - 1.0
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), terminated, truncated, info


class DeltaAction(_FromCurrentDesign):
    """An action is a bounded change of the current design.

    Action: `Box(-1, 1, (n,), float32)`. Each parameter moves by `max_change` times its number, in
    unit-cube coordinates (so along its own log or linear scale), stays inside its range, and is
    snapped to its grid. Where a grid step is larger than `max_change` (small counts), ±1 is one
    grid step, so that every parameter can be moved. Zero repeats the design.

    Args:
        max_change: the largest change per turn, as a share of each parameter's range, in (0, 1].
        start: `centre` of the unit cube, the task's `reference`, `random` (uniform in the unit
            cube, drawn at each reset), or a design in SI units.

    Raises ValueError, InvalidDesign; TypeError for an environment that is no `SizingEnv`.
    """

    def __init__(
        self,
        env: AnyEnv,
        *,
        max_change: float = 0.1,
        start: Start | Mapping[str, float] = "centre",
    ) -> None:
        if not 0.0 < max_change <= 1.0:
            raise ValueError(f"max_change is a share of a range, in (0, 1]; got {max_change!r}")
        RecordConstructorArgs.__init__(self, max_change=max_change, start=start)
        super().__init__(env, start)
        self._max_change = float(max_change)

    def step(self, action: ArrayLike) -> Turn:
        """Change the current design and simulate it. Raises as `SizingEnv.step` does."""
        design, numbers = self.design, numbers_of(action, self._space.names)
        moved = {
            p.name: self._moved(p, design[p.name], float(number))
            for p, number in zip(self._space, numbers, strict=True)
        }
        return self._try(moved)

    def _moved(self, parameter: Parameter, value: float, number: float) -> float:
        if number == 0.0:
            return value
        here, most = parameter.to_unit(value), self._max_change
        if parameter.grid is not None:
            neighbour = parameter.snap(value + math.copysign(parameter.grid, number))
            most = max(most, abs(parameter.to_unit(neighbour) - here))
        return parameter.from_unit(here + number * most)


class Discrete(_FromCurrentDesign):
    """A grid of sizings, as AutoCkt has it: each parameter goes a step down, stays, or goes up.

    Action: `MultiDiscrete([3] * n)`, per parameter 0, 1, 2 for the next lower grid point, the same
    value, and the next higher one; at the end of its range a parameter stays. With `absolute`,
    `MultiDiscrete([points of each parameter])`: the grid points themselves, lowest first, whatever
    the design was before.

    The grid has `points` points per parameter, at equal distances along its own log or linear
    scale, both ends included; fewer where the parameter has fewer values (`levels` has them). From
    the centre of the default 41, either end is an episode's 20 turns away.

    AutoCkt: Settaluri et al., DATE 2020.

    Args:
        points: grid points per parameter, >= 2: one number for all, or a mapping with one for each.
        absolute: name grid points rather than steps.
        start: as for `DeltaAction`; it need not be on the grid. Without meaning with `absolute`.

    Raises ValueError, InvalidDesign; TypeError for an environment that is no `SizingEnv`.
    """

    def __init__(
        self,
        env: AnyEnv,
        *,
        points: int | Mapping[str, int] = 41,
        absolute: bool = False,
        start: Start | Mapping[str, float] = "centre",
    ) -> None:
        RecordConstructorArgs.__init__(self, points=points, absolute=absolute, start=start)
        super().__init__(env, start)
        self._absolute = bool(absolute)
        self.levels: dict[str, tuple[float, ...]] = {
            p.name: _levels(p, count)
            for p, count in zip(self._space, _counts(points, self._space), strict=True)
        }
        self._sizes = [len(values) if absolute else 3 for values in self.levels.values()]
        self.action_space = MultiDiscrete(self._sizes)

    def step(self, action: ArrayLike) -> Turn:
        """Simulate the design that the action leads to. Raises as `SizingEnv.step` does."""
        chosen = self._chosen(action)
        if self._absolute:
            return self._try({name: self.levels[name][k] for name, k in chosen.items()})
        design = self.design
        for name, k in chosen.items():
            values = self.levels[name]
            here = design[name]
            if k == 0:
                design[name] = values[max(bisect_left(values, here) - 1, 0)]
            elif k == 2:
                design[name] = values[min(bisect_right(values, here), len(values) - 1)]
        return self._try(design)

    def _seen(self, observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        # Where no action counts from the start, there is nothing to see of it.
        return (observation, info) if self._absolute else super()._seen(observation, info)

    def _chosen(self, action: ArrayLike) -> dict[str, int]:
        sizes = dict(zip(self.levels, self._sizes, strict=True))
        allowed = f"an action is {len(sizes)} whole numbers, from 0 and below: " + ", ".join(
            f"{name} {size}" for name, size in sizes.items()
        )
        vector = np.asarray(action)
        if vector.shape != (len(sizes),) or not np.issubdtype(vector.dtype, np.integer):
            raise ValueError(f"action is {str(action)[:80]!r}; {allowed}")
        chosen = dict(zip(sizes, vector.tolist(), strict=True))
        if wrong := [n for n, k in chosen.items() if not 0 <= k < sizes[n]]:
            raise ValueError(f"{wrong[0]} is {chosen[wrong[0]]} in the action; {allowed}")
        return chosen


def _levels(parameter: Parameter, count: int) -> tuple[float, ...]:
    return tuple(sorted({parameter.from_unit(k / (count - 1)) for k in range(count)}))


def _counts(points: int | Mapping[str, int], space: DesignSpace) -> list[int]:
    given = dict(points) if isinstance(points, Mapping) else dict.fromkeys(space.names, points)
    if set(given) != set(space.names):
        odd = ", ".join(sorted(set(given) ^ set(space.names)))
        raise ValueError(f"points needs a number for each parameter, no more and no less: {odd}")
    for name, count in given.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 2:
            raise ValueError(f"points is a whole number >= 2, got {count!r} for {name}")
    return [given[name] for name in space.names]
