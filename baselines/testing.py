"""The conformance suite: what every optimisation method must do, ours and yours.

Subclass it and say which method:

    import pytest
    from baselines.testing import ConformanceTests

    class TestMine(ConformanceTests):
        @pytest.fixture
        def method(self):
            return MyMethod

`method` is the class, or anything called as `method(space, seed=…, initial=…)`. No simulator is
needed: evaluations come from known functions of the design. To see the values in a failed assert,
put `pytest.register_assert_rewrite("baselines.testing")` into your conftest.py.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from acs_gym.design import Design, DesignSpace, Parameter
from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Spec, SpecSheet
from baselines.initial import initial_designs
from baselines.protocol import Optimizer, TraceMismatch


class OptimizerFactory(Protocol):
    def __call__(
        self, space: DesignSpace, *, seed: int, initial: Sequence[Design]
    ) -> Optimizer: ...


Judge = Callable[[DesignSpace, Design, int], Evaluation]

# More than the initial designs by enough that a model is asked several times.
N_INITIAL, N_CALLS = 5, 8

MIXED = DesignSpace(
    (
        Parameter("w", 0.5e-6, 100e-6, "log", step=5e-9, unit="m"),
        Parameter("i", 0.5e-6, 50e-6, "log", unit="A"),
        Parameter("v", -0.3, 1.8, unit="V"),
        Parameter("m", 1, 16, integer=True),
    )
)
ONE_PARAMETER = DesignSpace((Parameter("c", 1e-13, 1e-11, "log", unit="F"),))
MANY_PARAMETERS = DesignSpace(
    (
        *(Parameter(f"w_{k}", 0.42e-6, 100e-6, "log", step=5e-9, unit="m") for k in range(13)),
        *(Parameter(f"l_{k}", 0.15e-6, 5e-6, "log", step=5e-9, unit="m") for k in range(9)),
        *(Parameter(f"m_{k}", 1, 20, integer=True) for k in range(4)),
        Parameter("v_bias", 0.2, 1.6, unit="V"),
    )
)
INTEGERS = DesignSpace(
    (
        Parameter("m_in", 1, 4, integer=True),
        Parameter("m_out", 2, 6, integer=True),
        Parameter("m_tail", 1, 32, "log", integer=True),
    )
)
# Six designs: fewer than a run asks for.
TINY = DesignSpace((Parameter("m_in", 1, 2, integer=True), Parameter("m_out", 1, 3, integer=True)))


class ConformanceTests:
    """One test a property; see the module."""

    def test_designs_are_canonical(self, method: OptimizerFactory) -> None:
        """In the space, on its grid, in its order, made of plain floats; alone and in batches."""
        for batch in (1, 3):
            for design in designs(play(method, MIXED, batch=batch)):
                assert list(design) == list(MIXED.names)
                assert all(type(v) is float for v in design.values()), design
                assert design == MIXED.canonicalize(design)

    def test_one_parameter(self, method: OptimizerFactory) -> None:
        assert len(play(method, ONE_PARAMETER)) == N_CALLS

    def test_27_parameters(self, method: OptimizerFactory) -> None:
        assert len(MANY_PARAMETERS) == 27
        assert len(play(method, MANY_PARAMETERS, n=N_CALLS - 1)) == N_CALLS - 1

    def test_nothing_but_integers(self, method: OptimizerFactory) -> None:
        for design in designs(play(method, INTEGERS)):
            assert design == INTEGERS.canonicalize(design)

    def test_a_space_smaller_than_the_budget(self, method: OptimizerFactory) -> None:
        """When every design has been asked for, it asks for some again instead of stopping."""
        assert len(play(method, TINY, n=len(_all_designs(TINY)) + 3)) == len(_all_designs(TINY)) + 3

    def test_no_design_is_asked_for_twice(self, method: OptimizerFactory) -> None:
        optimizer = _new(method, INTEGERS)
        if not optimizer.repeats:
            asked = designs(play(method, INTEGERS, batch=2, optimizer=optimizer))
            assert len({INTEGERS.key(d) for d in asked}) == N_CALLS

    def test_the_same_seed_gives_the_same_run(self, method: OptimizerFactory) -> None:
        """To the bit, whatever others do to the global random streams."""
        runs = []
        for disturbance in (1, 2):
            optimizer = _new(method, MIXED)
            _disturb_global_streams(disturbance)
            first = play(method, MIXED, n=N_CALLS - 1, batch=3, optimizer=optimizer)
            _disturb_global_streams(disturbance)
            runs.append(designs(first) + optimizer.ask(1))
        assert runs[0] == runs[1]

    def test_a_run_goes_on_from_its_trace(self, method: OptimizerFactory) -> None:
        """A fresh method that is given the trace of a stopped one asks for what that one would."""
        whole = play(method, MIXED, judge=sometimes_failing, batch=2)
        rebuilt = _new(method, MIXED)
        rebuilt.resume(whole[: N_CALLS - 2], batch=2)
        assert rebuilt.ask(2) == designs(whole[N_CALLS - 2 :])

    def test_a_trace_of_another_run_is_refused(self, method: OptimizerFactory) -> None:
        strange = bowl(MIXED, MIXED.from_unit([0.123, 0.234, 0.345, 0.456]), 0)
        try:
            _new(method, MIXED).resume([strange])
        except TraceMismatch:
            return
        raise AssertionError("a trace of another run was taken for its own")

    def test_it_gives_as_many_designs_as_wanted(self, method: OptimizerFactory) -> None:
        """Before and after the initial ones run out; less than one is refused."""
        optimizer = _new(method, MIXED, n_initial=3)
        for n in (1, 4, 2):
            asked = optimizer.ask(n)
            assert len(asked) == n
            optimizer.tell([bowl(MIXED, d, i) for i, d in enumerate(asked)])
        try:
            optimizer.ask(0)
        except ValueError:
            return
        raise AssertionError("ask(0) was not refused")

    def test_asking_twice_before_telling(self, method: OptimizerFactory) -> None:
        """What is being simulated already is not asked for again; answers come in any order."""
        optimizer = _new(method, MIXED, n_initial=3)
        optimizer.tell([bowl(MIXED, d, i) for i, d in enumerate(optimizer.ask(3))])
        asked = optimizer.ask(1) + optimizer.ask(2)
        if not optimizer.repeats:
            assert len({MIXED.key(d) for d in asked}) == 3
        optimizer.tell([bowl(MIXED, d, i) for i, d in enumerate(reversed(asked))])
        assert len(optimizer.ask(1)) == 1

    def test_three_failed_simulations_in_ten(self, method: OptimizerFactory) -> None:
        evaluations = play(method, MIXED, judge=sometimes_failing, n=N_CALLS + 2)
        assert sum(e.status is Status.NONCONVERGED for e in evaluations) == 3

    def test_nothing_but_failures(self, method: OptimizerFactory) -> None:
        """Whatever their kind, it goes on asking."""
        for status in (Status.NONCONVERGED, Status.INFRA_ERROR, Status.INVALID_DESIGN):

            def judge(
                _space: DesignSpace, design: Design, _number: int, s: Status = status
            ) -> Evaluation:
                return failed(design, s)

            assert len(play(method, MIXED, judge=judge)) == N_CALLS

    def test_metrics_that_could_not_be_measured(self, method: OptimizerFactory) -> None:
        """Some in every design, one of them always; and values beyond all measure."""
        for judge in (partly_measured, extreme):
            assert len(play(method, MIXED, judge=judge, n=N_CALLS - 1)) == N_CALLS - 1

    def test_scores_that_are_all_equal(self, method: OptimizerFactory) -> None:
        for space in (MIXED, INTEGERS):
            told = play(method, space, judge=lambda _s, d, _i: scored(d, 0.25), n=N_CALLS - 1)
            assert len(told) == N_CALLS - 1

    def test_it_recommends_the_best_it_was_told(self, method: OptimizerFactory) -> None:
        """The first of equals, and nothing before it was told anything."""
        optimizer = _new(method, MIXED)
        assert optimizer.recommend() is None
        told = play(method, MIXED, judge=sometimes_failing, optimizer=optimizer)
        best = max(told, key=lambda e: e.score)
        assert optimizer.recommend() == dict(best.design)

    def test_what_was_never_simulated_is_not_recommended(self, method: OptimizerFactory) -> None:
        optimizer = _new(method, MIXED)
        for status in (Status.INVALID_DESIGN, Status.INFRA_ERROR):
            optimizer.tell([failed(d, status) for d in optimizer.ask(1)])
        assert optimizer.recommend() is None

    def test_more_tells_than_asks(self, method: OptimizerFactory) -> None:
        """Other people's evaluations are a warm start, and being told twice does no harm."""
        optimizer = _new(method, MIXED)
        others = [MIXED.sample(np.random.default_rng(k)) for k in range(6)]
        told = [bowl(MIXED, d, k) for k, d in enumerate(others)]
        optimizer.tell(told)
        optimizer.tell(told[:3])
        assert optimizer.recommend() in others
        told = play(method, MIXED, optimizer=optimizer, n=N_INITIAL + 2)
        optimizer.tell(told)
        assert len(optimizer.ask(1)) == 1

    def test_a_warm_start_is_not_simulated_again(self, method: OptimizerFactory) -> None:
        """Initial designs that somebody has told already are not asked for."""
        optimizer = _new(method, MIXED)
        initial = initial_designs(MIXED, N_INITIAL, seed=7)
        optimizer.tell([bowl(MIXED, d, i) for i, d in enumerate(initial)])
        if not optimizer.repeats:
            assert optimizer.ask(1)[0] not in initial


_TARGETS = SpecSheet((Spec("gain", ">=", 1.0), Spec("power", "<=", 1.0, weight=2.0)))


def bowl(space: DesignSpace, design: Design, _index: int) -> Evaluation:
    """Smooth metrics, the gain's top at 0.7 of every coordinate, and power against it."""
    unit = space.to_unit(design)
    gain = 1.2 * math.exp(-float(np.mean((unit - 0.7) ** 2)))
    return _judged(design, {"gain": gain, "power": 0.8 + float(np.mean(unit))})


def sometimes_failing(space: DesignSpace, design: Design, index: int) -> Evaluation:
    """`bowl`, but three calls in ten fail."""
    if index % 10 in (2, 5, 6):
        return failed(design, Status.NONCONVERGED)
    return bowl(space, design, index)


def partly_measured(space: DesignSpace, design: Design, index: int) -> Evaluation:
    """`bowl`, but the power is never measured, and the gain not in every second design."""
    gain = math.nan if index % 2 else bowl(space, design, index).metrics["gain"]
    return _judged(design, {"gain": gain, "power": math.nan}, Status.MEASURE_FAILED)


def extreme(space: DesignSpace, design: Design, index: int) -> Evaluation:
    """Metrics whose margins are infinite or huge."""
    del space
    gain, power = ((0.0, 1e300), (1e-300, 1.0), (1e300, 0.0), (1.0, 2.0))[index % 4]
    return _judged(design, {"gain": gain, "power": power})


def scored(design: Design, score: float) -> Evaluation:
    """A successful evaluation with this score, of one spec."""
    return Evaluation(
        design=design, status=Status.OK, metrics={"y": score}, margins={"y": score - 1.0},
        satisfaction={"y": score}, score=score, feasible=score >= 1.0,
    )  # fmt: skip


def failed(design: Design, status: Status) -> Evaluation:
    """An evaluation of a simulation that gave nothing."""
    nothing = dict.fromkeys(_TARGETS.metrics, math.nan)
    return Evaluation.judged(design, status, nothing, _TARGETS, message=str(status))


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
        asked = optimizer.ask(min(batch, n - len(evaluations)))
        told = [judge(space, d, len(evaluations) + i) for i, d in enumerate(asked)]
        optimizer.tell(told)
        evaluations += told
    return evaluations


def designs(evaluations: Sequence[Evaluation]) -> list[Design]:
    """What was simulated."""
    return [dict(e.design) for e in evaluations]


def _new(method: OptimizerFactory, space: DesignSpace, n_initial: int = N_INITIAL) -> Optimizer:
    return method(space, seed=3, initial=initial_designs(space, n_initial, seed=7))


def _judged(design: Design, metrics: dict[str, float], status: Status = Status.OK) -> Evaluation:
    return Evaluation.judged(design, status, metrics, _TARGETS)


def _all_designs(space: DesignSpace) -> set[tuple[float, ...]]:
    rng = np.random.default_rng(0)
    return {space.key(space.sample(rng)) for _ in range(200)}


def _disturb_global_streams(seed: int) -> None:
    """What a method may not depend on: other code may have drawn from these, or seeded them."""
    np.random.seed(seed)  # noqa: NPY002
    np.random.rand(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
