"""What a sampler is: histories in, actions with their log-probabilities out. Token ids only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Sampled:
    """One sampled action.

    Attributes:
        ids: the end token included where it was reached.
        log_probs: of each token under the policy that sampled, at the temperature it was sampled with.
    """

    ids: tuple[int, ...]
    log_probs: tuple[float, ...]


class Sampler(Protocol):
    """Samples from the whole distribution (top_p = 1): what is trained is what was sampled."""

    def sample(self, histories: Sequence[Sequence[int]], count: int) -> list[list[Sampled]]:
        """`count` actions, drawn independently, after each history; each of at least one token."""


@runtime_checkable
class FormSampler(Protocol):
    """A sampler for domains whose actions are forms."""

    def fill(
        self, histories: Sequence[Sequence[int]], count: int, forms: Sequence[Sequence[int]]
    ) -> list[list[Sampled]]:
        """`count` actions after each history: the lines of its form, each with a sampled value."""
