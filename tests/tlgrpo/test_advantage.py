"""From scores to advantages: closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlgrpo.advantage import episode_reward, group_advantages, later_rewards, turn_reward

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=16)


def test_a_group_of_two_is_plus_and_minus_one():
    assert group_advantages([0.0, 1.0], epsilon=1e-12) == pytest.approx([-1.0, 1.0])


def test_by_hand():
    rewards = [0.2, 0.4, 0.9]
    mean, std = 0.5, np.std(rewards)
    assert group_advantages(rewards) == pytest.approx([(r - mean) / (std + 1e-4) for r in rewards])
    assert group_advantages(rewards, normalise="mean") == pytest.approx([-0.3, -0.1, 0.4])


@given(SCORES, st.sampled_from(["std", "mean"]))
def test_advantages_add_up_to_nothing_and_keep_the_order(rewards, normalise):
    found = group_advantages(rewards, normalise=normalise)
    assert found.sum() == pytest.approx(0.0, abs=1e-6)
    order = np.argsort(rewards, kind="stable")
    assert (np.diff(found[order]) >= -1e-12).all()


@given(st.floats(0, 1), st.integers(2, 16))
def test_equal_rewards_teach_nothing(reward, size):
    assert (group_advantages([reward] * size) == 0).all()


@given(SCORES, st.floats(-5, 5))
def test_a_constant_added_to_a_group_changes_nothing(rewards, constant):
    shifted = [r + constant for r in rewards]
    assert group_advantages(shifted, normalise="mean") == pytest.approx(
        group_advantages(rewards, normalise="mean"), abs=1e-9
    )


@pytest.mark.parametrize("rewards", [[], [1.0], [[1.0, 2.0]], [1.0, np.nan], [np.inf, 0.0]])
def test_what_is_no_group_is_refused(rewards):
    with pytest.raises(ValueError, match=r"group|finite"):
        group_advantages(rewards)


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_improvement_is_worth_what_it_adds_to_the_best(score, best):
    gain = turn_reward(score, best, "improvement") - best
    assert gain == pytest.approx(max(0.0, score - best))
    assert turn_reward(score, best, "score") == score


def test_solving_is_worth_a_bonus_and_a_solved_history_has_it_already():
    assert turn_reward(1.0, 0.5, "score", bonus=1.0) == 2.0
    assert turn_reward(0.999, 0.5, "score", bonus=1.0) == 0.999
    assert turn_reward(0.3, 1.0, "improvement", bonus=1.0) == 2.0


def test_an_episode_is_worth_its_best_last_or_mean_turn():
    scores = [0.2, 0.8, 0.5]
    assert episode_reward(scores, "best") == 0.8
    assert episode_reward(scores, "last") == 0.5
    assert episode_reward(scores, "mean") == pytest.approx(0.5)
    assert episode_reward([0.2, 1.0], "best", bonus=1.0) == 2.0
    with pytest.raises(ValueError, match="without a turn"):
        episode_reward([], "best")


def test_leave_one_out_compares_with_the_others_and_keeps_the_size_of_differences():
    found = group_advantages([0.0, 0.0, 0.3], normalise="leave-one-out")
    assert found == pytest.approx([-0.15, -0.15, 0.3])


def test_max_at_k_pays_what_a_member_adds_to_the_best_of_k():
    rewards = [0.1, 0.7, 0.4, 0.9]
    found = group_advantages(rewards, normalise="max@k", best_of=3)
    for place, value in enumerate(found):
        others = [r for k, r in enumerate(rewards) if k != place]
        added = [max(0.0, rewards[place] - max(pair)) for pair in itertools.combinations(others, 2)]
        assert value == pytest.approx(sum(added))  # Over 4 sets, times 4 members.


def test_max_at_k_estimates_the_gradient_of_the_best_of_k():
    """Exactly: the mean over all groups of three of a policy with three actions."""
    chance, worth = np.array([0.2, 0.5, 0.3]), np.array([0.9, 0.1, 0.4])
    estimate = np.zeros(3)
    for group in itertools.product(range(3), repeat=3):
        found = group_advantages(worth[list(group)], normalise="max@k", best_of=2)
        scores = np.eye(3)[list(group)] - chance  # Of the log-probabilities, by the logits.
        estimate += chance[list(group)].prod() * (found @ scores) / 3
    best = np.maximum.outer(worth, worth)
    by_chance = 2 * best @ chance
    assert estimate == pytest.approx(chance * (by_chance - chance @ by_chance))


def test_entropic_shares_are_ln_2_from_uniform():
    found = group_advantages([0.0, 0.2, 0.5, 1.0, 0.9, 0.3], normalise="entropic")
    shares = (found + 1.0) / 6
    assert shares.sum() == pytest.approx(1.0)
    assert np.sum(shares * np.log(6 * shares)) == pytest.approx(np.log(2.0), abs=1e-6)


def test_solving_early_is_worth_no_less_than_solving_late():
    early = later_rewards([0.5, 1.0], 4, 0.4)
    late = later_rewards([0.5, 0.9, 0.9, 1.0], 4, 0.4)
    assert early[0] == pytest.approx(0.5 + 0.4 + 0.16 + 0.064)
    assert early[0] > late[0]
