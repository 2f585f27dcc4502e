"""pymoo: a task as a constrained problem, of one objective or several (`acs-gym[pymoo]`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.evaluation import Evaluation
from acs_gym.integrations import score_of, slacks_of
from acs_gym.session import Session

try:
    from pymoo.core.problem import Problem
except ImportError as error:
    raise ImportError(f"{__name__} needs pymoo; run: pip install 'acs-gym[pymoo]'") from error


class SizingProblem(Problem):  # type: ignore[misc]
    """A population X, (m, n) in the unit cube, simulated as one batch; G (m, k) is minus the margins.

    F is (m, 1), 1 - score; or (m, len(objectives)), those metrics in SI units, minus them where the
    spec is `>=` and their magnitude where it is `within`. A failed simulation has G = 50 and, where
    there is no value, F = inf, which is what pymoo itself writes for one. Raises ValueError for an
    objective without a spec, BudgetExhausted where the population does not fit `session`.
    """

    def __init__(self, session: Session, objectives: Sequence[str] = ()) -> None:
        self.session, specs = session, {s.metric: s for s in session.task.specs}
        if strange := [name for name in objectives if name not in specs]:
            raise ValueError(f"no spec on {strange[0]!r}; objectives are of: {', '.join(specs)}")
        self.objectives = [specs[name] for name in objectives]
        n, m, k = len(session.task.space), max(1, len(objectives)), len(specs)
        super().__init__(n_var=n, n_obj=m, n_ieq_constr=k, xl=0.0, xu=1.0)

    def _evaluate(self, x: NDArray[np.float64], out: dict[str, Any], *_: Any, **__: Any) -> None:
        evaluations = self.session.simulate([self.session.task.space.from_unit(row) for row in x])
        values = np.array([self._values(e) for e in evaluations])
        out["F"] = np.where(np.isnan(values), np.inf, values)
        out["G"] = -np.array([list(slacks_of(e).values()) for e in evaluations])

    def _values(self, evaluation: Evaluation) -> list[float]:
        if not self.objectives:
            return [1.0 - score_of(evaluation)]
        found = [(spec.direction, evaluation.metrics[spec.metric]) for spec in self.objectives]
        return [-v if way == ">=" else abs(v) if way == "within" else v for way, v in found]
