"""What a method learns from a simulation that failed: the one place where that is decided.

A NaN handed to a surrogate model is stored, or raises, or is skipped, depending on the library, and
a library that skips failures goes on sampling the region where every simulation fails. So a method
that models the score learns 0, the worst score there is, from a design that failed, and learns
nothing from a failure that was not the design's (`infra_error`) or from something that is no design.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acs_gym.design import DesignSpace
from acs_gym.evaluation import Evaluation, Status

FAILED_SCORE = 0.0
_TEACHES_NOTHING = (Status.INFRA_ERROR, Status.INVALID_DESIGN)


@dataclass(frozen=True, slots=True)
class Observation:
    """A point of the unit cube, shape (n,), and a finite score in [0, 1]."""

    unit: NDArray[np.float64]
    score: float


def score_to_learn(evaluation: Evaluation) -> float:
    """The evaluation's score, or 0 when it failed; always finite."""
    failed = evaluation.status not in (Status.OK, Status.MEASURE_FAILED)
    if failed or not math.isfinite(evaluation.score):
        return FAILED_SCORE
    return float(evaluation.score)


def observations(space: DesignSpace, evaluations: Sequence[Evaluation]) -> list[Observation]:
    """What a model of the score may be fed; coordinates are clipped to [0, 1]."""
    return [
        Observation(np.clip(space.to_unit(e.design), 0.0, 1.0), score_to_learn(e))
        for e in evaluations
        if e.status not in _TEACHES_NOTHING
    ]
