"""The page of findings of the optimiser study, from its committed result; simulates nothing.

    python benchmarks/optimizers_page.py          # writes docs/optimizer-study.md and its pictures

Every number in the page's text is computed here, so that it cannot disagree with the result.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pictures
import sign_off
import warm_starts
from numpy.typing import NDArray
from optimizers import FIT_MODELS, Finished, load_results, table

import acs_gym
from baselines.registry import get_method
from leaderboard.board.statistics import (
    interquartile_mean,
    iqm_curve,
    iqm_interval,
    median_simulations_to_spec,
    wilson_interval,
)

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"
OPAMP = "ACS-OpAmp-v0"
EARLIER = (
    "**Of earlier task definitions.** The circuits' testbenches and specs have changed since this study "
    "ran (loop gain, stability, saturation, area, transients): its figures are not of today's tasks."
)
PAGE, CURVES, HEAT = "optimizer-study.md", "optimizer-curves.svg", "optimizer-tasks.svg"
FIVE_BEST = "sign_off_five.json"
SIGNED_OFF = (FIVE_BEST, "sign_off_every.json", "sign_off.json", "sign_off_transfer.json")
MISMATCH = ("sign_off_mc.json", "sign_off_mc_opamp.json")
SIGN_OFF, WARM = "optimizer-sign-off.svg", "optimizer-warm-starts.svg"
BEST = 5
DRAWN = 7  # Methods in the picture of curves; more cannot be told apart.
FLOOR = ("skopt-gp", "random")
BESIDE = ("composite-ei", "botorch-composite")  # One idea without torch and with it.

Runs = Mapping[str, Mapping[str, Sequence[Finished]]]


def of_earlier_tasks(finished: Sequence[Finished]) -> bool:
    """Whether a task has been defined anew since the study ran."""
    runs = {d.run.task: d.run for d in finished}.values()
    return any(acs_gym.make_task(r.task, pdk=r.pdk, tier=r.tier).digest != r.digest for r in runs)


def by_method_and_task(finished: Sequence[Finished]) -> Runs:
    found: dict[str, dict[str, list[Finished]]] = {}
    for done in finished:
        found.setdefault(done.run.method, {}).setdefault(done.run.task, []).append(done)
    return found


def score(tasks: Mapping[str, Sequence[Finished]]) -> float:
    return float(interquartile_mean([d.score for runs in tasks.values() for d in runs]))


def ranked(runs: Runs) -> list[str]:
    """Methods, best first: by score, then by how many runs met every spec."""

    def key(method: str) -> tuple[float, int]:
        done = [d for found in runs[method].values() for d in found]
        return -score(runs[method]), -sum(d.first_met is not None for d in done)

    return sorted(runs, key=key)


def curve(done: Finished) -> NDArray[np.float64]:
    """Best score after 1, 2, ... simulations, shape (budget,)."""
    found = np.zeros(done.run.budget)
    for number, best in done.steps:
        found[int(number) - 1 :] = best
    return found


def draw_curves(runs: Runs, order: Sequence[str], path: Path) -> None:
    shown = list(dict.fromkeys([*order[: DRAWN - 2], "skopt-gp", "random"]))
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for number, method in enumerate(m for m in shown if m in runs):
        samples = [np.stack([curve(d) for d in done]) for done in runs[method].values()]
        middle, low, high = iqm_curve(samples)
        steps = np.arange(1, len(middle) + 1)
        style = {"color": f"C{number}", "linestyle": "--" if method in FLOOR else "-"}
        axes.plot(steps, middle, label=method, linewidth=1.8, **style)
        axes.fill_between(steps, low, high, color=style["color"], alpha=0.12, linewidth=0)
    axes.set(xlabel="simulations", ylabel="best score (IQM over tasks and seeds)")
    axes.set_ylim(bottom=0.5, top=1.005)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, ncols=2, loc="lower right")
    pictures.save(figure, path)


def draw_tasks(runs: Runs, order: Sequence[str], path: Path) -> None:
    tasks = sorted({t for found in runs.values() for t in found})
    grid = np.array([[np.mean([d.score for d in runs[m].get(t, [])] or [np.nan]) for t in tasks]
                     for m in order])  # fmt: skip
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    image = axes.imshow(grid, cmap="cividis", aspect="auto", vmin=np.nanmin(grid), vmax=1.0)
    short = [t.removeprefix("ACS-").removesuffix("-v0") for t in tasks]
    axes.set_xticks(range(len(tasks)), short, rotation=30, ha="right")
    axes.set_yticks(range(len(order)), order)
    middle = (np.nanmin(grid) + 1) / 2
    for (row, column), value in np.ndenumerate(grid):
        ink = "black" if value > middle else "white"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
    figure.colorbar(image, label="mean best score")
    pictures.save(figure, path)


def findings(runs: Runs, order: Sequence[str], budget: int) -> list[str]:
    """The questions people ask, answered by the numbers."""
    intervals = {
        m: iqm_interval([[d.score for d in done] for done in runs[m].values()]) for m in runs
    }
    best = order[0]
    lines = []
    for other in FLOOR:
        if other not in runs or other == best:
            continue
        apart = intervals[best].low > intervals[other].high
        lines.append(
            f"* `{best}` ({score(runs[best]):.3f} [{intervals[best].low:.3f}, "
            f"{intervals[best].high:.3f}]) against `{other}` ({score(runs[other]):.3f} "
            f"[{intervals[other].low:.3f}, {intervals[other].high:.3f}]): the intervals "
            + ("do not overlap." if apart else "overlap.")
        )
    for method in order[:BEST]:
        done = runs[method].get(OPAMP, [])
        if done:
            met = sum(d.first_met is not None for d in done)
            share = wilson_interval(met, len(done))
            lines.append(
                f"* `{method}` meets every spec of `{OPAMP}` within {budget} simulations in "
                f"{met} of {len(done)} seeds [{share.low:.0%}, {share.high:.0%}]."
            )
    lines += beside(runs, *BESIDE)
    most = max(runs, key=lambda m: max(d.memory_mib for t in runs[m].values() for d in t))
    memory = max(d.memory_mib for t in runs[most].values() for d in t)
    lines.append(f"* The largest memory of a run is {memory} MiB (`{most}`).")
    seeing = {
        m: [score(runs[n]) for n in runs if get_method(n).track == m] for m in ("metrics", "score")
    }
    if all(seeing.values()):
        lines.append(
            f"* The best method that sees every metric reaches {max(seeing['metrics']):.3f}, the best "
            f"that sees the score alone {max(seeing['score']):.3f}."
        )
    return lines


def beside(runs: Runs, one: str, other: str) -> list[str]:
    """The two on the runs that both did, from the same initial designs; nothing where one is missing."""
    found = [
        {
            (d.run.task, d.run.seed): d.first_met or d.run.budget + 1
            for t in runs.get(m, {}).values()
            for d in t
        }
        for m in (one, other)
    ]
    pairs = [(found[0][key], found[1][key]) for key in found[0].keys() & found[1].keys()]
    if not pairs:
        return []
    fewer, more = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
    return [
        f"* `{one}` beside `{other}`, on the {len(pairs)} runs that both did: "
        f"fewer simulations to spec in {fewer}, more in {more}, as many or both without in "
        f"{len(pairs) - fewer - more}."
    ]


def task_table(
    runs: Runs, order: Sequence[str], cell: Callable[[Sequence[Finished]], str]
) -> list[str]:
    """What `cell` says of a method's runs on a task, a task a column."""
    tasks = sorted({t for found in runs.values() for t in found})
    short = [t.removeprefix("ACS-").removesuffix("-v0") for t in tasks]
    rows = [
        f"| `{method}` | " + " | ".join(cell(runs[method].get(task, [])) for task in tasks) + " |"
        for method in order
    ]
    return ["| method | " + " | ".join(short) + " |", "|---" * (len(tasks) + 1) + "|", *rows]


def _met(done: Sequence[Finished]) -> str:
    return f"{sum(d.first_met is not None for d in done)}/{len(done)}"


def _until_met(done: Sequence[Finished]) -> str:
    median = median_simulations_to_spec([d.first_met for d in done], done[0].run.budget)
    return "—" if median is None else f"{median:.0f}"


def draw_shares(
    reached: Mapping[str, Sequence[int | None]], end: int, path: Path, *, x: str, y: str
) -> None:
    """Share of the runs that have got there, over simulations, a line a name; None: within `end` not."""
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for number, (name, found) in enumerate(reached.items()):
        at = sorted(k for k in found if k is not None)
        shares = np.arange(len(at) + 1) / len(found)
        axes.step(
            [0, *at, end], [*shares, shares[-1]], where="post", label=name, color=f"C{number}"
        )
    axes.set(xlabel=x, ylabel=y)
    axes.set_xlim(0, end)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    pictures.save(figure, path)


def draw_sign_off(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the share of runs signed off, a line an agent."""
    agents = list(dict.fromkeys(r["agent"] for r in runs))
    reached = {
        a: [r["simulations"] if r["signed_off"] else None for r in runs if r["agent"] == a]
        for a in agents
    }
    draw_shares(
        reached, max(r["budget"] for r in runs), path,
        x="simulations, one a condition", y="share of runs signed off",
    )  # fmt: skip


def draw_warm_starts(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    arms = dict.fromkeys(r["arm"] for r in runs)
    reached = {a: [r["met"] for r in runs if r["arm"] == a] for a in arms}
    draw_shares(
        reached, warm_starts.BUDGET, path, x="simulations", y="share of runs that meet every spec"
    )


def over_corners(
    documents: Sequence[Mapping[str, Any]], mismatch: Sequence[Mapping[str, Any]]
) -> list[str]:
    lines = [
        "## Over corners",
        "",
        "Simulations, one a condition of tier `pvt`, until a design passes every condition; each was "
        "confirmed by a full simulation in a fresh simulator; a dash: not within the budget. "
        "`corner-aware` is around `composite-ei`, `corner-aware:transfer` around `transfer`, and so on. "
        "First the five best methods of the table above, one seed each; then `corner-aware` on every "
        "training circuit, three seeds; then five seeds of it on the two circuits of 73 conditions; then "
        "what `transfer` adds.",
        "",
    ]
    for document in documents:
        lines += [f"`{document['command']}`:", "", *sign_off.table(document["runs"]), ""]
    lines += [
        f"![Share of runs signed off over simulations](images/{SIGN_OFF})",
        "",
        f"The picture is of the five best ({FIVE_BEST}).",
        "",
        "## Over mismatch",
        "",
        "The same in tier `mc`: simulations, one a draw, until a design meets every spec at its "
        "three-sigma value. The yield is that on 200 draws which no optimiser has seen, with 95 % "
        "confidence.",
        "",
    ]
    for document in mismatch:
        lines += [f"`{document['command']}`:", "", *sign_off.table(document["runs"]), ""]
    return lines


def from_what_is_known(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "## From what is known",
        "",
        "Cold, from the reference sizing of `generic` (`@generic`, the same as `--start-from`), and "
        "`transfer`, which knows the training anchors of `generic`. After one simulation `transfer` has "
        "what looking up the best known design gives.",
        "",
    ]
    for document in documents:
        pdk = document["runs"][0]["pdk"]
        lines += [f"`{document['command']}` ({pdk}):", "", *warm_starts.table(document["runs"]), ""]
        lines += ["Median simulations to spec:", "", *warm_starts.by_task(document["runs"]), ""]
    return [*lines, f"![Share of runs that meet every spec](images/{WARM})", ""]


def ask_table(path: Path) -> list[str]:
    data = json.loads(path.read_text())
    rows = [
        f"| `{r['method']}` | {r['cpu_s']:.2f} | {r['cpu_s_worst']:.2f} | {r['memory_mib']} |"
        for r in data["rows"]
    ]
    return [
        f"`{data['command']}` (one thread, load average {data['load_average']:.1f} at its start):",
        "",
        "| method | CPU s an ask, median | worst | MiB |",
        "|---|---|---|---|",
        *rows,
    ]


def page(
    finished: Sequence[Finished], command: str, ngspice: str, libraries: Mapping[str, str]
) -> str:
    runs = by_method_and_task(finished)
    order = ranked(runs)
    budget = finished[0].run.budget
    seeds = {m: min(len(d) for d in runs[m].values()) for m in runs}
    slow = sorted({seeds[m] for m in runs if m in FIT_MODELS})
    quick = sorted({seeds[m] for m in runs if m not in FIT_MODELS})
    versions = ", ".join(f"{k} {v}" for k, v in libraries.items())
    return "\n".join(
        [
            "<!-- Made by `python benchmarks/optimizers_page.py`. -->",
            "# What the optimisers find",
            "",
            f"Every method on the {len({d.run.task for d in finished})} training tasks, "
            f"{budget} simulations a run on SKY130 at nominal. Seeds a task: {_range(quick)} for the "
            f"quick methods, {_range(slow)} for those that fit models. All methods of a "
            "seed start from the same initial designs.",
            "",
            f"`{command}` made the result ([optimizers.json](../benchmarks/results/optimizers.json); "
            f"{ngspice}; {versions}).",
            *(["", EARLIER] if of_earlier_tasks(finished) else []),
            "",
            *table(finished, budget),
            "",
            "IQM: mean of the middle half of the best scores over all tasks and seeds, with its 95 % "
            "stratified bootstrap interval. Simulations to spec: Kaplan-Meier median. Methods that see "
            "the metrics know more than those that see the score; compare within a kind first.",
            "",
            f"![Best score over simulations](images/{CURVES})",
            "",
            "## Findings",
            "",
            *findings(runs, order, budget),
            "",
            "## Task by task",
            "",
            f"![Mean best score of each method on each task](images/{HEAT})",
            "",
            "Runs that met every spec:",
            "",
            *task_table(runs, order, _met),
            "",
            "Median simulations until then, of the five best; a dash where most runs do not get there:",
            "",
            *task_table(runs, order[:BEST], _until_met),
            "",
            *from_what_is_known([_document("warm_starts.json"), _document("warm_gf180mcu.json")]),
            *over_corners(
                [_document(name) for name in SIGNED_OFF], [_document(name) for name in MISMATCH]
            ),
            "## What an ask costs",
            "",
            *ask_table(RESULTS / "ask_time.json"),
            "",
        ]
    )


def _document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return found


def _range(values: Sequence[int]) -> str:
    return "none" if not values else "-".join(map(str, sorted({values[0], values[-1]})))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--result", type=Path, default=RESULTS / "optimizers.json")
    parser.add_argument("--docs", type=Path, default=DOCS)
    arguments = parser.parse_args()
    finished = load_results(arguments.result)
    if not finished:
        sys.exit(f"{arguments.result}: no result; python benchmarks/optimizers.py --json makes one")
    data = json.loads(arguments.result.read_text())
    runs = by_method_and_task(finished)
    order = ranked(runs)
    draw_curves(runs, order, arguments.docs / "images" / CURVES)
    draw_tasks(runs, order, arguments.docs / "images" / HEAT)
    draw_sign_off(_document(FIVE_BEST)["runs"], arguments.docs / "images" / SIGN_OFF)
    draw_warm_starts(_document("warm_starts.json")["runs"], arguments.docs / "images" / WARM)
    text = page(finished, data["command"], data["ngspice"], data["libraries"])
    (arguments.docs / PAGE).write_text(text)
    print(arguments.docs / PAGE)


if __name__ == "__main__":
    main()
