"""A tree of actions as one sequence: shared prefixes once, a mask that keeps siblings apart.

The main line stands first, as it was: prompt, action, observation, action, ... Every other sibling
is put after it, at the positions its tokens would have in a row of their own, and may look at its
history and itself alone. So all log-probabilities are those of the naive rows, at a fraction of
their length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlgrpo.tree import Episode, Node


@dataclass(frozen=True, slots=True)
class Packed:
    """One episode as one row.

    Attributes:
        ids: shape (length,).
        positions: of each token in the row it belongs to, shape (length,).
        branch: shape (length,): 0 for the main line, else the number of the sibling.
        reach: shape (length,): how many tokens of the main line a token may look at.
        targets: places of the trained tokens, shape (trained,).
        sources: places whose output predicts them, shape (trained,).
        nodes: of each trained token, by number in `actions`, shape (trained,).
        actions: the episode's nodes, in order.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    branch: NDArray[np.int64]
    reach: NDArray[np.int64]
    targets: NDArray[np.int64]
    sources: NDArray[np.int64]
    nodes: NDArray[np.int64]
    actions: tuple[Node, ...]

    def __len__(self) -> int:
        return int(self.ids.size)

    @property
    def trained(self) -> int:
        return int(self.targets.size)


def pack(episode: Episode) -> Packed:
    """Every sampled token of the episode is trained exactly once; prompt and observations never."""
    ids: list[int] = list(episode.prompt)
    targets: list[int] = []
    sources: list[int] = []
    nodes: list[int] = []
    actions: list[Node] = []
    branches: list[tuple[int, Node, int]] = []  # (where its history ends, the sibling, its number)
    last = len(episode.turns) - 1
    for turn, members in enumerate(episode.turns):
        start = len(ids)
        for node in members:
            number = len(actions)
            actions.append(node)
            if node.on_main_line:
                ids += node.ids
                targets += range(start, start + len(node.ids))
                sources += range(start - 1, start - 1 + len(node.ids))
                nodes += [number] * len(node.ids)
            else:
                branches.append((start, node, number))
        if turn < last:
            ids += episode.observations[turn]
    main = len(ids)
    positions = list(range(main))
    branch = [0] * main
    reach = list(range(1, main + 1))
    for label, (start, node, number) in enumerate(branches, start=1):
        place = len(ids)
        length = len(node.ids)
        ids += node.ids
        positions += range(start, start + length)
        branch += [label] * length
        reach += [start] * length
        targets += range(place, place + length)
        sources += [start - 1, *range(place, place + length - 1)]
        nodes += [number] * length
    return Packed(
        ids=np.array(ids, dtype=np.int64),
        positions=np.array(positions, dtype=np.int64),
        branch=np.array(branch, dtype=np.int64),
        reach=np.array(reach, dtype=np.int64),
        targets=np.array(targets, dtype=np.int64),
        sources=np.array(sources, dtype=np.int64),
        nodes=np.array(nodes, dtype=np.int64),
        actions=tuple(actions),
    )


def naive_rows(episode: Episode) -> list[tuple[list[int], int, Node]]:
    """(ids, where the action begins, the node) of every action in a row of its own: what packing
    saves.
    """
    rows = []
    for turn, members in enumerate(episode.turns):
        history: list[int] = list(episode.prompt)
        for earlier in range(turn):
            main = next(n for n in episode.turns[earlier] if n.on_main_line)
            history += [*main.ids, *episode.observations[earlier]]
        rows += [([*history, *node.ids], len(history), node) for node in members]
    return rows


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one forward pass.

    Attributes:
        ids, positions: shape (rows, length), padded.
        mask: shape (rows, 1, length, length), True where a token may look.
        row, source: of the output that predicts each trained token, shape (trained,).
        target: the trained tokens, shape (trained,).
        sampled: their log-probabilities when they were sampled, shape (trained,).
        advantage: of each token's action, shape (trained,).
        action: number of each token's action in the batch, shape (trained,).
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    row: Tensor
    source: Tensor
    target: Tensor
    sampled: Tensor
    advantage: Tensor
    action: Tensor

    @property
    def trained(self) -> int:
        return int(self.target.numel())

    @property
    def actions(self) -> int:
        return int(self.action.max()) + 1 if self.trained else 0


def collate(rows: Sequence[Packed], *, pad: int, device: str = "cpu") -> Batch:
    """Rows of different lengths as one batch."""
    length = max(len(r) for r in rows)
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    positions = np.zeros((len(rows), length), dtype=np.int64)
    # A padded token looks at itself, since a softmax over nothing is NaN.
    mask = np.zeros((len(rows), length, length), dtype=bool)
    mask[:, np.arange(length), np.arange(length)] = True
    row, source, target, advantage, action = [], [], [], [], []
    first = 0
    for number, packed in enumerate(rows):
        size = len(packed)
        ids[number, :size] = packed.ids
        positions[number, :size] = packed.positions
        mask[number, :size, :size] |= visible(packed)
        row.append(np.full(packed.trained, number))
        source.append(packed.sources)
        target.append(packed.ids[packed.targets])
        advantage.append(np.array([n.advantage for n in packed.actions])[packed.nodes])
        action.append(packed.nodes + first)
        first += len(packed.actions)
    flat = [np.concatenate(x) if x else np.zeros(0) for x in (row, source, target, action)]
    tensors = [torch.from_numpy(x.astype(np.int64)).to(device) for x in flat]
    return Batch(
        ids=torch.from_numpy(ids).to(device),
        positions=torch.from_numpy(positions).to(device),
        mask=torch.from_numpy(mask)[:, None].to(device),
        row=tensors[0],
        source=tensors[1],
        target=tensors[2],
        sampled=torch.tensor(_sampled(rows), dtype=torch.float32, device=device),
        advantage=torch.from_numpy(np.concatenate(advantage)).float().to(device),
        action=tensors[3],
    )


def visible(packed: Packed) -> NDArray[np.bool_]:
    """Shape (length, length): which tokens each token may look at."""
    place = np.arange(len(packed))
    on_main = packed.branch == 0
    history = on_main[None, :] & (place[None, :] < packed.reach[:, None])
    own = (packed.branch[None, :] == packed.branch[:, None]) & ~on_main[None, :]
    seen: NDArray[np.bool_] = history | (own & (place[None, :] <= place[:, None]))
    return seen


def _sampled(rows: Sequence[Packed]) -> list[float]:
    found: list[float] = []
    for packed in rows:
        counters = [0] * len(packed.actions)
        for number in packed.nodes:
            found.append(packed.actions[number].log_probs[counters[number]])
            counters[number] += 1
    return found


def micro_batches(rows: Sequence[Packed], tokens: int) -> list[list[int]]:
    """Numbers of the rows that go through the model together: padded, at most `tokens` of them.

    Rows of like length together; a row that is longer than that alone goes alone.
    """
    order = sorted(range(len(rows)), key=lambda k: (len(rows[k]), k))
    found: list[list[int]] = []
    for k in order:
        size = len(rows[k])
        if found and size * (len(found[-1]) + 1) <= tokens:
            found[-1].append(k)
        else:
            found.append([k])
    return found
