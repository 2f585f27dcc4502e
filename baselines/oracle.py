"""Replays the sizing shipped with a task: the ceiling, and a check that the ceiling is reachable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from acs_gym.design import Design, DesignSpace
from acs_gym.task import Task
from baselines.protocol import Optimizer, Point


class Oracle(Optimizer):
    """Asks for one known sizing again and again; it ignores the initial designs.

    Args:
        reference: the sizing; one of the initial designs stands in when none is given.
    """

    name: ClassVar[str] = "oracle"
    repeats: ClassVar[bool] = True

    def __init__(
        self,
        space: DesignSpace,
        *,
        seed: int,
        initial: Sequence[Design],
        reference: Design | None = None,
    ) -> None:
        super().__init__(space, seed=seed, initial=())
        self._reference = space.to_unit(initial[0] if reference is None else reference)

    @classmethod
    def for_task(cls, task: Task, *, seed: int, initial: Sequence[Design]) -> Self:
        """Raises LookupError when the task ships no reference on its PDK."""
        if task.reference is None:
            raise LookupError(f"{task.id} ships no reference sizing on PDK {task.pdk_name}")
        return cls(task.space, seed=seed, initial=initial, reference=task.reference)

    def _propose(self, n: int) -> Point:
        return np.tile(self._reference, (n, 1))
