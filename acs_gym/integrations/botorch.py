"""BoTorch: a task as one of its constrained test problems (`pip install 'acs-gym[botorch]'`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from acs_gym.evaluation import Evaluation
from acs_gym.integrations import score_of, slacks_of
from acs_gym.session import Session

try:
    from botorch.test_functions.synthetic import ConstrainedSyntheticTestFunction
    from torch import Tensor
except ImportError as error:
    raise ImportError(f"{__name__} needs BoTorch; run: pip install 'acs-gym[botorch]'") from error


class SizingProblem(ConstrainedSyntheticTestFunction):
    """The score over the unit cube, to be maximised, with the margins of the k specs as slack.

    X is (..., n) in [0, 1], one batch of simulations. `problem(X)` is (...), `evaluate_slack(X)`
    (..., k); what was asked for last is kept, so value and slack of one X cost it once. A failed
    simulation has score 0 and slack -50; an `infra_error` a score of NaN, on which models raise:
    leave that row out. Raises BudgetExhausted where the batch does not fit `session`. `options`:
    those of BoTorch's own problems (`negate`, `noise_std`, ...).
    """

    _is_minimization_by_default = False
    _optimal_value = _worst_feasible_value = 1.0  # The score wherever every spec is met.

    def __init__(self, session: Session, **options: Any) -> None:
        self.dim = len(session.task.space)
        self._bounds = [(0.0, 1.0)] * self.dim
        self.continuous_inds = list(range(self.dim))
        self.num_constraints = len(session.task.specs)
        super().__init__(**options)
        self.session = session
        self._last: tuple[Any, list[Evaluation]] = (None, [])

    def _evaluate_true(self, X: Tensor) -> Tensor:
        return X.new_tensor([score_of(e) for e in self._simulated(X)]).reshape(X.shape[:-1])

    def _evaluate_slack_true(self, X: Tensor) -> Tensor:
        slacks = [list(slacks_of(e).values()) for e in self._simulated(X)]
        return X.new_tensor(slacks).reshape(*X.shape[:-1], self.num_constraints)

    def _simulated(self, X: Tensor) -> list[Evaluation]:
        points = X.detach().cpu().numpy().reshape(-1, self.dim)
        if not np.array_equal(self._last[0], points):
            designs = [self.session.task.space.from_unit(x) for x in points]
            self._last = (points.copy(), self.session.simulate(designs))
        return self._last[1]
