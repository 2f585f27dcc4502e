"""The model's side of training: log-probabilities of packed trees, and the gradient of a batch
of episodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tlgrpo import distributed
from tlgrpo.config import TrainConfig
from tlgrpo.likelihood import log_likelihood
from tlgrpo.loss import grpo_loss
from tlgrpo.packing import Batch, Packed, collate, micro_batches, pack
from tlgrpo.tokens import AnswerMask
from tlgrpo.tree import Episode


@dataclass(frozen=True, slots=True)
class StepStatistics:
    """What an update did; means over the trained tokens, weighted by how many there were.

    Attributes:
        mismatch: the largest difference between a sampled token's log-probability in the sampler
            and here, before the first step on the batch.
    """

    loss: float
    gradient_norm: float
    clip_fraction: float
    approximate_kl: float
    entropy: float
    mismatch: float
    tokens: int
    packed_tokens: int


class SamplerMismatch(RuntimeError):
    """Sampler and learner disagree on the policy: what is trained is not what was sampled."""


def token_log_probs(
    model: Any,
    batch: Batch,
    *,
    temperature: float = 1.0,
    answer: AnswerMask | None = None,
) -> tuple[Tensor, Tensor]:
    """(log-probability, entropy) of every trained token, shape (trained,), in float32.

    Under `answer` whatever is no value came by itself.
    """
    # Of a large vocabulary the logits of tokens that predict nothing trained are dear.
    kept, place = torch.unique(batch.source, return_inverse=True)
    output = model(
        input_ids=batch.ids,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
        logits_to_keep=kept,
    )
    logits = output.logits[batch.row, place]
    target, given = batch.target, torch.zeros_like(batch.target, dtype=torch.bool)
    if answer is not None:
        values = torch.tensor(answer.values, device=logits.device)
        given = ~torch.isin(batch.target, values)
        # Of the values alone: a log-probability of minus infinity times 0 is no number.
        place = torch.zeros(logits.shape[-1], dtype=torch.long, device=logits.device)
        place[values] = torch.arange(len(answer.values), device=logits.device)
        target = place[torch.where(given, values[0], batch.target)]
        logits = logits[:, values]
    chosen, entropy = log_likelihood(logits, target, temperature)
    chosen = torch.where(given, torch.zeros_like(chosen), chosen)
    entropy = torch.where(given, torch.zeros_like(entropy), entropy)
    return chosen, entropy


def update(
    model: Any,
    optimizer: torch.optim.Optimizer,
    episodes: Sequence[Episode],
    config: TrainConfig,
    *,
    pad: int,
    reference: Any | None = None,
    answer: AnswerMask | None = None,
) -> StepStatistics:
    """One batch of episodes, `config.epochs` optimiser steps; the K turns of an episode are one step.

    Of several processes, each gives its share of the batch and all take the same steps.

    Raises SamplerMismatch in float32 when the log-probabilities differ by more than is allowed.
    """
    packed = [pack(e) for e in episodes]
    device = str(next(model.parameters()).device)
    parts = micro_batches(packed, config.micro_tokens)
    total = _total(packed, config)
    found: list[StepStatistics] = []
    for epoch in range(config.epochs):
        optimizer.zero_grad(set_to_none=True)
        sums = _Sums()
        for part in parts:
            batch = collate([packed[k] for k in part], pad=pad, device=device)
            log_probs, entropy = token_log_probs(
                model, batch, temperature=config.temperature, answer=answer
            )
            if epoch == 0:
                mismatch = float((log_probs.detach() - batch.sampled).abs().max())
                _check(mismatch, config)
                sums.mismatch = max(sums.mismatch, mismatch)
            reference_log_probs = None
            if reference is not None and config.kl:
                with torch.no_grad():
                    reference_log_probs, _ = token_log_probs(
                        reference, batch, temperature=config.temperature, answer=answer
                    )
            loss = grpo_loss(
                log_probs,
                batch.sampled,
                batch.advantage,
                batch.action,
                total=total,
                clip_low=config.clip_low,
                clip_high=config.clip_high,
                aggregation=config.aggregation,
                entropies=entropy,
                entropy_bonus=config.entropy_bonus,
                reference_log_probs=reference_log_probs,
                kl=config.kl,
            )
            loss.loss.backward()
            sums.add(batch, loss.loss, loss.clip_fraction, loss.approximate_kl, loss.entropy)
        distributed.sum_gradients(model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_gradient_norm)
        optimizer.step()
        found.append(sums.statistics(float(norm)))
    # Before the first step nothing can have moved; how far it went is seen in the last pass.
    last = found[-1]
    return replace(found[0], clip_fraction=last.clip_fraction, approximate_kl=last.approximate_kl)


def _total(packed: Sequence[Packed], config: TrainConfig) -> float:
    """What the loss of a batch is divided by, so that its parts add up, here and elsewhere."""
    counts = [p.trained if config.aggregation == "tokens" else len(p.actions) for p in packed]
    return distributed.sum_numbers([float(sum(counts))])[0]


def _check(mismatch: float, config: TrainConfig) -> None:
    if config.policy.dtype == "float32" and not mismatch <= config.mismatch_allowed:
        raise SamplerMismatch(
            f"a sampled token's log-probability differs by {mismatch:.2g} between sampler and "
            f"learner; mismatch_allowed is {config.mismatch_allowed:g}"
        )


class _Sums:
    """Token-weighted means over the parts of a batch."""

    def __init__(self) -> None:
        self.loss = self.clip = self.kl = self.entropy = self.mismatch = 0.0
        self.tokens = self.packed = 0

    def add(self, batch: Batch, loss: Tensor, clip: float, kl: float, entropy: float) -> None:
        count = batch.trained
        self.loss += float(loss.detach())
        self.clip += count * clip
        self.kl += count * kl
        self.entropy += count * entropy
        self.tokens += count
        self.packed += int(batch.ids.numel())

    def statistics(self, norm: float) -> StepStatistics:
        """The statistics of all processes together."""
        loss, clip, kl, entropy, tokens, packed = distributed.sum_numbers(
            [self.loss, self.clip, self.kl, self.entropy, self.tokens, self.packed]
        )
        count = max(tokens, 1.0)
        return StepStatistics(
            loss=loss,
            gradient_norm=norm,
            clip_fraction=clip / count,
            approximate_kl=kl / count,
            entropy=entropy / count,
            mismatch=distributed.largest(self.mismatch),
            tokens=int(tokens),
            packed_tokens=int(packed),
        )
