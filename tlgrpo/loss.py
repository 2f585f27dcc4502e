"""The clipped GRPO objective on token log-probabilities: a pure function of tensors.

Shao et al., arXiv 2402.03300, eq. 3, with separate clip bounds as in DAPO (arXiv 2503.14476). An
action's advantage is that of all its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LossParts:
    """The loss and what to watch; all scalars, `loss` with its gradient.

    Attributes:
        clip_fraction: share of the tokens whose gradient the clip took away.
        approximate_kl: mean of (r - 1) - ln r to the sampling policy (Schulman's estimator k3).
        entropy: mean of the tokens' entropy, in nats.
    """

    loss: Tensor
    clip_fraction: float
    approximate_kl: float
    entropy: float


def grpo_loss(
    log_probs: Tensor,
    sampled_log_probs: Tensor,
    advantages: Tensor,
    actions: Tensor,
    *,
    total: float,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    aggregation: Literal["tokens", "actions"] = "tokens",
    entropies: Tensor | None = None,
    entropy_bonus: float = 0.0,
    reference_log_probs: Tensor | None = None,
    kl: float = 0.0,
) -> LossParts:
    """The loss of the tokens of some actions, to be added up over the parts of a batch.

    Args:
        log_probs: of the trained policy, shape (tokens,).
        sampled_log_probs: of the policy that sampled, shape (tokens,).
        advantages: of each token's action, shape (tokens,).
        actions: number of each token's action, shape (tokens,), from 0.
        total: what the whole batch is divided by: its tokens, or its actions, by `aggregation`.
        entropies: of the policy at each token, shape (tokens,); needed for a bonus.
        reference_log_probs: of the reference policy, shape (tokens,); needed for `kl`.
    """
    ratio = torch.exp(log_probs - sampled_log_probs)
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    gain = torch.minimum(ratio * advantages, clipped * advantages)
    objective = gain
    if entropies is not None and entropy_bonus:
        objective = objective + entropy_bonus * entropies
    if reference_log_probs is not None and kl:
        away = reference_log_probs - log_probs
        objective = objective - kl * (torch.exp(away) - away - 1.0)
    if aggregation == "actions":
        count = torch.bincount(actions)
        objective = objective / count[actions]
    with torch.no_grad():
        away = log_probs - sampled_log_probs
        moved = ((clipped * advantages) < (ratio * advantages)).float()
        estimate = (torch.exp(away) - 1.0 - away).mean()
    return LossParts(
        loss=-objective.sum() / total,
        clip_fraction=float(moved.mean()),
        approximate_kl=float(estimate),
        entropy=float("nan") if entropies is None else float(entropies.detach().mean()),
    )
