"""Designs aimed at targets: from one that fails, by a surrogate's gradient, to one that should meet them.

The surrogate is an ensemble of small networks from levels to margins, fitted to a bank in seconds. What
it proposes lies near where it began, so that a bank of such designs, simulated, knows an answer near
many a history. It is wrong where nothing was simulated; what is simulated there it is fitted to next.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlgrpo.domains.sizing import LEVELS

_MEMBERS, _WIDTH = 3, 96
_STEPS, _BATCH, _RATE = 1_200, 256, 3e-3
# Margins beyond are as good or as bad as any.
_FAR = 6.0
_MOVES, _STRIDE = 120, 0.05
# A margin that should be reached, so that an error of the surrogate is not yet a miss.
_SLACK = 0.05
_NEAR = 0.02


@dataclass(frozen=True, slots=True)
class Surrogate:
    """Margins of designs, by several networks.

    Attributes:
        layers: weights and biases, shapes (members, in, out) and (members, 1, out).
    """

    layers: tuple[tuple[Tensor, Tensor], ...]

    def margins(self, units: Tensor) -> Tensor:
        """Shape (members, designs, specs) of designs of shape (designs, parameters) in -1..1."""
        found = units.expand(_MEMBERS, *units.shape)
        for number, (weight, bias) in enumerate(self.layers):
            if number:
                found = torch.nn.functional.silu(found)
            found = torch.baddbmm(bias, found, weight)
        return found

    def towards(
        self,
        levels: NDArray[np.int64],
        shifts: NDArray[np.float64],
        asked: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """Designs near these that should meet what is asked, shape (designs, parameters).

        Args:
            levels: to begin from, shape (designs, parameters).
            shifts: what is added to a margin that was fitted, shape (designs, specs): other targets.
            asked: which specs count, shape (designs, specs).
        """
        start = _units(levels)
        shift = torch.as_tensor(np.where(asked, shifts, 0.0), dtype=torch.float32)
        counts = torch.as_tensor(asked, dtype=torch.float32)
        at = start.clone().requires_grad_(True)
        # Slower in the end: it is to stop where the last margin is met.
        optimiser = torch.optim.Adam([at], lr=_STRIDE, betas=(0.5, 0.99))
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, _MOVES)
        for _ in range(_MOVES):
            optimiser.zero_grad()
            missed = torch.relu(_SLACK - (self.margins(at) + shift)) * counts
            (missed.sum(-1).mean(0) + _NEAR * (at - start).abs().sum(-1)).sum().backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                at.clamp_(-1.0, 1.0)
        found = np.floor((at.detach().double().numpy() + 1.0) / 2.0 * LEVELS).astype(np.int64)
        return np.clip(found, 0, LEVELS - 1)


def fitted(levels: NDArray[np.int64], margins: NDArray[np.float64], seed: int) -> Surrogate:
    """To designs of shape (designs, parameters) and their margins, shape (designs, specs).

    What was not measured (minus infinity) is as bad as can be.
    """
    units = _units(levels)
    wanted = torch.as_tensor(np.clip(margins, -_FAR, _FAR), dtype=torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = (units.shape[1], _WIDTH, _WIDTH, wanted.shape[1])
        layers = tuple(
            (
                (torch.randn(_MEMBERS, a, b) / a**0.5).requires_grad_(True),
                torch.zeros(_MEMBERS, 1, b).requires_grad_(True),
            )
            for a, b in itertools.pairwise(sizes)
        )
        surrogate = Surrogate(layers)
        optimiser: Any = torch.optim.AdamW(
            [p for layer in layers for p in layer], lr=_RATE, weight_decay=1e-4
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
        for _ in range(_STEPS):
            chosen = torch.randint(len(units), (_BATCH,))
            error = surrogate.margins(units[chosen]) - wanted[chosen]
            optimiser.zero_grad()
            torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error)).backward()
            optimiser.step()
            schedule.step()
    return Surrogate(tuple((w.detach(), b.detach()) for w, b in layers))


def _units(levels: NDArray[np.int64]) -> Tensor:
    return torch.as_tensor((levels + 0.5) / LEVELS * 2.0 - 1.0, dtype=torch.float32)
