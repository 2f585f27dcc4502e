"""Credit from names of groups, on tensors: what a trainer that knows only rows and their uids needs.

Pure; nothing of any engine. An episode's rows all come from one prompt of the engine, whose uid they
would share; a row's own uid says which history it was sampled from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tlgrpo.advantage import group_advantages

# Between the engine's uid and the turn. Not `_`, which verl's keys are taken apart at.
_MARK = "-turn"


def turn_uid(uid: str, turn: int) -> str:
    """The name of the group of one turn of one episode."""
    return f"{uid}{_MARK}{turn}"


def advantages_by_uid(
    token_rewards: Tensor,
    mask: Tensor,
    uids: Sequence[str],
    *,
    normalise: Literal["std", "mean"] = "std",
    epsilon: float = 1e-4,
) -> Tensor:
    """Each token's advantage, shape (rows, tokens): that of its row within the rows of the same uid.

    Args:
        token_rewards: shape (rows, tokens); a row's reward is their sum.
        mask: 1 for sampled tokens, shape (rows, tokens). A row without any stands for no action and
            is compared with nothing.
        uids: one a row.

    Raises ValueError for a group of one, which has no baseline.
    """
    rewards = token_rewards.sum(-1).tolist()
    taken = mask.any(-1).tolist()
    groups: dict[str, list[int]] = defaultdict(list)
    for row, uid in enumerate(uids):
        if taken[row]:
            groups[str(uid)].append(row)
    found = torch.zeros(len(rewards), dtype=torch.float32, device=token_rewards.device)
    for uid, members in groups.items():
        try:
            own = group_advantages(
                [rewards[k] for k in members], normalise=normalise, epsilon=epsilon
            )
        except ValueError as error:
            raise ValueError(f"the group {uid}: {error}") from None
        found[members] = torch.tensor(own, dtype=torch.float32, device=found.device)
    return found[:, None] * mask
