"""Paired tests, their correction, and ranks, against closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.board.comparison import compare, friedman, holm, sign_flip_p

LISTS = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=10)


def test_three_differences_of_one_sign_have_the_smallest_p_that_three_can():
    assert sign_flip_p(np.array([0.1, 0.2, 0.3])) == 2 / 8


def test_equal_scores_are_no_evidence():
    assert sign_flip_p(np.zeros(5)) == 1.0
    assert sign_flip_p(np.zeros(40)) == 1.0


@settings(max_examples=30, deadline=None)
@given(LISTS)
def test_the_exact_p_is_that_of_scipy(differences):
    values = np.array(differences)
    theirs = stats.permutation_test(
        (values, np.zeros_like(values)), lambda a, b: np.mean(a - b), permutation_type="samples",
        n_resamples=np.inf, vectorized=False,
    )  # fmt: skip
    assert sign_flip_p(values) == pytest.approx(theirs.pvalue)


def test_a_drawn_p_lies_about_that_of_the_t_test_for_many_normal_differences():
    values = np.random.default_rng(1).normal(0.15, 1.0, size=200)
    assert sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


@given(LISTS)
def test_who_is_named_first_does_not_matter(differences):
    values = np.array(differences)
    assert sign_flip_p(values) == sign_flip_p(-values)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04: 4 x 0.01, 3 x 0.02, 2 x 0.03, 1 x 0.04 and never falling.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p):
    found = holm(p)
    assert all(a <= b <= min(1.0, len(p) * a) + 1e-12 for a, b in zip(p, found, strict=True))
    assert [found[k] for k in np.argsort(p)] == sorted(found)


def scores(**agents):
    return {
        a: {(f"t{t}", k): s for t, own in enumerate(tasks) for k, s in enumerate(own)}
        for a, tasks in agents.items()
    }


def test_a_comparison_by_hand():
    (pair,) = compare(scores(a=[[0.9, 0.8], [0.7, 0.5]], b=[[0.5, 0.6], [0.7, 0.6]]))
    assert (pair.first, pair.second, pair.cells) == ("a", "b", 4)
    assert pair.difference == pytest.approx((0.4 + 0.2 + 0.0 - 0.1) / 4)
    assert pair.probability == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    # Of the 16 signs of 0.4, 0.2, 0, 0.1 as extreme as 0.5: |sum| 0.7 (4 times) and 0.5 (4 times).
    assert pair.p == pytest.approx(8 / 16)
    assert pair.p_holm == pair.p
    assert pair.interval.low <= pair.difference <= pair.interval.high


def test_only_cells_that_both_have_are_compared():
    one = scores(a=[[0.9, 0.8]], b=[[0.5, 0.6]])
    del one["b"]["t0", 1]
    (pair,) = compare(one)
    assert pair.cells == 1 and pair.difference == pytest.approx(0.4) and pair.p == 1.0
    assert math.isnan(pair.interval.low)
    assert compare({"a": one["a"], "c": {("elsewhere", 0): 1.0}}) == ()


def test_the_interval_of_a_difference_is_the_normal_one_for_many_pairs():
    rng = np.random.default_rng(3)
    values = rng.normal(0.1, 0.2, size=400)
    pair = {
        "a": {("t", k): v for k, v in enumerate(values)},
        "b": {("t", k): 0.0 for k in range(values.size)},
    }
    (found,) = compare(pair)
    half = 1.96 * values.std() / math.sqrt(values.size)
    assert found.interval.low == pytest.approx(values.mean() - half, abs=0.004)
    assert found.interval.high == pytest.approx(values.mean() + half, abs=0.004)


def test_friedman_without_ties_is_its_closed_form():
    table = {"a": [0.9, 0.8, 0.9, 0.7], "b": [0.5, 0.6, 0.5, 0.8], "c": [0.1, 0.2, 0.3, 0.4]}
    found = friedman({a: {f"t{k}": v for k, v in enumerate(own)} for a, own in table.items()})
    ranks = {"a": 5 / 4, "b": 7 / 4, "c": 3.0}
    n, k = 4, 3
    expected = 12 * n / (k * (k + 1)) * sum((r - (k + 1) / 2) ** 2 for r in ranks.values())
    assert found is not None
    assert found.statistic == pytest.approx(expected)
    assert found.p == pytest.approx(stats.chi2.sf(expected, k - 1))
    assert found.ranks == pytest.approx(ranks)


@pytest.mark.parametrize(
    "table",
    [
        {"a": {"t": 1.0, "u": 0.5}, "b": {"t": 0.5, "u": 0.1}},  # Two agents.
        {a: {"t": 0.1 * k} for k, a in enumerate("abc")},  # One task.
        {a: {"t": 0.5, "u": 0.5} for a in "abc"},  # Nothing apart.
        {
            "a": {"t": 1.0, "u": 0.5},
            "b": {"t": 0.5, "u": 0.1},
            "c": {"t": 0.2},
        },  # One is not whole.
    ],
)
def test_friedman_needs_three_whole_agents_and_two_tasks(table):
    assert friedman(table) is None
