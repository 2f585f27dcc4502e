"""A sizing policy beside optimisers and memory, circuit by circuit, at the same simulations.

    python benchmarks/tlgrpo/sized.py --policy tlgrpo:runs/sizing --problems 16

Each circuit is asked for with held-out targets: drawn from designs that no training problem is drawn
from. Every method is an agent of the leaderboard with a session of its own and the same budget.
`lookup`, `role median` and `nearest goal` (`tlgrpo.memory`) know the training anchors, and the designs
of `--banks` where that is given, and simulate once. An optimiser chooses its initial designs by its
budget, so it is run at each; a policy does not know it and is run at the largest. What is averaged are
circuits: the interval resamples them, and the anchors that the problems of each are drawn from.

Finished runs are appended to `--runs`, and the same command goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import resumable

import acs_gym
from leaderboard.agents.registry import build
from leaderboard.suites import suite_tasks
from tlgrpo.designs import anchors, path_of, read_bank
from tlgrpo.domains.conditions import OWN
from tlgrpo.domains.sizing import problem_of, told_of
from tlgrpo.labels import Source
from tlgrpo.memory import Pick, clustered_interval, lookup, nearest_goal, role_median

BUDGETS = (1, 5, 10, 20)
MEMORY = {"lookup": lookup, "role median": role_median, "nearest goal": nearest_goal}
PDK = "sky130"
TOLD_ONCE = ", told once"
TRAINING = suite_tasks("training")
Row = dict[str, Any]


def problem_task(name: str, pdk: str, number: int) -> tuple[acs_gym.Task, dict[str, float], int]:
    """(task, its targets, the anchor that they are drawn from) of a held-out problem."""
    task = acs_gym.make_task(name, pdk=pdk)
    rng = np.random.default_rng((11, number))
    anchor = task.sampled_anchor(np.random.default_rng((11, number)), "held-out")
    targets = task.sample_specs(rng, "held-out")
    return task.with_specs(targets), targets, anchor


def run(wanted: Mapping[str, Any]) -> Row:
    """The best score within each budget, and whether every spec was met."""
    name, pdk, number, method = (wanted[k] for k in ("task", "pdk", "problem", "method"))
    task, targets, anchor = problem_task(name, pdk, number)
    played = method.startswith("tlgrpo:")
    best: list[float] = []
    solved: list[bool] = []
    if method in MEMORY:
        told = told_of(problem_of(acs_gym.make_task(name, pdk=pdk), targets, "levels").key)
        levels = _remembered(method, pdk, wanted["banks"])(told)
        with task.session(1) as session:
            found = session.simulate(told.design([int(levels[k]) for k in told.parameters]))
        best, solved = [found.score] * len(BUDGETS), [found.feasible] * len(BUDGETS)
    else:
        for budget in BUDGETS[-1:] if played else BUDGETS:
            with task.session(budget, seed=1000 * wanted["repetition"] + number) as session:
                agent(method).run(session)
            scores = np.maximum.accumulate([e.score for e in session.history])
            points = BUDGETS if played else (budget,)
            best += [float(scores[min(p, len(scores)) - 1]) for p in points]
            solved += [any(e.feasible for e in session.history[:p]) for p in points]
    return {**wanted, "anchor": anchor, "best": [round(b, 6) for b in best], "solved": solved}


def agent(method: str) -> Any:
    """Of the leaderboard; a policy that is told once tries what it samples."""
    name = method.removesuffix(TOLD_ONCE)
    if name == method:
        return build(name)
    from tlgrpo.agent import TlgrpoAgent

    return TlgrpoAgent(name.removeprefix("tlgrpo:"), tellings=1, suggestions=False)


def run_all(wanted: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The problems of one circuit and method."""
    return [run(w) for w in wanted]


@lru_cache(maxsize=8)
def _remembered(method: str, pdk: str, banks: str | None) -> Pick:
    known = []
    for name in TRAINING:
        task = acs_gym.make_task(name, pdk=pdk)
        own = banks is not None and path_of(Path(banks), task).exists()
        bank = read_bank(Path(banks or ""), task) if own else anchors(task)
        known.append(Source(task, OWN, bank))
    return MEMORY[method](known)


def table(rows: Sequence[Row], tasks: Sequence[str]) -> list[str]:
    """A line a method: mean over circuits of the mean best score, and the share solved."""
    methods = list(dict.fromkeys(r["method"] for r in rows))
    head = " | ".join(f"score after {b} | solved" for b in BUDGETS)
    lines = [f"| method | {head} |", "|---" * (1 + 2 * len(BUDGETS)) + "|"]
    for method in methods:
        mine = [r for r in rows if r["method"] == method and r["task"] in tasks]
        if not mine:
            continue
        cells = []
        clusters = [(r["task"], r["anchor"]) for r in mine]
        for k in range(len(BUDGETS)):
            for values, form in (
                ([r["best"][k] for r in mine], "{:.3f} [{:.3f}, {:.3f}]"),
                ([float(r["solved"][k]) for r in mine], "{:.0%} [{:.0%}, {:.0%}]"),
            ):
                cells.append(form.format(np.mean(values), *clustered_interval(values, clusters)))
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return lines


def by_circuit(rows: Sequence[Row], place: int) -> list[str]:
    """Mean best score of each circuit after one budget; the share solved behind it."""
    methods = list(dict.fromkeys(r["method"] for r in rows))
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for r in rows:
        found[r["task"], r["method"]].append(r)
    lines = ["| circuit | " + " | ".join(f"`{m}`" for m in methods) + " |"]
    lines.append("|---" * (1 + len(methods)) + "|")
    for name in dict.fromkeys(r["task"] for r in rows):
        cells = []
        for method in methods:
            mine = found[name, method]
            score = np.mean([r["best"][place] for r in mine]) if mine else float("nan")
            share = np.mean([r["solved"][place] for r in mine]) if mine else float("nan")
            cells.append(f"{score:.3f}, {share:.0%}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


@lru_cache(maxsize=8)
def _config(method: str) -> Mapping[str, Any]:
    """What decides a policy's behaviour; nothing for another method."""
    if not method.startswith("tlgrpo:"):
        return {}
    config: Mapping[str, Any] = agent(method).config
    return config.get("policy", config)


def weights_of(method: str) -> str:
    """The sha256 of a policy's weights, so that a run of another policy is not taken for this one."""
    return str(_config(method).get("weights", ""))


def suggested(method: str, task: str) -> bool:
    """Whether a policy's first designs there are suggested by other circuits (`tlgrpo.agent`)."""
    config = _config(method)
    return bool(config) and bool(config["suggestions"]) and task not in config["trained_on"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--policy", required=True, help="tlgrpo:RUN or tlgrpo:RUN+METHOD")
    parser.add_argument(
        "--methods",
        default="random,composite-ei,botorch-composite,scbo,llm-scripted,role median,nearest goal,lookup",
        help="with commas",
    )
    parser.add_argument("--told-once", action="store_true", help="the policy also without medians")
    parser.add_argument("--suites", default="training,held-out", help="circuits")
    parser.add_argument("--pdk", default=PDK)
    parser.add_argument("--problems", type=int, default=8, help="of each circuit")
    parser.add_argument("--banks", help="designs that memory knows beside the training anchors")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/tlgrpo_policy.jsonl"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    policies = [options.policy, *([options.policy + TOLD_ONCE] if options.told_once else [])]
    methods = [*policies, *(m for m in options.methods.split(",") if m)]
    suites = {s: suite_tasks(s) for s in options.suites.split(",")}
    wanted = [
        {
            "task": task, "pdk": options.pdk, "problem": number, "method": method, "repetition": 0,
            "banks": options.banks if method in MEMORY else None,
            "digest": acs_gym.make_task(task, pdk=options.pdk).digest[:16],
            "weights": weights_of(method)[:16], "suggested": suggested(method, task),
        }
        for method in methods
        for number in range(options.problems)
        for tasks in suites.values()
        for task in tasks
        # A circuit that nobody trained on has no bank to look into.
        if not (method == "lookup" and task not in TRAINING)
    ]  # fmt: skip
    rows = resumable.run_groups(options.runs, wanted, run_all, ("task", "method"), options.jobs)
    for suite, tasks in suites.items():
        mine = [r for r in rows if r["task"] in tasks]
        print(f"\n{suite}\n")
        print("\n".join([*table(mine, tasks), "", *by_circuit(mine, BUDGETS.index(5))]))
    if options.json:
        resumable.write(options.json, {"runs": rows})


if __name__ == "__main__":
    main()
