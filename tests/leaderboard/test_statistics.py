"""Statistics against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.board.statistics import (
    area_under,
    best_so_far,
    interquartile_mean,
    iqm_curve,
    iqm_interval,
    iqm_interval_over_tasks,
    median_simulations_to_spec,
    wilson_interval,
)  # fmt: skip


def test_interquartile_mean_is_the_mean_of_the_middle_half():
    assert interquartile_mean([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0]) == pytest.approx(3.5)


def test_interquartile_mean_of_fewer_than_four_values_is_their_mean():
    assert interquartile_mean([0.0, 0.3, 0.9]) == pytest.approx(0.4)


def test_bootstrap_interval_of_equal_scores_has_no_width():
    interval = iqm_interval([[0.5, 0.5, 0.5], [0.5, 0.5]])
    assert interval.low == interval.high == 0.5


def test_bootstrap_is_stratified_a_task_is_never_resampled_into_another():
    # Two tasks without spread: mixing them would widen the interval.
    interval = iqm_interval([[0.0] * 4, [1.0] * 4])
    assert interval.low == interval.high == pytest.approx(0.5)


def test_bootstrap_interval_agrees_with_the_normal_one_for_many_scores():
    scores = np.random.default_rng(1).uniform(size=400)
    interval = iqm_interval([scores])
    # Asymptotic variance of the quarter-trimmed mean of a uniform variable:
    # [E(clipped deviation²)] / (1 - 2·0.25)² / n = (1/96 + 1/32) / 0.25 / n.
    half = 1.96 * math.sqrt((1 / 96 + 1 / 32) / 0.25 / 400)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.15)


def test_bootstrap_agrees_with_the_stratified_one_of_scipy():
    rng = np.random.default_rng(2)
    tasks = [rng.uniform(size=8), rng.uniform(0.4, 0.6, size=5)]
    theirs = stats.bootstrap(
        tasks, lambda a, b, axis: interquartile_mean(np.concatenate((a, b), axis), axis),
        axis=0, n_resamples=4999, method="percentile", rng=rng,
    ).confidence_interval  # fmt: skip
    ours = iqm_interval(tasks)
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_bootstrap_over_tasks_of_equal_scores_within_is_that_of_the_tasks_means():
    """With nothing varying within tasks only the draw of tasks is left: 2 of 2 alike with chance 1/2."""
    interval = iqm_interval_over_tasks([[0.2] * 4, [0.8] * 4])
    assert (interval.low, interval.high) == (0.2, 0.8)


def test_bootstrap_over_tasks_takes_tasks_of_different_size():
    interval = iqm_interval_over_tasks([[0.2] * 2, [0.5] * 9, [0.8] * 4])
    assert 0.2 <= interval.low < 0.5 < interval.high <= 0.8


def test_bootstrap_is_seeded():
    scores = [[0.1, 0.4, 0.35, 0.8], [0.2, 0.9, 0.4]]
    assert iqm_interval(scores, seed=3) == iqm_interval(scores, seed=3)


def test_one_seed_gives_no_interval():
    assert math.isnan(iqm_interval([[0.5], [0.1, 0.2]]).low)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Published values: Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_agrees_with_published_values(successes, trials, low, high):
    interval = wilson_interval(successes, trials)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_wilson_interval_refuses_more_successes_than_trials():
    with pytest.raises(ValueError, match="5 successes in 4 trials"):
        wilson_interval(5, 4)


def test_median_to_spec_without_censoring_is_the_median():
    assert median_simulations_to_spec([5, 10, 40, 20, 30], budget=50) == 20


def test_runs_that_never_met_the_specs_count_as_later_than_the_budget():
    assert median_simulations_to_spec([5, 10, None, None], budget=50) == 10
    assert median_simulations_to_spec([5, None, None, None], budget=50) is None
    assert median_simulations_to_spec([5, 10, 15, None, None], budget=50) == 15


def test_best_so_far_never_falls_and_is_kept_to_the_end():
    curve = best_so_far([(1, 0.2), (2, 0.1), (3, 0.6), (4, 0.3)], budget=6)
    assert curve.tolist() == [0.2, 0.2, 0.6, 0.6, 0.6, 0.6]
    # A design of three conditions is known when three simulations are spent.
    assert best_so_far([(3, 0.4), (6, 0.5), (9, 1.0)], budget=7).tolist() == [
        0,
        0,
        *[0.4] * 3,
        *[0.5] * 2,
    ]
    assert best_so_far([], budget=3).tolist() == [0, 0, 0]


def test_area_under_a_step_is_its_share_of_the_budget():
    assert area_under(
        best_so_far([(k, float(k > 3)) for k in range(1, 6)], budget=12)
    ) == pytest.approx(9 / 12)


def test_curve_and_interval_have_one_value_a_step():
    task = np.array([best_so_far([(1, 0.1 * i), (2, 0.5)], 4) for i in range(5)])
    middle, low, high = iqm_curve([task, task])
    assert middle.shape == low.shape == high.shape == (4,)
    assert middle[0] == pytest.approx(0.2)
    assert low[-1] == high[-1] == 0.5
    assert np.all(low <= middle) and np.all(middle <= high)
