"""The trust region of TuRBO and SCBO: where to look, when to widen and narrow it, when to begin anew.

Eriksson, Pearce, Gardner, Turner and Poloczek, "Scalable Global Optimization via Local Bayesian
Optimization" (TuRBO), NeurIPS 2019, section 2 and supplement. The numbers are the papers', but for
the number of candidates, which decides the time of an ask.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from acs_gym.design import Design, DesignSpace
from baselines.bayesian import BayesianOptimizer
from baselines.failures import Observation
from baselines.levels import round_to_levels

_FIRST_LENGTH, _MOST_LENGTH, _LEAST_LENGTH = 0.8, 1.6, 0.5**7
# What counts as better: by a thousandth of the best.
_PROGRESS = 1e-3
_LEAST_OBSERVATIONS = 2


@dataclass(slots=True)
class TrustRegion:
    """A box around the incumbent whose sides are `length` on average.

    Attributes:
        n: parameters.
        success_tolerance: better batches in a row that double the length.
    """

    n: int
    success_tolerance: int = 3
    length: float = _FIRST_LENGTH
    successes: int = 0
    failures: int = 0

    @property
    def collapsed(self) -> bool:
        """Too small to find anything more: begin anew elsewhere."""
        return self.length < _LEAST_LENGTH

    def failure_tolerance(self, batch: int) -> int:
        """Batches in a row without progress that halve the length."""
        return math.ceil(max(4, self.n) / batch)

    def update(self, improved: bool, batch: int) -> None:
        """After each batch of answers to proposals of the region."""
        self.successes, self.failures = (
            (self.successes + 1, 0) if improved else (0, self.failures + 1)
        )
        if self.successes >= self.success_tolerance:
            self.length, self.successes = min(2.0 * self.length, _MOST_LENGTH), 0
        elif self.failures >= self.failure_tolerance(batch):
            self.length, self.failures = self.length / 2.0, 0

    def candidates(
        self,
        centre: Tensor,
        length_scales: Tensor,
        count: int,
        *,
        share: Tensor | None = None,
        zoom: float = 1.0,
    ) -> Tensor:
        """`count` points of the region, shape (count, n).

        Sides go with the length scales, at equal volume. Each point differs from the centre in
        20 coordinates on average (in all, below 20 parameters) and at least in one.

        Args:
            share: of the coordinates that a point differs in, on average, shape (count, 1), if it is not
                that of the paper.
            zoom: of the sides, what the points may differ by.
        """
        sides = length_scales / length_scales.mean()
        sides = zoom * self.length * sides / sides.log().mean().exp()
        low, high = (centre - sides / 2).clamp(0.0, 1.0), (centre + sides / 2).clamp(0.0, 1.0)
        engine = SobolEngine(self.n, scramble=True, seed=int(torch.randint(2**31, ())))
        points = low + (high - low) * engine.draw(count, dtype=torch.float64)
        likely = min(1.0, 20.0 / self.n) if share is None else share
        moved = torch.rand(count, self.n, dtype=torch.float64) < likely
        moved[torch.arange(count), torch.randint(self.n, (count,))] = True
        return torch.where(moved, points, centre)


class TrustRegionOptimizer(BayesianOptimizer):
    """Thompson sampling in one trust region at a time.

    A subclass says what makes a design good (`_merit`) and samples that from its models.

    Attributes:
        most_candidates: points, at most, at which a sample of the models is looked at.
    """

    most_candidates: ClassVar[int]

    def __init__(
        self,
        space: DesignSpace,
        *,
        seed: int,
        initial: Sequence[Design],
        candidates: int | None = None,
    ) -> None:
        super().__init__(space, seed=seed, initial=initial)
        self._candidates = candidates or min(100 * len(space), self.most_candidates)
        self._region = self._fresh_region()
        # Where the observations of this region begin; another region learns nothing from them.
        self._since = 0
        self._to_draw = 0
        self._drawing = False

    @abstractmethod
    def _merit(self, observation: Observation) -> float:
        """The larger, the better."""

    @abstractmethod
    def _sampler(self, observations: Sequence[Observation]) -> MeritSampler | None:
        """Models fitted to the observations; None when they are too few."""

    def _fresh_region(self) -> TrustRegion:
        return TrustRegion(len(self.space))

    def _from_model(self, n: int) -> Tensor | None:
        if self._region.collapsed:
            self._region = self._fresh_region()
            self._since = len(self._observations)
            self._to_draw = max(_LEAST_OBSERVATIONS, self.n_initial)
        local = self._observations[self._since :]
        self._drawing = self._to_draw > 0 or len(local) < _LEAST_OBSERVATIONS
        if self._drawing:
            self._to_draw = max(0, self._to_draw - n)
            return None
        sampler = self._sampler(local)
        if sampler is None:
            self._drawing = True
            return None
        return self._chosen(sampler, torch.from_numpy(max(local, key=self._merit).unit), n)

    def _chosen(self, sampler: MeritSampler, centre: Tensor, n: int) -> Tensor:
        """`n` points, shape (n, d): the best candidate of one sample each."""
        points = self._region.candidates(centre, sampler.length_scales, self._candidates)
        return self._best_of(sampler, points, n)

    def _best_of(self, sampler: MeritSampler, points: Tensor, n: int) -> Tensor:
        """The best of `points`, shape (c, d), on their levels, in each of `n` samples: shape (n, d)."""
        rounded = torch.from_numpy(round_to_levels(points.numpy(), self._levels))
        return rounded[_argmax_each(sampler.sample(rounded, n))]

    def _learn(self, learnt: Sequence[Observation]) -> None:
        before = max(map(self._merit, self._observations[self._since :]), default=-math.inf)
        super()._learn(learnt)
        answers = [self._merit(o) for o in learnt if o.proposed is not None]
        if answers and not self._drawing:
            enough = before + _PROGRESS * abs(before)
            self._region.update(max(answers) > enough, len(answers))


class MeritSampler(ABC):
    """Joint samples of the merit over a set of points.

    Attributes:
        length_scales: what the sides of the region go with, shape (d,).
    """

    length_scales: Tensor

    @abstractmethod
    def sample(self, points: Tensor, n: int) -> Tensor:
        """`n` samples at `points`, shape (c, d): shape (n, c)."""


def _argmax_each(merits: Tensor) -> Tensor:
    """The best column of every row, none of them twice while there are enough."""
    taken: list[int] = []
    for row in merits.detach().numpy():
        order = np.argsort(-row, kind="stable")
        taken.append(int(next((k for k in order if k not in taken), order[0])))
    return torch.tensor(taken)
