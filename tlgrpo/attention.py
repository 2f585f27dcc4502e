"""Attention written out, for training small models on a CPU.

torch's own kernel takes half of a training step there, most of it in the backward pass under a mask;
two batched products and a softmax in the precision of the products take a third off the whole step.
The sampler keeps torch's: its numbers are those of training in float32 but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

NAME = "tlgrpo-plain"
_CLOSED = -1e4


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """As `transformers` calls it.

    Args:
        query: shape (rows, heads, length, size).
        key, value: shape (rows, kv heads, length, size).
        attention_mask: shape (rows, 1, length, length), True where a token may look.

    Returns the result, shape (rows, length, heads, size), and no weights.
    """
    rows, heads, length, size = query.shape
    kept = key.shape[1]
    # Heads that share keys are stacked, so that keys are not copied for them.
    asked = (query * scaling).reshape(rows, kept, heads // kept * length, size)
    scores = torch.matmul(asked, key.transpose(2, 3)).view(rows, heads, length, -1)
    if attention_mask is not None:
        closed = torch.zeros(attention_mask.shape, dtype=scores.dtype, device=scores.device)
        scores = scores + closed.masked_fill_(~attention_mask, _CLOSED)
    shares = torch.softmax(scores, -1, dtype=scores.dtype).view(
        rows, kept, heads // kept * length, -1
    )
    found = torch.matmul(shares, value).view(rows, heads, length, size)
    return found.transpose(1, 2).contiguous(), None


def use_plain_attention(model: Any) -> None:
    """Let a `transformers` model attend so from now on; its masks are boolean."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    model.set_attn_implementation(NAME)


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Let a model with torch's kernel attend so in a training step, where it is on a CPU.

    One with another has that for a reason: a cap or sinks, which are not written out here.
    """
    before = model.config._attn_implementation
    if before != "sdpa" or next(model.parameters()).device.type != "cpu":
        yield
        return
    use_plain_attention(model)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
