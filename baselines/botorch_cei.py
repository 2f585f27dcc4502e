"""Constrained Bayesian optimisation: improvement of the score where every spec is met.

Gardner, Kusner, Xu, Weinberger and Cunningham, "Bayesian Optimization with Inequality Constraints",
ICML 2014, in the logarithm after Ament et al., "Unexpected Improvements to Expected Improvement for
Bayesian Optimization", NeurIPS 2023.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from botorch.acquisition import AcquisitionFunction, qLogExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.sampling import SobolQMCNormalSampler
from torch import Tensor

from baselines.acquisition import AcquisitionOptimizer
from baselines.failures import Track
from baselines.metric_models import EDGE, fit_metrics

# Of a spec's edge, in bilog margin.
_LEAST_EDGE = 1e-3


class BotorchCEI(AcquisitionOptimizer):
    """A GP of the score and one a spec: log of the expected improvement times feasibility.

    The best feasible score is what is to be improved on; before there is one, the worst that was seen:
    any feasible design is an improvement, a better one a larger one. A fixed number is neither for scores
    that may be negative.
    """

    name: ClassVar[str] = "botorch-cei"
    track: ClassVar[Track] = "metrics"

    def _acquisition(
        self, x: Tensor, score: Tensor, sampler: SobolQMCNormalSampler
    ) -> AcquisitionFunction | None:
        metrics = fit_metrics(self._observations, self._levels, with_score=True)
        if metrics is None:
            return None
        feasible = [o.score for o in self._observations if o.feasible]
        return qLogExpectedImprovement(
            metrics.processes,
            best_f=max(feasible) if feasible else score.min(),
            sampler=sampler,
            objective=GenericMCObjective(_score),
            constraints=metrics.constraints(),
            eta=torch.tensor([self._edge()] * len(metrics.specs) + [EDGE] * metrics.fallible),
        )

    def _edge(self) -> float:
        """Width of a spec's edge, in bilog margin: no more than the best design misses by.

        A wide one leads from afar; but where a set meets many specs by less than its width, everything in
        it counts as unlikely.
        """
        missed = [-min(o.margins.values()) for o in self._observations if o.measured]
        return min(max(min(missed, default=EDGE), _LEAST_EDGE), EDGE)


def _score(samples: Tensor, X: Tensor | None = None) -> Tensor:
    """The last of the modelled values; by the name `X` it is told of the points, which it needs not."""
    return samples[..., -1]
