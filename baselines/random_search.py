"""Uniform sampling of the unit cube: the floor that every method has to clear.

Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13, 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from acs_gym.design import Design, DesignSpace
from baselines.protocol import Optimizer, Point


class RandomSearch(Optimizer):
    """Independent designs, uniform in the unit cube (so log-uniform in sizes and currents)."""

    name: ClassVar[str] = "random"

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=initial)
        self._rng = np.random.default_rng(seed)

    def _propose(self, n: int) -> Point:
        return self._rng.random((n, len(self.space)))
