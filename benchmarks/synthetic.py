"""Do our methods find what the libraries find, on functions whose optimum is known?

    python benchmarks/synthetic.py --json benchmarks/results/synthetic.json
    python benchmarks/synthetic.py --methods scbo,BoTorch --problems speed-reducer --seeds 2
    python benchmarks/synthetic.py --table          # of what is done so far; runs nothing

Our methods work through `ask` and `tell`; the libraries themselves (`BoTorch`, `Optuna GP`, ...: see
`direct.py`) call the function as their documentation has it. All start from the same designs of a seed.
How a function becomes a task is said in `known_functions.py`; a run ends with its budget, or when every
spec is met, f's target among them. Finished runs are appended to `--runs`, and the same command goes on.

Where nothing constrains f, only `composite-ei` is told of its spec, and the others of the score: Optuna's
samplers take a spec for a constraint, and while none is met look for nothing but the chance to meet it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import math
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import resumable
from direct import DIRECT, run_direct
from known_functions import OBJECTIVE, PROBLEMS, Problem, get_problem

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation
from baselines.initial import default_size, initial_designs, split_seed
from baselines.registry import get_method

OURS = (
    "composite-ei", "botorch-logei", "botorch-cei", "botorch-composite", "turbo", "scbo", "optuna-gp",
    "optuna-tpe", "skopt-gp", "cma-es", "de",
)  # fmt: skip
# These are about constraints; without any they are `botorch-logei`, that again, and `turbo`.
CONSTRAINED_ONLY = ("botorch-cei", "botorch-composite", "scbo")
# A run of these takes one to ten minutes.
TOO_SLOW = {
    *((m, p) for m in ("skopt-gp", "scikit-optimize")
      for p in ("ackley-10", "ackley-20", "constrained-ackley-10")),
    *(("BoTorch", p) for p in ("ackley-20", "constrained-ackley-10", "welded-beam")),
}  # fmt: skip
LIBRARIES = ("numpy", "scipy", "scikit-optimize", "torch", "botorch", "optuna", "cma")


@dataclass(frozen=True)
class Run:
    """What a run is; budget and target are the problem's, so that a changed problem is run again."""

    problem: str
    method: str
    seed: int
    budget: int
    target: float


@dataclass(frozen=True)
class Finished:
    """What a run gave.

    Attributes:
        best: the least f where every constraint holds; None where there was none.
        first_allowed: evaluations until every constraint held, `first_met` until every spec was met.
        steps: [evaluation, f] wherever the best f fell.
        cpu_seconds: of the whole run.
    """

    run: Run
    best: float | None
    first_allowed: int | None
    first_met: int | None
    steps: list[list[float]]
    cpu_seconds: float


class _Over(Exception):
    """The budget is spent, or every spec is met."""


class Recorder:
    """The function, counted; raises when the run is over."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.best = math.inf
        self.count = 0
        self.steps: list[list[float]] = []
        self.first_met: int | None = None

    def __call__(self, design: Design) -> Evaluation:
        evaluation = self.problem.evaluate(design)
        self.count += 1
        f = evaluation.metrics[OBJECTIVE]
        if self.problem.allowed(evaluation) and f < self.best:
            self.best = f
            self.steps.append([self.count, float(f"{f:.7g}")])
        if evaluation.feasible:
            self.first_met = self.count
        if evaluation.feasible or self.count >= self.problem.budget:
            raise _Over
        return evaluation


def execute(run: Run) -> Finished:
    problem, seeds = get_problem(run.problem), split_seed(run.seed)
    size = default_size(problem.budget, len(problem.space))
    initial = initial_designs(problem.space, size, seed=seeds.initial)
    evaluate = Recorder(problem)
    start = time.process_time()
    with contextlib.suppress(_Over):
        if run.method in DIRECT:
            run_direct(run.method, problem, evaluate, initial, seeds.method % 2**31)
        else:
            method = get_method(run.method).load()(
                problem.space, seed=seeds.method, initial=initial
            )
            plain = not problem.constraints and run.method != "composite-ei"
            while True:
                (design,) = method.ask(1)
                evaluation = evaluate(design)
                method.tell([replace(evaluation, margins={}) if plain else evaluation])
    if evaluate.count < problem.budget and evaluate.first_met is None:
        raise RuntimeError(f"{run} ended after {evaluate.count} evaluations")
    return Finished(
        run=run,
        best=evaluate.steps[-1][1] if evaluate.steps else None,
        first_allowed=int(evaluate.steps[0][0]) if evaluate.steps else None,
        first_met=evaluate.first_met,
        steps=evaluate.steps,
        cpu_seconds=round(time.process_time() - start, 2),
    )


def applies(method: str, problem: Problem) -> bool:
    if (method, problem.name) in TOO_SLOW:
        return False
    return bool(problem.constraints) or method not in CONSTRAINED_ONLY


def _finished(data: Mapping[str, Any]) -> Finished:
    return Finished(**{**data, "run": Run(**data["run"])})


def load_results(path: Path | None) -> list[Finished]:
    """Finished runs of a study that was written with `--json`."""
    return [] if path is None else [_finished(data) for data in resumable.document(path)]


def load(path: Path) -> list[Finished]:
    """Finished runs."""
    return [_finished(data) for data in resumable.lines(path)]


def execute_all(runs: Sequence[Run], path: Path) -> None:
    """Every run, one after the other, each appended to `path` when it ends."""
    for number, run in enumerate(runs, start=1):
        done = execute(run)
        resumable.append(path, asdict(done))
        print(
            f"{number}/{len(runs)} {run.method} on {run.problem}, seed {run.seed}: "
            f"{done.best}, {done.first_met} in {done.cpu_seconds:.0f} s",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def cell(problem: Problem, runs: Sequence[Finished]) -> str:
    """Without constraints the median of the least f, and its range; with them the median of the
    evaluations until every spec was met, and how many runs did."""
    if not runs:
        return "–"
    if not problem.constraints:
        values = [d.best for d in runs if d.best is not None]
        return f"{statistics.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"
    met = [d.first_met for d in runs]
    # A run that did not counts as longer than any.
    middle = statistics.median_high([math.inf if m is None else m for m in met])
    text = f"{middle:.0f}" if math.isfinite(middle) else f"> {problem.budget}"
    return f"{text}, {sum(m is not None for m in met)} of {len(met)}"


def table(finished: Sequence[Finished]) -> list[str]:
    """Markdown: a method a row, a problem a column, and the CPU seconds of an evaluation."""
    problems = [p for p in PROBLEMS if any(d.run.problem == p.name for d in finished)]
    lines = [
        "| method | " + " | ".join(p.name for p in problems) + " | s an evaluation |",
        "|---" * (len(problems) + 2) + "|",
    ]
    for method in (*OURS, *DIRECT):
        own = [d for d in finished if d.run.method == method]
        if own:
            cells = [cell(p, [d for d in own if d.run.problem == p.name]) for p in problems]
            count = sum(d.first_met or d.run.budget for d in own)
            name = method if method in DIRECT else f"`{method}`"
            cost = sum(d.cpu_seconds for d in own) / count
            lines.append(f"| {name} | " + " | ".join(cells) + f" | {cost:.2f} |")
    return lines


def summary(finished: Sequence[Finished]) -> dict[str, Any]:
    """What is committed: enough to draw every figure again."""
    return {
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "runs": [asdict(d) for d in finished],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", default=",".join((*OURS, *DIRECT)), help="with commas")
    parser.add_argument("--problems", default=",".join(p.name for p in PROBLEMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--from-seed", type=int, default=0, help="the first of them")
    parser.add_argument("--runs", type=Path, default=Path("runs/synthetic.jsonl"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()

    methods = arguments.methods.split(",")
    for method in methods:
        if method not in DIRECT:
            get_method(method).require()
    # Seeds outermost, so that an interrupted study has all methods at a few seeds.
    wanted = [
        Run(problem.name, method, seed, problem.budget, problem.target)
        for seed in range(arguments.from_seed, arguments.from_seed + arguments.seeds)
        for problem in map(get_problem, arguments.problems.split(","))
        for method in methods
        if applies(method, problem)
    ]
    known = load_results(arguments.json)
    done = {d.run for d in (*known, *load(arguments.runs))}
    todo = [run for run in wanted if run not in done]
    if todo and not arguments.table:
        print(f"{len(wanted)} runs, {len(wanted) - len(todo)} done already", file=sys.stderr)
        try:
            execute_all(todo, arguments.runs)
        except KeyboardInterrupt:
            sys.exit(f"stopped; what is done is in {arguments.runs}, the same command goes on")
    finished = {d.run: d for d in (*known, *load(arguments.runs))}
    chosen = [finished[run] for run in wanted if run in finished]
    if not chosen:
        sys.exit("no run of this study is done")
    print("\n".join(table(chosen)))
    if len(chosen) < len(wanted):
        print(f"\n{len(chosen)} of {len(wanted)} runs are done.")
    if arguments.json:
        resumable.write(arguments.json, summary(chosen))


if __name__ == "__main__":
    main()
