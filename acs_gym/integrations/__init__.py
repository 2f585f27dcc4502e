"""Other people's libraries: a task as a problem of theirs, one short module a library.

    optuna.py     an objective for `study.optimize`
    optunahub.py  the same as a benchmark problem of OptunaHub
    botorch.py    a constrained test problem of BoTorch
    pymoo.py      a constrained problem of pymoo, with one objective or several
    minari.py     histories as offline data
    parquet.py    the same as a table

and frameworks of language models, which take a `Problem` of `acs_gym.tools.problem`:

    trl.py         an environment of `GRPOTrainer`
    inspect_ai.py  a task of Inspect AI
    openenv.py     a server of OpenEnv
    openreward.py  an environment of OpenReward
    verifiers.py   a taskset of verifiers
    harbor/        task folders of Harbor

Those of the first list take a `Session`, which keeps the meter, the history and the best design. Each
imports its library at its own top, so that this package needs none of them. What they share is below:
numbers that a library can take from an `Evaluation`, where a NaN would raise, be skipped or win.
"""

from __future__ import annotations

import math

from acs_gym.evaluation import Evaluation, Status

# Margins measured in random designs reach down to -16, and e^50 is nobody's shortfall.
WORST_MARGIN = -50.0


def score_of(evaluation: Evaluation) -> float:
    """The score, in [0, 1] and 0 for a failure; NaN for an `infra_error`, which is nobody's fault."""
    return math.nan if evaluation.status is Status.INFRA_ERROR else evaluation.score


def slacks_of(evaluation: Evaluation) -> dict[str, float]:
    """Spec -> its margin, within ±50 and >= 0 when met; -50 where the metric was not measured."""
    return {
        name: WORST_MARGIN if math.isnan(m) else min(max(m, WORST_MARGIN), -WORST_MARGIN)
        for name, m in evaluation.margins.items()
    }
