"""Optuna's default: a tree-structured Parzen estimator.

Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011;
with constraints after Watanabe and Hutter, "c-TPE", IJCAI 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.optuna_wrapper import OptunaOptimizer

if TYPE_CHECKING:
    import optuna


class OptunaTPE(OptunaOptimizer):
    """Parzen windows over good and bad trials; the library's settings."""

    name: ClassVar[str] = "optuna-tpe"

    def _sampler(self, seed: int, startup: int) -> optuna.samplers.BaseSampler:
        import optuna

        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
