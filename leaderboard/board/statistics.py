"""Numbers from scores. Pure functions on arrays; they know no cells and no files.

Scores are grouped by task, and a bootstrap resamples repetitions within each task ("stratified"), or
tasks and then repetitions. Interquartile means and performance profiles after Agarwal et al., "Deep
Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021.
docs/leaderboard-statistics.md says what each number means. `comparison` compares agents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 4999
# Of the band of a curve, which is looked at and not quoted.
CURVE_RESAMPLES = 199
# Scores that count as targets of a task, from half way to all specs met.
TARGETS = np.linspace(0.5, 1.0, 51)
# Where a performance profile is looked at.
THRESHOLDS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; NaN bounds where there is too little data for one."""

    low: float
    high: float


NO_INTERVAL = Interval(math.nan, math.nan)


def interquartile_mean(values: ArrayLike, axis: int = -1) -> Any:
    """The mean of the middle half: a quarter is dropped at each end, rounded down."""
    return stats.trim_mean(np.asarray(values, dtype=np.float64), 0.25, axis=axis)


def iqm_interval(samples: Sequence[ArrayLike], *, seed: int = 0) -> Interval:
    """95 % percentile-bootstrap interval of the interquartile mean over all samples together.

    `samples` holds one array of scores a task. NaN bounds when any task has fewer than two scores,
    since resampling one score says nothing of its spread.
    """
    low, high = _bootstrap(_columns(samples), RESAMPLES, seed)
    return Interval(float(low[0]), float(high[0]))


def iqm_interval_over_tasks(samples: Sequence[ArrayLike], *, seed: int = 0) -> Interval:
    """As `iqm_interval`, but tasks are resampled too, and scores within each of them.

    It answers for tasks like these, and not for these alone, and so is wider. NaN bounds with fewer than
    two tasks or with a task of fewer than two scores.
    """
    if len(samples) < 2:
        return NO_INTERVAL
    low, high = _bootstrap(_columns(samples), RESAMPLES, seed, tasks=True)
    return Interval(float(low[0]), float(high[0]))


def iqm_curve(
    samples: Sequence[NDArray[np.float64]], *, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(IQM, low, high) at every step, each of shape (steps,).

    `samples` holds one array a task, of shape (repetitions, steps).
    """
    middle = interquartile_mean(np.concatenate(samples, axis=0), axis=0)
    low, high = _bootstrap(samples, CURVE_RESAMPLES, seed)
    return middle, low, high


def _columns(samples: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    return [np.asarray(s, dtype=np.float64)[:, None] for s in samples]


def _bootstrap(
    samples: Sequence[NDArray[np.float64]], resamples: int, seed: int, *, tasks: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile bootstrap of the interquartile mean, (low, high) of shape (steps,).

    `scipy.stats.bootstrap` does the same (a test compares them) in thirty times the time: it draws each
    step and each task by itself.
    """
    counts = tuple(s.shape[0] for s in samples)
    pool = np.concatenate(samples)
    if min(counts) < 2:
        return np.full(pool.shape[1], np.nan), np.full(pool.shape[1], np.nan)
    places = _drawn(counts, resamples, seed, tasks)
    if pool.shape[1] == 1 and len({row.size for row in places}) == 1:
        found = _middle(pool[:, 0][np.stack(places)].T)[:, None]
    else:
        found = np.stack([_middle(pool[row]) for row in places])
    low, high = np.percentile(found, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=0)
    return low, high


@lru_cache(maxsize=8)
def _drawn(
    counts: tuple[int, ...], resamples: int, seed: int, tasks: bool
) -> tuple[NDArray[np.int64], ...]:
    """Places of the scores in each resample, where `counts` scores of each task stand in a row."""
    rng = np.random.default_rng(seed)
    sizes = np.array(counts)
    firsts = np.cumsum([0, *counts[:-1]])
    found = []
    for _ in range(resamples):
        chosen = rng.integers(sizes.size, size=sizes.size) if tasks else np.arange(sizes.size)
        size = np.repeat(sizes[chosen], sizes[chosen])
        first = np.repeat(firsts[chosen], sizes[chosen])
        found.append(first + (rng.random(size.size) * size).astype(np.int64))
    return tuple(found)


def _middle(values: NDArray[np.float64]) -> Any:
    """The interquartile mean over the first axis, of which a copy is sorted in part."""
    cut = values.shape[0] // 4
    parted = np.partition(values, (cut, values.shape[0] - cut - 1), axis=0)
    return parted[cut : values.shape[0] - cut].mean(axis=0)


def wilson_interval(successes: int, trials: int) -> Interval:
    """95 % interval of a proportion (Wilson, 1927); sound at 0 and 1 and for few trials.

    Raises ValueError for counts that are none.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes in {trials} trials")
    low, high = wilson_bounds(np.array(successes / trials), trials)
    return Interval(float(low), float(high))


def wilson_bounds(shares: NDArray[np.float64], trials: int) -> tuple[Any, Any]:
    """(low, high) of 95 % Wilson intervals of shares of `trials`, elementwise."""
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    denominator = 1 + z * z / trials
    centre = (shares + z * z / (2 * trials)) / denominator
    half = z / denominator * np.sqrt(shares * (1 - shares) / trials + z * z / (4 * trials**2))
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)


def median_simulations_to_spec(first_met: Sequence[int | None], budget: int) -> float | None:
    """Kaplan-Meier median of the simulations until every spec is met; None if it is not reached.

    A run that never met them is censored at the budget: it says "more than this", and leaving it
    out would reward a method for failing.
    """
    if not first_met:
        return None
    data = stats.CensoredData.right_censored(
        [budget if n is None else n for n in first_met], [n is None for n in first_met]
    )
    survival = stats.ecdf(data).sf
    reached = survival.quantiles[survival.probabilities <= 0.5]
    return float(reached[0]) if reached.size else None


def share_solved(first_met: Sequence[int | None], budget: int) -> NDArray[np.float64]:
    """Shape (budget,): Kaplan-Meier share of runs that have met every spec after 1, 2, … simulations.

    A run that never did is censored at the budget, as for the median.
    """
    data = stats.CensoredData.right_censored(
        [budget if n is None else n for n in first_met], [n is None for n in first_met]
    )
    return np.asarray(1.0 - stats.ecdf(data).sf.evaluate(np.arange(1, budget + 1)))


def targets_reached(curves: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Shape (budget,): share of (task, target) pairs reached after 1, 2, … simulations.

    `curves` holds the best-so-far curves of one task each, of shape (repetitions, budget); tasks
    count alike, and so do the TARGETS of a task. After Hansen et al., "COCO: A Platform for
    Comparing Continuous Optimizers in a Black-Box Setting", Optimization Methods and Software 36, 2021.
    """
    # How many targets lie at or below a score.
    return np.asarray(
        np.mean(
            [
                (np.searchsorted(TARGETS, c, side="right") / TARGETS.size).mean(axis=0)
                for c in curves
            ],
            axis=0,
        )
    )


def profile(scores: ArrayLike) -> tuple[Any, Any, Any]:
    """(share, low, high) of runs with at least each of the THRESHOLDS, with its Wilson interval."""
    values = np.sort(np.asarray(scores, dtype=np.float64))
    shares = 1.0 - np.searchsorted(values, THRESHOLDS, side="left") / values.size
    return shares, *wilson_bounds(shares, values.size)


def best_so_far(steps: Sequence[tuple[int, float]], budget: int) -> NDArray[np.float64]:
    """Shape (budget,): the best score after 1, 2, … simulations.

    A run that stopped early keeps its best to the end; one that simulated nothing has 0.

    Args:
        steps: (simulations spent, score of the design then known), in order.
    """
    curve = np.zeros(budget)
    for spent, score in steps:
        if spent <= budget:
            curve[max(spent, 1) - 1] = max(curve[max(spent, 1) - 1], score)
    best: NDArray[np.float64] = np.maximum.accumulate(curve)
    return best


def area_under(curve: NDArray[np.float64]) -> float:
    """Mean of a best-so-far curve, in [0, 1]: how good, how early."""
    return float(np.mean(curve))
