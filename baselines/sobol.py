"""A scrambled Sobol sequence: random search without its gaps and clusters.

Owen, "Scrambling Sobol' and Niederreiter-Xing Points", Journal of Complexity 14, 1998.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from scipy.stats import qmc

from acs_gym.design import Design, DesignSpace
from baselines.protocol import Optimizer, Point


class Sobol(Optimizer):
    """The points of one scrambled Sobol sequence, in order, after the initial designs."""

    name: ClassVar[str] = "sobol"

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=initial)
        self._engine = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))

    def _propose(self, n: int) -> Point:
        # One point at a time: scipy warns of a first block that is no power of two, and the
        # sequence is the same however it is cut.
        return np.concatenate([self._engine.random(1) for _ in range(n)])
