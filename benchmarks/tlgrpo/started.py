"""How many simulations until every spec is met: an optimiser alone, and from what a policy tried first.

    python benchmarks/tlgrpo/started.py --policy tlgrpo:runs/sizing --problems 5
    python benchmarks/tlgrpo/started.py --policy tlgrpo:runs/sizing --problems 3 --tier pvt \
      --method corner-aware --budget 1000

Circuits, targets and seeds are those of `sized.py`; in another tier than `tt`, for which no targets are
drawn, the circuit's own, and a simulation is a design at one condition. A run ends where every spec is
met; one that uses up `--budget` is counted as that many, so medians hold as long as they lie below it.
What is compared are circuits: of each, the median over its problems with the policy's designs over that
without; the interval of the mean ratio (geometric) resamples circuits.

Finished runs are appended to `--runs`, and the same command goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import resumable
import sized

import acs_gym
from acs_gym.session import Call
from leaderboard.agents.registry import build
from leaderboard.suites import suite_tasks

Row = dict[str, Any]
_RESAMPLED = 2_000


def run(wanted: Mapping[str, Any]) -> Row:
    """How many simulations until every spec was met; None where it was not."""
    name, pdk, number, tier = (wanted[k] for k in ("task", "pdk", "problem", "tier"))
    anchor: int | None = None
    if tier == "tt":
        task, _, anchor = sized.problem_task(name, pdk, number)
    else:
        task = acs_gym.make_task(name, pdk=pdk, tier=tier)
    met: list[float] = []

    def on_call(call: Call) -> None:
        if call.evaluation.complete and call.evaluation.feasible:
            met.append(session.meter.used)

    with task.session(wanted["budget"], seed=number, workers=1) as session:
        session.on_call = on_call
        build(f"enough:{wanted['method']}").run(session)
    return {**wanted, "anchor": anchor, "met": int(min(met)) if met else None}


def run_all(wanted: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The problems of one circuit and method."""
    return [run(w) for w in wanted]


def medians(rows: Sequence[Row], method: str) -> dict[str, float]:
    """Of each circuit, over its problems; the budget stands for what was not met."""
    found: dict[str, list[int]] = defaultdict(list)
    for r in rows:
        if r["method"] == method:
            found[r["task"]].append(r["budget"] if r["met"] is None else r["met"])
    return {name: float(np.median(counts)) for name, counts in found.items()}


def mean_ratio(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of the circuits' ratios, and its 95 % interval over resampled circuits."""
    logs = np.log(ratios)
    rng = np.random.default_rng(0)
    resampled = rng.choice(logs, (_RESAMPLED, len(logs))).mean(1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high))


def table(rows: Sequence[Row], policy: str, method: str) -> list[str]:
    """A line a circuit: median simulations and runs that met the specs, cold and started; the ratio."""
    cold, started = medians(rows, method), medians(rows, f"{policy}+{method}")
    lines = ["| circuit | cold | met | from the policy | met | ratio |", "|---" * 6 + "|"]
    for name, alone in cold.items():
        met = {
            m: [r["met"] is not None for r in rows if (r["task"], r["method"]) == (name, m)]
            for m in (method, f"{policy}+{method}")
        }
        shares = [f"{sum(x)} of {len(x)}" for x in met.values()]
        both = started[name]
        lines.append(
            f"| {name} | {alone:g} | {shares[0]} | {both:g} | {shares[1]} | {both / alone:.2f} |"
        )
    ratio, low, high = mean_ratio([started[name] / alone for name, alone in cold.items()])
    lines.append(f"| mean ratio | | | | | {ratio:.2f} [{low:.2f}, {high:.2f}] |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--policy", required=True, help="tlgrpo:RUN")
    parser.add_argument("--method", default="composite-ei", help="of baselines")
    parser.add_argument("--suites", default="training,held-out", help="circuits")
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--tier", default="tt", help="conditions to meet the specs at")
    parser.add_argument("--problems", type=int, default=5, help="of each circuit")
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/tlgrpo_started.jsonl"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    suites = {s: suite_tasks(s) for s in options.suites.split(",")}
    wanted = [
        {
            "task": task, "pdk": options.pdk, "problem": number, "budget": options.budget,
            "tier": options.tier, "method": method, "weights": sized.weights_of(method)[:16],
            "suggested": sized.suggested(method, task),
            "digest": acs_gym.make_task(task, pdk=options.pdk, tier=options.tier).digest[:16],
        }
        for tasks in suites.values()
        for task in tasks
        for method in (options.method, f"{options.policy}+{options.method}")
        for number in range(options.problems)
    ]  # fmt: skip
    rows = resumable.run_groups(options.runs, wanted, run_all, ("task", "method"), options.jobs)
    for suite, tasks in suites.items():
        mine = [r for r in rows if r["task"] in tasks]
        print(f"\n{suite}\n")
        print("\n".join(table(mine, options.policy, options.method)))
    if options.json:
        resumable.write(options.json, {"runs": rows})


if __name__ == "__main__":
    main()
