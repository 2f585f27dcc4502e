"""Optuna's Gaussian-process sampler: a GP for the score and one a spec, log EI times feasibility.

Needs torch beside Optuna. Ament, Daulton, Eriksson, Balandat and Bakshy, "Unexpected Improvements to
Expected Improvement for Bayesian Optimization", NeurIPS 2023; constraints after Gardner, Kusner,
Xu, Weinberger and Cunningham, "Bayesian Optimization with Inequality Constraints", ICML 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.optuna_wrapper import OptunaOptimizer
from baselines.protocol import Point

if TYPE_CHECKING:
    import optuna


class OptunaGP(OptunaOptimizer):
    """Optuna's GP sampler, told that a simulation has no noise."""

    name: ClassVar[str] = "optuna-gp"

    def _sampler(self, seed: int, startup: int) -> optuna.samplers.BaseSampler:
        import optuna

        return optuna.samplers.GPSampler(
            seed=seed, n_startup_trials=startup, deterministic_objective=True
        )

    def _propose(self, n: int) -> list[Point]:
        from baselines.reproducible import reproducible

        with reproducible(0):
            return super()._propose(n)
