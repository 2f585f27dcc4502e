"""How many simulations does a sign-off over `pvt` cost?

    python benchmarks/sign_off.py --json benchmarks/results/sign_off.json
    python benchmarks/sign_off.py opamp --agents corner-aware,corner-aware:scbo --seeds 2 --budget 2000

Each agent of the leaderboard gets the budget, in simulations (one a condition), on each task in the
tier, once a seed; a run ends when a design meets every spec in every condition. That design is
simulated once more in a fresh simulator, at every condition: `confirmed`. In tier `mc` it then meets
draws that no optimiser has seen: the share that passes every spec bounds the yield from below, with 95 %
confidence. Finished runs are appended to `--runs`, and the same command goes on with those that are
missing. A run has a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import resumable

import acs_gym
from acs_gym.evaluation import yield_bound
from acs_gym.session import Call
from acs_gym.simulation.pool import WorkerPool
from leaderboard.agents.registry import build
from leaderboard.cells.spec import CellSpec, session_seed
from leaderboard.suites import resolve_task

FRESH_DRAWS = 200
BUDGETS = {"ACS-OpAmp-v0": 1000, "ACS-LDO-v0": 1500, "ACS-FoldedCascode-v0": 2000}


class _SignedOff(Exception):
    """Nothing is left to prove."""


def _stop_when_met(call: Call) -> None:
    if call.evaluation.feasible:
        raise _SignedOff


def run(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What came of a run, beside what it was; `wanted` has task, agent, seed, tier, pdk, budget."""
    name, agent, seed = wanted["task"], wanted["agent"], wanted["seed"]
    tier, pdk, budget = wanted["tier"], wanted["pdk"], wanted["budget"]
    task = acs_gym.make_task(name, pdk=pdk, tier=tier)
    cell = CellSpec(
        task=name, pdk=pdk, tier=tier, agent=agent, repetition=seed, budget=budget, suite_seed=0
    )
    start = time.process_time()
    with task.session(budget, seed=session_seed(cell), on_call=_stop_when_met) as session:
        with contextlib.suppress(_SignedOff):
            build(agent).run(session)
        best, used = session.best, session.meter.used
    signed = best is not None and best.feasible
    confirmed, sure = False, None
    if signed and best is not None:
        with WorkerPool(1) as pool, task.session(task.cost, simulator=pool) as fresh:
            confirmed = fresh.simulate(best.design).feasible
        if tier == "mc":
            sure = yield_on_fresh_draws(name, pdk, best.design, seen=task.cost)
    return {
        "task": name, "agent": agent, "seed": seed, "tier": tier, "pdk": pdk, "budget": budget,
        "conditions": task.cost, "digest": task.digest,
        "score": 0.0 if best is None else round(best.score, 5),
        "simulations": used, "signed_off": signed, "confirmed": confirmed, "yield_at_least": sure,
        "designs": len({tuple(e.design.values()) for e in session.history}),
        "cpu_seconds": round(time.process_time() - start, 1),
    }  # fmt: skip


def yield_on_fresh_draws(name: str, pdk: str, design: Mapping[str, float], *, seen: int) -> float:
    """The yield that is exceeded with 95 % confidence, from draws that follow those of the tier."""
    task = acs_gym.make_task(name, pdk=pdk, tier=f"mc{seen + FRESH_DRAWS}")
    fresh = [c.name for c in task.conditions.conditions][seen:]
    with WorkerPool(1) as pool, task.session(len(fresh), simulator=pool) as session:
        found = session.simulate(design, conditions=fresh).by_condition
    passed = sum(found[draw].feasible for draw in fresh)
    return round(yield_bound(passed, len(fresh)), 4)


def table(runs: list[dict[str, Any]]) -> list[str]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for r in runs:
        groups[r["task"], r["agent"]].append(r)
    lines = [
        "| task | agent | conditions | signed off | confirmed | simulations | each |",
        "|---" * 7 + "|",
    ]
    for (name, agent), found in sorted(groups.items()):
        counts = [r["simulations"] if r["signed_off"] else r["budget"] + 1 for r in found]
        middle = statistics.median(counts)
        shown = f"{middle:g}" if middle <= found[0]["budget"] else f"more than {found[0]['budget']}"
        each = ", ".join(str(r["simulations"]) if r["signed_off"] else "—" for r in found)
        signed, sure = (sum(r[k] for r in found) for k in ("signed_off", "confirmed"))
        bounds = [r["yield_at_least"] for r in found if r.get("yield_at_least") is not None]
        if bounds:
            each += f"; yield at least {min(bounds):.0%}"
        lines.append(
            f"| {name} | `{agent}` | {found[0]['conditions']} | {signed}/{len(found)} "
            f"| {sure}/{len(found)} | {shown} | {each} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "tasks", nargs="*", help="by default the op-amp, the LDO, the folded cascode"
    )
    parser.add_argument("--agents", default="corner-aware", help="with commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--tier", default="pvt")
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--budget", type=int, help="simulations; by default the task's own")
    parser.add_argument("--runs", type=Path, default=Path("runs/sign_off.jsonl"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    names = [resolve_task(name) for name in arguments.tasks or BUDGETS]
    tasks = {n: acs_gym.make_task(n, pdk=arguments.pdk, tier=arguments.tier) for n in names}
    wanted = [
        {
            "task": name, "agent": agent, "seed": seed, "tier": arguments.tier, "pdk": arguments.pdk,
            "budget": arguments.budget or BUDGETS.get(name, 2000), "digest": task.digest,
        }
        for seed in range(arguments.from_seed, arguments.from_seed + arguments.seeds)
        for name, task in tasks.items()
        for agent in arguments.agents.split(",")
    ]  # fmt: skip
    done = resumable.lines(arguments.runs)
    todo = [w for w in wanted if not any(w.items() <= d.items() for d in done)]
    for number, found in enumerate(resumable.run_each(run, todo, arguments.jobs), start=1):
        resumable.append(arguments.runs, found)
        done.append(found)
        print(f"{number}/{len(todo)}: {found}", file=sys.stderr, flush=True)
    chosen = [next(d for d in done if w.items() <= d.items()) for w in wanted]
    print("\n".join(table(chosen)))
    if arguments.json:
        resumable.write(arguments.json, {"runs": chosen})


if __name__ == "__main__":
    main()
