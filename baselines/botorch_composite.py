"""Composite Bayesian optimisation: one GP a metric, the score a known function of all of them.

Astudillo and Frazier, "Bayesian Optimization of Composite Functions", ICML 2019. The score is flat
where a spec is met and where it is hopeless; a model of it has to learn those plateaus from samples,
while the metrics behind it are smooth and the function that flattens them is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from botorch.acquisition import AcquisitionFunction, qLogExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.sampling import SobolQMCNormalSampler
from torch import Tensor

from acs_gym.design import Design, DesignSpace
from acs_gym.task import Task
from baselines.acquisition import AcquisitionOptimizer, Effort
from baselines.failures import Track
from baselines.metric_models import EDGE, all_specs, fit_metrics


class BotorchComposite(AcquisitionOptimizer):
    """Log expected improvement of the score, sampled through the models of the margins.

    Args:
        weights: of the specs in the score; 1 for one that is not named.
    """

    name: ClassVar[str] = "botorch-composite"
    track: ClassVar[Track] = "metrics"

    def __init__(
        self,
        space: DesignSpace,
        *,
        seed: int,
        initial: Sequence[Design],
        effort: Effort | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(space, seed=seed, initial=initial, effort=effort)
        self._weights = dict(weights or {})

    @classmethod
    def for_task(cls, task: Task, *, seed: int, initial: Sequence[Design]) -> Self:
        weights = {s.metric: s.weight for s in task.specs}
        return cls(task.space, seed=seed, initial=initial, weights=weights)

    def _acquisition(
        self, x: Tensor, score: Tensor, sampler: SobolQMCNormalSampler
    ) -> AcquisitionFunction | None:
        metrics = fit_metrics(self._observations, self._levels)
        if metrics is None:
            return None
        specs = all_specs(self._observations)

        def objective(samples: Tensor, X: Tensor | None = None) -> Tensor:
            return metrics.score(samples, self._weights, specs)

        return qLogExpectedImprovement(
            metrics.processes,
            best_f=score.max(),
            sampler=sampler,
            objective=GenericMCObjective(objective),
            constraints=metrics.measured() or None,
            eta=EDGE,
        )
