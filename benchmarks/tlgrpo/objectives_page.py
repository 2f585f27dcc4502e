"""The page of the study of objectives, from its committed results; trains nothing.

    python benchmarks/tlgrpo/objectives_page.py     # writes docs/tlgrpo-objectives.md and its pictures

Every number in the page's text is computed here, so that it cannot disagree with the results.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import objectives
import pictures
from numpy.typing import NDArray
from objectives import NONE, PLAIN, Row, arms_of, grid, interval

RESULTS = Path(__file__).parents[1] / "results"
ALL, LONG = "tlgrpo_objectives.json", "tlgrpo_objectives_long.json"
DOCS = Path(__file__).parents[2] / "docs"
PLAIN_REWARD = "score"
_CALLED = {"best": "score", "solved": "solved"}
PAGE, ARMS = "tlgrpo-objectives.md", "tlgrpo-objectives.svg"
LONG_CURVES = "tlgrpo-objectives-long.svg"


def read(name: str = ALL) -> dict[str, Any]:
    return dict(json.loads((RESULTS / name).read_text()))


def parts(runs: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The runs that chose a rate, and those of the arms."""
    tuning = [r for r in runs if r["seed"] == objectives.TUNING_SEED]
    return tuning, [r for r in runs if r["seed"] != objectives.TUNING_SEED]


def points(difference: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of a difference of shares, and its interval, in hundredths."""
    low, high = interval(difference)
    return 100 * float(difference.mean()), 100 * low, 100 * high


def over_the_start(rows: Sequence[Row]) -> dict[str, tuple[float, float, float]]:
    """Of each arm, points of held-out problems solved after five over the start, and their interval."""
    arms = arms_of(rows)
    found = {}
    for name, mine in arms.items():
        if name != NONE:
            pair = objectives.paired(mine, arms[NONE])
            found[name] = points(grid(pair[0], "solved", 1) - grid(pair[1], "solved", 1))
    return found


def draw_arms(rows: Sequence[Row], path: Path) -> None:
    """What each arm adds to the start, an objective a line, both rewards on it."""
    figure, axis = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    found = over_the_start(rows)
    names = list(objectives.OBJECTIVES)
    for reward, label, marker, colour, shift in (
        (PLAIN_REWARD, "mean score", "o", "C0", -0.13),
        ("worst", "worst spec", "s", "C1", 0.13),
    ):
        arms = {r["objective"]: objectives.arm_of(r) for r in rows if r["reward"] == reward}
        places = [k for k, name in enumerate(names) if arms.get(name) in found]
        if not places:
            continue
        middle, low, high = np.array([found[arms[names[k]]] for k in places]).T
        seeds = len({r["seed"] for r in rows if r["reward"] == reward and r["objective"] != NONE})
        axis.errorbar(
            middle, np.array(places) + shift, xerr=(middle - low, high - middle), fmt=marker,
            color=colour, markersize=5, linewidth=1.4, label=f"reward: {label}, {seeds} seeds",
        )  # fmt: skip
    axis.axvline(0.0, color="0.4", linewidth=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set(xlabel="points of held-out problems solved within five, over the start")
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    axis.grid(alpha=0.25, axis="x")
    pictures.save(figure, path)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Share of training problems solved over simulations: mean of the seeds, and each of them."""
    figure, axis = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    arms = {name: mine for name, mine in arms_of(rows).items() if name != NONE}
    for k, (name, mine) in enumerate(arms.items()):
        curves = [r["curve"] for r in mine]
        count = min(len(c) for c in curves)
        at = np.mean([[p["simulations"] for p in c[:count]] for c in curves], axis=0)
        solved = np.array([[p["solved"] for p in c[:count]] for c in curves])
        axis.plot(at, solved.T, color=f"C{k}", linewidth=0.5, alpha=0.35)
        axis.plot(at, solved.mean(0), "o-", color=f"C{k}", linewidth=1.8, markersize=3, label=name)
    axis.set(xlabel="simulations", ylabel="training episodes solved", ylim=(0, 1))
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    axis.grid(alpha=0.25)
    pictures.save(figure, path)


def rates(tuning: Sequence[Row]) -> list[str]:
    """How many training problems a policy solves after a short run at each rate."""
    temperatures = list(tuning[0]["tuning"])
    heads = " | ".join(f"solved at T = {t}" for t in temperatures)
    lines = [
        f"| objective | rate | simulations | {heads} |",
        "|---" * (3 + len(temperatures)) + "|",
    ]
    for r in sorted(tuning, key=lambda r: (r["objective"], r["rate"])):
        shares = " | ".join(f"{r['tuning'][t]:.1%}" for t in temperatures)
        lines.append(f"| {r['objective']} | {r['rate']:g} | {r['spent']} | {shares} |")
    return lines


def reading(rows: Sequence[Row]) -> list[str]:
    """What the intervals of the differences say, arm by arm."""
    arms = arms_of(rows)
    ours = PLAIN["tl-grpo"]
    ahead: dict[str, list[str]] = {"above": [], "below": [], "not told apart from": []}
    for name, mine in arms.items():
        if name == ours:
            continue
        pair = objectives.paired(arms[ours], mine)
        low, high = interval(grid(pair[0], "solved", 1) - grid(pair[1], "solved", 1))
        kind = "above" if low > 0 else "below" if high < 0 else "not told apart from"
        ahead[kind].append("its own start" if name == NONE else f"`{name}`")
    said = "; ".join(f"{kind} {', '.join(names)}" for kind, names in ahead.items() if names)
    lines = [f"In problems solved after five simulations, `{ours}` is {said} (95 %)."]
    if NONE in arms:
        moved = [
            f"`{name}` {middle:+.1f} points [{low:+.1f}, {high:+.1f}]"
            for name, (middle, low, high) in over_the_start(rows).items()
        ]
        lines += ["", "Over the start that all share: " + "; ".join(moved) + "."]
    return lines


def worst_spec(rows: Sequence[Row]) -> list[str]:
    """What the worst spec as the reward is worth, over all objectives that have it."""
    arms = arms_of(rows)
    pairs = [
        objectives.paired(mine, arms[mine[0]["objective"]])
        for mine in arms.values()
        if mine[0]["reward"] != PLAIN_REWARD
    ]
    if not pairs:
        return []
    worst, plain = ([r for pair in pairs for r in pair[k]] for k in (0, 1))
    cells = []
    for what, form in objectives.AHEAD.items():
        difference = np.concatenate(
            [grid(one, what, 1) - grid(other, what, 1) for one, other in pairs]
        )
        cells.append(f"{_CALLED[what]} {form.format(difference.mean(), *interval(difference))}")
    return [
        f"With the margin of the worst spec in the reward instead of the mean score, over "
        f"{len(pairs)} objectives and {len(worst)} runs beside {len(plain)} of the same seeds, after 5: "
        f"{', '.join(cells)}.",
        "",
    ]


def both_rewards(rows: Sequence[Row]) -> list[str]:
    """The turn-level arm less those of whole trajectories, over the runs of both rewards."""
    arms = arms_of(rows)
    ours = PLAIN["tl-grpo"]
    names = dict.fromkeys(
        objectives.arm_of(r).removeprefix(ours) for r in rows if r["objective"] == ours
    )
    if len(names) < 2:
        return []
    said = []
    for other, settings in objectives.OBJECTIVES.items():
        if settings["algorithm"] != "grpo":
            continue
        pairs = [objectives.paired(arms[ours + name], arms[other + name]) for name in names]
        difference = np.concatenate([grid(a, "solved", 1) - grid(b, "solved", 1) for a, b in pairs])
        middle, low, high = points(difference)
        said.append(f"`{other}` by {middle:+.1f} points [{low:+.1f}, {high:+.1f}]")
    count = len(difference)
    return [
        f"Over both rewards, {count} pairs of runs of the same reward and seed, `{ours}` differs in "
        f"problems solved after five from {'; from '.join(said)}. To take both together was not "
        "planned: it came after each had been looked at.",
        "",
    ]


def longer(found: dict[str, Any]) -> list[str]:
    """Where runs of two arms end that are several times as long, and whether they still rise."""
    _, rows = parts(found["runs"])
    trained = [r for r in rows if r["objective"] != NONE]
    thirds = []
    for name, mine in arms_of(trained).items():
        points = [[p["solved"] for p in r["curve"]] for r in mine]
        shares = [np.mean([np.mean(part) for part in split]) for split in _thirds(points)]
        thirds.append(f"`{name}` {', '.join(f'{share:.0%}' for share in shares)}")
    return [
        "## Do the curves flatten?",
        "",
        f"`{found['command']}`",
        "",
        f"From the same start, {trained[0]['simulations']} simulations an arm, seeds: "
        f"{_seeds(trained, PLAIN_REWARD)}. Share of its training episodes that an arm solved in the "
        f"first, second and last third of a run: {'; '.join(thirds)}.",
        "",
        *objectives.table(rows),
        "",
        *reading(rows),
        "",
        "Rates are those that the short runs chose. A smaller one might keep an arm from falling.",
        "",
        f"![Share of training episodes solved over simulations, longer runs](images/{LONG_CURVES})",
        "",
    ]


def _thirds(curves: Sequence[Sequence[float]]) -> list[list[Any]]:
    """Of each third, the part of every curve that lies in it."""
    split = [np.array_split(np.array(c), 3) for c in curves]
    return [[parts[k] for parts in split] for k in range(3)]


def page() -> str:
    found = read()
    tuning, rows = parts(found["runs"])
    trained = [r for r in rows if r["objective"] != NONE]
    seeds = {reward: _seeds(trained, reward) for reward in (PLAIN_REWARD, "worst")}
    with_worst = f" ({seeds['worst']} where the worst spec is the reward)" if seeds["worst"] else ""
    spent = sum(r["spent"] for r in found["runs"])
    lines = [
        "<!-- Made by `python benchmarks/tlgrpo/objectives_page.py`. -->",
        "# Which objective makes the package's policy better?",
        "",
        "Turn-level and trajectory-level reinforcement learning, both from the warm start of "
        "`tlgrpo:pretrained` ([what became of it](tlgrpo-policy.md); the sha256 of its weights begins "
        f"`{trained[0]['weights']}`), on the eight training circuits on SKY130, at equal simulations: "
        f"{trained[0]['simulations']} an arm, siblings counted, {seeds[PLAIN_REWARD]} seeds{with_worst}. "
        f"In all {spent} designs were simulated for training. What the warm start cost comes on top, for "
        "every arm the same.",
        "",
        f"`{found['command']}`",
        "",
        *objectives.table(rows),
        "",
        *reading(rows),
        "",
        *worst_spec(rows),
        *both_rewards(rows),
        f"{rows[0]['problems']} held-out problems over the eight circuits, one sampled action a turn, "
        f"{objectives.TURNS} turns. Intervals resample seeds, circuits, and the anchors that a "
        "circuit's problems are drawn from.",
        "",
        f"![Problems solved within five simulations over the start, by arm](images/{ARMS})",
        "",
        "## What was tuned, and on what",
        "",
        f"Each algorithm got one run at each of the same rates, on {tuning[0]['simulations']} "
        "simulations and a seed of its own. What is compared is how many of "
        f"{objectives.TUNING_PROBLEMS} training problems, which no run trains on, the policy then solves "
        "in five turns:",
        "",
        *rates(tuning),
        "",
        f"Taken: {', '.join(f'{rate:g} for `{name}`' for name, rate in found['rates'].items())}; other "
        "objectives of an algorithm have its rate. The temperature of an arm is the one of "
        f"{' and '.join(map(str, objectives.TEMPERATURES))} at which its runs solve more of the same "
        "training problems.",
        "",
        *(longer(read(LONG)) if (RESULTS / LONG).exists() else []),
        "## What this does not say",
        "",
        f"The first runs, of {trained[0]['simulations']} simulations, are {_updates(trained)} updates: "
        "this is how fast an objective starts, not where it ends. Circuits that no arm was trained on "
        "are not in it. Seconds are those of cores that did other work too.",
        "",
    ]
    return "\n".join(lines)


def _seeds(rows: Sequence[Row], reward: str) -> int:
    return len({r["seed"] for r in rows if r["reward"] == reward})


def _updates(rows: Sequence[Row]) -> str:
    counts = sorted({len(r["curve"]) for r in rows})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    images = options.docs / "images"
    draw_arms(parts(read()["runs"])[1], images / ARMS)
    if (RESULTS / LONG).exists():
        draw(parts(read(LONG)["runs"])[1], images / LONG_CURVES)
    (options.docs / PAGE).write_text(page())
    print(options.docs / PAGE)


if __name__ == "__main__":
    main()
