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
from acs_gym.session import Call, Session
from baselines.agent import spend
from baselines.initial import split_seed
from baselines.registry import Method, get_method
from leaderboard.agents.enough import Enough
from leaderboard.agents.registry import build
from leaderboard.contract import Agent
from leaderboard.suites import proved_tasks, suite_tasks
from tlgrpo.domains.sizing import tell
from tlgrpo.memory import suggested

Row = dict[str, Any]
SUGGESTED = "suggested"
EPISODE = 5
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
        Enough(agent(wanted["method"])).run(session)
    return {**wanted, "anchor": anchor, "met": int(min(met)) if met else None}


def agent(method: str) -> Agent:
    """Of the leaderboard, or what starts from suggestions and no policy."""
    kind, plus, alone = method.partition("+")
    if plus and kind == SUGGESTED:
        return FromSuggestions(get_method(alone))
    found: Agent = build(method)
    return found


class FromSuggestions:
    """The control of a policy's start on circuits that it never saw: what it goes on from, and no policy.

    As many initial designs as a policy's episode has: those suggested, then the method's own.
    """

    track = "metrics"
    config: Mapping[str, Any] = {}

    def __init__(self, method: Method) -> None:
        self.method = method

    def run(self, session: Session) -> None:
        task, seeds = session.task, split_seed(session.seed)
        told = tell(task)
        first = [
            told.design([int(levels[k]) for k in told.parameters]) for levels in suggested(told)
        ]
        own = self.method.initial(task, EPISODE - len(first), seeds.initial)
        spend(session, self.method.for_task(task, seed=seeds.method, initial=[*first, *own]))


def run_all(wanted: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The problems of one circuit and method."""
    return [run(w) for w in wanted]


def controlled(task: str, tier: str) -> bool:
    """Whether a policy's start is set beside that from suggestions alone."""
    return tier == "tt" and task not in suite_tasks("training")


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
    """A line a circuit: median simulations and runs that met the specs, and the ratio to those alone."""
    control = f"{SUGGESTED}+{method}"
    kinds = {
        "cold": method,
        **({"from the suggestions": control} if any(r["method"] == control for r in rows) else {}),
        "from the policy": f"{policy}+{method}",
    }
    cold = medians(rows, method)
    lines = [
        "| circuit | " + " | ".join(f"{kind} | met" for kind in kinds) + " | ratio |",
        "|---" * (2 + 2 * len(kinds)) + "|",
    ]
    for name in cold:
        cells = []
        for m in kinds.values():
            met = [r["met"] is not None for r in rows if (r["task"], r["method"]) == (name, m)]
            cells += [f"{medians(rows, m)[name]:g}", f"{sum(met)} of {len(met)}"]
        ratio = medians(rows, kinds["from the policy"])[name] / cold[name]
        lines.append(f"| {name} | {' | '.join(cells)} | {ratio:.2f} |")
    cells = []
    for kind, m in kinds.items():
        found = medians(rows, m)
        ratio, low, high = mean_ratio([found[name] / alone for name, alone in cold.items()])
        cells += ["" if kind == "cold" else f"{ratio:.2f} [{low:.2f}, {high:.2f}]", ""]
    lines.append(f"| mean ratio | {' | '.join(cells)} | |")
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
    suites = {
        s: proved_tasks(s, pdk=options.pdk, tier=options.tier) for s in options.suites.split(",")
    }
    wanted = [
        {
            "task": task, "pdk": options.pdk, "problem": number, "budget": options.budget,
            "tier": options.tier, "method": method, "weights": sized.weights_of(method)[:16],
            "suggested": sized.suggested(method, task),
            "digest": acs_gym.make_task(task, pdk=options.pdk, tier=options.tier).digest[:16],
        }
        for tasks in suites.values()
        for task in tasks
        for method in (
            options.method,
            *((f"{SUGGESTED}+{options.method}",) if controlled(task, options.tier) else ()),
            f"{options.policy}+{options.method}",
        )
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
