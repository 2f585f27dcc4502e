"""Which actions are compared with which."""

from dataclasses import replace

import pytest

from tests.tlgrpo.conftest import sampled_episodes, settings
from tlgrpo.advantage import group_advantages
from tlgrpo.credit import assign


def test_turn_level_groups_are_the_actions_of_one_history(policy, domain):
    episodes = sampled_episodes(policy, domain)
    assign(episodes, settings(turn_reward="score", solved_bonus=0.0))
    for episode in episodes:
        for nodes in episode.turns:
            expected = group_advantages([n.reaction.score for n in nodes])
            assert [n.advantage for n in nodes] == pytest.approx(expected)


def test_a_trajectory_shares_one_advantage_among_its_actions(policy, domain):
    episodes = sampled_episodes(policy, domain, per_turn=False)
    assign(episodes, settings(algorithm="grpo", solved_bonus=0.0))
    for start in range(0, len(episodes), 4):
        group = episodes[start : start + 4]
        expected = group_advantages([e.best for e in group])
        for episode, advantage in zip(group, expected, strict=True):
            assert all(n.advantage == pytest.approx(advantage) for n in episode.nodes)


def test_a_group_of_trajectories_is_of_one_problem(policy, domain):
    episodes = sampled_episodes(policy, domain, per_turn=False)
    with pytest.raises(ValueError, match="different problems"):
        assign(episodes[1:], settings(algorithm="grpo"))


def test_trajectories_of_one_are_refused(policy, domain):
    episodes = sampled_episodes(policy, domain, per_turn=False)
    with pytest.raises(ValueError, match="at least two"):
        assign(episodes[:1], settings(algorithm="grpo"))


def test_groups_that_teach_nothing_are_counted(policy, domain):
    episodes = sampled_episodes(policy, domain)
    for episode in episodes:
        for nodes in episode.turns:
            for node in nodes:
                node.best_before = 1.0
    counted = assign(episodes, settings(solved_bonus=0.0))
    assert counted.dead == counted.idle == 1.0 and counted.spread == 0.0
    assert all(n.advantage == 0 for e in episodes for n in e.nodes)


def test_a_turns_advantages_do_not_depend_on_whether_the_episode_goes_on(policy, domain):
    episodes = sampled_episodes(policy, domain)
    assign(episodes, settings())
    whole = [[n.advantage for n in e.turns[0]] for e in episodes]
    for episode in episodes:
        del episode.turns[1:]
    assign(episodes, settings())
    assert [[n.advantage for n in e.turns[0]] for e in episodes] == whole


def test_later_scores_give_each_turn_of_a_trajectory_its_own_advantage(policy, domain):
    episodes = sampled_episodes(policy, domain, per_turn=False)
    for place, node in enumerate(n for e in episodes for n in e.nodes):
        node.reaction = replace(node.reaction, score=(place % 7) / 7)
    assign(episodes, settings(algorithm="grpo", episode_reward="later", normalise="mean"))
    group = [n for e in episodes[:4] for n in e.nodes]
    assert sum(n.advantage for n in group) == pytest.approx(0.0, abs=1e-9)
    assert len({n.advantage for n in episodes[0].nodes}) > 1
