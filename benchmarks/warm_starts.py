"""What does it save to start from what is known?

    python benchmarks/warm_starts.py --json benchmarks/results/warm_starts.json
    python benchmarks/warm_starts.py --pdk gf180mcu --seeds 5 --json benchmarks/results/warm_gf180mcu.json
    python benchmarks/warm_starts.py --tasks opamp --seeds 2 --arms composite-ei,transfer

Every arm spends the same simulations on the same tasks and seeds, and ends when every spec is met:

    METHOD           cold, from the initial designs that all methods of a seed share
    METHOD@generic   from the reference sizing of `generic`, as a designer has one of another process
                     (`leaderboard.run --start-from FILE`)
    transfer         from the training anchors of `generic`; what it has after one simulation is what
                     looking up the best of them gives

The simulations of `generic` that were made for its anchors are not counted: they cost nothing of the
process that a design is wanted in. Finished runs are appended to `--runs`; the same command goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import resumable

import acs_gym
from acs_gym.session import Call
from baselines.agent import AskTellAgent
from baselines.registry import get_method
from baselines.transfer import clipped
from leaderboard.board.statistics import (
    interquartile_mean,
    iqm_interval,
    median_simulations_to_spec,
)
from leaderboard.cells.spec import CellSpec, session_seed
from leaderboard.suites import resolve_task, suite_tasks

ARMS = "composite-ei,composite-ei@generic,cma-es,cma-es@generic,transfer"
BUDGET = 100
LOOKS = (1, 5, 20, 50, 100)


class _EverySpecMet(Exception):
    """There is nothing left to gain in this run."""


def _stop_when_met(call: Call) -> None:
    if call.evaluation.feasible:
        raise _EverySpecMet


def run(name: str, arm: str, seed: int, pdk: str) -> dict[str, Any]:
    task = acs_gym.make_task(name, pdk=pdk)
    method, _, source = arm.partition("@")
    start_from = None
    if source:
        sizing = acs_gym.make_task(name, pdk=source).reference
        assert sizing is not None
        start_from = clipped(task.space, sizing)
    cell = CellSpec(
        task=name, pdk=pdk, tier="tt", agent="composite-ei", repetition=seed, budget=BUDGET, suite_seed=0
    )  # fmt: skip
    start = time.process_time()
    agent = AskTellAgent(get_method(method), start_from=start_from)
    with task.session(BUDGET, seed=session_seed(cell), on_call=_stop_when_met) as session:
        with contextlib.suppress(_EverySpecMet):
            agent.run(session)
        history = list(session.history)
    best, scores = 0.0, []
    for evaluation in history:
        best = max(best, evaluation.score)
        scores.append(best)
    met = len(history) if history[-1].feasible else None
    return {
        "task": name, "arm": arm, "seed": seed, "pdk": pdk, "digest": task.digest, "met": met,
        "best_after": {str(k): round(scores[min(k, len(scores)) - 1], 5) for k in LOOKS},
        "cpu_seconds": round(time.process_time() - start, 1),
    }  # fmt: skip


def table(runs: list[dict[str, Any]]) -> list[str]:
    """IQM of the best score after so many simulations over tasks and seeds, with its 95 % interval."""
    arms: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in runs:
        arms[r["arm"]].append(r)
    heads = " | ".join(f"IQM after {k}" for k in LOOKS)
    lines = [f"| start | {heads} | met | simulations to spec |", "|---" * (len(LOOKS) + 3) + "|"]
    for arm, found in arms.items():
        cells = [f"`{arm}`"]
        for k in LOOKS:
            tasks: dict[str, list[float]] = defaultdict(list)
            for r in found:
                tasks[r["task"]].append(r["best_after"][str(k)])
            interval = iqm_interval(list(tasks.values()))
            middle = float(interquartile_mean([x for v in tasks.values() for x in v]))
            cells.append(f"{middle:.3f} [{interval.low:.3f}, {interval.high:.3f}]")
        met = [r["met"] for r in found]
        median = median_simulations_to_spec(met, BUDGET)
        cells.append(f"{sum(m is not None for m in met)}/{len(met)}")
        cells.append(f"> {BUDGET}" if median is None else f"{median:.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def by_task(runs: list[dict[str, Any]]) -> list[str]:
    """Median simulations to spec, task by task."""
    arms = list(dict.fromkeys(r["arm"] for r in runs))
    lines = [
        "| task | " + " | ".join(f"`{a}`" for a in arms) + " |",
        "|---" * (len(arms) + 1) + "|",
    ]
    for name in dict.fromkeys(r["task"] for r in runs):
        cells = []
        for arm in arms:
            met = [r["met"] for r in runs if (r["task"], r["arm"]) == (name, arm)]
            median = median_simulations_to_spec(met, BUDGET)
            cells.append(f"> {BUDGET}" if median is None else f"{median:g}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", help="with commas; default: every training task")
    parser.add_argument("--arms", default=ARMS, help="with commas")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--runs", type=Path, default=Path("runs/warm_starts.jsonl"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    done = resumable.lines(arguments.runs)
    names = arguments.tasks.split(",") if arguments.tasks else suite_tasks("training")
    digests = {n: acs_gym.make_task(n, pdk=arguments.pdk).digest for n in map(resolve_task, names)}
    chosen = []
    for seed in range(arguments.seeds):
        for name, digest in digests.items():
            for arm in arguments.arms.split(","):
                wanted = {
                    "task": name, "arm": arm, "seed": seed, "pdk": arguments.pdk, "digest": digest,
                }  # fmt: skip
                found = next((d for d in done if wanted.items() <= d.items()), None)
                if found is None:
                    found = run(name, arm, seed, arguments.pdk)
                    resumable.append(arguments.runs, found)
                    told = f"{name}, {arm}, seed {seed}: met {found['met']}"
                    print(told, file=sys.stderr, flush=True)
                chosen.append(found)
    print("\n".join([*table(chosen), "", *by_task(chosen)]))
    if arguments.json:
        resumable.write(arguments.json, {"runs": chosen})


if __name__ == "__main__":
    main()
