"""Covariance matrix adaptation, by its author's library (`pip install 'acs-gym[evo]'`).

Hansen and Ostermeier, "Completely Derandomized Self-Adaptation in Evolution Strategies",
Evolutionary Computation 9, 2001; restarts with a doubled population after Auger and Hansen, CEC 2005;
the least spread of an integer after Hamano, Saito, Nomura and Shirakawa, "CMA-ES with Margin",
GECCO 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import stats

from acs_gym.design import Design, DesignSpace
from baselines.failures import Observation
from baselines.levels import coarse_levels
from baselines.protocol import Optimizer, Point

if TYPE_CHECKING:
    import cma

_SIGMA = 0.2


class CMAES(Optimizer):
    """CMA-ES in the unit cube, from the best initial design and not from the centre.

    A generation ends when as many answers as its size are in, whichever batches they came in.
    """

    name: ClassVar[str] = "cma-es"

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=initial)
        import cma  # noqa: F401 - so that a missing library is noticed before any simulation

        self._rng = np.random.default_rng(seed)
        self._levels = coarse_levels(space)
        self._es: cma.CMAEvolutionStrategy | None = None
        self._population = 4 + int(3 * np.log(len(space)))
        self._start: Observation | None = None
        self._answered: list[tuple[Point, float]] = []

    def _propose(self, n: int) -> list[Point]:
        if self._es is None:
            start = self._rng.random(len(self.space)) if self._start is None else self._start.unit
            self._es = self._strategy(start)
        return [np.asarray(point)[: len(self.space)] for point in self._es.ask(n)]

    def _learn(self, learnt: Sequence[Observation]) -> None:
        for observation in learnt:
            if self._es is None:
                if self._start is None or observation.score > self._start.score:
                    self._start = observation
                continue
            # A design of others enters the population as an injected solution.
            point = observation.unit if observation.proposed is None else observation.proposed
            self._answered.append((point, -observation.score))
            if len(self._answered) >= self._es.popsize:
                points, values = zip(*self._answered, strict=True)
                self._answered.clear()
                self._es.tell([self._full(p) for p in points], list(values))
                if self._es.stop():
                    self._population *= 2
                    self._es = self._strategy(self._rng.random(len(self.space)))

    def _strategy(self, start: Point) -> cma.CMAEvolutionStrategy:
        import cma

        n = len(self.space)
        least = np.zeros(n)
        # One sample in (population × n) leaves its level, however far the rest has converged.
        tail = stats.norm.isf(0.5 / (self._population * n))
        for level in self._levels:
            least[level.index] = 0.5 / (len(level.units) - 1) / tail
        return cma.CMAEvolutionStrategy(
            self._full(np.clip(start, 0.01, 0.99)),
            _SIGMA,
            {
                "bounds": [0.0, 1.0],
                "popsize": self._population,
                "minstd": self._full(least).tolist(),
                # The library seeds numpy's global stream otherwise.
                "seed": np.nan,
                "randn": lambda *shape: self._rng.standard_normal(shape),
                "verbose": -9,
            },
        )

    def _full(self, point: Point) -> Point:
        """The library refuses a single dimension: there, a second one means nothing."""
        return point if len(point) > 1 else np.append(point, 0.5)
