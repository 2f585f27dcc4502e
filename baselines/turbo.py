"""TuRBO-1: Bayesian optimisation of the score in a trust region, by Thompson sampling.

Eriksson, Pearce, Gardner, Turner and Poloczek, "Scalable Global Optimization via Local Bayesian
Optimization", NeurIPS 2019. Written from the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from baselines.bayesian import scores, units
from baselines.failures import Observation
from baselines.gaussian_process import TRUST_REGION, GaussianProcesses
from baselines.levels import Levels
from baselines.trust_region import MeritSampler, TrustRegionOptimizer


class TuRBO(TrustRegionOptimizer):
    """A GP of the score around the incumbent; the box has the shape of its length scales."""

    name: ClassVar[str] = "turbo"
    most_candidates: ClassVar[int] = 2000

    def _merit(self, observation: Observation) -> float:
        return observation.score

    def _sampler(self, observations: Sequence[Observation]) -> MeritSampler:
        return _Scores(observations, self._levels)


class _Scores(MeritSampler):
    def __init__(self, observations: Sequence[Observation], levels: Sequence[Levels]) -> None:
        values = scores(observations)[:, None]
        self._model = GaussianProcesses(units(observations), values, levels, TRUST_REGION)
        self.length_scales = self._model.length_scales[0]

    def sample(self, points: Tensor, n: int) -> Tensor:
        return self._model.samples(points, n)[..., 0]
