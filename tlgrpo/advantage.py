"""From scores to advantages: pure functions on numbers.

Turn-level (TL-GRPO, arXiv 2601.16480): an action is compared with the others sampled from the same
history. Trajectory-level (GRPO, arXiv 2402.03300): an episode is compared with the others of the
same problem, and all its actions share the result. Groups never mix histories, and never problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


def turn_reward(
    score: float, best_before: float, kind: Literal["score", "improvement"], *, bonus: float = 0.0
) -> float:
    """What a turn is worth.

    Args:
        score: in [0, 1], and 1 exactly when solved.
        best_before: the best score of the history, before this turn.
        kind: `score`: its own. `improvement`: max(best before, score), since an episode is worth
            its best turn; less the constant `best_before`, which the group's mean takes away, it is
            what the turn adds.
        bonus: added to a score of 1.
    """
    value = _with_bonus(score, bonus)
    return value if kind == "score" else max(value, _with_bonus(best_before, bonus))


def episode_reward(
    scores: Sequence[float], kind: Literal["best", "last", "mean"], *, bonus: float = 0.0
) -> float:
    """What an episode is worth, from the scores of its turns; at least one."""
    values = [_with_bonus(s, bonus) for s in scores]
    if not values:
        raise ValueError("an episode without a turn has no reward")
    return {"best": max(values), "last": values[-1], "mean": float(np.mean(values))}[kind]


def group_advantages(
    rewards: ArrayLike, *, normalise: Literal["std", "mean"] = "std", epsilon: float = 1e-4
) -> NDArray[np.float64]:
    """Advantages of one group, shape as given: reward less the group's mean, over its deviation.

    All 0 for a group whose rewards are equal. Raises ValueError for a group of fewer than two,
    which has no baseline, and for a reward that is not finite.
    """
    values = np.asarray(rewards, dtype=np.float64)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"a group has at least two members, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a reward is not finite")
    centred: NDArray[np.float64] = values - values.mean()
    if np.ptp(values) == 0:
        return np.zeros_like(values)
    if normalise == "std":
        centred /= values.std() + epsilon
    return centred


def _with_bonus(score: float, bonus: float) -> float:
    return score + bonus if score >= 1.0 else score
