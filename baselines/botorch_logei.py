"""Bayesian optimisation of the score with log expected improvement.

Ament, Daulton, Eriksson, Balandat and Bakshy, "Unexpected Improvements to Expected Improvement for
Bayesian Optimization", NeurIPS 2023.
"""

from __future__ import annotations

from typing import ClassVar

from botorch.acquisition import AcquisitionFunction, qLogExpectedImprovement
from botorch.sampling import SobolQMCNormalSampler
from torch import Tensor

from baselines.acquisition import AcquisitionOptimizer
from baselines.gaussian_process import VANILLA, GaussianProcesses


class BotorchLogEI(AcquisitionOptimizer):
    """One GP of the score; the improvement on the best score so far, in the logarithm."""

    name: ClassVar[str] = "botorch-logei"

    def _acquisition(
        self, x: Tensor, score: Tensor, sampler: SobolQMCNormalSampler
    ) -> AcquisitionFunction:
        model = GaussianProcesses(x, score[:, None], self._levels, VANILLA)
        return qLogExpectedImprovement(model, best_f=score.max(), sampler=sampler)
