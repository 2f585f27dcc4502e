"""Which agent is better: paired tests with a correction for many, and ranks over tasks. Pure.

All agents start a repetition of a task with the same seed, so their scores come in pairs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from leaderboard.board.statistics import CONFIDENCE, NO_INTERVAL, Interval

# Up to so many pairs every pattern of signs is looked at; beyond, that many are drawn.
_EXACT, _DRAWN = 12, 9999
_RESAMPLES = 1999

# (task, repetition) -> verified score.
Scores = Mapping[tuple[str, int], float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two agents over the cells (task and repetition) that both have.

    Attributes:
        difference: mean of the paired differences, first less second.
        interval: its 95 % bootstrap interval, pairs resampled within tasks.
        probability: share of the pairs in which the first scores higher, ties counted half.
        p: of a two-sided sign-flip permutation test of the mean difference.
        p_holm: after Holm's correction for all comparisons of the board.
    """

    first: str
    second: str
    difference: float
    interval: Interval
    probability: float
    p: float
    p_holm: float
    cells: int


@dataclass(frozen=True, slots=True)
class Friedman:
    """Do agents differ in their ranks over tasks? `ranks`: mean rank of each, 1 is best."""

    statistic: float
    p: float
    ranks: dict[str, float]


def compare(scores: Mapping[str, Scores]) -> tuple[Comparison, ...]:
    """Every two agents that share a cell, in the order of `scores`."""
    found = [
        made
        for first, second in itertools.combinations(scores, 2)
        if (made := _pair(first, scores[first], second, scores[second])) is not None
    ]
    corrected = holm([c.p for c in found])
    return tuple(replace(c, p_holm=p) for c, p in zip(found, corrected, strict=True))


def _pair(first: str, one: Scores, second: str, other: Scores) -> Comparison | None:
    shared = sorted(one.keys() & other.keys())
    if not shared:
        return None
    differences = np.array([one[k] - other[k] for k in shared])
    tasks = [task for task, _ in shared]
    counts = np.array([len(list(own)) for _, own in itertools.groupby(tasks)])
    return Comparison(
        first=first,
        second=second,
        difference=float(differences.mean()),
        interval=_mean_interval(differences, counts),
        probability=float(((differences > 0) + 0.5 * (differences == 0)).mean()),
        p=sign_flip_p(differences),
        p_holm=math.nan,
        cells=len(shared),
    )


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Two-sided p of a mean of paired differences, were each as likely to have the other sign.

    It assumes no distribution, and pairs that are equal neither help nor harm. Exact up to 12 pairs,
    else of 9,999 drawn patterns, where the one that was found counts as drawn. The smallest p that n
    pairs can give is 2/2^n.
    """
    size = differences.size
    means: NDArray[np.float64] = np.abs(_signs(size) @ differences)
    # Equal sums come out different in their last digits.
    extreme = int((means >= abs(differences.sum()) * (1 - 1e-12) - 1e-15).sum())
    if size <= _EXACT:
        return float(extreme / means.size)
    return float((extreme + 1) / (means.size + 1))


@lru_cache(maxsize=16)
def _signs(size: int) -> Any:
    """Patterns of signs, of shape (patterns, size)."""
    if size <= _EXACT:
        return np.array(list(itertools.product((1.0, -1.0), repeat=size)))
    return np.random.default_rng(size).choice((1.0, -1.0), size=(_DRAWN, size))


def _mean_interval(differences: NDArray[np.float64], counts: NDArray[np.int64]) -> Interval:
    if counts.min() < 2:
        return NO_INTERVAL
    means = differences[_resampled(tuple(counts.tolist()))].mean(axis=1)
    low, high = np.percentile(means, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Interval(float(low), float(high))


@lru_cache(maxsize=16)
def _resampled(counts: tuple[int, ...]) -> Any:
    """Places of the pairs drawn, within each task, of shape (resamples, pairs)."""
    size = np.repeat(counts, counts)
    first = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    draws = np.random.default_rng(0).random((_RESAMPLES, size.size))
    return first + (draws * size).astype(np.int64)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given ("A Simple Sequentially Rejective Multiple Test
    Procedure", Scandinavian Journal of Statistics 6, 1979).
    """
    order = sorted(range(len(p)), key=lambda k: p[k])
    found, largest = [0.0] * len(p), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[k]))
        found[k] = largest
    return found


def friedman(scores: Mapping[str, Mapping[str, float]]) -> Friedman | None:
    """Friedman's test of agent -> task -> score, over the agents that have every task.

    None with fewer than three such agents or two tasks, and where all of them are level on every task.
    """
    tasks = sorted({t for own in scores.values() for t in own})
    whole = [agent for agent, own in scores.items() if len(own) == len(tasks)]
    if len(whole) < 3 or len(tasks) < 2:
        return None
    table = np.array([[scores[a][t] for a in whole] for t in tasks])
    ranks = stats.rankdata(-table, axis=1)
    if (ranks == ranks[:, :1]).all():
        return None
    test = stats.friedmanchisquare(*table.T)
    means = ranks.mean(axis=0)
    return Friedman(
        float(test.statistic), float(test.pvalue), dict(zip(whole, map(float, means), strict=True))
    )
