"""Keys and values of sampled tokens, in memory that grows by blocks.

What `transformers` keeps by default is copied whole for every token, which many rows of a language model
wait for.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

_BLOCK = 64  # Tokens.


class GrowingLayer(DynamicLayer):
    """As the layer it derives from, bit for bit; `keys` and `values` are the filled part of `room`."""

    keys: Tensor
    values: Tensor
    room: tuple[Tensor, Tensor] | None = None

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append; shape (rows, heads, tokens, size) each. Returns all there is."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.get_seq_length()
        whole = length + key_states.shape[-2]
        room = self.room
        # Rows that were repeated or chosen since are elsewhere.
        moved = room is None or self.keys.data_ptr() != room[0].data_ptr()
        if room is None or moved or room[0].shape[-2] < whole:
            room = (
                _room(self.keys, key_states, length, whole),
                _room(self.values, value_states, length, whole),
            )
        for held, states in zip(room, (key_states, value_states), strict=True):
            held[..., length:whole, :] = states
        self.room = room
        self.keys, self.values = (held[..., :whole, :] for held in room)
        return self.keys, self.values


def _room(held: Tensor, states: Tensor, length: int, whole: int) -> Tensor:
    rows, heads, _, size = states.shape
    made = states.new_empty(rows, heads, whole + _BLOCK, size)
    if length:
        made[..., :length, :] = held
    return made


def growing_cache(config: Any) -> DynamicCache:
    """A cache for a model of this configuration."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(one) is DynamicLayer else one for one in cache.layers]
    return cache
