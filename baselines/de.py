"""Differential evolution.

Storn and Price, "Differential Evolution – A Simple and Efficient Heuristic for Global Optimization
over Continuous Spaces", Journal of Global Optimization 11, 1997: DE/best/1/bin, with the scale factor
dithered. Written here because the libraries' own (scipy, pymoo) want to call the objective
themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from acs_gym.design import Design, DesignSpace
from baselines.failures import Observation
from baselines.protocol import Optimizer, Point

_CROSSOVER = 0.7
_SCALE = (0.5, 1.0)
_LEAST_POPULATION = 5


@dataclass(slots=True)
class _Member:
    point: Point
    score: float


class DifferentialEvolution(Optimizer):
    """A steady-state population that starts as the initial designs.

    A trial point competes with the member it was bred for as soon as its answer is in, so any batch
    size will do. A coordinate that leaves the cube is drawn anew.
    """

    name: ClassVar[str] = "de"

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=initial)
        self._rng = np.random.default_rng(seed)
        self._size = max(_LEAST_POPULATION, self.n_initial)
        self._members: list[_Member] = []
        self._turn = 0
        self._bred_for: dict[bytes, int] = {}

    def _propose(self, n: int) -> list[Point]:
        points = []
        for _ in range(n):
            if len(self._members) < self._size:
                points.append(self._rng.random(len(self.space)))
            else:
                points.append(self._breed(self._turn))
                self._turn = (self._turn + 1) % self._size
        return points

    def _breed(self, target: int) -> Point:
        others = [k for k in range(self._size) if k != target]
        first, second = self._rng.choice(others, 2, replace=False)
        best = max(self._members, key=lambda m: m.score).point
        difference = self._members[first].point - self._members[second].point
        mutant = best + self._rng.uniform(*_SCALE) * difference
        outside = (mutant < 0.0) | (mutant > 1.0)
        mutant = np.where(outside, self._rng.random(len(mutant)), mutant)
        crossed = self._rng.random(len(mutant)) < _CROSSOVER
        crossed[self._rng.integers(len(mutant))] = True
        trial = np.where(crossed, mutant, self._members[target].point)
        self._bred_for[trial.tobytes()] = target
        return trial

    def _learn(self, learnt: Sequence[Observation]) -> None:
        for observation in learnt:
            newcomer = _Member(observation.unit, observation.score)
            if len(self._members) < self._size:
                self._members.append(newcomer)
                continue
            proposed = b"" if observation.proposed is None else observation.proposed.tobytes()
            # What was not bred for anyone (a design of others, a duplicate moved aside) competes
            # with the worst.
            target = self._bred_for.pop(proposed, None)
            if target is None:
                target = min(range(self._size), key=lambda k: self._members[k].score)
            if newcomer.score >= self._members[target].score:
                self._members[target] = newcomer
