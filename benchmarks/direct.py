"""The optimisation libraries as their own documentation uses them, on problems of `known_functions`.

None of our protocol is between a library and the function: bounds, integers and the initial designs are
handed to it in its own way, and it calls the function itself. A library that takes constraints minimises
f under them; one that does not gets f where there are none, and otherwise one less the score, as ours do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from known_functions import OBJECTIVE, Problem

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation

Evaluate = Callable[[Design], Evaluation]
# Runs until `evaluate` raises.
Direct = Callable[[Problem, Evaluate, Sequence[Design], int], None]


def _scalar(problem: Problem, evaluation: Evaluation) -> float:
    """What a library without constraints minimises."""
    if problem.constraints:
        return 1.0 - evaluation.score
    return float(evaluation.metrics[OBJECTIVE])


def _violations(problem: Problem, evaluation: Evaluation) -> dict[str, float]:
    """Constraint -> at most 0 where it holds."""
    return {s.metric: evaluation.metrics[s.metric] - s.target for s in problem.constraints}


def botorch(problem: Problem, evaluate: Evaluate, initial: Sequence[Design], seed: int) -> None:
    """SingleTaskGP, qLogEI under constraints, `optimize_acqf` with 10 starts of 512 points."""
    import torch
    from botorch.acquisition import qLogExpectedImprovement
    from botorch.acquisition.objective import GenericMCObjective
    from botorch.acquisition.utils import compute_best_feasible_objective
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    n, space = len(problem.space), problem.space
    bounds = torch.tensor([[0.0] * n, [1.0] * n], dtype=torch.float64)
    units: list[Any] = []
    values: list[list[float]] = []

    def observe(design: Design) -> None:
        evaluation = evaluate(design)
        units.append(space.to_unit(design))
        f = evaluation.metrics[OBJECTIVE]
        values.append([-f, *_violations(problem, evaluation).values()])

    for design in initial:
        observe(design)
    objective = GenericMCObjective(lambda samples, X=None: samples[..., 0])
    constraints = [
        lambda samples, k=k: samples[..., k] for k in range(1, 1 + len(problem.constraints))
    ]
    while True:
        x, y = torch.tensor(np.array(units)), torch.tensor(values, dtype=torch.float64)
        model = SingleTaskGP(x, y)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        if constraints:
            best = compute_best_feasible_objective(
                samples=y, obj=y[:, 0], constraints=constraints, model=model, objective=objective,
                X_baseline=x,
            )  # fmt: skip
            acquisition = qLogExpectedImprovement(
                model, best_f=best, objective=objective, constraints=constraints
            )
        else:
            acquisition = qLogExpectedImprovement(model, best_f=y.max())
        point, _ = optimize_acqf(acquisition, bounds, q=1, num_restarts=10, raw_samples=512)
        observe(space.from_unit(point[0].numpy()))


def optuna_gp(problem: Problem, evaluate: Evaluate, initial: Sequence[Design], seed: int) -> None:
    import optuna

    sampler = optuna.samplers.GPSampler(
        seed=seed, n_startup_trials=len(initial), deterministic_objective=True
    )
    _optuna(sampler, problem, evaluate, initial)


def optuna_tpe(problem: Problem, evaluate: Evaluate, initial: Sequence[Design], seed: int) -> None:
    import optuna

    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=len(initial))
    _optuna(sampler, problem, evaluate, initial)


def _optuna(sampler: Any, problem: Problem, evaluate: Evaluate, initial: Sequence[Design]) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # A run ends by an exception.

    def objective(trial: optuna.Trial) -> float:
        design = {
            p.name: (
                float(trial.suggest_int(p.name, int(p.low), int(p.high)))
                if p.integer
                else trial.suggest_float(p.name, p.low, p.high)
            )
            for p in problem.space
        }
        evaluation = evaluate(design)
        for name, violation in _violations(problem, evaluation).items():
            trial.set_constraint(name, violation)
        return float(evaluation.metrics[OBJECTIVE])

    study = optuna.create_study(sampler=sampler)
    for design in initial:
        study.enqueue_trial(design)
    study.optimize(objective, n_trials=problem.budget)


def skopt_gp(problem: Problem, evaluate: Evaluate, initial: Sequence[Design], seed: int) -> None:
    """`gp_minimize` with expected improvement."""
    import skopt

    space = problem.space

    def function(x: Sequence[float]) -> float:
        design = {name: float(v) for name, v in zip(space.names, x, strict=True)}
        return _scalar(problem, evaluate(design))

    skopt.gp_minimize(
        function,
        [(int(p.low), int(p.high)) if p.integer else (p.low, p.high) for p in space],
        acq_func="EI",
        n_calls=problem.budget,
        n_initial_points=0,
        x0=[
            [int(d[p.name]) if p.integer else d[p.name] for p in space] for d in initial
        ],
        random_state=seed,
    )  # fmt: skip


def pycma(problem: Problem, evaluate: Evaluate, initial: Sequence[Design], seed: int) -> None:
    """From the best initial design, a fifth of the range as the first step; integers are its own."""
    import cma

    space = problem.space

    def function(unit: Any) -> float:
        return _scalar(problem, evaluate(space.from_unit(unit)))

    first = [function(space.to_unit(d)) for d in initial]
    start = space.to_unit(initial[int(np.argmin(first))])
    while True:
        strategy = cma.CMAEvolutionStrategy(
            np.clip(start, 0.01, 0.99), 0.2,
            {"bounds": [0.0, 1.0], "seed": seed + 1, "verbose": -9},
        )  # fmt: skip
        strategy.optimize(function)
        seed, start = seed + 1, np.random.default_rng(seed).random(len(space))


def scipy_de(problem: Problem, evaluate: Evaluate, initial: Sequence[Design], seed: int) -> None:
    """`differential_evolution` from the initial designs as its population, at least five of them."""
    from scipy.optimize import NonlinearConstraint, differential_evolution

    space = problem.space
    latest: dict[bytes, Evaluation] = {}

    def at(x: Any) -> Evaluation:
        # The objective and the constraints of a point are asked for one after the other.
        key = np.asarray(x, dtype=float).tobytes()
        if key not in latest:
            latest.clear()
            latest[key] = evaluate({n: float(v) for n, v in zip(space.names, x, strict=True)})
        return latest[key]

    def objective(x: Any) -> float:
        return float(at(x).metrics[OBJECTIVE])

    def violations(x: Any) -> list[float]:
        return list(_violations(problem, at(x)).values())

    constraints = (NonlinearConstraint(violations, -np.inf, 0.0),) if problem.constraints else ()
    differential_evolution(
        objective, [(p.low, p.high) for p in space], strategy="best1bin", maxiter=10**6, tol=0.0,
        init=np.array([list(d.values()) for d in initial]), constraints=constraints, polish=False,
        updating="immediate", integrality=[p.integer for p in space], rng=seed,
    )  # fmt: skip


DIRECT: dict[str, Direct] = {
    "BoTorch": botorch,
    "Optuna GP": optuna_gp,
    "Optuna TPE": optuna_tpe,
    "scikit-optimize": skopt_gp,
    "pycma": pycma,
    "SciPy DE": scipy_de,
}
# Our method -> the library's own use to hold it against.
BESIDE = {
    "botorch-logei": "BoTorch",
    "botorch-cei": "BoTorch",
    "botorch-composite": "BoTorch",
    "optuna-gp": "Optuna GP",
    "optuna-tpe": "Optuna TPE",
    "skopt-gp": "scikit-optimize",
    "cma-es": "pycma",
    "de": "SciPy DE",
}


def run_direct(
    name: str, problem: Problem, evaluate: Evaluate, initial: Sequence[Design], seed: int
) -> None:
    """Returns only by the exception that `evaluate` raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        DIRECT[name](problem, evaluate, initial, seed)
