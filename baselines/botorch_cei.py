"""Constrained Bayesian optimisation: improvement of the score where every spec is met.

Gardner, Kusner, Xu, Weinberger and Cunningham, "Bayesian Optimization with Inequality Constraints",
ICML 2014, in the logarithm after Ament et al., "Unexpected Improvements to Expected Improvement for
Bayesian Optimization", NeurIPS 2023.
"""

from __future__ import annotations

from typing import ClassVar

from botorch.acquisition import AcquisitionFunction, qLogExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.sampling import SobolQMCNormalSampler
from torch import Tensor

from baselines.acquisition import AcquisitionOptimizer
from baselines.failures import Track
from baselines.metric_models import EDGE, fit_metrics


class BotorchCEI(AcquisitionOptimizer):
    """A GP of the score and one a spec: log of the expected improvement times feasibility.

    The best feasible score is what is to be improved on; before there is one, any score is better.
    """

    name: ClassVar[str] = "botorch-cei"
    track: ClassVar[Track] = "metrics"

    def _acquisition(
        self, x: Tensor, score: Tensor, sampler: SobolQMCNormalSampler
    ) -> AcquisitionFunction | None:
        metrics = fit_metrics(self._observations, self._levels, with_score=True)
        if metrics is None:
            return None
        return qLogExpectedImprovement(
            metrics.processes,
            best_f=max((o.score for o in self._observations if o.feasible), default=0.0),
            sampler=sampler,
            objective=GenericMCObjective(lambda samples, X=None: samples[..., -1]),
            constraints=metrics.constraints(),
            eta=EDGE,
        )
