"""Trained policies against optimisers at 5, 10 and 20 simulations, on held-out targets.

    python benchmarks/tlgrpo/against_optimizers.py --json benchmarks/results/tlgrpo_against.json

Each held-out problem of the study is a task with its own targets. Every method spends the same
budget on it through a `Session`, with the seeds of its repetition: the optimisers as the
leaderboard runs them, the policies as the agent `tlgrpo:RUN`, one of the study's runs a repetition.
`--task` may name a circuit that was never trained on, if the policies know its words.

The best score after 5, 10 and 20 simulations is that of one run of 20, but for methods whose
initial designs depend on the budget: those are run at each budget.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import acs_gym
from acs_gym.session import available_cores
from acs_gym.threads import ONE_THREAD
from baselines.agent import AskTellAgent
from baselines.registry import get_method
from leaderboard.board.statistics import iqm_interval, wilson_interval
from tlgrpo.domains.circuits import Circuits

BUDGETS = (5, 10, 20)
OPTIMISERS = ("random", "skopt-gp", "turbo", "scbo")


@dataclass(frozen=True, slots=True)
class Job:
    """One method on one held-out problem. `policy` is the folder of a run, or empty."""

    method: str
    policy: str
    task: str
    pdk: str
    problem: int
    repetition: int


def execute(job: Job) -> dict[str, Any]:
    """Best scores at each budget; of a policy, the share of its designs that were drawn at random
    because it had none. Runs in a process of its own."""
    domain = Circuits([job.task], job.pdk, workers=1)
    task = domain.task_of(domain.problem(job.problem, "held-out"))
    scores = []
    replaced, designs = 0, 0
    # A policy does not know its budget, so one run serves all.
    budgets = BUDGETS if not job.policy else BUDGETS[-1:]
    for budget in budgets:
        with task.session(budget, seed=1000 * job.repetition + job.problem) as session:
            (agent := _agent(job)).run(session)
        replaced, designs = getattr(agent, "replaced", 0), len(session.history)
        best = np.maximum.accumulate([e.score for e in session.history])
        points = [budget] if not job.policy else BUDGETS
        scores += [float(best[min(p, len(best)) - 1]) for p in points]
    more = {"replaced": replaced / designs} if job.policy else {}
    return asdict(job) | {"scores": scores} | more


def _agent(job: Job) -> Any:
    if job.policy:
        from tlgrpo.agent import TlgrpoAgent

        return TlgrpoAgent(job.policy)
    return AskTellAgent(get_method(job.method))


def table(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> list[str]:
    """Markdown: IQM over problems and repetitions with its interval, and the share that was solved."""
    lines = ["| method | " + " | ".join(f"{b} simulations: IQM, solved" for b in BUDGETS) + " |"]
    lines.append("|---" * (len(BUDGETS) + 1) + "|")
    for method in methods:
        mine = [r for r in rows if r["method"] == method]
        if not mine:
            continue
        cells = []
        for k in range(len(BUDGETS)):
            problems: dict[int, list[float]] = {}
            for row in mine:
                problems.setdefault(row["problem"], []).append(row["scores"][k])
            values = [s for scores in problems.values() for s in scores]
            middle = stats.trim_mean(values, 0.25)
            bounds = iqm_interval(list(problems.values()))
            solved = sum(v >= 1 for v in values)
            share = wilson_interval(solved, len(values))
            cells.append(
                f"{middle:.3f} [{bounds.low:.3f}, {bounds.high:.3f}], "
                f"{solved / len(values):.0%} [{share.low:.0%}, {share.high:.0%}]"
            )
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/tlgrpo-study"))
    parser.add_argument("--arms", default="tl-grpo improvement,tl-grpo score,grpo best")
    parser.add_argument("--methods", default=",".join(OPTIMISERS))
    parser.add_argument("--task", default="ACS-OTA5T-v0")
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=5, help="of policies: the study's seeds")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--optimiser-repetitions", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=available_cores())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pairs = pairs_of(options.problems, options.repetitions)
    jobs: list[Job] = []
    methods = [m for m in options.methods.split(",") if m]
    few = pairs_of(options.problems, options.optimiser_repetitions)
    jobs += [Job(m, "", options.task, options.pdk, p, r) for m in methods for p, r in few]
    for arm in (a for a in options.arms.split(",") if a):
        for p, r in pairs:
            folder = options.runs / f"{arm.replace(' ', '_')}-{options.first_seed + r}"
            if not (folder / "checkpoints").exists():
                sys.exit(f"{folder}: no such run; python benchmarks/tlgrpo/study.py makes it")
            jobs.append(Job(arm, str(folder), options.task, options.pdk, p, r))
    os.environ |= ONE_THREAD
    rows: list[dict[str, Any]] = []
    with (
        multiprocessing.get_context("spawn").Pool(
            options.jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
        ) as pool,
        contextlib.suppress(KeyboardInterrupt),
    ):
        for row in pool.imap_unordered(execute, jobs, chunksize=4):
            rows.append(row)
            if len(rows) % 50 == 0:
                print(f"{len(rows)}/{len(jobs)}", file=sys.stderr, flush=True)
    names = [*methods, *(a for a in options.arms.split(",") if a)]
    print("\n".join(table(rows, names)))
    if options.json:
        result = {
            "command": shlex.join(
                ["python", "benchmarks/tlgrpo/against_optimizers.py", *sys.argv[1:]]
            ),
            "task": acs_gym.make_task(options.task, pdk=options.pdk).id,
            "rows": sorted(rows, key=lambda r: (r["method"], r["problem"], r["repetition"])),
        }
        text = json.dumps(result, separators=(",", ":"))
        options.json.write_text(text.replace('{"method":', '\n{"method":') + "\n")


def pairs_of(problems: int, repetitions: int) -> list[tuple[int, int]]:
    """Repetitions outermost."""
    return [(p, r) for r in range(repetitions) for p in range(problems)]


if __name__ == "__main__":
    main()
