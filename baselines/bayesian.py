"""What the methods with Gaussian processes share: data, random stream, and what to do without any."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from acs_gym.design import Design, DesignSpace
from baselines.failures import Observation
from baselines.levels import coarse_levels
from baselines.protocol import Optimizer, Point
from baselines.reproducible import reproducible


class BayesianOptimizer(Optimizer):
    """A method that proposes from models of all it was told."""

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=initial)
        self._rng = np.random.default_rng(seed)
        self._levels = coarse_levels(space)
        self._observations: list[Observation] = []

    @abstractmethod
    def _from_model(self, n: int) -> Tensor | None:
        """`n` points, shape (n, d), or None when too little is known for a model.

        Called with torch's random stream seeded and one thread.
        """

    def _propose(self, n: int) -> Point:
        with reproducible(int(self._rng.integers(2**31))):
            points = self._from_model(n)
        if points is None:
            return self._rng.random((n, len(self.space)))
        return points.detach().numpy()

    def _learn(self, learnt: Sequence[Observation]) -> None:
        self._observations += learnt


def units(observations: Sequence[Observation]) -> Tensor:
    """Shape (n, d)."""
    return torch.from_numpy(np.array([o.unit for o in observations]))


def scores(observations: Sequence[Observation]) -> Tensor:
    """Shape (n,)."""
    return torch.tensor([o.score for o in observations], dtype=torch.float64)
