"""SCBO: a trust region that is led by constraints, one GP each, and Thompson sampling.

Eriksson and Poloczek, "Scalable Constrained Bayesian Optimization", AISTATS 2021. Written from the
paper: constraints go through the bilog transform, a sample of all models at once says which
candidates are feasible, and where none is, the one with the least total violation is taken.

One thing is not the paper's. Where many constraints are active at once, what is feasible is a corner so
narrow that hardly one of some hundred points drawn from the region lies in it: the models knew better
designs than any candidate. So a proposal is sought in three looks, the second and third around what the
one before found, at a quarter and a sixteenth of the region's size, each with a sample of its own; and
candidates differ from the centre in few coordinates, in half or in nearly all. That takes half the time
of one look at 1,000 points. What it brings: docs/optimizers.md.
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

# Looks a proposal takes, and the size of each in that of the one before.
_LOOKS, _ZOOM = 3, 0.25


class SCBO(TrustRegionOptimizer):
    """One GP a spec, and being measured as one more constraint.

    The score is 1 wherever all specs are met, so it is no objective to go on with from there. The
    objective is the least margin, which needs no model of its own: a design that meets every spec
    is better the safer it does.
    """

    name: ClassVar[str] = "scbo"
    track: ClassVar[Track] = "metrics"
    most_candidates: ClassVar[int] = 400

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

    def _chosen(self, sampler: MeritSampler, centre: Tensor, n: int) -> Tensor:
        chosen = self._best_of(sampler, self._around(centre, sampler, self._candidates), n)
        for look in range(1, _LOOKS):
            zoom = _ZOOM**look
            near = [self._around(c, sampler, self._candidates // n, zoom) for c in chosen]
            chosen = self._best_of(sampler, torch.cat([chosen, *near]), n)
        return chosen

    def _around(
        self, centre: Tensor, sampler: MeritSampler, count: int, zoom: float = 1.0
    ) -> Tensor:
        """Shape (count, d): points that differ in few coordinates, in half, and in nearly all."""
        share = torch.rand(count, 1, dtype=torch.float64)
        return self._region.candidates(centre, sampler.length_scales, count, share=share, zoom=zoom)


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
