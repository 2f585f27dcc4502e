# ruff: noqa: E402 - what needs torch is imported after asking for it
"""Our batched Gaussian processes against BoTorch's, one at a time."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("botorch")

from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from gpytorch.constraints import Interval
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood

from baselines.gaussian_process import TRUST_REGION, VANILLA, GaussianProcesses
from baselines.levels import coarse_levels
from baselines.reproducible import reproducible
from baselines.testing import INTEGERS, MIXED

N, D = 20, 3


@pytest.fixture(scope="module", params=[VANILLA, TRUST_REGION], ids=["vanilla", "trust-region"])
def prior(request):
    return request.param


@pytest.fixture(scope="module")
def data():
    with reproducible(0):
        x = torch.rand(N, D, dtype=torch.float64)
        y = torch.stack([(3 * x[:, 0]).sin() + x[:, 1], 100.0 * x[:, 2].square() - 7.0], dim=1)
        y[4:8, 1] = math.nan
        return x, y


@pytest.fixture(scope="module")
def ours(data, prior):
    with reproducible(0):
        return GaussianProcesses(*data, (), prior)


def theirs(data, ours, prior, column):
    """BoTorch's model of one column, with our hyper-parameters."""
    x, y = data
    measured = ~y[:, column].isnan()
    kernel = None
    if prior.matern:
        kernel = ScaleKernel(MaternKernel(2.5, ard_num_dims=D)).double()
        kernel.base_kernel.register_constraint("raw_lengthscale", Interval(*prior.length))
    model = SingleTaskGP(
        x[measured], y[measured, column : column + 1], covar_module=kernel,
        outcome_transform=Standardize(1),
    )  # fmt: skip
    theta = ours._theta[column]
    kernel = getattr(model.covar_module, "base_kernel", model.covar_module)
    kernel.lengthscale = theta[:D].exp()
    if prior.matern:
        model.covar_module.outputscale = theta[D].exp()
    model.likelihood.noise = theta[D + 1].exp()
    model.mean_module.constant.data.fill_(theta[D + 2])
    return model


@pytest.mark.parametrize("column", [0, 1])
def test_the_posterior_is_botorchs(data, ours, prior, column):
    points = torch.rand(5, 4, D, dtype=torch.float64)
    model = theirs(data, ours, prior, column)
    model.eval()
    with torch.no_grad():
        expected, found = model.posterior(points), ours.posterior(points)
    torch.testing.assert_close(found.mean[..., column], expected.mean[..., 0], rtol=1e-6, atol=1e-6)
    covariance = expected.distribution.covariance_matrix
    scale = float(covariance.abs().max())
    torch.testing.assert_close(
        found.covariance[..., column, :, :], covariance, rtol=1e-6, atol=1e-6 * scale
    )


@pytest.mark.parametrize("column", [0, 1])
def test_the_loss_is_botorchs(data, ours, prior, column):
    if not prior.informative:
        pytest.skip("BoTorch's model always has a noise prior")
    model = theirs(data, ours, prior, column)
    model.train()
    likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
    expected = -likelihood(model(*model.train_inputs), model.train_targets)
    assert ours.loss(ours._theta[[column]], [column]).item() == pytest.approx(expected.item(), 1e-6)


def test_the_fit_is_at_a_minimum(ours):
    theta = ours._theta.clone().requires_grad_()
    loss = ours.loss(theta, [0, 1])
    for step in (-0.05, 0.05):
        for k in range(theta.shape[1] - 1):  # The mean is flat where the noise is small.
            moved = theta.detach().clone()
            moved[:, k] += step
            low, high = (torch.tensor(b) for b in zip(*_bounds(ours), strict=True))
            inside = ((moved > low) & (moved < high))[:, k]
            worse = ours.loss(moved, [0, 1]) >= loss.detach() - 1e-4
            assert (worse | ~inside).all()


def _bounds(ours):
    prior = ours._prior
    ranges = [prior.length] * D + [prior.scale, prior.noise]
    return [(math.log(a), math.log(b)) for a, b in ranges] + [(-3.0, 3.0)]


def test_a_value_that_was_not_measured_changes_no_other_process(data, prior):
    x, y = data
    with reproducible(0):
        alone = GaussianProcesses(x, y[:, :1], (), prior)
        both = GaussianProcesses(x, y, (), prior)
    points = torch.rand(7, 1, D, dtype=torch.float64)
    torch.testing.assert_close(
        alone.posterior(points).mean[..., 0],
        both.posterior(points).mean[..., 0],
        rtol=1e-4,
        atol=1e-4,
    )


def test_samples_have_the_posteriors_moments(ours):
    points = torch.rand(6, D, dtype=torch.float64)
    with reproducible(1):
        samples = ours.samples(points, 20_000)
    assert samples.shape == (20_000, 6, 2)
    posterior = ours.posterior(points)
    spread = posterior.variance.sqrt()
    assert ((samples.mean(dim=0) - posterior.mean).abs() < 0.05 * spread + 1e-9).all()
    covariance = torch.cov(samples[..., 0].T)
    expected = posterior.covariance[0]
    assert (covariance - expected).abs().max() < 0.05 * expected.abs().max()


def test_one_observation_and_equal_observations_are_enough():
    x = torch.full((3, D), 0.5, dtype=torch.float64)
    for count in (1, 3):
        with reproducible(0):
            model = GaussianProcesses(x[:count], torch.ones(count, 1).double(), (), VANILLA)
        assert model.posterior(x[:1]).mean.item() == pytest.approx(1.0, abs=1e-3)


def test_an_integer_is_one_value_between_its_edges():
    levels = coarse_levels(MIXED)
    x = torch.rand(10, 4, dtype=torch.float64)
    with reproducible(0):
        model = GaussianProcesses(x, x.sum(dim=1, keepdim=True), levels, VANILLA)
    points = torch.full((2, 4), 0.4, dtype=torch.float64)
    points[:, 3] = torch.tensor([6.6, 7.4]) / 15  # Both are nearest to the eighth of 16 values.
    mean = model.posterior(points).mean
    assert mean[0] == mean[1]
    points[1, 3] = 7.6 / 15
    mean = model.posterior(points).mean
    assert mean[0] != mean[1]


def test_a_space_of_integers_alone_still_has_a_gradient_to_hand_out():
    x = torch.rand(6, 3, dtype=torch.float64)
    with reproducible(0):
        model = GaussianProcesses(x, x[:, :1], coarse_levels(INTEGERS), VANILLA)
    point = torch.rand(1, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.posterior(point).mean.sum(), point)
    assert gradient.abs().max() == 0.0


def test_torch_is_left_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    with reproducible(0):
        torch.rand(3)
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads
    assert torch.rand(1) == expected
