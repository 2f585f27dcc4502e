"""SCBO: a trust region that is led by constraints, one GP each, and Thompson sampling.

Eriksson and Poloczek, "Scalable Constrained Bayesian Optimization", AISTATS 2021. Written from the
paper: constraints go through the bilog transform, a sample of all models at once says which
candidates are feasible, and where none is, the one with the least total violation is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from baselines.failures import WORST_BILOG, Observation, Track
from baselines.gaussian_process import TRUST_REGION
from baselines.metric_models import MetricModels, fit_metrics
from baselines.trust_region import MeritSampler, TrustRegion, TrustRegionOptimizer


class SCBO(TrustRegionOptimizer):
    """One GP a spec, and being measured as one more constraint.

    The score is 1 wherever all specs are met, so it is no objective to go on with from there. The
    objective is the least margin, which needs no model of its own: a design that meets every spec
    is better the safer it does.
    """

    name: ClassVar[str] = "scbo"
    track: ClassVar[Track] = "metrics"
    most_candidates: ClassVar[int] = 1000

    def _fresh_region(self) -> TrustRegion:
        n = len(self.space)
        return TrustRegion(n, success_tolerance=max(3, math.ceil(n / 10)))

    def _merit(self, observation: Observation) -> float:
        slacks = [observation.margins.get(s, WORST_BILOG) for s in observation.specs]
        violation = sum(max(0.0, -s) for s in slacks)
        return -violation if violation else min(slacks, default=-math.inf)

    def _sampler(self, observations: Sequence[Observation]) -> MeritSampler | None:
        models = fit_metrics(observations, self._levels, prior=TRUST_REGION)
        return None if models is None else _Merits(models, len(self.space))


class _Merits(MeritSampler):
    """Samples of the least margin where it is positive, of minus the total violation elsewhere."""

    def __init__(self, models: MetricModels, n: int) -> None:
        self._models = models
        # The paper's region is a cube: the models do not agree on a shape.
        self.length_scales = torch.ones(n, dtype=torch.float64)

    def sample(self, points: Tensor, n: int) -> Tensor:
        slacks = self._models.slacks(self._models.processes.samples(points, n))
        violation = (-slacks).clamp(min=0.0).sum(dim=-1)
        return torch.where(violation > 0.0, -violation, slacks.min(dim=-1).values)
