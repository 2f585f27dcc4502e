"""Rewards and advantages put into trees: which actions are compared, by the algorithm.

An episode that is solved may stop. That biases no turn-level group: its members share one history,
all of them were sampled, and what a turn is worth looks at no later turn, so the group's advantages
are the same whether the episode goes on or not. (Groups of one turn's number over several episodes
would be biased: those still going on are the hard ones.) An episode's best turn is not changed by
stopping either, since nothing is better than solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlgrpo.advantage import episode_reward, group_advantages, later_rewards, turn_reward
from tlgrpo.config import TrainConfig
from tlgrpo.tree import Episode, Node


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """How the groups of a batch turned out.

    Attributes:
        dead: share whose members were all worth the same, so that nothing is learnt from them.
        idle: share in which no member improved on the history (turn-level).
        spread: mean standard deviation of the rewards within a group.
    """

    dead: float
    idle: float
    spread: float


def assign(episodes: Sequence[Episode], config: TrainConfig) -> GroupStatistics:
    """Set every node's reward and advantage. Raises ValueError for a group of one."""
    if config.algorithm == "tl-grpo":
        return _by_turn(episodes, config)
    return _by_trajectory(episodes, config)


def _by_turn(episodes: Sequence[Episode], config: TrainConfig) -> GroupStatistics:
    spreads, idle = [], 0
    for episode in episodes:
        for nodes in episode.turns:
            for node in nodes:
                node.reward = turn_reward(
                    node.reaction.score,
                    node.best_before,
                    config.turn_reward,
                    bonus=config.solved_bonus,
                )
            rewards = [n.reward for n in nodes]
            found = _advantages(rewards, config)
            for node, advantage in zip(nodes, found, strict=True):
                node.advantage = float(advantage)
            spreads.append(float(np.std(rewards)))
            idle += all(n.reaction.score <= n.best_before for n in nodes)
    return _statistics(spreads, idle)


def _by_trajectory(episodes: Sequence[Episode], config: TrainConfig) -> GroupStatistics:
    """Groups are the runs of `config.group` episodes that `roll_out` makes of one problem."""
    spreads = []
    for start in range(0, len(episodes), config.group):
        group = episodes[start : start + config.group]
        if len({e.problem.key for e in group}) != 1:
            raise ValueError("the episodes of a group are of different problems")
        if config.episode_reward == "later":
            spreads.append(_by_later_scores(group, config))
            continue
        rewards = [
            episode_reward(
                [n.reaction.score for n in e.main_line],
                config.episode_reward,
                bonus=config.solved_bonus,
            )
            for e in group
        ]
        found = _advantages(rewards, config)
        for episode, reward, advantage in zip(group, rewards, found, strict=True):
            for node in episode.nodes:
                node.reward, node.advantage = reward, float(advantage)
        spreads.append(float(np.std(rewards)))
    return _statistics(spreads, 0)


def _by_later_scores(group: Sequence[Episode], config: TrainConfig) -> float:
    """All turns of all episodes of a problem are one group; returns its spread."""
    nodes: list[Node] = []
    rewards: list[float] = []
    for episode in group:
        line = episode.main_line
        scores = [n.reaction.score for n in line]
        # Only what is solved may stop, so a line that ended early has its last score to the end.
        found = later_rewards(scores, config.turns, config.gamma, bonus=config.solved_bonus)
        nodes += line
        rewards += [float(r) for r in found]
    for node, reward, advantage in zip(nodes, rewards, _advantages(rewards, config), strict=True):
        node.reward, node.advantage = reward, float(advantage)
    return float(np.std(rewards))


def _advantages(rewards: Sequence[float], config: TrainConfig) -> NDArray[np.float64]:
    return group_advantages(
        rewards, normalise=config.normalise, epsilon=config.epsilon, best_of=config.best_of
    )


def _statistics(spreads: Sequence[float], idle: int) -> GroupStatistics:
    count = max(1, len(spreads))
    return GroupStatistics(
        dead=sum(s == 0 for s in spreads) / count,
        idle=idle / count,
        spread=float(np.mean(spreads)) if spreads else 0.0,
    )
