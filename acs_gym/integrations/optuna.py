"""Optuna: a task as the objective of a study (`pip install 'acs-gym[optuna]'`)."""

from __future__ import annotations

import math

from acs_gym.design import Parameter
from acs_gym.integrations import score_of, slacks_of
from acs_gym.session import Session

try:
    import optuna
    from optuna.distributions import FloatDistribution, IntDistribution
except ImportError as error:
    raise ImportError(f"{__name__} needs Optuna; run: pip install 'acs-gym[optuna]'") from error


def distribution(p: Parameter) -> FloatDistribution | IntDistribution:
    """What Optuna draws a parameter from, in SI units; a grid on a log scale is left to the session."""
    log = p.scale == "log"
    if p.integer:
        return IntDistribution(math.ceil(p.low), math.floor(p.high), log=log)
    return FloatDistribution(p.low, p.high, log=log, step=None if log else p.step)


class Objective:
    """A trial's score, to be maximised, with every spec a constraint (<= 0 when met).

    A failed simulation scores 0 and violates each constraint by 50; an `infra_error` is NaN, which
    Optuna counts as a failed trial. Raises BudgetExhausted once `session` has nothing left, and
    ValueError in a study that does not maximise. One trial at a time (`n_jobs=1`).
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.space = {p.name: distribution(p) for p in session.task.space}

    def __call__(self, trial: optuna.Trial) -> float:
        if trial.study.directions != [optuna.study.StudyDirection.MAXIMIZE]:
            raise ValueError("the score is best at 1; use create_study(direction='maximize')")
        evaluation = self.session.simulate(
            {n: _suggest(trial, n, d) for n, d in self.space.items()}
        )
        trial.set_user_attr("status", str(evaluation.status))
        for name, slack in slacks_of(evaluation).items():
            trial.set_constraint(name, -slack)
        return score_of(evaluation)


def _suggest(trial: optuna.Trial, name: str, d: FloatDistribution | IntDistribution) -> float:
    if isinstance(d, IntDistribution):
        return trial.suggest_int(name, d.low, d.high, log=d.log)
    return trial.suggest_float(name, d.low, d.high, log=d.log, step=d.step)
