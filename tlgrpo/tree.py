"""Episodes as trees of sampled actions, and what each action is worth. Plain records.

A node is one sampled action. In turn-level sampling an episode is one main line of nodes, each with its
siblings: the other actions sampled from the same history. In trajectory sampling it is a main line alone,
and the episodes of one problem form a group.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tlgrpo.domain import Problem, Reaction, State


@dataclass(slots=True)
class Node:
    """One sampled action.

    Attributes:
        turn: 0 for the first of an episode.
        group: names the actions that were sampled from one history; (problem, turn) are not enough, since
            one problem may be met twice in a batch.
        ids: as sampled, the end token included where it was reached.
        log_probs: of the sampler, one a token.
        best_before: the best score of the history it was sampled from.
        on_main_line: whether the episode went on from it.
        reward, advantage: set once its group is whole.
    """

    turn: int
    group: int
    ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    text: str
    reaction: Reaction
    best_before: float
    on_main_line: bool = False
    reward: float = 0.0
    advantage: float = 0.0


@dataclass(slots=True)
class Episode:
    """One episode.

    Attributes:
        prompt: ids.
        turns: the nodes of each turn; siblings share their history.
        observations: ids after each turn of the main line but the last.
        version: of the policy that sampled it.
    """

    problem: Problem
    prompt: tuple[int, ...]
    turns: list[list[Node]] = field(default_factory=list)
    observations: list[tuple[int, ...]] = field(default_factory=list)
    version: int = 0

    @property
    def main_line(self) -> list[Node]:
        return [next(n for n in nodes if n.on_main_line) for nodes in self.turns]

    @property
    def nodes(self) -> Iterator[Node]:
        return (node for nodes in self.turns for node in nodes)

    @property
    def history(self) -> list[int]:
        """The ids that the next action follows."""
        ids = list(self.prompt)
        for node, observation in zip(self.main_line, self.observations, strict=True):
            ids += [*node.ids, *observation]
        return ids

    @property
    def state(self) -> State:
        found = State(self.problem)
        for node in self.main_line:
            found = found.after(node.text, node.reaction)
        return found

    @property
    def simulations(self) -> int:
        """Actions charged: siblings count like every other."""
        return sum(len(nodes) for nodes in self.turns)

    @property
    def best(self) -> float:
        """The best score of the main line: what the episode found."""
        return max((n.reaction.score for n in self.main_line), default=0.0)

    @property
    def solved(self) -> bool:
        return any(n.reaction.solved for n in self.main_line)


def history_before(episode: Episode, turn: int) -> list[int]:
    """The ids that the actions of a turn followed."""
    ids = list(episode.prompt)
    for node, observation in zip(episode.main_line[:turn], episode.observations, strict=False):
        ids += [*node.ids, *observation]
    return ids


def save_episodes(episodes: Iterable[Episode], path: Path) -> None:
    """Append to a JSONL file, an episode a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for episode in episodes:
            file.write(json.dumps(asdict(episode), separators=(",", ":")) + "\n")


def load_episodes(path: Path) -> list[Episode]:
    """What `save_episodes` wrote."""
    return [_episode(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _episode(data: dict) -> Episode:  # type: ignore[type-arg]
    def node(raw: dict) -> Node:  # type: ignore[type-arg]
        tuples = {"ids": tuple(raw["ids"]), "log_probs": tuple(raw["log_probs"])}
        return Node(**(raw | tuples | {"reaction": Reaction(**raw["reaction"])}))

    return Episode(
        problem=Problem(**data["problem"]),
        prompt=tuple(data["prompt"]),
        turns=[[node(n) for n in nodes] for nodes in data["turns"]],
        observations=[tuple(o) for o in data["observations"]],
        version=data["version"],
    )


def total_simulations(episodes: Sequence[Episode]) -> int:
    return sum(e.simulations for e in episodes)
