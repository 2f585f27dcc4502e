"""Always the centre of the design space: a check of the harness, and a floor below the floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from acs_gym.design import Design, DesignSpace
from baselines.protocol import Optimizer, Point


class Constant(Optimizer):
    """The centre of the unit cube, whatever it is told; it ignores the initial designs."""

    name: ClassVar[str] = "constant"
    repeats: ClassVar[bool] = True

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=())

    def _propose(self, n: int) -> Point:
        return np.full((n, len(self.space)), 0.5)
