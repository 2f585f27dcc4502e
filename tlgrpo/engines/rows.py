"""Episodes as rows of (history, action): what a trainer of prompts and completions understands.

An engine's batch has a fixed number of rows, so a turn that a solved episode no longer needed is stood
for by rows that are not trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tlgrpo.config import TrainConfig
from tlgrpo.tree import Episode, Node, history_before


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One action after its history; token ids as they were sent and sampled.

    Attributes:
        turn: 0 for the first of an episode.
        reward: None for a row that stands for no action.
        advantage: of every token of the action; those of a group add up to 0.
        trained: False for a row that stands for no action.
    """

    history: tuple[int, ...]
    ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    turn: int
    reward: float | None
    advantage: float
    trained: bool = True


def rows(episodes: Sequence[Episode], config: TrainConfig, *, end: int) -> list[BatchRow]:
    """All rows of a batch, in the order (episode, turn, sibling): `config.group` after another are
    one group.

    Of trajectory-level episodes, those of one problem are the siblings: (problem, turn, episode).

    Args:
        episodes: with rewards and advantages (`assign`), in the order of `roll_out`.
        end: the end token; what a row that is not trained consists of.
    """
    per_turn = config.algorithm == "tl-grpo"
    width = 1 if per_turn else config.group
    found: list[BatchRow] = []
    for start in range(0, len(episodes), width):
        siblings = episodes[start : start + width]
        for turn in range(config.turns):
            for episode in siblings:
                found += _turn(episode, turn, config.group if per_turn else 1, end)
    return found


def taken(episode: Episode) -> Iterator[BatchRow]:
    """The rows of the actions that an episode did take, in the order (turn, sibling)."""
    for turn in range(len(episode.turns)):
        yield from _turn(episode, turn, len(episode.turns[turn]), end=0)


def _turn(episode: Episode, turn: int, count: int, end: int) -> list[BatchRow]:
    if turn < len(episode.turns):
        history = tuple(history_before(episode, turn))
        return [_row(node, history) for node in episode.turns[turn]]
    # A trajectory's advantage is that of all its turns, those it did not take included: without it
    # the others of the group would not be centred.
    nodes = episode.turns[-1]
    advantage = nodes[0].advantage if len(nodes) == 1 else 0.0
    return [BatchRow(episode.prompt, (end,), (0.0,), turn, None, advantage, False)] * count


def _row(node: Node, history: tuple[int, ...]) -> BatchRow:
    return BatchRow(history, node.ids, node.log_probs, node.turn, node.reward, node.advantage)
