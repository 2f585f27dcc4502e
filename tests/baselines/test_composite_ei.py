"""composite-ei: right gradients, the processes of the torch methods without torch, and the same bits."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from acs_gym.design import DesignSpace, Parameter
from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Spec, SpecSheet
from baselines import composite_ei
from baselines.composite_ei import CompositeEI
from baselines.initial import initial_designs

D, N = 5, 30


def difference(function, x, step=1e-6):
    """The slope by central differences."""
    steps = step * np.eye(len(x))
    return np.array([(function(x + e) - function(x - e)) / (2 * step) for e in steps])


def columns(rng, unmeasured=True):
    x = rng.random((N, D))
    values = np.stack([np.sin(3 * x[:, 0]) + x[:, 1] ** 2, x[:, 2] - 0.6, 0.2 - x[:, 3] * x[:, 4]])
    if unmeasured:
        values[1, x[:, 1] > 0.8] = math.nan
        measured = (~np.isnan(values[1])).astype(float)
        values = np.vstack([values, measured])
    return x, values


def composite(best, *, unmeasured=True, complete=True):
    rng = np.random.default_rng(0)
    processes = composite_ei.GaussianProcesses(*columns(rng, unmeasured))
    belongs = np.array([[0.0, 1.0, 0.0]])[: int(unmeasured)]
    found = composite_ei._Composite(
        processes, ("a", "b", "c"), belongs, np.array([0.3, 0.3, 0.4]),
        rng.standard_normal((64, 3 + unmeasured)), complete=complete,
    )  # fmt: skip
    found.best = best
    return found


def test_the_gradient_of_the_likelihood_is_its_slope():
    rng = np.random.default_rng(1)
    x, values = columns(rng)
    y = (values[0] - values[0].mean()) / values[0].std(ddof=1)
    mean = math.sqrt(2) + 0.5 * math.log(D)
    for _ in range(5):
        theta = rng.normal(0, 0.5, D + 1) - 0.5
        _, gradient = composite_ei._loss(theta, x, x**2, y, mean)
        slope = difference(lambda t: composite_ei._loss(t, x, x**2, y, mean)[0], theta)
        assert gradient == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("unmeasured", [False, True])
@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("best", [0.6, 0.95, 1.0, 1.05])
def test_the_gradient_of_the_acquisition_is_its_slope(best, complete, unmeasured):
    """Where nothing is met, about the target, and beyond it."""
    rng = np.random.default_rng(2)
    found = composite(best, unmeasured=unmeasured, complete=complete)
    for _ in range(3):
        point = rng.random(D)
        value, gradient = found.value_and_gradient(point)
        assert value == pytest.approx(float(found.values(point[None])[0]), abs=1e-6)
        slope = difference(lambda p: found.value_and_gradient(p)[0], point)
        assert gradient == pytest.approx(slope, rel=1e-3, abs=1e-3 * np.abs(slope).max())


def test_its_processes_are_those_of_the_torch_ones():
    torch = pytest.importorskip("torch")
    from baselines.gaussian_process import VANILLA, GaussianProcesses

    x, values = columns(np.random.default_rng(3))
    ours = composite_ei.GaussianProcesses(x, values)
    theirs = GaussianProcesses(torch.from_numpy(x), torch.from_numpy(values.T), [], VANILLA)
    points = np.random.default_rng(4).random((20, D))
    mean, deviation = ours.at(points)
    posterior = theirs.posterior(torch.from_numpy(points)[:, None])
    # The fits end where a gain is not worth an iteration, and not at the same place.
    scale = ours.spread[:, None]
    assert mean / scale == pytest.approx(posterior.mean[:, 0].numpy().T / scale, abs=0.05)
    assert deviation / scale == pytest.approx(
        posterior.variance.sqrt()[:, 0].numpy().T / scale, abs=0.05
    )


def test_slopes_of_mean_and_deviation():
    processes = composite_ei.GaussianProcesses(*columns(np.random.default_rng(5)))
    point = np.random.default_rng(6).random(D)
    mean, deviation, mean_slope, deviation_slope = processes.slopes(point)
    at = processes.at(point[None])
    assert mean == pytest.approx(at[0][:, 0]) and deviation == pytest.approx(at[1][:, 0])
    for k in range(len(mean)):
        assert mean_slope[k] == pytest.approx(
            difference(lambda p, k=k: processes.at(p[None])[0][k, 0], point), abs=1e-4
        )
        assert deviation_slope[k] == pytest.approx(
            difference(lambda p, k=k: processes.at(p[None])[1][k, 0], point), abs=1e-4
        )


def test_a_point_that_waits_is_taken_to_have_given_what_is_expected():
    found = composite(0.9)
    point = np.random.default_rng(7).random(D)
    before = found._processes.at(point[None])
    found.believe(point)
    after = found._processes.at(point[None])
    assert after[0] == pytest.approx(before[0], abs=0.02)
    assert np.all(after[1] < before[1])


SPACE = DesignSpace(
    (
        Parameter("w", 1e-6, 1e-4, "log", unit="m"),
        Parameter("l", 1e-7, 1e-5, "log", unit="m"),
        Parameter("i", 1e-6, 1e-4, "log", unit="A"),
        Parameter("m", 1, 12, integer=True),
    )
)
SHEET = SpecSheet((Spec("gain", ">=", 60, 20), Spec("speed", ">=", 1e7), Spec("power", "<=", 1e-4)))


def known(design):
    """Three metrics that pull in different directions."""
    w, length, i, m = SPACE.to_unit(design)
    gain = 100 - 120 * (w - 0.7) ** 2 - 150 * (length - 0.55) ** 2 - 40 * (i - 0.3) ** 2
    metrics = {
        "gain": gain - 60 * abs(m - 0.4),
        "speed": 1e7 * math.exp(1.0 - 9 * abs(length - 0.45) - 3 * abs(w - 0.6)),
        "power": 1e-4 * math.exp(3 * (i - 0.42) + 2 * (m - 0.5)),
    }
    if i < 0.05:
        metrics["speed"] = math.nan
    status = Status.MEASURE_FAILED if i < 0.05 else Status.OK
    return Evaluation.judged(design, status, metrics, SHEET)


def played(seed, calls, batch=1):
    method = CompositeEI(SPACE, seed=seed, initial=initial_designs(SPACE, 8, seed))
    found = []
    while len(found) < calls:
        evaluations = [known(d) for d in method.ask(batch)]
        method.tell(evaluations)
        found += evaluations
    return found


@pytest.mark.parametrize("batch", [1, 4])
def test_every_spec_is_met_where_chance_needs_dozens(batch):
    rng = np.random.default_rng(0)
    share = np.mean([known(SPACE.sample(rng)).feasible for _ in range(4000)])
    assert share < 0.03
    for seed in range(2):
        found = played(seed, 32, batch)
        assert any(e.feasible for e in found)


def test_beyond_the_specs_it_gains_headroom():
    found = played(0, 50)
    first = next(k for k, e in enumerate(found) if e.feasible)
    least = [min(e.margins.values()) for e in found if e.feasible]
    assert first < 40 and max(least) > min(e for e in least[:1]) + 0.02


def test_the_same_seed_gives_the_same_bits_whatever_the_threads():
    code = (
        "import json; from tests.baselines.test_composite_ei import played;"
        "print(json.dumps([dict(e.design) for e in played(3, 14, 2)]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n},
        ).stdout
        for n in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1 and len(json.loads(said.pop())) == 14


def test_it_needs_neither_torch_nor_scikit():
    code = (
        "import sys; from baselines.composite_ei import CompositeEI;"
        "bad = {'torch', 'botorch', 'sklearn', 'skopt'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
