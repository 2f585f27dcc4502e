"""Independent Gaussian processes over the unit cube, fitted and evaluated as one batch.

A BoTorch `Model`, so that BoTorch's acquisition functions work on it. It is written out because nine
GPyTorch models, one a metric, spend most of an ask in Python: here all of them share every tensor
operation, and a value that was not measured is masked out of its own process only. Tests hold its
posterior and its likelihood to those of BoTorch's `SingleTaskGP`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from botorch.models.model import Model
from botorch.optim.batched_lbfgs_b import fmin_l_bfgs_b_batched
from botorch.posteriors import Posterior
from numpy.typing import NDArray
from torch import Tensor

from baselines.levels import Levels

_ITERATIONS = 100
_SQRT5 = math.sqrt(5.0)
_JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-4)


@dataclass(frozen=True, slots=True)
class Prior:
    """The kernel, and what is known of its hyper-parameters before any data.

    Attributes:
        matern: Matérn 5/2 instead of RBF.
        length, scale, noise: bounds of the length scales, the signal's and the noise's variance, in
            units of the cube and of the standardised values.
        start: of the length scales; None for the mode of their prior.
        informative: log-normal priors of length scales and noise, and a maximum a posteriori;
            otherwise a maximum of the likelihood.
    """

    matern: bool
    length: tuple[float, float]
    scale: tuple[float, float]
    noise: tuple[float, float]
    start: float | None
    informative: bool


# BoTorch's own: length scales whose prior grows with the number of parameters, unit signal. Hvarfner,
# Hellsten and Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024.
VANILLA = Prior(False, (0.025, 1e3), (1.0, 1.0), (1e-4, 10.0), None, informative=True)
# Eriksson et al. (2019), supplement.
TRUST_REGION = Prior(True, (0.005, 2.0), (0.05, 20.0), (5e-4, 0.1), 0.5, informative=False)
_NOISE_PRIOR = (-4.0, 1.0)
_LENGTH_SIGMA = math.sqrt(3.0)


class GaussianProcesses(Model):
    """Processes through the columns of `y`, fitted when made.

    Args:
        x: points, shape (n, d).
        y: values, shape (n, m); NaN where not measured. Every column has a measured value.
        levels: coarse coordinates, rounded before the kernel sees them (Garrido-Merchán and
            Hernández-Lobato, "Dealing with Categorical and Integer-Valued Variables in Bayesian
            Optimization with Gaussian Processes", Neurocomputing 380, 2020). They have no slope.
    """

    def __init__(self, x: Tensor, y: Tensor, levels: Sequence[Levels], prior: Prior) -> None:
        super().__init__()
        self._prior = prior
        self._levels = [
            (level.index, torch.from_numpy(level.units), torch.from_numpy(level.edges))
            for level in levels
        ]
        self._x = self._rounded(x)
        self._mask = (~y.isnan()).double().T  # (m, n)
        values = y.T.nan_to_num()
        count = self._mask.sum(dim=1, keepdim=True)
        self._centre = values.sum(dim=1, keepdim=True) / count
        spread = ((values - self._centre) * self._mask).square().sum(dim=1, keepdim=True)
        spread = (spread / (count - 1).clamp(min=1)).sqrt()
        self._spread = torch.where(spread > 1e-9, spread, 1.0)
        self._y = (values - self._centre) / self._spread * self._mask
        self._theta = self._fitted()
        with torch.no_grad():
            cholesky = torch.linalg.cholesky(self._covariance(self._theta, self._mask))
            eye = torch.eye(x.shape[0], dtype=torch.float64).expand_as(cholesky)
            self._inverse = torch.linalg.solve_triangular(cholesky, eye, upper=False)
            residual = (self._y - self._mean(self._theta)) * self._mask
            self._weights = self._inverse.mT @ (self._inverse @ residual[..., None])

    @property
    def num_outputs(self) -> int:
        return len(self._y)

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size()

    @property
    def length_scales(self) -> Tensor:
        """Shape (m, d)."""
        return self._theta[:, : self._x.shape[1]].exp()

    def posterior(self, X: Tensor, *_: Any, **__: Any) -> IndependentPosterior:
        """The posterior of the values without noise at points of shape (..., q, d)."""
        mean, root, prior = self._parts(X, slice(None))
        covariance = prior - root @ root.mT
        return IndependentPosterior(mean.mT, covariance)

    def samples(self, points: Tensor, n: int) -> Tensor:
        """`n` joint samples at `points`, shape (c, d): shape (n, c, m). For thousands of points."""
        found = []
        with torch.no_grad():
            for k in range(self.num_outputs):  # One by one, for the memory's sake.
                mean, root, prior = self._parts(points, slice(k, k + 1))
                cholesky = _cholesky(prior[0] - root[0] @ root[0].mT)
                normal = torch.randn(n, len(points), dtype=torch.float64)
                found.append(mean[0] + normal @ cholesky.mT)
        return torch.stack(found, dim=-1)

    def _parts(self, X: Tensor, which: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (..., m, q), root of what was learnt (..., m, q, n), prior covariance (..., m, q, q)."""
        theta, rounded = self._theta[which], self._rounded(X)
        # Single points, however many, are one product; a batched one would copy K^-1/2 for each.
        single = X.shape[-2] == 1
        x = rounded.reshape(1, -1, X.shape[-1]) if single else rounded[..., None, :, :]
        cross = self._kernel(theta, x, self._x) * self._mask[which][:, None, :]
        unit = (cross @ self._weights[which])[..., 0] + self._mean(theta)
        spread = self._spread[which]
        mean = self._centre[which] + spread * unit
        root = cross @ self._inverse[which].mT * spread[..., None]
        if single:
            mean = mean.mT.reshape(*X.shape[:-2], -1, 1)
            root = root.transpose(0, 1).reshape(*mean.shape, root.shape[-1])
            x = rounded[..., None, :, :]
        return mean, root, self._kernel(theta, x, x) * spread.square()[..., None]

    def _fitted(self) -> Tensor:
        """Hyper-parameters, shape (m, d + 3): log of lengths, signal, noise; then the mean."""
        n, prior = self._x.shape[1], self._prior
        start = prior.start or math.exp(_length_mean(n) - _LENGTH_SIGMA**2)
        first = [math.log(max(start, prior.length[0]))] * n
        noise = math.exp(_NOISE_PRIOR[0] - _NOISE_PRIOR[1] ** 2)
        first += [0.0, math.log(noise), 0.0]
        ranges = [prior.length] * n + [prior.scale, prior.noise]
        bounds = [(math.log(low), math.log(high)) for low, high in ranges] + [(-3.0, 3.0)]
        best, _, _ = fmin_l_bfgs_b_batched(
            self._loss_and_gradient, np.tile(first, (self.num_outputs, 1)), bounds=bounds,
            maxiter=_ITERATIONS, pass_batch_indices=True,
        )  # fmt: skip
        return torch.from_numpy(np.asarray(best, dtype=np.float64))

    def _loss_and_gradient(
        self, theta: NDArray[np.float64], batch_indices: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        variables = torch.from_numpy(np.ascontiguousarray(theta)).requires_grad_()
        loss = self.loss(variables, list(batch_indices))
        (gradient,) = torch.autograd.grad(loss.sum(), variables)
        return loss.detach().numpy(), gradient.numpy()

    def loss(self, theta: Tensor, which: Sequence[int]) -> Tensor:
        """Minus the log posterior density of the hyper-parameters, per value; shape (len(which),)."""
        mask = self._mask[which]
        cholesky = torch.linalg.cholesky(self._covariance(theta, mask))
        residual = (self._y[which] - self._mean(theta)) * mask
        white = torch.linalg.solve_triangular(cholesky, residual[..., None], upper=False)[..., 0]
        count = mask.sum(dim=1)
        log_likelihood: Tensor = (
            -0.5 * white.square().sum(dim=1)
            - cholesky.diagonal(dim1=-2, dim2=-1).log().sum(dim=1)
            - 0.5 * count * math.log(2 * math.pi)
        )
        if self._prior.informative:
            n = self._x.shape[1]
            log_likelihood = (
                log_likelihood
                + _log_normal(theta[:, :n], _length_mean(n), _LENGTH_SIGMA).sum(dim=1)
                + _log_normal(theta[:, -2], *_NOISE_PRIOR)
            )
        return -log_likelihood / count

    def _covariance(self, theta: Tensor, mask: Tensor) -> Tensor:
        """The covariance of the noisy values, (m, n, n); an unmeasured one depends on no other."""
        kernel = self._kernel(theta, self._x, self._x) * mask[:, :, None] * mask[:, None, :]
        noise = theta[:, -2].exp()[:, None] * mask + (1.0 - mask)
        return kernel + torch.diag_embed(noise)

    def _kernel(self, theta: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Shape (..., m, q, r) for points (..., 1, q, d) and (r, d) or (..., 1, r, d)."""
        lengths = theta[:, None, : self._x.shape[1]].exp()
        a, b = a / lengths, b / lengths
        square = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :]
        square = (square - 2.0 * a @ b.mT).clamp(min=1e-20)
        scale = theta[:, -3].exp()[:, None, None]
        if not self._prior.matern:
            return scale * (-0.5 * square).exp()
        distance = _SQRT5 * square.sqrt()
        return scale * (1.0 + distance + distance.square() / 3.0) * (-distance).exp()

    def _mean(self, theta: Tensor) -> Tensor:
        return theta[:, -1:]

    def _rounded(self, x: Tensor) -> Tensor:
        if not self._levels:
            return x
        columns = list(x.unbind(dim=-1))
        for index, values, edges in self._levels:
            column = columns[index]
            nearest = values[torch.bucketize(column.detach().contiguous(), edges)]
            # The zero keeps a slope, of nothing, where every coordinate is coarse.
            columns[index] = nearest + 0.0 * column
        return torch.stack(columns, dim=-1)


class IndependentPosterior(Posterior):
    """Normal over q points and m independent outputs.

    Args:
        mean: shape (..., q, m).
        covariance: shape (..., m, q, q).
    """

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean = mean
        self.covariance = covariance

    @property
    def variance(self) -> Tensor:
        """Shape (..., q, m)."""
        return self.covariance.diagonal(dim1=-2, dim2=-1).mT.clamp(min=1e-12)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    @property
    def dtype(self) -> torch.dtype:
        return self.mean.dtype

    @property
    def base_sample_shape(self) -> torch.Size:
        return self.mean.shape

    @property
    def batch_range(self) -> tuple[int, int]:
        return 0, -2

    def _extended_shape(self, sample_shape: torch.Size = torch.Size()) -> torch.Size:  # noqa: B008
        return sample_shape + self.mean.shape

    def rsample(self, sample_shape: torch.Size | None = None) -> Tensor:
        shape = torch.Size() if sample_shape is None else sample_shape
        normal = torch.randn(self._extended_shape(shape), dtype=self.dtype)
        return self.rsample_from_base_samples(shape, normal)

    def rsample_from_base_samples(self, sample_shape: torch.Size, base_samples: Tensor) -> Tensor:
        if self.mean.shape[-2] == 1:
            return self.mean + self.variance.sqrt() * base_samples
        root = _cholesky(self.covariance)
        return self.mean + (root @ base_samples.mT[..., None])[..., 0].mT


def _cholesky(covariance: Tensor) -> Tensor:
    """A root of a covariance that may be singular to rounding."""
    scale = covariance.detach().diagonal(dim1=-2, dim2=-1).amax(dim=-1).clamp(min=1e-12)
    eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
    root: Tensor
    for jitter in _JITTERS:
        root, info = torch.linalg.cholesky_ex(covariance + jitter * scale[..., None, None] * eye)
        if not info.any():
            return root
    # Correlations that even this jitter does not separate are taken for none.
    return torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1).clamp(min=1e-12).sqrt())


def _log_normal(log_value: Tensor, mean: float, sigma: float) -> Tensor:
    """Log density of a log-normal variable, from its logarithm."""
    z = (log_value - mean) / sigma
    return -0.5 * z.square() - log_value - math.log(sigma) - 0.5 * math.log(2 * math.pi)


def _length_mean(n: int) -> float:
    return math.sqrt(2.0) + 0.5 * math.log(n)
