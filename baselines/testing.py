"""Checks that every optimisation method must pass; run them on your own method too.

    import pytest
    from baselines.testing import CHECKS

    @pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
    def test_my_method(check):
        check(MyMethod)

Each check takes the method's class (or anything called as `method(space, seed=…, initial=…)`) and
raises AssertionError. They need no simulator: evaluations are made from a known function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from acs_gym.design import Design, DesignSpace, Parameter
from acs_gym.evaluation import Evaluation, Status
from baselines.initial import initial_designs
from baselines.protocol import Optimizer


class OptimizerFactory(Protocol):
    def __call__(
        self, space: DesignSpace, *, seed: int, initial: Sequence[Design]
    ) -> Optimizer: ...


# More than the initial designs by enough that a model is asked several times.
N_CALLS = 12

Judge = Callable[[DesignSpace, Design, int], Evaluation]

MIXED = DesignSpace(
    (
        Parameter("w", 0.5e-6, 100e-6, "log", step=5e-9, unit="m"),
        Parameter("i", 0.5e-6, 50e-6, "log", unit="A"),
        Parameter("v", -0.3, 1.8, unit="V"),
        Parameter("m", 1, 16, integer=True),
    )
)
ONE_PARAMETER = DesignSpace((Parameter("c", 1e-13, 1e-11, "log", unit="F"),))
INTEGERS = DesignSpace(
    (Parameter("m_in", 1, 4, integer=True), Parameter("m_out", 2, 6, integer=True))
)


def check_designs_are_canonical(method: OptimizerFactory) -> None:
    """Every design asked for is in the space, on its grid, and made of plain floats."""
    for space in (MIXED, ONE_PARAMETER, INTEGERS):
        for evaluation in play(method, space):
            design = dict(evaluation.design)
            assert list(design) == list(space.names)
            assert all(type(v) is float for v in design.values()), design
            assert design == space.canonicalize(design)


def check_same_seed_same_run(method: OptimizerFactory) -> None:
    """Two runs with one seed ask for the same designs, one by one and in batches."""
    for batch in (1, 3):
        first, second = (_designs(play(method, MIXED, batch=batch)) for _ in range(2))
        assert first == second


def check_asks_for_as_many_as_wanted(method: OptimizerFactory) -> None:
    """`ask(n)` gives n designs, before and after the initial ones run out; `ask(0)` is refused."""
    optimizer = _new(method, MIXED, n_initial=3)
    for n in (1, 4, 2):
        designs = optimizer.ask(n)
        assert len(designs) == n
        optimizer.tell([bowl(MIXED, d, i) for i, d in enumerate(designs)])
    try:
        optimizer.ask(0)
    except ValueError:
        return
    raise AssertionError("ask(0) was not refused")


def check_survives_failed_simulations(method: OptimizerFactory) -> None:
    """With three simulations in ten failing (NaN everywhere) it goes on to the end."""
    evaluations = play(method, MIXED, judge=sometimes_failing)
    assert any(e.status is Status.NONCONVERGED for e in evaluations)
    assert len(evaluations) == N_CALLS


def check_survives_nothing_but_failures(method: OptimizerFactory) -> None:
    """When every simulation fails, or every one is the simulator's fault, it goes on asking."""
    for status in (Status.NONCONVERGED, Status.INFRA_ERROR, Status.INVALID_DESIGN):
        assert (
            len(play(method, MIXED, judge=lambda s, d, i, status=status: failed(d, status)))
            == N_CALLS
        )


def check_survives_equal_scores(method: OptimizerFactory) -> None:
    """A flat objective (every score alike) neither raises nor leaves the space."""
    for space in (MIXED, INTEGERS):
        assert len(play(method, space, judge=lambda _s, d, _i: scored(d, 0.25))) == N_CALLS


def check_recommends_the_best_it_was_told(method: OptimizerFactory) -> None:
    """The recommendation is the told design with the best score, the first of equals."""
    optimizer = _new(method, MIXED)
    assert optimizer.recommend() is None
    evaluations = play(method, MIXED, judge=sometimes_failing, optimizer=optimizer)
    best = max(evaluations, key=lambda e: e.score)
    assert optimizer.recommend() == dict(best.design)


def check_never_recommends_a_refused_design(method: OptimizerFactory) -> None:
    """What was no design, or was never simulated, is not recommended."""
    optimizer = _new(method, MIXED)
    for status in (Status.INVALID_DESIGN, Status.INFRA_ERROR):
        optimizer.tell([failed(d, status) for d in optimizer.ask(1)])
    assert optimizer.recommend() is None


def check_accepts_designs_it_did_not_ask_for(method: OptimizerFactory) -> None:
    """Telling other people's evaluations is a warm start, not an error."""
    optimizer = _new(method, MIXED)
    others = [MIXED.sample(np.random.default_rng(i)) for i in range(6)]
    optimizer.tell([bowl(MIXED, d, i) for i, d in enumerate(others)])
    assert optimizer.recommend() in others
    assert len(play(method, MIXED, optimizer=optimizer)) == N_CALLS


CHECKS: tuple[Callable[[OptimizerFactory], None], ...] = (
    check_designs_are_canonical,
    check_same_seed_same_run,
    check_asks_for_as_many_as_wanted,
    check_survives_failed_simulations,
    check_survives_nothing_but_failures,
    check_survives_equal_scores,
    check_recommends_the_best_it_was_told,
    check_never_recommends_a_refused_design,
    check_accepts_designs_it_did_not_ask_for,
)


def bowl(space: DesignSpace, design: Design, _index: int) -> Evaluation:
    """A smooth objective with its top, 1, at 0.7 of every coordinate."""
    distance = float(np.sum((space.to_unit(design) - 0.7) ** 2))
    return scored(design, math.exp(-distance))


def sometimes_failing(space: DesignSpace, design: Design, index: int) -> Evaluation:
    """`bowl`, but three calls in ten fail."""
    if index % 10 in (2, 5, 6):
        return failed(design, Status.NONCONVERGED)
    return bowl(space, design, index)


def scored(design: Design, score: float) -> Evaluation:
    """A successful evaluation with this score."""
    return Evaluation(
        design=design, status=Status.OK, metrics={"y": score}, margins={"y": score - 1.0},
        satisfaction={"y": score}, score=score, feasible=score >= 1.0,
    )  # fmt: skip


def failed(design: Design, status: Status) -> Evaluation:
    """An evaluation of a simulation that gave nothing."""
    return Evaluation(
        design=design, status=status, metrics={"y": math.nan}, margins={"y": math.nan},
        satisfaction={"y": 0.0}, score=0.0, feasible=False, message=str(status),
    )  # fmt: skip


def play(
    method: OptimizerFactory,
    space: DesignSpace,
    *,
    judge: Judge = bowl,
    batch: int = 1,
    n: int = N_CALLS,
    optimizer: Optimizer | None = None,
) -> list[Evaluation]:
    """`n` evaluations of a method on a known function, in order."""
    optimizer = optimizer or _new(method, space)
    evaluations: list[Evaluation] = []
    while len(evaluations) < n:
        designs = optimizer.ask(min(batch, n - len(evaluations)))
        told = [judge(space, d, len(evaluations) + i) for i, d in enumerate(designs)]
        optimizer.tell(told)
        evaluations += told
    return evaluations


def _new(method: OptimizerFactory, space: DesignSpace, n_initial: int = 5) -> Optimizer:
    return method(space, seed=3, initial=initial_designs(space, n_initial, seed=7))


def _designs(evaluations: Sequence[Evaluation]) -> list[Design]:
    return [dict(e.design) for e in evaluations]
