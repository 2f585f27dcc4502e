"""Log-probabilities of tokens under logits, without ever holding a distribution of all of them.

Over the vocabulary of a language model, float32 copies of an update's logits are half a gigabyte each,
and a training step makes five. Here a few rows at a time are turned into float32, and again for the
gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_VALUES = 1 << 20  # At a time: 4 MiB in float32.
_LEAST = -1e4  # Of what is impossible, so that nothing times it is nothing.


def log_likelihood(
    logits: Tensor, tokens: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """(log-probability of each token, entropy of its distribution), shape (n,) each, in float32.

    Args:
        logits: shape (n, vocabulary), of any precision.
        tokens: shape (n,).
        temperature: the logits are divided by it.

    Both can be differentiated, once.
    """
    chosen, entropy = _Likelihood.apply(logits, tokens, temperature)  # type: ignore[no-untyped-call]
    return chosen, entropy


class _Likelihood(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, tokens: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        chosen, entropy, level = [], [], []
        for part, token in _parts(logits, tokens):
            heights = _heights(part, temperature)
            top = torch.logsumexp(heights, -1)
            chosen.append(heights.gather(1, token[:, None])[:, 0] - top)
            heights = (heights - top[:, None]).clamp_(min=_LEAST)
            entropy.append(-(heights.exp() * heights).sum(-1))
            level.append(top)
        found = [_joined(x, logits) for x in (chosen, entropy, level)]
        ctx.save_for_backward(logits, tokens, *found[1:])
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return found[0], found[1]

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_chosen: Tensor | None, of_entropy: Tensor | None
    ) -> tuple[Tensor, None, None]:
        logits, tokens, entropy, level = ctx.saved_tensors
        found = torch.empty_like(logits)
        first = 0
        for part, token in _parts(logits, tokens):
            rows = slice(first, first + len(part))
            first = rows.stop
            heights = (_heights(part, ctx.temperature) - level[rows, None]).clamp_(min=_LEAST)
            shares = heights.exp()
            gradient = torch.zeros_like(heights)
            if of_chosen is not None:
                given = of_chosen[rows, None]
                gradient -= given * shares
                gradient.scatter_add_(1, token[:, None], given.to(gradient.dtype))
            if of_entropy is not None:
                gradient -= of_entropy[rows, None] * shares * (heights + entropy[rows, None])
            found[rows] = gradient if ctx.temperature == 1.0 else gradient.div_(ctx.temperature)
        return found, None, None


def _parts(logits: Tensor, tokens: Tensor) -> zip[tuple[Tensor, Tensor]]:
    rows = max(1, _VALUES // max(1, logits.shape[-1]))
    return zip(logits.split(rows), tokens.split(rows), strict=True)


def _heights(logits: Tensor, temperature: float) -> Tensor:
    heights = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return heights if temperature == 1.0 else heights / temperature


def _joined(parts: list[Tensor], logits: Tensor) -> Tensor:
    return torch.cat(parts) if parts else logits.new_zeros(0, dtype=torch.float32)
