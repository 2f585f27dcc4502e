"""scikit-optimize's `Optimizer` behind ours; the methods built on it differ in a few arguments.

It works in the unit cube, and not with skopt's own log and integer dimensions, because its log round
trip lands 1e-16 outside the bounds and is then refused, and so that every method sees the same
geometry. Batches are the library's own constant liar (Ginsbourger, Le Riche and Carraro, 2010).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from acs_gym.design import Design, DesignSpace
from baselines.failures import Observation
from baselines.protocol import Optimizer, Point


class SkoptOptimizer(Optimizer):
    """A method of scikit-optimize, `pip install 'acs-gym[skopt]'`.

    Attributes:
        arguments: of `skopt.Optimizer`, beside those that hold for all of them.
    """

    arguments: ClassVar[Mapping[str, Any]]

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=initial)
        import skopt

        rng = np.random.default_rng(seed)
        self._optimizer = skopt.Optimizer(
            [(0.0, 1.0)] * len(space),
            n_initial_points=max(1, self.n_initial),
            random_state=int(rng.integers(2**31)),
            **self.arguments,
        )

    def _propose(self, n: int) -> Point:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A single point without the liar, which would copy the optimiser and fit it again.
            points = [self._optimizer.ask()] if n == 1 else self._optimizer.ask(n_points=n)
        return np.clip(np.array(points, dtype=np.float64), 0.0, 1.0)

    def _learn(self, learnt: Sequence[Observation]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn, of hyper-parameters at their bounds.
            # skopt minimises.
            self._optimizer.tell([o.unit.tolist() for o in learnt], [-o.score for o in learnt])
