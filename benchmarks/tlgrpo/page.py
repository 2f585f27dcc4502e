"""The page of findings of the TL-GRPO study, from its committed results; trains nothing.

    python benchmarks/tlgrpo/page.py          # writes docs/tlgrpo-study.md and its pictures

Every number in the page's text is computed here, so that it cannot disagree with the results.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import matplotlib as mpl

mpl.use("Agg")

import against_optimizers
import matplotlib.pyplot as plt
import numpy as np
import pictures
import study
from numpy.typing import NDArray

from leaderboard.board.statistics import Interval, iqm_interval

RESULTS = Path(__file__).parents[1] / "results"
DOCS = Path(__file__).parents[2] / "docs"
PAGE, TRAINING, AGAINST = "tlgrpo-study.md", "tlgrpo-training.svg", "tlgrpo-against.svg"
MAIN, ABLATIONS, SPEED = "tlgrpo_study.json", "tlgrpo_ablations.json", "tlgrpo_speed.json"
MULTITASK = "tlgrpo_multitask.json"
# Policies against optimisers, and the study that the policies are of.
OPPONENTS = {
    "tlgrpo_against.json": MAIN,
    "tlgrpo_against_unseen.json": MAIN,
    "tlgrpo_against_multitask.json": MULTITASK,
}
CONTROL = "grpo best"

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Opponent:
    """Policies against optimisers on one circuit; `trained_on`: the policies' own circuits."""

    result: Result
    trained_on: tuple[str, ...]

    @property
    def title(self) -> str:
        task = str(self.result["task"])
        if task in self.trained_on:
            return task
        others = (
            self.trained_on[0] if len(self.trained_on) == 1 else f"{len(self.trained_on)} others"
        )
        return f"{task}, by policies trained on {others}"


def read(name: str) -> dict[str, Any] | None:
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else None


def opponents_read() -> list[Opponent]:
    found = []
    for name, study_name in OPPONENTS.items():
        result, of = read(name), read(study_name)
        if result is not None and of is not None:
            found.append(Opponent(result, tuple(domain_of(of)["tasks"])))
    return found


def domain_of(result: Result) -> dict[str, Any]:
    return dict(json.loads(result["runs"][0]["settings"])["domain"]["arguments"])


def by_arm(result: Result) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for run in result["runs"]:
        found.setdefault(run["arm"], []).append(run)
    return found


def draw_training(result: Result, path: Path) -> None:
    """Training problems against simulations and against time; held-out ones against turns."""
    figure, grid = plt.subplots(2, 2, figsize=(9.5, 7), layout="constrained")
    (by_simulations, by_time), (entropy, held_out) = grid
    for number, (arm, runs) in enumerate(by_arm(result).items()):
        style = {"color": f"C{number}", "linewidth": 1.8}
        turns = np.array([r["evaluated"]["best_at"] for r in runs])
        _band(held_out, np.arange(1, turns.shape[1] + 1), turns, arm, style)
        if not runs[0]["curve"]:
            continue
        at = [p["simulations"] for p in runs[0]["curve"]]
        seconds = np.mean([seconds_of(r) for r in runs], axis=0)
        best = np.array([[p["best_of_episode"] for p in r["curve"]] for r in runs])
        _band(by_simulations, at, best, arm, style)
        _band(by_time, seconds, best, arm, style)
        _band(entropy, at, np.array([[p["entropy"] for p in r["curve"]] for r in runs]), arm, style)
    score = "best score of an episode"
    by_simulations.set(title="training, equal simulations", xlabel="simulations", ylabel=score)
    by_time.set(title="training, equal time", xlabel="seconds", ylabel=score)
    entropy.set(title="training", xlabel="simulations", ylabel="entropy, nats a token")
    held_out.set(title="held-out targets", xlabel="turns", ylabel="best score so far")
    held_out.set_xticks(np.arange(1, turns.shape[1] + 1))
    held_out.legend(frameon=False, fontsize=8)
    for axis in grid.flat:
        axis.grid(alpha=0.25)
    pictures.save(figure, path)


def seconds_of(run: Result) -> NDArray[np.float64]:
    """When each point of a run's curve was reached: its points are of equally many updates."""
    spent = np.cumsum([p["sample_seconds"] + p["learn_seconds"] for p in run["curve"]])
    return np.asarray(run["seconds"] * spent / spent[-1])


def _band(
    axis: Any, at: Sequence[float], values: Any, label: str, style: Mapping[str, Any]
) -> None:
    """The mean over seeds, and every seed from the lowest to the highest."""
    axis.plot(at, values.mean(0), label=label, **style)
    axis.fill_between(
        at, values.min(0), values.max(0), alpha=0.12, color=style["color"], linewidth=0
    )


def draw_against(opponents: Sequence[Opponent], path: Path) -> None:
    figure, row = plt.subplots(
        1, len(opponents), figsize=(5 * len(opponents), 4), layout="constrained", squeeze=False
    )
    # One colour a method in all of them.
    all_methods = {m for o in opponents for m in methods_of(o.result)}
    numbers = {m: k for k, m in enumerate(sorted(all_methods))}
    for axis, opponent in zip(row[0], opponents, strict=True):
        result = opponent.result
        for method in methods_of(result):
            number = numbers[method]
            points = [figures_of(result, method, k) for k in range(len(against_optimizers.BUDGETS))]
            policy = any(r["policy"] for r in result["rows"] if r["method"] == method)
            axis.plot(
                against_optimizers.BUDGETS, [m for m, _ in points], marker="o", label=method,
                color=f"C{number}", linestyle="-" if policy else "--",
            )  # fmt: skip
            low, high = ([getattr(i, end) for _, i in points] for end in ("low", "high"))
            axis.fill_between(
                against_optimizers.BUDGETS, low, high, alpha=0.12, color=f"C{number}", linewidth=0
            )
        axis.set(
            title=opponent.title.replace(", ", ",\n"),
            xlabel="simulations",
            ylabel="best score (IQM)",
        )
        axis.set_xticks(against_optimizers.BUDGETS)
        axis.grid(alpha=0.25)
        axis.legend(frameon=False, fontsize=8)
    pictures.save(figure, path)


def replaced_text(result: Result) -> str:
    """How many designs of the policies were not theirs."""
    shares = [r["replaced"] for r in result["rows"] if "replaced" in r]
    if not shares:
        return ""
    return (
        f" Of their designs, {np.mean(shares):.0%} were drawn at random, because ten texts in a row "
        "were no design: a policy of this size has learned the parameters of its circuits by heart, and "
        "the prompt does not list those of another."
    )


def methods_of(result: Result) -> list[str]:
    """Policies first, then optimisers."""
    found = {r["method"]: bool(r["policy"]) for r in result["rows"]}
    return sorted(found, key=lambda m: (not found[m], m))


def figures_of(result: Result, method: str, k: int) -> tuple[float, Interval]:
    """IQM at the k-th budget over problems and repetitions, and its interval."""
    problems: dict[int, list[float]] = {}
    for row in result["rows"]:
        if row["method"] == method:
            problems.setdefault(row["problem"], []).append(row["scores"][k])
    values = np.array([s for scores in problems.values() for s in scores])
    return float(study.interquartile_mean(values, 0)), iqm_interval(list(problems.values()))


def answers(result: Result, opponents: Sequence[Opponent]) -> list[str]:
    """The questions that the study was made for."""
    arms = by_arm(result)
    lines = []
    for arm in ("tl-grpo improvement", "tl-grpo score"):
        for other in (CONTROL, "grpo last", "sft"):
            if arm not in arms or other not in arms:
                continue
            seeds = sorted({r["seed"] for r in arms[arm]} & {r["seed"] for r in arms[other]})
            mine, theirs = (
                np.array(
                    [r["evaluated"]["scores"] for s in seeds for r in arms[a] if r["seed"] == s]
                )
                for a in (arm, other)
            )
            said = []
            for kind, name, form in (
                ("iqm", "IQM of best@5", "{:+.4f}"), ("success", "solved", "{:+.1%}")
            ):  # fmt: skip
                low, high = study.interval(mine, theirs, kind)
                middle = study.statistic(mine, kind) - study.statistic(theirs, kind)
                verdict = "excludes" if low > 0 or high < 0 else "includes"
                said.append(
                    f"{name} {form.format(middle)} [{form.format(low)}, {form.format(high)}], which "
                    f"{verdict} 0"
                )
            lines.append(f"* `{arm}` less `{other}`, {len(seeds)} seeds: {'; '.join(said)}.")
    for opponent in opponents:
        rows = opponent.result["rows"]
        first = {m: figures_of(opponent.result, m, 0) for m in methods_of(opponent.result)}
        policies = {r["method"] for r in rows if r["policy"]}
        best = max(policies, key=lambda m: first[m][0])
        rest = [m for m in first if m not in policies]
        strongest = max(rest, key=lambda m: first[m][0])
        apart = first[best][1].low > first[strongest][1].high
        above = first[best][0] > first[strongest][0]
        lines.append(
            f"* {opponent.title}, at {against_optimizers.BUDGETS[0]} simulations: the best policy, "
            f"`{best}`, {_with(first[best])}; the best optimiser, `{strongest}`, "
            f"{_with(first[strongest])}: the policy is {'above' if above else 'not above'}, and the "
            f"intervals {'do not overlap' if apart else 'overlap'}."
        )
    return lines


def told_apart(ablations: Result) -> list[str]:
    """Which arms differ from the baseline by more than chance, in either measure."""
    arms = by_arm(ablations)
    baseline = arms.pop(study.BASELINE)
    better, worse, neither = list[str](), list[str](), list[str]()
    for arm, runs in arms.items():
        mine, other = (
            np.array([r["evaluated"]["scores"] for r in sorted(own, key=lambda r: r["seed"])])
            for own in (baseline, runs)
        )
        bounds = [study.interval(other, mine, kind) for kind in ("iqm", "success")]
        where = (
            better if any(low > 0 for low, _ in bounds)
            else worse if any(high < 0 for _, high in bounds)
            else neither
        )  # fmt: skip
        where.append(f"`{arm}`")
    said = {"better than it": better, "worse": worse, "not to be told apart from it": neither}
    parts = "; ".join(f"{what}: {', '.join(names)}" for what, names in said.items() if names)
    return [
        f"Against `{study.BASELINE}`, by an interval of either difference that excludes 0: {parts}. "
        "Every arm is tried with five turns, whatever it was trained with."
    ]


def _with(figures: tuple[float, Interval]) -> str:
    middle, interval = figures
    return f"{middle:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def speed_lines(result: Result) -> list[str]:
    ratios = "; ".join(f"{name}: {ratio:g}" for name, ratio in result["naive_over_packed"].items())
    tokens = result["tokens"]["study"]
    return [
        f"`{result['command']}`: naive rows take so many times as long as packed trees: {ratios}. The "
        f"study's update has {tokens['naive']} tokens in rows and {tokens['packed']} packed, "
        f"{tokens['naive'] / tokens['packed']:.1f} times fewer: with prompts of a dozen words there is "
        "little to share, and more with prompts of 512 tokens, as chat models have. Simulation adds "
        f"{result['simulation_adds']:.0%} to an update. Largest difference between the sampler's "
        f"log-probabilities and the learner's: {result['largest_log_prob_difference']['packed']:.1g}.",
        "",
    ]


def multitask_lines(result: Result) -> list[str]:
    """One policy for several circuits, in all and circuit by circuit."""
    tasks, arms = domain_of(result)["tasks"], by_arm(result)
    lines = [
        f"## One policy for {len(tasks)} circuits",
        "",
        f"`{result['command']}`: the same policy and the same number of simulations, now shared by "
        f"{', '.join(tasks)}.",
        "",
        *study.report(result["runs"], list(arms)),
        "",
        "IQM of best@5, circuit by circuit:",
        "",
        f"| circuit | {' | '.join(arms)} |",
        "|---" * (len(arms) + 1) + "|",
    ]
    for number, task in enumerate(tasks):
        cells = []
        for runs in arms.values():
            # The problems take turns with the circuits.
            grid = np.array([r["evaluated"]["scores"][number :: len(tasks)] for r in runs])
            low, high = study.interval(grid, None, "iqm")
            cells.append(f"{study.statistic(grid, 'iqm'):.3f} [{low:.3f}, {high:.3f}]")
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return [*lines, ""]


def page() -> str:
    result = read(MAIN)
    if result is None:
        sys.exit(f"{RESULTS / MAIN}: no result; python benchmarks/tlgrpo/study.py --json makes one")
    opponents = opponents_read()
    settings, domain = json.loads(result["runs"][0]["settings"]), domain_of(result)
    arms = list(by_arm(result))
    lines = [
        "<!-- Made by `python benchmarks/tlgrpo/page.py`. -->",
        "# Turn-level against trajectory-level credit, on real simulation",
        "",
        f"A policy of half a million parameters, made and initialised on the spot, sizes "
        f"{', '.join(domain['tasks'])} on {domain['pdk']} for targets that are told to it: "
        f"K = {settings['turns']} turns, G = {settings['group']}, {settings['problems']} problems an "
        f"update, {settings['simulations']} simulations an arm and seed, siblings counted, and what is "
        "left of the last update. Every arm of a seed starts "
        f"from the same warm start ({settings['sft']['episodes']} demonstrations made by chance and "
        "variation). Tried on held-out targets, from designs that training never saw, one sampled "
        "action a turn. Collapsed runs stay in.",
        "",
        "**Of earlier task definitions.** The circuits' testbenches and specs have changed since this "
        "study ran (loop gain, stability, saturation, area, transients): its figures are not of today's "
        "tasks.",
        "",
        f"`{result['command']}` made the result ([{MAIN}](../benchmarks/results/{MAIN}); "
        f"{result['ngspice']}, {result['cores']} cores).",
        "",
        *study.report(result["runs"], arms),
        "",
        "A score is 1 when every spec is met. best@1: mean score of the first turn. area: mean over "
        "the turns of the best score so far. IQM: mean of the "
        "middle half of the best scores over seeds and problems. Intervals: 95 % bootstrap over seeds "
        "and problems.",
        "",
        f"![Score while training, by simulations and by time; entropy; held-out score over turns]"
        f"(images/{TRAINING})",
        "",
        "Lines are means over seeds, bands go from the lowest seed to the highest. Seconds are those of "
        "the wall clock, of runs made two at a time on two cores.",
        "",
        "## Answers",
        "",
        *answers(result, opponents),
        "",
    ]
    for opponent in opponents:
        lines += [
            f"## Against optimisers: {opponent.title}",
            "",
            f"`{opponent.result['command']}`. Each held-out problem is a task of its own; every method "
            "has the same budget on it. The policies have seen thousands of simulations of the "
            "circuit before, the optimisers none: this is what training buys, and not which is the "
            "better optimiser."
            if opponent.result["task"] in opponent.trained_on
            else f"`{opponent.result['command']}`. The policies know this circuit's words and have "
            f"never been trained on it.{replaced_text(opponent.result)}",
            "",
            *against_optimizers.table(opponent.result["rows"], methods_of(opponent.result)),
            "",
        ]
    if opponents:
        lines += [f"![Best score after 5, 10 and 20 simulations](images/{AGAINST})", ""]
    if (ablations := read(ABLATIONS)) is not None:
        lines += [
            "## Ablations",
            "",
            f"`{ablations['command']}`, {max(r['simulations'] for r in ablations['runs'])} simulations "
            "an arm and seed.",
            "",
            *study.report(ablations["runs"], list(by_arm(ablations))),
            "",
            *told_apart(ablations),
            "",
        ]
    if (multitask := read(MULTITASK)) is not None:
        lines += multitask_lines(multitask)
    if (speed := read(SPEED)) is not None:
        lines += ["## What training costs", "", *speed_lines(speed)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=DOCS)
    arguments = parser.parse_args()
    text = page()
    images = arguments.docs / "images"
    result = read(MAIN)
    assert result is not None
    draw_training(result, images / TRAINING)
    if opponents := opponents_read():
        draw_against(opponents, images / AGAINST)
    (arguments.docs / PAGE).write_text(text)
    print(arguments.docs / PAGE)


if __name__ == "__main__":
    main()
