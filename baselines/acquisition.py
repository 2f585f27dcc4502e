"""Methods that maximise an acquisition function over the unit cube, a batch one point after the other.

Starts are the best of many points: half of them a scrambled Sobol sequence over the cube, half of
them steps away from the best designs so far, without which a narrow peak beside an incumbent is
missed in twenty dimensions. L-BFGS-B does the rest.
"""

from __future__ import annotations

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
        return maximise(acquisition, n, incumbents=x[best], pending=pending, effort=self._effort)


def maximise(
    acquisition: AcquisitionFunction, n: int, *, incumbents: Tensor, pending: Tensor, effort: Effort
) -> Tensor:
    """`n` points, shape (n, d), each chosen with those before it as good as simulated.

    Args:
        incumbents: the best designs, shape (k, d), k >= 1.
        pending: what is being simulated already, shape (p, d).
    """
    chosen: list[Tensor] = []
    for _ in range(n):
        waiting = torch.cat([pending, *chosen])
        acquisition.set_X_pending(waiting if len(waiting) else None)
        chosen.append(_best_point(acquisition, incumbents, effort))
    return torch.cat(chosen)


def _best_point(acquisition: AcquisitionFunction, incumbents: Tensor, effort: Effort) -> Tensor:
    raw = torch.cat([_anywhere(incumbents.shape[-1], effort), _nearby(incumbents, effort)])[:, None]
    with torch.no_grad():
        order = acquisition(raw).nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True)
    starts = raw[order[: effort.starts]]
    try:
        points, values = gen_candidates_scipy(
            starts, acquisition, lower_bounds=0.0, upper_bounds=1.0,
            options={"maxiter": effort.iterations},
        )  # fmt: skip
    except OptimizationGradientError:  # Too flat for floats: the best of the raw points will do.
        return starts[0]
    best: Tensor = points[values.nan_to_num(nan=-torch.inf).argmax()]
    return best.detach()


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
