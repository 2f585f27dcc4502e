"""Methods that maximise an acquisition function over the unit cube, a batch one point after the other.

Starts are the best of many points: half of them a scrambled Sobol sequence over the cube, half of
them steps away from the best designs so far, without which a narrow peak beside an incumbent is
missed in twenty dimensions. L-BFGS-B does the rest, over the fine coordinates: to a rounded one the
function is a staircase, at which a line search ends. Coarse ones are moved by a level afterwards.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.exceptions.errors import OptimizationGradientError
from botorch.generation import gen_candidates_scipy
from botorch.sampling import SobolQMCNormalSampler
from torch import Tensor
from torch.quasirandom import SobolEngine

from acs_gym.design import Design, DesignSpace
from baselines.bayesian import BayesianOptimizer, scores, units
from baselines.levels import Levels, neighbours, round_to_levels

_INCUMBENTS = 5


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look.

    Attributes:
        samples: Monte-Carlo samples of the acquisition function.
        raw: points it is evaluated at.
        starts: of them, that are refined.
        iterations: of L-BFGS-B.
    """

    samples: int = 128
    raw: int = 512
    starts: int = 4
    iterations: int = 50


class AcquisitionOptimizer(BayesianOptimizer):
    """Proposes where an acquisition function has its top; a subclass says which one."""

    def __init__(
        self,
        space: DesignSpace,
        *,
        seed: int,
        initial: Sequence[Design],
        effort: Effort | None = None,
    ) -> None:
        super().__init__(space, seed=seed, initial=initial)
        self._effort = effort or Effort()

    @abstractmethod
    def _acquisition(
        self, x: Tensor, score: Tensor, sampler: SobolQMCNormalSampler
    ) -> AcquisitionFunction | None:
        """The function, of the observations at `x`, shape (n, d); None when they are too few."""

    def _from_model(self, n: int) -> Tensor | None:
        if not self._observations:
            return None
        x = units(self._observations)
        score = scores(self._observations)
        seed = int(torch.randint(2**31, ()))
        sampler = SobolQMCNormalSampler(torch.Size([self._effort.samples]), seed=seed)
        acquisition = self._acquisition(x, score, sampler)
        if acquisition is None:
            return None
        best = score.argsort(descending=True, stable=True)[:_INCUMBENTS]
        pending = torch.from_numpy(self.pending)
        return maximise(
            acquisition, n, incumbents=x[best], pending=pending, levels=self._levels,
            effort=self._effort,
        )  # fmt: skip


def maximise(
    acquisition: AcquisitionFunction,
    n: int,
    *,
    incumbents: Tensor,
    pending: Tensor,
    levels: tuple[Levels, ...],
    effort: Effort,
) -> Tensor:
    """`n` points, shape (n, d), each chosen with those before it as good as simulated.

    Args:
        incumbents: the best designs, shape (k, d), k >= 1.
        pending: what is being simulated already, shape (p, d).
        levels: of the coarse coordinates, on which the points are.
    """
    chosen: list[Tensor] = []
    for _ in range(n):
        waiting = torch.cat([pending, *chosen])
        acquisition.set_X_pending(waiting if len(waiting) else None)
        chosen.append(_best_point(acquisition, incumbents, levels, effort))
    return torch.cat(chosen)


def _best_point(
    acquisition: AcquisitionFunction,
    incumbents: Tensor,
    levels: tuple[Levels, ...],
    effort: Effort,
) -> Tensor:
    """Shape (1, d)."""
    raw = torch.cat([_anywhere(incumbents.shape[-1], effort), _nearby(incumbents, effort)])
    raw = torch.from_numpy(round_to_levels(raw.numpy(), levels))
    order = _values(acquisition, raw).argsort(descending=True, stable=True)
    point, value = _refined(acquisition, raw[order[: effort.starts]], levels, effort)
    if levels:
        beside = torch.from_numpy(neighbours(point[0].numpy(), levels))
        around = _values(acquisition, beside)
        if around.max() > value:
            start = beside[around.argmax()][None]
            point, _ = _refined(acquisition, start, levels, effort)
    return point


def _values(acquisition: AcquisitionFunction, points: Tensor) -> Tensor:
    """At points (c, d), one by one: shape (c,)."""
    with torch.no_grad():
        values: Tensor = acquisition(points[:, None]).nan_to_num(nan=-torch.inf)
    return values


def _refined(
    acquisition: AcquisitionFunction, starts: Tensor, levels: tuple[Levels, ...], effort: Effort
) -> tuple[Tensor, float]:
    """(the best point (1, d), its value) of L-BFGS-B from each start (c, d), best start first."""
    held = {level.index: starts[:, level.index] for level in levels}
    if len(held) == starts.shape[-1]:  # Nothing is left to refine.
        return starts[:1], float(_values(acquisition, starts[:1]))
    try:
        points, values = gen_candidates_scipy(
            starts[:, None], acquisition, lower_bounds=0.0, upper_bounds=1.0,
            options={"maxiter": effort.iterations}, fixed_features=held or None,
        )  # fmt: skip
    except OptimizationGradientError:  # Too flat for floats: the best of the raw points will do.
        return starts[:1], math.inf
    values = values.nan_to_num(nan=-torch.inf)
    best = int(values.argmax())
    return points[best].detach(), float(values[best])


def _anywhere(n: int, effort: Effort) -> Tensor:
    seed = int(torch.randint(2**31, ()))
    return SobolEngine(n, scramble=True, seed=seed).draw(effort.raw // 2, dtype=torch.float64)


def _nearby(incumbents: Tensor, effort: Effort) -> Tensor:
    count, n = effort.raw - effort.raw // 2, incumbents.shape[-1]
    centres = incumbents[torch.arange(count) % len(incumbents)]
    # From a hundredth to a third of the range, in all coordinates or in few of them.
    sigma = 10.0 ** (-2.0 + 1.5 * torch.rand(count, 1, dtype=torch.float64))
    moved = torch.rand(count, n, dtype=torch.float64) < torch.rand(count, 1, dtype=torch.float64)
    moved[torch.arange(count), torch.randint(n, (count,))] = True
    step = sigma * torch.randn(count, n, dtype=torch.float64) * moved
    return (centres + step).clamp(0.0, 1.0)
