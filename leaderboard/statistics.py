"""Numbers from scores. Pure functions on arrays; they know no cells and no files.

Scores are grouped by task, and a bootstrap resamples repetitions within each task: a "stratified"
bootstrap, which is what `scipy.stats.bootstrap` does when it is given one sample a task.
Interquartile means after Agarwal et al., "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", NeurIPS 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 4999
CURVE_RESAMPLES = 999
# Fewer repetitions than this, and the ranking is provisional.
ENOUGH_SEEDS = 10


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; NaN bounds where there is too little data for one."""

    low: float
    high: float


def interquartile_mean(values: ArrayLike, axis: int = -1) -> Any:
    """The mean of the middle half: a quarter is dropped at each end, rounded down."""
    return stats.trim_mean(np.asarray(values, dtype=np.float64), 0.25, axis=axis)


def iqm_interval(samples: Sequence[ArrayLike], *, seed: int = 0) -> Interval:
    """95 % percentile-bootstrap interval of the interquartile mean over all samples together.

    `samples` holds one array of scores a task. NaN bounds when any task has fewer than two scores,
    since resampling one score says nothing of its spread.
    """
    low, high = _bootstrap(
        [np.asarray(s, dtype=np.float64)[:, None] for s in samples], RESAMPLES, seed
    )
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


def _bootstrap(
    samples: Sequence[NDArray[np.float64]], resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    steps = samples[0].shape[1]
    if any(s.shape[0] < 2 for s in samples):
        return np.full(steps, np.nan), np.full(steps, np.nan)
    interval = stats.bootstrap(
        tuple(samples),
        lambda *resampled, axis: interquartile_mean(np.concatenate(resampled, axis=axis), axis),
        axis=0,
        vectorized=True,
        n_resamples=resamples,
        batch=100,  # All resamples of all steps at once would take gigabytes.
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return np.atleast_1d(interval.low), np.atleast_1d(interval.high)


def wilson_interval(successes: int, trials: int) -> Interval:
    """95 % interval of a proportion (Wilson, 1927); sound at 0 and 1 and for few trials.

    Raises ValueError for counts that are none.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes in {trials} trials")
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    share = successes / trials
    denominator = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / denominator
    half = z / denominator * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


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


def best_so_far(scores: Sequence[float], budget: int) -> NDArray[np.float64]:
    """Shape (budget,): the best score after 1, 2, … simulations.

    A run that stopped early keeps its best to the end; one that simulated nothing has 0.
    """
    curve = np.zeros(budget)
    seen = np.asarray(scores[:budget], dtype=np.float64)
    if seen.size:
        best = np.maximum.accumulate(seen)
        curve[: best.size] = best
        curve[best.size :] = best[-1]
    return curve


def area_under(curve: NDArray[np.float64]) -> float:
    """Mean of a best-so-far curve, in [0, 1]: how good, how early."""
    return float(np.mean(curve))
