"""Integrations: what a library is told is what the task says, and the meter is the session's."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import acs_gym
from acs_gym import BudgetExhausted, Evaluation, Session, Simulator, Status
from acs_gym.integrations import WORST_MARGIN, score_of, slacks_of
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job
from tests.conftest import ALL_TASKS

needs = pytest.importorskip
# (a library's problem over a session, unit points) -> score and margins as the library was told.
Told = Callable[[Session, np.ndarray], tuple[list[float], list[list[float]]]]


class Ending(Simulator):
    """Every simulation ends in the same way; counts the batches."""

    def __init__(self, status: Status) -> None:
        self.status, self.batches = status, []

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.batches.append(len(jobs))
        return [Outcome(self.status, {}, "as told") for _ in jobs]


@pytest.fixture(scope="module")
def ota() -> acs_gym.Task:
    return acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")


def through_optuna(session: Session, points: np.ndarray, *, hub: bool = False) -> Any:
    optuna = needs("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if hub:
        needs("optunahub")
        from acs_gym.integrations.optunahub import SizingProblem as Objective
    else:
        from acs_gym.integrations.optuna import Objective
    study = optuna.create_study(direction="maximize")
    for point in points:
        study.enqueue_trial(session.task.space.from_unit(point))
    study.optimize(Objective(session), n_trials=len(points))
    names = session.task.specs.metrics
    scores = [math.nan if t.value is None else t.value for t in study.trials]
    return scores, [[-t.constraints[name] for name in names] for t in study.trials]


def through_optunahub(session: Session, points: np.ndarray) -> Any:
    return through_optuna(session, points, hub=True)


def through_botorch(session: Session, points: np.ndarray) -> Any:
    torch = needs("torch")
    needs("botorch")
    from acs_gym.integrations.botorch import SizingProblem

    problem = SizingProblem(session)
    x = torch.as_tensor(points)
    return problem(x).tolist(), problem.evaluate_slack(x).tolist()


def through_pymoo(session: Session, points: np.ndarray) -> Any:
    needs("pymoo")
    from acs_gym.integrations.pymoo import SizingProblem

    f, g = SizingProblem(session).evaluate(points)
    return (1 - f[:, 0]).tolist(), (-g).tolist()


integrations = pytest.mark.parametrize(
    "told", [through_optuna, through_optunahub, through_botorch, through_pymoo]
)
batched = pytest.mark.parametrize("told", [through_botorch, through_pymoo])


# --- what all integrations keep -----------------------------------------------------------------


@integrations
def test_an_integration_tells_what_the_task_says(ota: acs_gym.Task, told: Told) -> None:
    points = np.random.default_rng(5).random((4, len(ota.space)))
    points[0] = ota.space.to_unit(ota.reference or {})
    session = ota.session(budget=4)
    scores, margins = told(session, points)
    truth = ota.session().simulate([ota.space.from_unit(p) for p in points])
    assert session.remaining == 0 and session.history == truth
    assert scores == pytest.approx([e.score for e in truth], abs=1e-15)
    assert scores[0] == 1.0 and min(margins[0]) >= 0
    for found, evaluation in zip(margins, truth, strict=True):
        for value, (name, margin) in zip(found, evaluation.margins.items(), strict=True):
            assert value == (WORST_MARGIN if math.isnan(margin) else margin), name


@integrations
def test_a_failed_simulation_is_the_worst_there_is_and_is_charged(
    ota: acs_gym.Task, told: Told
) -> None:
    session = ota.session(budget=2, simulator=Ending(Status.NONCONVERGED))
    scores, margins = told(session, np.full((2, len(ota.space)), 0.5))
    assert scores == [0.0, 0.0] and session.remaining == 0
    assert margins == [[WORST_MARGIN] * len(ota.specs)] * 2


@integrations
def test_what_is_nobody_s_fault_has_no_score_and_is_free(ota: acs_gym.Task, told: Told) -> None:
    session = ota.session(budget=1, simulator=Ending(Status.INFRA_ERROR))
    (score,), (margins,) = told(session, np.full((1, len(ota.space)), 0.5))
    assert not math.isfinite(score) and session.remaining == 1
    assert max(margins) < 0


@integrations
def test_an_exhausted_budget_says_so(ota: acs_gym.Task, told: Told) -> None:
    session = ota.session(budget=2, simulator=Ending(Status.NONCONVERGED))
    with pytest.raises(BudgetExhausted, match=r"ask session\.remaining first"):
        told(session, np.random.default_rng(0).random((3, len(ota.space))))


@batched
def test_a_batch_is_simulated_as_one(ota: acs_gym.Task, told: Told) -> None:
    simulator = Ending(Status.NONCONVERGED)
    points = np.random.default_rng(0).random((7, len(ota.space)))
    told(ota.session(budget=7, simulator=simulator), points)
    assert simulator.batches == [7]


@integrations
def test_conditions_are_charged_as_ever(told: Told) -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier="mc3")
    session = task.session(budget=3)
    (score,), _ = told(session, task.space.to_unit(task.reference or {})[None])
    assert session.meter.used == task.cost == 3 and score == session.history[0].score


def test_slacks_are_finite_and_keep_every_margin() -> None:
    margins = {"a": -16.0, "b": math.nan, "c": -math.inf, "d": math.inf, "e": 0.0}
    evaluation = Evaluation({}, Status.MEASURE_FAILED, {}, margins, {}, 0.3, False)
    assert slacks_of(evaluation) == {"a": -16.0, "b": -50.0, "c": -50.0, "d": 50.0, "e": 0.0}
    assert score_of(evaluation) == 0.3


@pytest.mark.parametrize("name", ["optuna", "optunahub", "botorch", "pymoo"])
def test_without_the_library_the_install_line_is_given(name: str) -> None:
    if name == "optunahub":
        needs("optuna")
    code = f"import sys; sys.modules[{name!r}] = None; import acs_gym.integrations.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"run: pip install 'acs-gym[{name}]'" in done.stderr.splitlines()[-1]


def test_the_package_itself_needs_no_library() -> None:
    code = (
        "import sys, acs_gym.integrations\n"
        "found = {m.split('.')[0] for m in sys.modules}\n"
        "print(sorted(found & {'optuna', 'optunahub', 'torch', 'botorch', 'pymoo'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- Optuna and OptunaHub -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL_TASKS)
def test_optuna_draws_from_the_design_space(name: str) -> None:
    needs("optuna")
    from acs_gym.integrations.optuna import distribution

    task = acs_gym.make_task(name, pdk="generic")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for p in task.space:
            d = distribution(p)
            assert (d.low, d.high, d.log) == (p.low, p.high, p.scale == "log")
            assert isinstance(d.low, int) == p.integer


def test_a_grid_on_a_linear_scale_is_optuna_s_own() -> None:
    needs("optuna")
    from acs_gym.integrations.optuna import distribution

    assert distribution(acs_gym.Parameter("v", 0.0, 1.8, step=0.1)).step == 0.1
    count = distribution(acs_gym.Parameter("m", 1, 64, scale="log", integer=True))
    assert (count.low, count.high, count.log, count.step) == (1, 64, True, 1)


def test_optuna_improves_and_knows_what_is_feasible(ota: acs_gym.Task) -> None:
    optuna = needs("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    from acs_gym.integrations.optuna import Objective

    session = ota.session(budget=40)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=3))
    study.optimize(Objective(session), n_trials=40)
    assert session.best is not None and session.best.score > session.history[0].score
    assert {t.user_attrs["status"] for t in study.trials} <= {"ok", "measure_failed"}
    study.enqueue_trial(ota.reference or {})
    study.optimize(Objective(ota.session(budget=1)), n_trials=1)
    assert study.best_value == 1.0  # Of the feasible trials.
    assert ota.space.canonicalize(study.trials[-1].params) == ota.reference


def test_a_study_that_minimises_the_score_is_refused(ota: acs_gym.Task) -> None:
    optuna = needs("optuna")
    from acs_gym.integrations.optuna import Objective

    session = ota.session(budget=1)
    with pytest.raises(ValueError, match="direction='maximize'"):
        optuna.create_study().optimize(Objective(session), n_trials=1)
    assert session.remaining == 1


def test_a_problem_of_optunahub_can_be_asked_by_hand(ota: acs_gym.Task) -> None:
    optuna = needs("optuna")
    needs("optunahub")
    from acs_gym.integrations.optunahub import SizingProblem

    session = ota.session(budget=5)
    problem = SizingProblem(session)
    assert problem.directions == [optuna.study.StudyDirection.MAXIMIZE]
    assert list(problem.search_space) == list(ota.space.names)
    assert problem.evaluate(ota.reference or {}) == 1.0
    assert max(problem.evaluate_constraints(ota.reference or {}).values()) <= 0
    assert problem.evaluate({**(ota.reference or {}), "w_pair": 1.0}) == 0.0  # A metre wide.
    assert session.remaining == 2
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(directions=problem.directions, sampler=sampler)
    study.optimize(problem, n_trials=2)
    assert session.remaining == 0
    assert study.trials[1].constraints.keys() == set(ota.specs.metrics)


# --- BoTorch ------------------------------------------------------------------------------------


def test_a_test_problem_has_the_shapes_and_options_of_botorch_s_own(ota: acs_gym.Task) -> None:
    torch = needs("torch")
    needs("botorch")
    from acs_gym.integrations.botorch import SizingProblem

    session = ota.session()
    problem = SizingProblem(session)
    n, k = len(ota.space), len(ota.specs)
    assert problem.bounds.tolist() == [[0.0] * n, [1.0] * n]
    assert (problem.dim, problem.num_constraints, problem.optimal_value) == (n, k, 1.0)
    assert not problem.is_minimization_problem
    x = torch.rand(2, 3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert problem(x).shape == (2, 3) and problem.evaluate_slack(x).shape == (2, 3, k)
    assert problem.is_feasible(x).shape == (2, 3) and session.meter.used == 6
    assert problem(x[:0]).shape == (0, 3)
    assert torch.equal(SizingProblem(session, negate=True)(x), -problem(x))
    assert problem(x[0, 0].float()).dtype == torch.float32
    with pytest.raises(ValueError, match="within the bounds"):
        problem(x + 1)


def test_botorch_improves(ota: acs_gym.Task) -> None:
    torch = needs("torch")
    needs("botorch")
    from botorch.acquisition import LogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import ExactMarginalLogLikelihood

    from acs_gym.integrations.botorch import SizingProblem

    session = ota.session(budget=8)
    problem = SizingProblem(session)
    torch.manual_seed(0)
    x = torch.rand(6, problem.dim, dtype=torch.float64)
    x[0] = 0.5
    y = problem(x)
    for _ in range(2):
        model = SingleTaskGP(x, y[:, None])
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        acquisition = LogExpectedImprovement(model, y.max())
        new, _ = optimize_acqf(acquisition, problem.bounds, 1, num_restarts=2, raw_samples=32)
        x, y = torch.cat([x, new]), torch.cat([y, problem(new)])
    assert y.max() > y[0] and y[6:].max() > y[:6].mean() and session.remaining == 0


# --- pymoo --------------------------------------------------------------------------------------


def test_a_genetic_algorithm_improves(ota: acs_gym.Task) -> None:
    needs("pymoo")
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.optimize import minimize

    from acs_gym.integrations.pymoo import SizingProblem

    session = ota.session(budget=80)
    minimize(SizingProblem(session), GA(pop_size=16), ("n_eval", 80), seed=1)
    assert session.best is not None and session.best.score > session.history[0].score
    first = max(e.score for e in session.history[:16])
    assert session.best.score > first and session.remaining == 0


def test_metrics_as_objectives_are_in_si_units_and_minimised(ota: acs_gym.Task) -> None:
    needs("pymoo")
    from acs_gym.integrations.pymoo import SizingProblem

    problem = SizingProblem(ota.session(), objectives=["power", "ugbw"])
    x = np.stack([ota.space.to_unit(ota.reference or {}), np.full(len(ota.space), 0.5)])
    f, g = problem.evaluate(x)
    truth = problem.session.history
    assert f.tolist() == [[e.metrics["power"], -e.metrics["ugbw"]] for e in truth]
    assert g.shape == (2, len(ota.specs))
    with pytest.raises(ValueError, match="no spec on 'gian'; objectives are of: gain, ugbw"):
        SizingProblem(ota.session(), objectives=["gian"])


def test_a_metric_best_at_zero_counts_by_its_magnitude() -> None:
    needs("pymoo")
    from acs_gym.integrations.pymoo import SizingProblem

    task = acs_gym.make_task("ACS-LDO-v0", pdk="generic")
    (within,) = [s.metric for s in task.specs if s.direction == "within"]
    session = task.session()
    f = SizingProblem(session, [within]).evaluate(task.space.to_unit(task.reference or {})[None])[0]
    assert f == abs(session.history[0].metrics[within])


def test_a_failure_is_on_no_front(ota: acs_gym.Task) -> None:
    needs("pymoo")
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.optimize import minimize

    from acs_gym.integrations.pymoo import SizingProblem

    session = ota.session(simulator=Ending(Status.NONCONVERGED))
    f, g = SizingProblem(session, ["power", "ugbw"]).evaluate(np.full((1, len(ota.space)), 0.5))
    assert np.isinf(f).all() and (g == 50).all()
    front = minimize(SizingProblem(session, ["power", "ugbw"]), NSGA2(8), ("n_gen", 3), seed=1)
    assert front.X is None


def test_a_front_of_feasible_designs(ota: acs_gym.Task) -> None:
    needs("pymoo")
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.optimize import minimize

    from acs_gym.integrations.pymoo import SizingProblem

    rng = np.random.default_rng(0)
    reference = ota.space.to_unit(ota.reference or {})
    start = np.clip(reference + 0.03 * rng.normal(size=(12, len(ota.space))), 0, 1)
    start[0] = reference
    session = ota.session(budget=60)
    algorithm = NSGA2(pop_size=12, sampling=start)
    front = minimize(SizingProblem(session, ["power", "ugbw"]), algorithm, ("n_eval", 60), seed=1)
    assert (front.G <= 0).all() and len(front.F) >= 1
    assert front.F[:, 0].min() <= session.history[0].metrics["power"]
    assert session.remaining == 0
