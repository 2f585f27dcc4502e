"""How long does a report of 1,000 cells take?

    python benchmarks/report.py --json benchmarks/results/report.json

The cells are made up, and say so in their fingerprint: random designs of a real task, real
judgements, written through the store like any others, to a temporary folder. Wall-clock and CPU
seconds of reading and checking the files, of the statistics, and of the page with and without scripts.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import Call
from acs_gym.task import make_task
from leaderboard.board.chosen import choose
from leaderboard.cells.records import CellStatus, EvaluationRecord, Result, Timing, Usage
from leaderboard.cells.runner import task_card
from leaderboard.cells.spec import CellSpec
from leaderboard.cells.store import Store
from leaderboard.reporting.page import render

TASK = "ACS-OTA5T-v0"


def write(store: Store, agents: int, tasks: int, seeds: int, budget: int) -> None:
    """Cells whose agents find better designs the higher their number."""
    task = make_task(TASK, pdk="generic", tier="tt")
    card = task_card(task)
    rng = np.random.default_rng(0)
    targets = task.specs.targets
    for agent in range(agents):
        for number in range(tasks):
            for seed in range(seeds):
                spec = CellSpec(
                    task=f"ACS-Made{number}-v0", pdk="generic", tier="tt", agent=f"made-{agent}",
                    repetition=seed, budget=budget, suite_seed=0,
                )  # fmt: skip
                key = f"{agent:04x}{number:04x}{seed:08x}"
                with store.begin(key, spec) as trace:
                    best = None
                    for index in range(budget):
                        spread = 0.5 * (1 - index / budget) * (1 + 1 / (1 + agent))
                        metrics = {n: t * (1 + spread * rng.normal()) for n, t in targets.items()}
                        evaluation = Evaluation.judged(
                            task.space.sample(rng), Status.OK, metrics, task.specs
                        )
                        trace.write(Call(evaluation, duplicate=False), index * 0.01)
                        if best is None or evaluation.score > best.score:
                            best = EvaluationRecord.of(evaluation)
                    digest = trace.seal()
                assert best is not None
                store.finish(
                    Result(
                        key=key, spec=spec, agent_config={}, track="metrics",
                        status=CellStatus.COMPLETE, message="", score=best.score,
                        feasible=best.feasible, best=best, verified=best,
                        usage=Usage(
                            simulations=budget, calls=budget, duplicates=0, failed={}, tokens=0,
                            money=0.0,
                        ),
                        task=card, trace_sha256=digest,
                        timing=Timing(
                            total_seconds=1.0, simulator_seconds=0.5,
                            finished="2026-01-01T00:00:00+00:00",
                        ),
                        fingerprint={"simulator": "none: made up for a benchmark"},
                    )
                )  # fmt: skip


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {name: round(seconds, 3) for name, seconds in taken.items()}, result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        write(store, options.agents, options.tasks, options.seeds, options.budget)
        seconds: dict[str, dict[str, float]] = {}
        seconds["read and check"], chosen = timed(lambda: choose(Path(folder)))
        seconds["statistics"], board = timed(chosen.board)
        seconds["page"], page = timed(lambda: render(board))
        seconds["static page"], static = timed(lambda: render(board, static=True))
    whole = ("read and check", "statistics", "page")
    result = {
        "command": f"python benchmarks/report.py --json {options.json}",
        "cells": len(chosen.cells),
        "trace_lines": sum(len(c.trace) for c in chosen.cells),
        "seconds": seconds,
        "report": {k: round(math.fsum(seconds[n][k] for n in whole), 3) for k in ("wall", "cpu")},
        "megabytes": {
            "page": round(len(page.encode()) / 1e6, 2),
            "static": round(len(static.encode()) / 1e6, 2),
        },
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
