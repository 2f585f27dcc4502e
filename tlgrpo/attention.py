"""Attention written out, for training on a CPU.

torch's own kernel takes half of a training step there, most of it in the backward pass under a mask. Here
queries go in blocks, each with the keys that one of them may see: of a packed tree that is a history and
a few siblings, not all the others. What was seen of a block is computed again for its gradient, so that
no scores of a whole row are ever held.

The sampler keeps torch's: its numbers are those of training in float32 but for rounding.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

NAME = "tlgrpo-plain"
_CLOSED = -1e4
_BLOCK = 128  # Queries; the scores of a block stay in a processor's cache.


@dataclass(frozen=True, slots=True)
class Block:
    """Queries that are answered together, of all rows or of one.

    Attributes:
        rows, queries: which.
        keys: that some of them may see, by place; None for all there are.
        closed: what is added to their scores, shape (rows, 1, queries, keys); None where all is seen.
    """

    rows: slice
    queries: slice
    keys: Tensor | None
    closed: Tensor | None


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
    kind = query.device.type
    mixed = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if mixed else query.dtype
    query, key, value = (x.to(dtype) for x in (query * scaling, key, value))
    # The gradient is made outside of it: both ways have to be of one precision.
    with torch.autocast(kind, enabled=False):
        found: Tensor = _Blockwise.apply(query, key, value, _blocks_of(attention_mask, dtype))  # type: ignore[no-untyped-call]
    return found.transpose(1, 2).contiguous(), None


def blocks_of(mask: Tensor, dtype: torch.dtype) -> list[Block]:
    """Blocks of each row where that leaves most scores out, else all of the batch as one.

    mask: as `attend` takes it. dtype: of the scores.
    """
    rows, _, length, _ = mask.shape
    parts = [
        (row, slice(start, min(start + _BLOCK, length)))
        for row in range(rows)
        for start in range(0, length, _BLOCK)
    ]
    keys = [mask[row, 0, queries].any(0).nonzero()[:, 0] for row, queries in parts]
    seen = sum((q.stop - q.start) * len(k) for (_, q), k in zip(parts, keys, strict=True))
    if 2 * seen > rows * length**2:
        return [Block(slice(None), slice(None), None, _closed(mask, dtype))]
    return [
        Block(
            slice(row, row + 1), queries, k, _closed(mask[row : row + 1, :, queries][..., k], dtype)
        )
        for (row, queries), k in zip(parts, keys, strict=True)
    ]


def _closed(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, _CLOSED)


# Of one forward pass: every layer is given the same mask.
_known: tuple[weakref.ref[Tensor], torch.dtype, list[Block]] | None = None


def _blocks_of(mask: Tensor | None, dtype: torch.dtype) -> list[Block]:
    global _known
    if mask is None:
        return [Block(slice(None), slice(None), None, None)]
    if _known is None or _known[0]() is not mask or _known[1] != dtype:
        _known = weakref.ref(mask), dtype, blocks_of(mask, dtype)
    return _known[2]


class _Blockwise(torch.autograd.Function):
    """Shape (rows, heads, length, size), as the scaled queries; the softmax in their precision."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block]
    ) -> Tensor:
        found = torch.empty_like(query)
        for block in blocks:
            asked, seen = _stacked(query, block, key.shape[1]), _of(key, block)
            shares = _shares(asked, seen, block, query.shape[1])
            answer = torch.matmul(shares, _of(value, block))
            part = found[block.rows, :, block.queries]
            part.copy_(answer.view(part.shape))
        ctx.save_for_backward(query, key, value, found)
        ctx.blocks = blocks
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, found = ctx.saved_tensors
        kept = key.shape[1]
        # Every block adds to them: in the precision of a model they would lose the small parts.
        of_query = torch.empty_like(query)
        wide = torch.promote_types(key.dtype, torch.float32)
        of_key, of_value = (torch.zeros_like(x, dtype=wide) for x in (key, value))
        for block in ctx.blocks:
            asked, seen = _stacked(query, block, kept), _of(key, block)
            shares = _shares(asked, seen, block, query.shape[1])
            given = _stacked(gradient, block, kept)
            _add(of_value, block, torch.matmul(shares.transpose(2, 3), given))
            level = (given * _stacked(found, block, kept)).sum(-1, keepdim=True)
            of_scores = (
                torch.matmul(given, _of(value, block).transpose(2, 3)).sub_(level).mul_(shares)
            )
            _add(of_key, block, torch.matmul(of_scores.transpose(2, 3), asked))
            part = of_query[block.rows, :, block.queries]
            part.copy_(torch.matmul(of_scores, seen).view(part.shape))
        return of_query, of_key.to(key.dtype), of_value.to(value.dtype), None


def _stacked(heads: Tensor, block: Block, kept: int) -> Tensor:
    """Heads that share keys as one, so that keys are not copied for them: shape (rows, kept, n, size)."""
    part = heads[block.rows, :, block.queries]
    return part.reshape(part.shape[0], kept, -1, part.shape[-1])


def _of(keys: Tensor, block: Block) -> Tensor:
    part = keys[block.rows]
    return part if block.keys is None else part.index_select(2, block.keys)


def _shares(asked: Tensor, seen: Tensor, block: Block, heads: int) -> Tensor:
    """How much of each key a query takes, shape (rows, kept, n, keys)."""
    scores = torch.matmul(asked, seen.transpose(2, 3))
    if block.closed is not None:
        rows, _, queries, keys = block.closed.shape
        scores.view(rows, heads, queries, keys).add_(block.closed)
    return torch.softmax(scores, -1)


def _add(sums: Tensor, block: Block, part: Tensor) -> None:
    if block.keys is None:
        sums[block.rows] += part
    else:
        sums[block.rows].index_add_(2, block.keys, part.to(sums.dtype))


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
