"""OptunaHub: a task as one of its benchmark problems (`pip install 'acs-gym[optunahub]'`)."""

from __future__ import annotations

from typing import Any

from acs_gym.integrations import score_of, slacks_of
from acs_gym.integrations.optuna import Objective

try:
    import optuna
    from optunahub.benchmarks import BaseProblem
except ImportError as error:
    message = f"{__name__} needs OptunaHub; run: pip install 'acs-gym[optunahub]'"
    raise ImportError(message) from error


class SizingProblem(Objective, BaseProblem):
    """`Objective` with its search space and direction; a trial costs one simulation.

    `evaluate` and `evaluate_constraints` are for calls by hand, and each simulates.
    """

    @property
    def search_space(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Parameter -> its distribution, in SI units."""
        return dict(self.space)

    @property
    def directions(self) -> list[optuna.study.StudyDirection]:
        """The score is maximised."""
        return [optuna.study.StudyDirection.MAXIMIZE]

    def evaluate(self, params: dict[str, Any]) -> float:
        """The score of a design in SI units, in [0, 1]; parameters out of range are a failure."""
        return score_of(self.session.simulate(params))

    def evaluate_constraints(self, params: dict[str, Any]) -> dict[str, float]:
        """Spec -> minus its margin, <= 0 when met; 50 where the metric was not measured."""
        return {name: -s for name, s in slacks_of(self.session.simulate(params)).items()}
