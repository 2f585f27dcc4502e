"""Which optimiser meets the specs with the fewest simulations?

    python benchmarks/optimizers.py --json benchmarks/results/optimizers.json
    python benchmarks/optimizers.py --methods scbo,turbo --tasks opamp --seeds 2 --budget 40
    python benchmarks/optimizers.py --table          # of what is done so far; runs nothing

A run is (task, method, seed): one method spends the budget on one task, in a process of its own, one
process a core. Finished runs are appended to `--runs` as they end, and the same command goes on with
those that are neither there nor in `--json`, so it may be stopped at any time; several may not write to
one file at once. Methods that fit models run `--model-seeds` of the seeds, and `--slow-seeds` those whose
ask takes about a second. Seeds are those
of `python -m leaderboard.run`: methods share their initial designs, and a run here is the cell there.
Seeds outermost, so that an interrupted study has all methods at a few seeds. A run ends when every
spec is met, since its score can rise no further.

Columns: IQM of the best score over all tasks and seeds, with its 95 % stratified bootstrap
interval; share of runs that met every spec; median simulations until then (Kaplan-Meier); seconds the
method itself takes for a simulation after the initial designs (ask and tell, on a shared machine
wall-clock time says little: CPU time); the largest memory of a run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import resumable

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Evaluation
from acs_gym.session import Call, available_cores
from acs_gym.simulation.version import simulator_version
from acs_gym.task import Task
from baselines.agent import AskTellAgent
from baselines.failures import Track
from baselines.initial import default_size
from baselines.protocol import Optimizer
from baselines.registry import METHODS, Method, get_method
from leaderboard.cells.memory import peak_memory_mib
from leaderboard.cells.spec import CellSpec, session_seed
from leaderboard.suites import resolve_task, suite_tasks

HARNESS_CHECKS = ("constant", "oracle")
# It knows the circuit from another process; benchmarks/warm_starts.py compares it with a cold start.
KNOWS_MORE = ("transfer",)
# These fit models, which takes a run half a minute and more; the others take some seconds.
FIT_MODELS = (
    "skopt-gp", "skopt-gp-hedge", "skopt-forest", "botorch-logei", "botorch-cei",
    "botorch-composite", "turbo", "scbo", "optuna-gp",
)  # fmt: skip
SLOW = ("skopt-gp", "skopt-gp-hedge", "optuna-gp")
LIBRARIES = ("numpy", "scipy", "scikit-optimize", "torch", "botorch", "optuna", "cma")


@dataclass(frozen=True)
class Run:
    """What a run is; `digest` is the task's, so that a changed task is run again."""

    task: str
    method: str
    seed: int
    budget: int
    pdk: str
    tier: str
    digest: str


@dataclass(frozen=True)
class Finished:
    """What a run gave.

    Attributes:
        score: the best of the run.
        first_met: simulations until every spec was met, or None.
        steps: [simulation, score] wherever the best score rose.
        duplicates, failed: simulations that taught little.
        method_seconds, method_cpu_seconds: a simulation, of `ask` and `tell` after the initial designs.
        memory_mib: the largest resident memory of the method's process.
    """

    run: Run
    score: float
    first_met: int | None
    steps: list[list[float]]
    duplicates: int
    failed: int
    seconds: float
    method_seconds: float
    method_cpu_seconds: float
    memory_mib: int


class _EverySpecMet(Exception):
    """There is nothing left to gain in this run."""


def _stop_when_met(call: Call) -> None:
    if call.evaluation.feasible:
        raise _EverySpecMet


class Timed:
    """A method that keeps the time it takes."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.name, self.track = method.name, method.track
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def check(self, task: Task) -> None:
        self.method.check(task)

    def initial(self, task: Task, size: int, seed: int) -> list[Design]:
        return self.method.initial(task, size, seed)

    def for_task(self, task: Task, *, seed: int, initial: Sequence[Design]) -> Optimizer:
        optimizer = self.method.for_task(task, seed=seed, initial=initial)
        ask, tell = optimizer.ask, optimizer.tell

        def timed_ask(n: int = 1) -> list[Design]:
            wall, cpu = time.perf_counter(), time.process_time()
            designs = ask(n)
            self.wall.append(time.perf_counter() - wall)
            self.cpu.append(time.process_time() - cpu)
            return designs

        def timed_tell(evaluations: Sequence[Evaluation]) -> None:
            wall, cpu = time.perf_counter(), time.process_time()
            tell(evaluations)
            self.wall[-1] += time.perf_counter() - wall
            self.cpu[-1] += time.process_time() - cpu

        optimizer.ask, optimizer.tell = timed_ask, timed_tell  # type: ignore[method-assign]
        return optimizer

    name: str
    track: Track


def execute(run: Run) -> Finished:
    """Runs in a process of its own."""
    task = acs_gym.make_task(run.task, pdk=run.pdk, tier=run.tier)
    cell = CellSpec(
        task=run.task, pdk=run.pdk, tier=run.tier, agent=run.method, repetition=run.seed,
        budget=run.budget, suite_seed=0,
    )  # fmt: skip
    timed = Timed(get_method(run.method))
    start = time.perf_counter()
    with task.session(run.budget, seed=session_seed(cell), on_call=_stop_when_met) as session:
        n_initial = default_size(session.remaining, len(task.space))
        with contextlib.suppress(_EverySpecMet):
            AskTellAgent(timed).run(session)
    own = slice(n_initial, None)
    count = max(1, len(timed.wall[own]))
    steps, best = [], -1.0
    for number, evaluation in enumerate(session.history, start=1):
        if evaluation.score > best:
            best = evaluation.score
            steps.append([number, round(best, 6)])
    met = [k for k, e in enumerate(session.history, start=1) if e.feasible]
    return Finished(
        run=run,
        score=best,
        first_met=met[0] if met else None,
        steps=steps,
        duplicates=session.usage.duplicates,
        failed=sum(e.status is not acs_gym.Status.OK for e in session.history),
        seconds=round(time.perf_counter() - start, 1),
        method_seconds=round(sum(timed.wall[own]) / count, 4),
        method_cpu_seconds=round(sum(timed.cpu[own]) / count, 4),
        memory_mib=int(peak_memory_mib() or 0),
    )


def load_results(path: Path | None) -> list[Finished]:
    """Finished runs of a study that was written with `--json`."""
    return [] if path is None else [_finished(data) for data in resumable.document(path)]


def load(path: Path) -> list[Finished]:
    """Finished runs."""
    return [_finished(data) for data in resumable.lines(path)]


def _finished(data: Mapping[str, Any]) -> Finished:
    return Finished(**{**data, "run": Run(**data["run"])})


def execute_all(runs: Sequence[Run], path: Path, jobs: int) -> None:
    """Every run, each appended to `path` when it ends. A run that raises ends the study."""
    start = time.perf_counter()
    for number, done in enumerate(resumable.run_each(execute, runs, jobs), start=1):
        resumable.append(path, asdict(done))
        minutes = (time.perf_counter() - start) / 60
        print(
            f"{number}/{len(runs)} {minutes:.0f} min: {done.run.method} on {done.run.task}, "
            f"seed {done.run.seed}: {done.score:.3f} in {done.seconds:.0f} s",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def table(finished: Iterable[Finished], budget: int) -> list[str]:
    """Markdown, best method first."""
    from leaderboard.board.statistics import (
        interquartile_mean,
        iqm_interval,
        median_simulations_to_spec,
        wilson_interval,
    )

    methods: dict[str, list[Finished]] = {}
    for done in finished:
        methods.setdefault(done.run.method, []).append(done)
    rows = []
    for method, runs in methods.items():
        tasks: dict[str, list[float]] = {}
        for done in runs:
            tasks.setdefault(done.run.task, []).append(done.score)
        interval = iqm_interval(list(tasks.values()))
        middle = float(interquartile_mean([d.score for d in runs]))
        met = sum(d.first_met is not None for d in runs)
        share = wilson_interval(met, len(runs))
        median = median_simulations_to_spec([d.first_met for d in runs], budget)
        cells = [
            f"`{method}`",
            get_method(method).track,
            f"{middle:.3f} [{interval.low:.3f}, {interval.high:.3f}]",
            f"{met}/{len(runs)} = {met / len(runs):.0%} [{share.low:.0%}, {share.high:.0%}]",
            f"{median:.0f}" if median is not None else f"> {budget}",
            f"{sum(d.method_cpu_seconds for d in runs) / len(runs):.2f}",
            f"{max(d.memory_mib for d in runs)}",
        ]
        rows.append((middle, met, "| " + " | ".join(cells) + " |"))
    head = (
        "| method | sees | IQM score | met every spec | simulations to spec | s/ask (CPU) | MiB |"
    )
    rows.sort(key=lambda row: (-row[0], -row[1]))
    return [head, "|---" * 7 + "|", *(row[-1] for row in rows)]


def summary(finished: Sequence[Finished]) -> dict[str, Any]:
    """What is committed: enough to draw every figure again."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "ngspice": str(simulator_version()),
        "libraries": versions,
        "cores": available_cores(),
        "runs": [asdict(d) | {"run": asdict(d.run)} for d in finished],
    }


def seeds_of(method: str, arguments: argparse.Namespace) -> int:
    """How many seeds it runs; no more than asked for of anybody."""
    fewer = [arguments.model_seeds] * (method in FIT_MODELS) + [arguments.slow_seeds] * (
        method in SLOW
    )
    return int(min([arguments.seeds, *fewer]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    searching = [m.name for m in METHODS if m.name not in HARNESS_CHECKS + KNOWS_MORE]
    parser.add_argument("--methods", default=",".join(searching), help="with commas")
    parser.add_argument("--tasks", help="with commas; default: every training task")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--from-seed", type=int, default=0, help="the first of them")
    parser.add_argument("--model-seeds", type=int, default=5, help="for methods that fit models")
    parser.add_argument("--slow-seeds", type=int, default=2, help="for the slowest of these")
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--tier", default="tt")
    parser.add_argument("--jobs", type=int, default=available_cores())
    parser.add_argument("--runs", type=Path, default=Path("runs/optimizers.jsonl"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()

    names = [resolve_task(t) for t in arguments.tasks.split(",")] if arguments.tasks else []
    tasks = {
        name: acs_gym.make_task(name, pdk=arguments.pdk, tier=arguments.tier).digest
        for name in names or suite_tasks("training")
    }
    methods = [get_method(m) for m in arguments.methods.split(",")]
    for method in methods:
        method.require()
    wanted = [
        Run(task, method.name, seed, arguments.budget, arguments.pdk, arguments.tier, digest)
        for seed in range(arguments.from_seed, arguments.from_seed + arguments.seeds)
        for task, digest in tasks.items()
        for method in methods
        if seed - arguments.from_seed < seeds_of(method.name, arguments)
    ]
    known = load_results(arguments.json)
    done = {d.run for d in (*known, *load(arguments.runs))}
    todo = [run for run in wanted if run not in done]
    if todo and not arguments.table:
        print(f"{len(wanted)} runs, {len(wanted) - len(todo)} done already", file=sys.stderr)
        try:
            execute_all(todo, arguments.runs, arguments.jobs)
        except KeyboardInterrupt:
            sys.exit(f"stopped; what is done is in {arguments.runs}, the same command goes on")
    finished = {d.run: d for d in (*known, *load(arguments.runs))}
    chosen = [finished[run] for run in wanted if run in finished]
    if not chosen:
        sys.exit("no run of this study is done")
    print("\n".join(table(chosen, arguments.budget)))
    if len(chosen) < len(wanted):
        print(f"\n{len(chosen)} of {len(wanted)} runs are done.")
    if arguments.json:
        resumable.write(arguments.json, summary(chosen))


if __name__ == "__main__":
    main()
