"""A sampler that says what it is told: for tests of everything around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tlgrpo.samplers.base import Sampled


class ScriptedSampler:
    """Asks `choose(history, number)` for the ids of each action; every log-probability is `log_prob`."""

    def __init__(
        self, choose: Callable[[Sequence[int], int], Sequence[int]], log_prob: float = -1.0
    ) -> None:
        self._choose, self._log_prob = choose, log_prob
        self.asked: list[tuple[tuple[int, ...], int]] = []

    def sample(self, histories: Sequence[Sequence[int]], count: int) -> list[list[Sampled]]:
        found = []
        for history in histories:
            self.asked.append((tuple(history), count))
            actions = [tuple(self._choose(history, k)) for k in range(count)]
            found.append([Sampled(ids, (self._log_prob,) * len(ids)) for ids in actions])
        return found
