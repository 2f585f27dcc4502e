# ruff: noqa: E402 - what needs torch is imported after asking for it
"""TuRBO's and SCBO's trust region does what the papers say."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("botorch")

from acs_gym.design import DesignSpace, Parameter
from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Spec, SpecSheet
from baselines.failures import WORST_BILOG, observe
from baselines.initial import initial_designs
from baselines.metric_models import fit_metrics
from baselines.reproducible import reproducible
from baselines.scbo import SCBO
from baselines.testing import MIXED, bowl, failed, play, scored
from baselines.trust_region import MeritSampler, TrustRegion
from baselines.turbo import TuRBO

FORTY = DesignSpace(tuple(Parameter(f"x_{k}", 0.0, 1.0) for k in range(40)))
SHEET = SpecSheet((Spec("gain", ">=", 1.0), Spec("power", "<=", 1.0)))


def test_three_better_batches_double_the_length_up_to_1_6():
    region = TrustRegion(10)
    lengths = []
    for _ in range(9):
        region.update(True, 1)
        lengths.append(region.length)
    assert lengths == [0.8, 0.8, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6]


@pytest.mark.parametrize(("n", "batch", "tolerance"), [(12, 1, 12), (12, 4, 3), (2, 1, 4)])
def test_failures_in_a_row_halve_it_after_as_many_evaluations_as_parameters(n, batch, tolerance):
    region = TrustRegion(n)
    for _ in range(tolerance - 1):
        region.update(False, batch)
    assert region.length == 0.8
    region.update(False, batch)
    assert region.length == 0.4


def test_one_success_forgives_all_failures():
    region = TrustRegion(4)
    for improved in (False, False, False, True, False, False, False):
        region.update(improved, 1)
    assert region.length == 0.8


def test_it_collapses_below_two_to_the_minus_seven():
    region = TrustRegion(4)
    for _ in range(4 * 6):
        region.update(False, 1)
    assert not region.collapsed
    for _ in range(4):
        region.update(False, 1)
    assert region.collapsed and region.length < 0.5**7


def test_candidates_lie_in_the_box_and_every_coordinate_is_moved_in_some():
    region, centre = TrustRegion(40, length=0.4), torch.full((40,), 0.5, dtype=torch.float64)
    with reproducible(0):
        points = region.candidates(centre, torch.ones(40, dtype=torch.float64), 1000)
    moved = points != centre
    assert (points - centre).abs().max() <= 0.2 + 1e-12
    assert moved.any(dim=0).all() and moved.any(dim=1).all()
    # 20 of 40 coordinates on average.
    assert moved.double().mean() == pytest.approx(0.5, abs=0.02)


def test_below_twenty_parameters_every_coordinate_moves():
    region, centre = TrustRegion(5), torch.full((5,), 0.5, dtype=torch.float64)
    with reproducible(0):
        points = region.candidates(centre, torch.ones(5, dtype=torch.float64), 100)
    assert (points != centre).all()


def test_a_share_says_how_many_coordinates_move_and_a_zoom_how_far():
    region, centre = TrustRegion(10, length=0.4), torch.full((10,), 0.5, dtype=torch.float64)
    share = torch.tensor([[0.0], [1.0]]).double().repeat(50, 1)
    with reproducible(0):
        points = region.candidates(centre, torch.ones(10).double(), 100, share=share, zoom=0.25)
    moved = (points != centre).sum(dim=1)
    assert (moved[0::2] == 1).all() and (moved[1::2] == 10).all()
    assert 0.04 < (points - centre).abs().max() <= 0.05 + 1e-12


def test_sides_go_with_the_length_scales_at_equal_volume():
    region, centre = TrustRegion(2, length=0.1), torch.full((2,), 0.5, dtype=torch.float64)
    with reproducible(0):
        points = region.candidates(centre, torch.tensor([4.0, 1.0]).double(), 4096)
    sides = 2 * (points - centre).abs().max(dim=0).values
    assert sides.tolist() == pytest.approx([0.2, 0.05], rel=0.01)


def test_candidates_stay_in_the_cube_beside_its_wall():
    region, centre = TrustRegion(3), torch.tensor([0.0, 1.0, 0.5]).double()
    with reproducible(0):
        points = region.candidates(centre, torch.ones(3).double(), 100)
    assert points.min() >= 0.0 and points.max() <= 1.0


def test_the_initial_designs_do_not_count_as_success():
    optimizer = TuRBO(MIXED, seed=0, initial=initial_designs(MIXED, 6, seed=0), candidates=32)
    for k in range(6):
        optimizer.tell([scored(d, 0.1 * k) for d in optimizer.ask(1)])
    assert optimizer._region == TrustRegion(4)
    optimizer.tell([scored(d, 0.9) for d in optimizer.ask(1)])
    assert optimizer._region.successes == 1


def test_a_collapsed_region_begins_anew_somewhere_else():
    optimizer = TuRBO(MIXED, seed=0, initial=initial_designs(MIXED, 5, seed=0), candidates=32)
    play(TuRBO, MIXED, n=6, optimizer=optimizer)
    optimizer._region.length = 1e-3
    drawn = []
    for _ in range(6):
        optimizer.tell([bowl(MIXED, d, 0) for d in optimizer.ask(1)])
        drawn.append(optimizer._drawing)
    # As many at random as there were initial designs, then from the models of those alone.
    assert drawn == [True] * 5 + [False]
    assert optimizer._since == 6 and optimizer._region.length == 0.8


def observed(gain, power, status=Status.OK):
    design = MIXED.from_unit([0.5] * 4)
    return observe(MIXED, Evaluation.judged(design, status, {"gain": gain, "power": power}, SHEET))


def stacked(observations, specs):
    return torch.tensor([[o.margins[s] for s in specs] for o in observations], dtype=torch.float64)


def test_scbo_prefers_the_least_total_violation_then_the_largest_least_margin():
    optimizer = SCBO(MIXED, seed=0, initial=[])
    merits = [
        optimizer._merit(o)
        for o in (
            observed(math.nan, math.nan, Status.NONCONVERGED),
            observed(0.5, math.nan, Status.MEASURE_FAILED),
            observed(0.5, 2.0),
            observed(0.5, 0.1),
            observed(1.0, 1.0),
            observed(1.1, 0.9),
            observed(2.0, 0.5),
        )
    ]
    assert merits == sorted(merits) and len(set(merits)) == len(merits)
    assert merits[0] == 2 * WORST_BILOG and merits[4] == 0.0


def test_scbo_needs_more_successes_in_many_parameters():
    assert SCBO(FORTY, seed=0, initial=[])._region.success_tolerance == 4
    assert TuRBO(FORTY, seed=0, initial=[])._region.success_tolerance == 3


class _Near(MeritSampler):
    """No model: the merit falls with the distance from a point."""

    length_scales = torch.ones(7, dtype=torch.float64)

    def __init__(self, top):
        self.top = top

    def sample(self, points, n):
        return -(points - self.top).abs().sum(dim=-1).expand(n, -1)


def test_scbo_looks_again_around_what_it_found():
    space = DesignSpace(tuple(Parameter(f"x_{k}", 0.0, 1.0) for k in range(7)))
    optimizer = SCBO(space, seed=0, initial=[])
    centre = torch.full((7,), 0.5, dtype=torch.float64)
    sampler = _Near(centre + torch.tensor([0.3, 0.0, 0.0, -0.2, 0.0, 0.1, 0.0]))
    with reproducible(0):
        random = optimizer._region.candidates(centre, sampler.length_scales, 1200)
        chosen = optimizer._chosen(sampler, centre, 3)
    assert chosen.shape == (3, 7) and len({tuple(c.tolist()) for c in chosen}) == 3
    far = -sampler.sample(random, 1).max()
    assert (-sampler.sample(chosen, 1) < 0.5 * far).all()


def test_a_design_that_failed_is_learnt_as_a_chance_of_failing():
    rng = np.random.default_rng(0)
    told = []
    for _ in range(12):
        design = MIXED.sample(rng)
        fails = MIXED.to_unit(design)[0] > 0.5
        told.append(failed(design, Status.TIMEOUT) if fails else bowl(MIXED, design, 0))
    with reproducible(0):
        models = fit_metrics([observe(MIXED, e) for e in told], ())
        points = torch.tensor([[0.1, 0.5, 0.5, 0.5], [0.95, 0.5, 0.5, 0.5]]).double()
        slacks = models.slacks(models.processes.posterior(points).mean)
    assert models.specs == ("gain", "power") and models.fallible
    assert slacks.shape == (2, 3) and slacks[0, 2] > 0 > slacks[1, 2]


def test_the_composite_score_is_the_spec_sheets():
    rng = np.random.default_rng(0)
    designs = [MIXED.sample(rng) for _ in range(6)]
    told = [bowl(MIXED, d, 0) for d in designs]
    observations = [observe(MIXED, e) for e in told]
    with reproducible(0):
        models = fit_metrics(observations, ())
    margins = torch.tensor(
        [[o.margins[s] for s in models.specs] for o in observations], dtype=torch.float64
    )
    scores = models.score(margins, {"gain": 1.0, "power": 2.0}, ("gain", "power"))
    assert scores.tolist() == pytest.approx([e.score for e in told], abs=1e-12)


def test_a_spec_that_was_never_measured_counts_as_missed():
    sheet = SpecSheet((*SHEET.specs, Spec("noise", "<=", 1.0)))
    rng = np.random.default_rng(0)
    told = [
        Evaluation.judged(
            MIXED.sample(rng), Status.MEASURE_FAILED, {"gain": g, "power": 0.5}, sheet
        )
        for g in (0.5, 0.7, 2.0)
    ]
    observations = [observe(MIXED, e) for e in told]
    with reproducible(0):
        models = fit_metrics(observations, ())
    assert models.specs == ("gain", "power")
    margins = torch.tensor(
        [[o.margins[s] for s in models.specs] for o in observations], dtype=torch.float64
    )
    scores = models.score(margins, {}, sheet.metrics)
    assert scores.tolist() == pytest.approx([e.score for e in told], abs=1e-12)
