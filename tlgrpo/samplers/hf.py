"""Sampling from a `transformers` causal LM in this process.

A history goes through the model once, whatever the number of actions sampled after it: its keys and
values are repeated for them. They are kept for the next turn, whose history begins with this one, for
as long as no weight changes. Rows of different lengths are padded on the left.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tlgrpo.samplers.base import Sampled
from tlgrpo.tokens import AnswerMask

# Batches whose keys and values are kept: a training step samples in waves.
_KEPT = 4


@dataclass(frozen=True, slots=True)
class _Prefix:
    """Histories that went through the model.

    Attributes:
        rows: of each history, its place in `cache`.
        mask: shape (rows, length), 0 where padded.
        logits: after the last token of each, shape (rows, vocabulary).
    """

    rows: dict[tuple[int, ...], int]
    mask: Tensor
    cache: Any
    logits: Tensor


class HfSampler:
    """Samples with a generator of its own, so that nothing else changes what it draws.

    Args:
        model: a causal LM; used in evaluation mode and without gradients.
        end, pad: token ids.
        action_tokens: the longest action.
        temperature: log-probabilities are those at this temperature.
        answer: what a form is filled with; None lets an action be anything of `action_tokens`.
    """

    def __init__(
        self,
        model: Any,
        *,
        end: int,
        pad: int,
        action_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
        answer: AnswerMask | None = None,
    ) -> None:
        self.answer = answer
        self._prefixes: list[_Prefix] = []
        self._weights: tuple[int, ...] = ()
        self.model, self.end, self.pad = model, end, pad
        self.action_tokens, self.temperature = action_tokens, temperature
        self.generator = torch.Generator(device="cpu").manual_seed(seed)
        # An adapter passes on whatever the model under it takes.
        plain = model.get_base_model() if hasattr(model, "get_base_model") else model
        names = inspect.signature(plain.forward).parameters
        self._cache_name = "cache" if "cache" in names else "past_key_values"

    def sample(self, histories: Sequence[Sequence[int]], count: int) -> list[list[Sampled]]:
        """See `Sampler`. Draws depend on the histories' order and on the generator's state."""
        return self._sampled(histories, count, None)

    def fill(
        self, histories: Sequence[Sequence[int]], count: int, forms: Sequence[Sequence[int]]
    ) -> list[list[Sampled]]:
        """See `FormSampler`; the values are those of `answer`."""
        return self._sampled(histories, count, forms)

    @torch.no_grad()
    def _sampled(
        self,
        histories: Sequence[Sequence[int]],
        count: int,
        forms: Sequence[Sequence[int]] | None,
    ) -> list[list[Sampled]]:
        was_training = self.model.training
        self.model.eval()
        try:
            ids, log_probs, lengths = self._draw(histories, count, forms)
        finally:
            self.model.train(was_training)
        rows = [
            Sampled(tuple(ids[k][: lengths[k]]), tuple(log_probs[k][: lengths[k]]))
            for k in range(len(lengths))
        ]
        return [rows[k : k + count] for k in range(0, len(rows), count)]

    def _draw(
        self,
        histories: Sequence[Sequence[int]],
        count: int,
        forms: Sequence[Sequence[int]] | None,
    ) -> tuple[list[list[int]], list[list[float]], list[int]]:
        device = next(self.model.parameters()).device
        logits, mask, cache = self._read(histories, device)
        cache.batch_repeat_interleave(count)
        mask = mask.repeat_interleave(count, 0)
        if forms is not None:
            slots = torch.tensor([len(f) for f in forms])
            lines = torch.full((len(forms), int(slots.max())), self.pad)
            for k, form in enumerate(forms):
                lines[k, : len(form)] = torch.tensor(form)
            lines, slots = (x.to(device).repeat_interleave(count, 0) for x in (lines, slots))
            return self._fill(lines, slots, mask, cache)
        logits = logits.repeat_interleave(count, 0)
        alive = torch.ones(len(mask), dtype=torch.bool, device=device)
        lengths = torch.zeros(len(mask), dtype=torch.long, device=device)
        ids, log_probs = [], []
        for step in range(self.action_tokens):
            token, log_prob = self._drawn(logits)
            token = torch.where(alive, token, self.pad)
            ids.append(token)
            log_probs.append(log_prob)
            lengths += alive
            alive = alive & (token != self.end)
            if step + 1 == self.action_tokens or not alive.any():
                break
            mask, logits = self._next(token[:, None], mask, cache)
        return (
            torch.stack(ids, 1).tolist(),
            torch.stack(log_probs, 1).tolist(),
            lengths.tolist(),
        )

    def _fill(
        self, lines: Tensor, slots: Tensor, mask: Tensor, cache: Any
    ) -> tuple[list[list[int]], list[list[float]], list[int]]:
        """Filled forms: a line, which is given, then a value, then the next line."""
        assert self.answer is not None
        values = torch.tensor(self.answer.values, device=slots.device)
        nothing = torch.zeros(len(slots), device=slots.device)
        blank = torch.full_like(slots, self.pad)
        ids: list[Tensor] = []
        log_probs: list[Tensor] = []
        value = None
        for place in range(int(slots.max()) + 1):
            going = slots > place
            line = lines[:, place] if going.any() else blank
            ids.append(torch.where(slots == place, self.end, line))
            log_probs.append(nothing)
            if not going.any():
                break
            read = line[:, None] if value is None else torch.stack([value, line], 1)
            mask, logits = self._next(read, mask, cache)
            drawn, log_prob = self._drawn(logits[:, values])
            value = torch.where(going, values[drawn], blank)
            ids.append(value)
            log_probs.append(torch.where(going, log_prob, nothing))
        return (
            torch.stack(ids, 1).tolist(),
            torch.stack(log_probs, 1).tolist(),
            (2 * slots + 1).tolist(),
        )

    def _drawn(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """(which of the logits, its log-probability), shape (rows,) each."""
        distribution = torch.log_softmax(logits.float() / self.temperature, dim=-1)
        # Drawn on the CPU: the same numbers whatever the device.
        drawn = torch.multinomial(distribution.exp().cpu(), 1, generator=self.generator)
        drawn = drawn.to(logits.device)
        return drawn[:, 0], distribution.gather(1, drawn)[:, 0]

    def _next(self, ids: Tensor, mask: Tensor, cache: Any) -> tuple[Tensor, Tensor]:
        """(mask, logits after them) of further tokens of every row, shape (rows, 1 or 2)."""
        mask = torch.cat([mask, mask.new_ones(ids.shape)], dim=1)
        positions = (mask.cumsum(-1) - 1)[:, -ids.shape[1] :]
        return mask, self._forward(ids, mask, positions, cache)

    def _read(self, histories: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor, Any]:
        """(logits after each history, their mask, a cache of them), from what is kept if it can be."""
        from tlgrpo.samplers.cache import growing_cache

        # Every change in place counts one up, an optimiser's and a checkpoint's alike.
        weights = tuple(p._version for p in self.model.parameters())
        if weights != self._weights:
            self._weights = weights
            self._prefixes.clear()
        found = self._begun(histories)
        if found is None:
            cache = growing_cache(self.model.config)
            given, mask = self._padded(histories, device)
            logits = self._forward(given, mask, (mask.cumsum(-1) - 1).clamp(min=0), cache)
        else:
            prefix, rows, lengths = found
            # The longer histories take its place.
            self._prefixes.remove(prefix)
            chosen = torch.tensor(rows, device=device)
            cache = copy.deepcopy(prefix.cache)
            cache.batch_select_indices(chosen)
            mask, logits = prefix.mask[chosen], prefix.logits[chosen]
            rest = [h[n:] for h, n in zip(histories, lengths, strict=True)]
            if any(rest):
                given, further = self._padded(rest, device)
                mask = torch.cat([mask, further], dim=1)
                positions = (mask.cumsum(-1) - 1)[:, -given.shape[1] :].clamp(min=0)
                logits = self._forward(given, mask, positions, cache)
        places = {tuple(h): k for k, h in enumerate(histories)}
        self._prefixes = [
            *self._prefixes[1 - _KEPT :],
            _Prefix(places, mask, copy.deepcopy(cache), logits),
        ]
        return logits, mask, cache

    def _begun(
        self, histories: Sequence[Sequence[int]]
    ) -> tuple[_Prefix, list[int], list[int]] | None:
        """What was read already that every history begins with: rows of it, and their lengths."""
        for prefix in reversed(self._prefixes):
            sizes = sorted({len(h) for h in prefix.rows}, reverse=True)
            found = []
            for history in map(tuple, histories):
                size = next((n for n in sizes if history[:n] in prefix.rows), None)
                if size is None:
                    break
                found.append((prefix.rows[history[:size]], size))
            # All of them have something left to read, or none: a row of padding predicts nothing.
            left = {len(h) > n for h, (_, n) in zip(histories, found, strict=False)}
            if len(found) == len(histories) and len(left) == 1:
                return prefix, [row for row, _ in found], [size for _, size in found]
        return None

    def _padded(self, histories: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor]:
        length = max(len(h) for h in histories)
        ids = torch.full((len(histories), length), self.pad, dtype=torch.long)
        mask = torch.zeros((len(histories), length), dtype=torch.long)
        for k, history in enumerate(histories):
            ids[k, length - len(history) :] = torch.tensor(history, dtype=torch.long)
            mask[k, length - len(history) :] = 1
        return ids.to(device), mask.to(device)

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
        """Logits of the last token of each row, shape (rows, vocabulary)."""
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: cache},
        )
        logits: Tensor = output.logits[:, -1]
        return logits
