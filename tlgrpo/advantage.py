"""From scores to advantages: pure functions on numbers.

Turn-level (TL-GRPO, arXiv 2601.16480): an action is compared with the others sampled from the same
history. Trajectory-level (GRPO, arXiv 2402.03300): an episode is compared with the others of the
same problem, and all its actions share the result. Groups never mix histories, and never problems.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Normalise = Literal["std", "mean", "leave-one-out", "max@k", "entropic"]


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


def later_rewards(
    scores: Sequence[float], turns: int, gamma: float, *, bonus: float = 0.0
) -> NDArray[np.float64]:
    """Each turn's own score and the discounted ones after it (Kevin, arXiv 2507.11948).

    Shape (len(scores),). An episode that ended before `turns` was solved, which is a stop and not a
    loss of what might have come: its last score stands for the turns that it did not need. Without
    that a turn would be worth more for not solving.
    """
    values = [_with_bonus(s, bonus) for s in scores]
    values += values[-1:] * (turns - len(values))
    found = np.zeros(len(values) + 1)
    for k in range(len(values) - 1, -1, -1):
        found[k] = values[k] + gamma * found[k + 1]
    return found[: len(scores)]


def group_advantages(
    rewards: ArrayLike, *, normalise: Normalise = "std", epsilon: float = 1e-4, best_of: int = 4
) -> NDArray[np.float64]:
    """Advantages of one group, shape as given.

    `std`: reward less the group's mean, over its deviation. `mean`: not divided. `leave-one-out`:
    less the mean of the others (TRLOO, arXiv 2602.05885), not divided.

    `max@k`: what a member adds to the best of `best_of`, averaged over the sets of that size which it
    is in, times `best_of`. The objective is that of arXiv 2510.23393, with the best of the others
    in a set as the baseline (as in arXiv 2505.15201): the group's mean is an unbiased estimate of the
    gradient of the best of so many. None is negative, and they do not add up to 0. On a second pass
    over a batch (`epochs` above 1) only a member's own ratio is weighed, not those of its sets,
    which an unbiased estimate off the policy would take.

    `entropic`: the share exp(beta r) takes of the group, times its size, less 1, with the beta at
    which those shares are ln 2 from uniform, or as near as they come (TTT-Discover, arXiv
    2601.16175). The mean of exp(beta r) is that of the whole group here, so that they add up to 0
    and none exceeds members - 1; the authors' published code takes the mean of the other members, which
    grows without bound where all but one are far worse. Their penalty on leaving the first policy is
    the setting `kl`.

    All 0 for a group whose rewards are equal. Raises ValueError for a group of fewer than two,
    which has no baseline, for a reward that is not finite, and for a `best_of` that is not in
    2..members.
    """
    values = np.asarray(rewards, dtype=np.float64)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"a group has at least two members, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a reward is not finite")
    if normalise == "max@k" and not 2 <= best_of <= values.size:
        raise ValueError(f"best_of is in 2..{values.size} for this group, got {best_of}")
    if np.ptp(values) == 0:
        return np.zeros_like(values)
    if normalise == "max@k":
        return _added_to_best(values, best_of)
    if normalise == "entropic":
        shares = _entropic_shares(values)
        shares *= values.size
        shares -= 1.0
        return shares
    centred: NDArray[np.float64] = values - values.mean()
    if normalise == "std":
        centred /= values.std() + epsilon
    elif normalise == "leave-one-out":
        centred *= values.size / (values.size - 1)
    return centred


def _added_to_best(values: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    order = np.argsort(values, kind="stable")
    ranked, count = values[order], values.size
    found = np.zeros(count)
    for i in range(count):
        # The rest of a set has its best at place j < i, and k - 2 of the j below that.
        found[order[i]] = sum((ranked[i] - ranked[j]) * math.comb(j, k - 2) for j in range(i))
    found *= count / math.comb(count, k)
    return found


def _entropic_shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    def shares(beta: float) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.exp(beta * (values - values.max()))
        found /= found.sum()
        return found

    def away(beta: float) -> float:
        q = shares(beta)
        return float(np.sum(q * np.log(np.maximum(q, 1e-300) * values.size)))

    low, high = 0.0, 50.0 / float(np.ptp(values))
    for _ in range(60):
        beta = (low + high) / 2
        low, high = (beta, high) if away(beta) < math.log(2.0) else (low, beta)
    return shares(low)


def _with_bonus(score: float, bonus: float) -> float:
    return score + bonus if score >= 1.0 else score
