"""Composite expected improvement in numpy and scipy: a simulation should cost more than its proposal.

The idea is that of `botorch-composite` (Astudillo and Frazier, "Bayesian Optimization of Composite
Functions", ICML 2019): one Gaussian process a spec, of the bilog of its margin, and the score as a known
function of all of them. Every gradient is written out, and all processes of an ask are evaluated in one
product. Kernel and priors are those of Hvarfner, Hellsten and Nardi ("Vanilla Bayesian Optimization
Performs Great in High Dimensions", ICML 2024); the rectifier of the improvement has the heavy tail of
Ament et al. ("Unexpected Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023),
without which it has no slope where no sample improves. Coarse coordinates are held while the others are
refined, then moved by a level. A batch is chosen by the believer: a point that waits is taken to have
given what is expected of it.

Beyond the specs: the score can rise no further where every spec is met. From there the least margin
counts, so a run that goes on gains headroom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm, qmc
from threadpoolctl import ThreadpoolController

from acs_gym.design import Design, DesignSpace
from acs_gym.task import Task
from baselines.failures import Observation, Track
from baselines.levels import coarse_levels, neighbours, round_to_levels
from baselines.protocol import Optimizer, Point

Array = NDArray[np.float64]

_LENGTH_SIGMA = math.sqrt(3.0)
_NOISE_MEAN, _NOISE_SIGMA = -4.0, 1.0
_LENGTHS, _NOISES = (0.025, 1e3), (1e-4, 10.0)
_FIT, _FIT_FLAT = 60, 1e-4  # Iterations of L-BFGS-B, and a gain of log density that ends them.
_FLAT = 1e-6  # A gain of log improvement that is not worth an iteration.
_LEAST_OBSERVATIONS = 2
# Of the process that says 1 where something was measured and 0 elsewhere: where the cliff is, how steep.
_MEASURED, _EDGE = 0.5, 0.02
_WIDTH = 1e-5  # Of the rectifier's edge, in score.
_BONUS, _STEP = 0.02, 0.003  # Of meeting every spec, in score, and how wide its edge is.
_HEADROOM = 0.5  # What a unit of bilog margin beyond the specs is worth, in score.
_INCUMBENTS = 5
_MOST = 240  # Observations that are modelled.


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look.

    Attributes:
        samples: of the metrics at a point, from a Sobol sequence.
        raw: points the acquisition function is evaluated at.
        starts: of them, that are refined.
        iterations: of L-BFGS-B, a start.
    """

    samples: int = 64
    raw: int = 512
    starts: int = 3
    iterations: int = 40


class CompositeEI(Optimizer):
    """Proposes where the expected improvement of the score, through models of the margins, is largest.

    Args:
        weights: of the specs in the score; 1 for one that is not named.
    """

    name: ClassVar[str] = "composite-ei"
    track: ClassVar[Track] = "metrics"

    def __init__(
        self,
        space: DesignSpace,
        *,
        seed: int,
        initial: Sequence[Design],
        effort: Effort | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(space, seed=seed, initial=initial)
        self._effort = effort or Effort()
        self._weights = dict(weights or {})
        self._rng = np.random.default_rng(seed)
        self._levels = coarse_levels(space)
        self._observations: list[Observation] = []

    @classmethod
    def for_task(cls, task: Task, *, seed: int, initial: Sequence[Design]) -> Self:
        weights = {s.metric: s.weight for s in task.specs}
        return cls(task.space, seed=seed, initial=initial, weights=weights)

    def _learn(self, learnt: Sequence[Observation]) -> None:
        self._observations += learnt

    def _propose(self, n: int) -> list[Point]:
        # On one thread sums are always taken in the same order: the same seed, the same bits.
        with _blas().limit(limits=1, user_api="blas"):
            return self._from_models(n)

    def _from_models(self, n: int) -> list[Point]:
        composite = self._composite()
        if composite is None:
            return list(self._rng.random((n, len(self.space))))
        order = np.argsort(
            [-composite.utility(o.margins) for o in self._observations], kind="stable"
        )
        best = np.array([self._observations[k].unit for k in order[:_INCUMBENTS]])
        for point in self.pending:
            composite.believe(point)
        chosen = []
        for _ in range(n):
            chosen.append(self._best_point(composite, best))
            composite.believe(chosen[-1])
        return chosen

    def _worth_learning(self) -> list[Observation]:
        """All that was told, or the best and the latest of it: a fit costs the cube of their number."""
        told = self._observations
        if len(told) <= _MOST:
            return told
        older = told[: -_MOST // 2]
        best = sorted(range(len(older)), key=lambda k: -older[k].score)[: _MOST // 2]
        return [*(older[k] for k in sorted(best)), *told[-_MOST // 2 :]]

    def _composite(self) -> _Composite | None:
        """The models of what was told; None where no spec was measured twice."""
        told = self._worth_learning()
        names = tuple(dict.fromkeys(s for o in told for s in o.specs))
        modelled = [s for s in names if sum(s in o.margins for o in told) >= _LEAST_OBSERVATIONS]
        if not modelled:
            return None
        columns = {s: np.array([o.margins.get(s, math.nan) for o in told]) for s in modelled}
        # Specs that fail together share a process that says where they can be measured.
        groups: dict[bytes, list[str]] = {}
        for name, values in columns.items():
            if np.isnan(values).any():
                groups.setdefault(np.isnan(values).tobytes(), []).append(name)
        belongs = np.array([[float(s in group) for s in modelled] for group in groups.values()])
        for group in groups.values():
            columns[f"measured {group[0]}"] = (~np.isnan(columns[group[0]])).astype(float)
        x = round_to_levels(np.array([o.unit for o in told]), self._levels)
        processes = self._processes(x, np.array(list(columns.values())), modelled)
        weight = np.array([self._weights.get(s, 1.0) for s in modelled])
        weight /= sum(self._weights.get(s, 1.0) for s in names)
        seed = int(self._rng.integers(2**31))
        sobol = qmc.Sobol(len(columns), scramble=True, rng=np.random.default_rng(seed))
        normal = norm.ppf(np.clip(sobol.random(self._effort.samples), 1e-9, 1 - 1e-9))
        composite = _Composite(
            processes, tuple(modelled), belongs.reshape(-1, len(modelled)), weight, normal,
            complete=len(modelled) == len(names),
        )  # fmt: skip
        composite.best = max(composite.utility(o.margins) for o in told)
        return composite

    def _processes(self, x: Array, values: Array, specs: Sequence[str]) -> Processes:
        """Models of the columns of `values`, shape (m, n), of which the first are `specs`."""
        return GaussianProcesses(x, values)

    def _best_point(self, composite: _Composite, incumbents: Array) -> Point:
        """The top of the acquisition function, on the levels of coarse coordinates."""
        effort = self._effort
        raw = round_to_levels(np.vstack([self._anywhere(), self._nearby(incumbents)]), self._levels)
        order = np.argsort(-composite.values(raw, effort.samples // 2), kind="stable")
        found = [
            self._refined(composite, raw[k], effort.iterations) for k in order[: effort.starts]
        ]
        value, point = max(found, key=lambda pair: pair[0])
        if self._levels:
            beside = neighbours(point, self._levels)
            around = composite.values(beside)
            if around.max() > value:
                start = beside[int(around.argmax())]
                value, point = self._refined(composite, start, effort.iterations)
        return point

    def _refined(self, composite: _Composite, start: Array, iterations: int) -> tuple[float, Array]:
        """(value, point) of L-BFGS-B over the fine coordinates, from `start`."""
        bounds = [(0.0, 1.0)] * len(start)
        for level in self._levels:
            bounds[level.index] = (start[level.index], start[level.index])

        def loss(x: Array) -> tuple[float, Array]:
            value, gradient = composite.value_and_gradient(x)
            return -value, -gradient

        result = minimize(
            loss, start, jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": iterations, "ftol": _FLAT, "gtol": _FLAT},
        )  # fmt: skip
        return -float(result.fun), np.asarray(result.x)

    def _anywhere(self) -> Array:
        seed = np.random.default_rng(int(self._rng.integers(2**31)))
        sobol = qmc.Sobol(len(self.space), scramble=True, rng=seed)
        return np.asarray(sobol.random(self._effort.raw // 2))

    def _nearby(self, incumbents: Array) -> Array:
        """Steps from the best designs: a hundredth to a third of the range, in few or all coordinates."""
        count, d = self._effort.raw - self._effort.raw // 2, len(self.space)
        rng = self._rng
        sigma = 10.0 ** (-2.0 + 1.5 * rng.random((count, 1)))
        moved = rng.random((count, d)) < rng.random((count, 1))
        moved[np.arange(count), rng.integers(d, size=count)] = True
        step = sigma * rng.standard_normal((count, d)) * moved
        return np.clip(incumbents[np.arange(count) % len(incumbents)] + step, 0.0, 1.0)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """The linear algebra libraries that are loaded."""
    return ThreadpoolController()


class Processes(Protocol):
    """What the acquisition function asks of models, one a column."""

    def at(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at points (c, d), each (m, c)."""

    def slopes(self, point: Array) -> tuple[Array, Array, Array, Array]:
        """Mean, deviation (m,) and their gradients (m, d) at a point."""

    def append(self, point: Array) -> None:
        """One more observation at `point`: what is expected there."""


class GaussianProcesses:
    """Independent Gaussian processes with an RBF kernel of unit variance, one a column.

    Args:
        x: points, shape (n, d).
        values: shape (m, n), NaN where not measured.
    """

    def __init__(self, x: Array, values: Array) -> None:
        self.x = x
        self.mask = ~np.isnan(values)
        self.theta = np.zeros((len(values), x.shape[1] + 1))
        self.centre, self.spread = np.zeros(len(values)), np.ones(len(values))
        standard = np.zeros_like(values)
        for k, measured in enumerate(self.mask):
            seen = values[k, measured]
            spread = float(seen.std(ddof=1)) if len(seen) > 1 else 0.0
            self.centre[k], self.spread[k] = seen.mean(), spread if spread > 1e-9 else 1.0
            standard[k, measured] = (seen - self.centre[k]) / self.spread[k]
            self.theta[k] = _fitted(x[measured], standard[k, measured])
        self._inverse_squares = np.exp(-2.0 * self.theta[:, :-1])
        self._y = standard
        self._solve()

    def _solve(self) -> None:
        """K^-1, shape (m, n, n), and K^-1 of the residuals; an unmeasured value is a row of the unit
        matrix."""
        mask = self.mask.astype(float)
        kernel = self._kernel(self.x) * mask[:, :, None] * mask[:, None, :]
        noise = np.exp(self.theta[:, -1])[:, None] * mask + (1.0 - mask)
        diagonal = np.arange(len(self.x))
        kernel[:, diagonal, diagonal] += noise
        self.inverse = np.linalg.inv(kernel)
        ones = (self.inverse @ mask[:, :, None])[..., 0]
        self.mean = (ones * self._y).sum(1) / (ones * mask).sum(1)
        residual = (self._y - self.mean[:, None]) * mask
        self.weights = (self.inverse @ residual[:, :, None])[..., 0]

    def _kernel(self, points: Array) -> Array:
        """With the observations, shape (m, c, n)."""
        here = points * self._inverse_squares[:, None, :]
        square = (here * points).sum(-1)[:, :, None] + (self.x**2 @ self._inverse_squares.T).T[
            :, None
        ]
        exponent: Array = here @ self.x.T - 0.5 * square
        return np.exp(np.minimum(exponent, 0.0))

    def append(self, point: Array) -> None:
        """One more observation at `point`: what is expected there."""
        mean, _ = self.at(point[None])
        self.x = np.vstack([self.x, point])
        self._y = np.hstack([self._y, ((mean[:, 0] - self.centre) / self.spread)[:, None]])
        self.mask = np.hstack([self.mask, np.ones((len(self.mask), 1), dtype=bool)])
        self._solve()

    def at(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at points (c, d), each (m, c)."""
        cross = self._kernel(points) * self.mask[:, None, :]
        variance = 1.0 - ((cross @ self.inverse) * cross).sum(-1)
        deviation = np.sqrt(np.maximum(variance, 1e-12))
        return self._mean(cross), self.spread[:, None] * deviation

    def mean_at(self, points: Array) -> Array:
        """The mean alone, shape (m, c), which costs a fraction."""
        return self._mean(self._kernel(points) * self.mask[:, None, :])

    def _mean(self, cross: Array) -> Array:
        mean: Array = (cross @ self.weights[:, :, None])[..., 0] + self.mean[:, None]
        return self.centre[:, None] + self.spread[:, None] * mean

    def slopes(self, point: Array) -> tuple[Array, Array, Array, Array]:
        """Mean, deviation (m,) and their gradients (m, d) at a point."""
        cross, difference = self._beside(point)
        solved = (self.inverse @ cross[:, :, None])[..., 0]
        mean, mean_slope = self._mean_slope(cross, difference)
        deviation = np.sqrt(np.maximum(1.0 - (cross * solved).sum(1), 1e-12))
        deviation_slope = ((cross * solved) @ difference) * self._inverse_squares
        deviation_slope /= deviation[:, None]
        return mean, self.spread * deviation, mean_slope, self.spread[:, None] * deviation_slope

    def mean_slope(self, point: Array) -> tuple[Array, Array]:
        """Mean (m,) and its gradient (m, d) at a point."""
        return self._mean_slope(*self._beside(point))

    def _beside(self, point: Array) -> tuple[Array, Array]:
        """The kernel with the observations, (m, n), and the way from each of them, (n, d)."""
        difference = point - self.x
        square = difference**2 @ self._inverse_squares.T
        return np.exp(-0.5 * square.T) * self.mask, difference

    def _mean_slope(self, cross: Array, difference: Array) -> tuple[Array, Array]:
        weighted = cross * self.weights
        mean = weighted.sum(1) + self.mean
        # The slope of the kernel is -cross · difference / length².
        slope = -(weighted @ difference) * self._inverse_squares
        return self.centre + self.spread * mean, self.spread[:, None] * slope


def _fitted(x: Array, y: Array) -> Array:
    """Maximum a posteriori of log lengths and log noise, shape (d + 1,).

    From the mode of the prior every time: to go on from the last fit takes a third of the time, and
    more simulations to spec.
    """
    d = x.shape[1]
    length_mean = math.sqrt(2.0) + 0.5 * math.log(d)
    first = np.full(d + 1, length_mean - _LENGTH_SIGMA**2)
    first[-1] = _NOISE_MEAN - _NOISE_SIGMA**2
    bounds = [tuple(map(math.log, _LENGTHS))] * d + [tuple(map(math.log, _NOISES))]
    low, high = np.array(bounds).T
    result = minimize(
        _loss,
        np.clip(first, low, high),
        args=(x, x**2, y, length_mean),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _FIT, "ftol": _FIT_FLAT},
    )
    return np.asarray(result.x)


@lru_cache(maxsize=4)
def _above(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The elements above a diagonal."""
    return np.triu_indices(n, 1)


def _loss(
    theta: Array, x: Array, squares: Array, y: Array, length_mean: float
) -> tuple[float, Array]:
    """Minus the log posterior density a value, and its gradient.

    The mean is the one of largest likelihood; at it the likelihood has no slope in the mean.
    """
    n = len(y)
    inverse_square, noise = np.exp(-2.0 * theta[:-1]), math.exp(theta[-1])
    scaled = x * inverse_square
    norms = squares @ inverse_square
    square = norms[:, None] + norms - 2.0 * scaled @ x.T
    kernel = np.exp(-0.5 * np.maximum(square, 0.0))
    covariance = kernel.copy()
    covariance.flat[:: n + 1] = 1.0 + noise
    factor, info = lapack.dpotrf(covariance, lower=1)
    if info:
        return 1e10, np.zeros_like(theta)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=0)
    inverse[_above(n)] = inverse.T[_above(n)]
    ones = inverse.sum(0)
    residual = y - (ones @ y) / ones.sum()
    weights = inverse @ residual
    log_likelihood = -0.5 * residual @ weights - np.log(np.diag(factor)).sum()
    outer = weights[:, None] * weights - inverse
    gradient = np.empty_like(theta)
    gradient[-1] = 0.5 * noise * outer.trace()
    pull = outer * kernel
    along = pull.sum(0) @ squares - ((pull @ x) * x).sum(0)
    gradient[:-1] = along * inverse_square
    # Log-normal densities of lengths and noise.
    z = (theta[:-1] - length_mean) / _LENGTH_SIGMA
    z_noise = (theta[-1] - _NOISE_MEAN) / _NOISE_SIGMA
    prior = -0.5 * (z @ z) - theta[:-1].sum() - 0.5 * z_noise**2 - theta[-1]
    gradient[:-1] += -z / _LENGTH_SIGMA - 1.0
    gradient[-1] += -z_noise / _NOISE_SIGMA - 1.0
    return -(log_likelihood + prior) / n, -gradient / n


class _Composite:
    """Log expected improvement of the score, through the processes.

    Where a spec may not be measurable, its margin falls off a cliff as the process of its group falls
    below a half. So a design that is measured in part is worth its part.

    Args:
        processes: of `specs`, in their order, then of each group that fails together.
        belongs: 1 where a spec is of a group, shape (g, m).
        weight: of each spec in the score, shape (m,).
        normal: standard normal samples, shape (s, m + g).
        complete: whether every spec has a process; else the specs cannot all be met.
    """

    def __init__(
        self,
        processes: Processes,
        specs: tuple[str, ...],
        belongs: Array,
        weight: Array,
        normal: Array,
        *,
        complete: bool,
    ) -> None:
        self._processes, self._specs, self._belongs = processes, specs, belongs
        self._weight, self._normal, self._complete = weight, normal, complete
        self.best = 0.0

    def believe(self, point: Array) -> None:
        """From now on this point counts as simulated."""
        self._processes.append(point)
        mean, _ = self._processes.at(point[None])
        margins, _ = self._margins(mean[:, 0])
        self.best = max(self.best, float(self._utility(margins)))

    def utility(self, margins: Mapping[str, float]) -> float:
        """What a simulated design is worth: its score, and its headroom where every spec is met."""
        return float(self._utility(np.array([margins.get(s, -math.inf) for s in self._specs])))

    def _margins(self, samples: Array) -> tuple[Array, Array]:
        """(bilog margins (..., m), their slopes in the groups' processes (..., g)) of samples."""
        k = len(self._specs)
        above = (samples[..., k:] - _MEASURED) / _EDGE
        cliff = -np.logaddexp(0.0, -above)
        # The slope of log(sigmoid(z)) is 1 - sigmoid(z).
        return samples[..., :k] + cliff @ self._belongs, -np.expm1(cliff) / _EDGE

    def _utility(self, margins: Array) -> Array:
        """The utility of bilog margins (..., m), shape (...,)."""
        score = np.exp(np.minimum(margins, 0.0)) @ self._weight
        if self._complete:
            least = margins.min(-1)
            score = score + _BONUS * expit(least / _STEP) + _HEADROOM * np.maximum(least, 0.0)
        return np.asarray(score)

    def values(self, points: Array, samples: int | None = None) -> Array:
        """The acquisition function at points (c, d), shape (c,), from some of the samples or all."""
        mean, deviation = self._processes.at(points)
        margins, _ = self._margins(mean.T + deviation.T * self._normal[:samples, None, :])
        gain, _ = _rectified(self._utility(margins) - self.best)
        return np.asarray(np.log(gain.mean(0)))

    def value_and_gradient(self, point: Array) -> tuple[float, Array]:
        """At one point (d,): the value, and its slope (d,)."""
        mean, deviation, mean_slope, deviation_slope = self._processes.slopes(point)
        margins, cliff_slope = self._margins(mean + deviation * self._normal)
        gain, gain_slope = _rectified(self._utility(margins) - self.best)
        # The slope of the utility in each margin, shape (s, m), then in all samples, (s, m + g).
        slope = np.where(margins < 0.0, np.exp(np.minimum(margins, 0.0)), 0.0) * self._weight
        if self._complete:
            rows, worst = np.arange(len(margins)), margins.argmin(-1)
            least = margins[rows, worst]
            step = expit(least / _STEP)
            slope[rows, worst] += _BONUS / _STEP * step * (1.0 - step) + _HEADROOM * (least > 0.0)
        slope = np.hstack([slope, (slope @ self._belongs.T) * cliff_slope])
        slope *= gain_slope[:, None] / gain.sum()
        gradient = slope.sum(0) @ mean_slope + (slope * self._normal).sum(0) @ deviation_slope
        return math.log(gain.mean()), gradient


def _rectified(gain: Array) -> tuple[Array, Array]:
    """A smooth max(gain, 0) with a heavy tail, and its slope."""
    z = gain / _WIDTH
    soft = np.logaddexp(0.0, z)
    tail = 0.1 / (1.0 + z * z)
    value = _WIDTH * (soft + tail)
    slope = 1.0 / (1.0 + np.exp(-np.clip(z, -500.0, 500.0))) - 20.0 * z * tail**2
    return value, slope
