"""The page of the sizing policy, from its committed results; plays and trains nothing.

    python benchmarks/tlgrpo/policy_page.py                # writes docs/tlgrpo-policy.md and its picture
    python benchmarks/tlgrpo/policy_page.py --run RUN      # takes over the training curve of a run first
    python benchmarks/tlgrpo/policy_page.py --run RUN --went-on    # it began with today's weights
    python benchmarks/tlgrpo/policy_page.py --reinforced RUN       # and of the training that followed

Every number in the page's text is computed here, so that it cannot disagree with the results.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pictures
import sized
import started
import width
from scipy.stats import trim_mean

from leaderboard.suites import suite_tasks
from tlgrpo.pretrained import NAME, SHIPPED

RESULTS = Path(__file__).parents[1] / "results"
DOCS = Path(__file__).parents[2] / "docs"
PAGE, CURVE = "tlgrpo-policy.md", "tlgrpo-policy.svg"
TRAINING, PLAYED, ELSEWHERE, STARTED, IN_CORNERS, WIDTHS = (
    "tlgrpo_policy_training.json", "tlgrpo_policy.json", "tlgrpo_policy_gf180mcu.json",
    "tlgrpo_started.json", "tlgrpo_started_pvt.json", "tlgrpo_width.json",
)  # fmt: skip
POLICY = f"tlgrpo:{NAME}"
SUITES = {"training": "Circuits that it was trained on, at other targets",
          "held-out": "Circuits that it never saw"}  # fmt: skip
AT_OWN_TARGETS = SUITES | {"training": "Circuits that it was trained on"}

_REINFORCED = (
    "update", "simulations", "best_of_episode", "first_turn", "solved", "dead_groups", "entropy",
)  # fmt: skip
_SMOOTHED, _TENTH = 5, 10  # Updates: in the picture, and in the text.
Row = dict[str, Any]


def read(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / name).read_text()))


def results() -> list[str]:
    """Of the studies of the policy that is shipped, those that were made."""
    return [name for name in (PLAYED, ELSEWHERE, STARTED, IN_CORNERS) if (RESULTS / name).exists()]


def take_over(run: Path, *, went_on: bool) -> None:
    """The metrics of a warm start as a committed result.

    `went_on`: it began with the weights of the one that is the result so far, whose steps and
    simulations count as well.
    """
    lines = (run / "warm/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    kept = [r for k, r in enumerate(rows) if k % 4 == 0 or "round" in r or r is rows[-1]]
    settings = json.loads((run / "config.json").read_text())
    earlier = read(TRAINING) if went_on else {"runs": []}
    before = [*earlier.get("before", []), *earlier["runs"][-1:]]
    _write({"settings": settings, "before": before, "runs": kept})


def take_over_reinforced(run: Path) -> None:
    """The metrics of a run of `tlgrpo.train` that began with the warm start's weights."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    settings = json.loads((run / "config.json").read_text())
    kept = [{k: row[k] for k in _REINFORCED} for row in rows]
    _write(read(TRAINING) | {"reinforced_settings": settings, "reinforced": kept})


def _write(content: dict[str, Any]) -> None:
    (RESULTS / TRAINING).write_text(
        "{" + ",".join(f"\n{json.dumps(k)}:" + _listed(v) for k, v in content.items()) + "}\n"
    )


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return "[" + ",".join("\n" + json.dumps(v) for v in value) + "]"


def draw(training: dict[str, Any], path: Path) -> None:
    """Loss over steps, and what the policy's own episodes reached over simulations."""
    rows, reinforced = training["runs"], training.get("reinforced", [])
    panels = 3 if reinforced else 2
    figure, (loss, played, *more) = plt.subplots(
        1, panels, figsize=(4.75 * panels, 3.4), layout="constrained"
    )
    loss.plot([r["step"] for r in rows], [r["loss"] for r in rows], color="C0", linewidth=1.6)
    loss.set(title="warm start", xlabel="steps", ylabel="nats a value")
    rounds = [r for r in rows if "round" in r]
    at = [r["simulations"] for r in rounds]
    played.plot(at, [r["played_solved"] for r in rounds], "o-", color="C2", label="solved")
    played.plot(at, [r["played_best"] for r in rounds], "s-", color="C1", label="best score")
    played.set(title="its own episodes", xlabel="simulations", ylim=(0, 1))
    played.legend(frameon=False, fontsize=8, loc="lower right")
    for axis in more:
        at = [r["simulations"] for r in reinforced]
        for name, label, colour in (
            ("solved", "solved", "C2"), ("best_of_episode", "best score", "C1"),
        ):  # fmt: skip
            values = np.array([r[name] for r in reinforced])
            axis.plot(at, values, color=colour, linewidth=0.5, alpha=0.5)
            ends = at[_SMOOTHED - 1 :]
            means = np.convolve(values, np.full(_SMOOTHED, 1 / _SMOOTHED), "valid")
            axis.plot(ends, means, color=colour, linewidth=1.8, label=label)
        axis.set(title="turn-level training", xlabel="simulations", ylim=(0, 1.02))
        axis.legend(frameon=False, fontsize=8, loc="lower right")
    for axis in (loss, played, *more):
        axis.grid(alpha=0.25)
    pictures.save(figure, path)


def iqms(rows: Sequence[Row], method: str, place: int) -> dict[str, float]:
    """Of each circuit, the interquartile mean of the best scores after that many simulations."""
    found: dict[str, list[float]] = {}
    for r in rows:
        if r["method"] == method:
            found.setdefault(r["task"], []).append(r["best"][place])
    return {name: float(trim_mean(scores, 0.25)) for name, scores in found.items()}


def above(rows: Sequence[Row], budget: int, policy: str) -> list[tuple[str, int, int]]:
    """(method, circuits on which the policy's IQM is above its, circuits of both) at that budget."""
    place = sized.BUDGETS.index(budget)
    ours = iqms(rows, policy, place)
    found = []
    for method in dict.fromkeys(r["method"] for r in rows if r["method"] != policy):
        theirs = iqms(rows, method, place)
        both = [name for name in ours if name in theirs]
        found.append((method, sum(ours[name] > theirs[name] for name in both), len(both)))
    return found


def against(rows: Sequence[Row], budget: int) -> list[str]:
    """On how many circuits the policy's IQM is above each method's at that budget."""
    return [f"`{method}` on {n} of {of}" for method, n, of in above(rows, budget, POLICY)]


def solved(rows: Sequence[Row], method: str, budget: int) -> float:
    place = sized.BUDGETS.index(budget)
    return float(np.mean([r["solved"][place] for r in rows if r["method"] == method]))


def page() -> str:
    training, played = read(TRAINING), read(PLAYED)
    last, settings = training["runs"][-1], training["settings"]
    shape = settings["policy"]
    parts = [*training["before"], last]
    steps, simulated, own = (
        sum(part[k] for part in parts) for k in ("step", "simulated", "simulations")
    )
    went_on = (
        f" It went on from the weights of an earlier one, of {parts[0]['step']} steps; both are counted."
        if len(parts) > 1
        else ""
    )
    pdks = ", ".join(settings["domain"]["arguments"]["pdks"])
    size = (SHIPPED / "policy.safetensors").stat().st_size
    lines = [
        "<!-- Made by `python benchmarks/tlgrpo/policy_page.py`. -->",
        "# A policy that reads any circuit folder",
        "",
        f"`tlgrpo:pretrained` comes with the package: {shape['layers']} layers of width "
        f"{shape['width']}, {size / 1e6:.1f} MB. It was shown the eight training circuits on {pdks}, "
        "no other. [How it reads and is trained](tlgrpo.md#a-policy-for-any-circuit-folder).",
        "",
        *in_short(played["runs"]),
        "```sh",
        "python -m leaderboard.run --agents tlgrpo:pretrained,composite-ei --suite training --budget 20",
        "acs-gym size opamp --start-from policy",
        "```",
        "",
        f"Its warm start took {steps} steps.{went_on} For its banks {simulated} designs were "
        f"simulated, {own} of them in its own episodes; beside them the banks hold "
        f"{last['designs'] - last['simulated']} training anchors of `targets.json`. "
        f"{_reinforced(training)}",
        "",
        f"![Loss of the warm start, and what its own episodes reached](images/{CURVE})",
        "",
        f"Settings and curve: [{TRAINING}](../benchmarks/results/{TRAINING}), made by "
        "the commands in `examples/tlgrpo/sizing.toml`. Its own episodes are of training targets, one "
        "sampled action a turn.",
        "",
    ]
    for suite, title in SUITES.items():
        tasks = suite_tasks(suite)
        rows = [r for r in played["runs"] if r["task"] in tasks]
        lines += [
            f"## {title}", "", f"`{played['command']}`", "",
            *sized.table(rows, tasks), "",
            "After 5 simulations, mean best score and share solved:", "",
            *sized.by_circuit(rows, sized.BUDGETS.index(5)), "",
            f"It solves {solved(rows, POLICY, 5):.0%} within 5 simulations and "
            f"{solved(rows, POLICY, 20):.0%} within 20. Its interquartile mean is above, after 5: "
            f"{'; '.join(against(rows, 5))}. After 20: {'; '.join(against(rows, 20))}.", "",
            *better(rows, 5),
        ]  # fmt: skip
        once = POLICY + sized.TOLD_ONCE
        if any(r["method"] == once for r in rows):
            lines += [*_how_it_chooses(rows, once), ""]
        if any(r["method"] == "lookup" for r in rows):
            lines += [
                "`lookup` takes the design of the policy's own banks that meets the targets best: one "
                f"simulation, {solved(rows, 'lookup', 1):.0%} solved. What a policy is good for on "
                "circuits that it knows is what it does after its first try.", "",
            ]  # fmt: skip
    if ELSEWHERE in results():
        lines += elsewhere_lines(read(ELSEWHERE), played["runs"])
    if STARTED in results():
        lines += started_lines("As a start of an optimiser", read(STARTED))
    if IN_CORNERS in results():
        lines += started_lines(
            "As a start in every corner", read(IN_CORNERS), _of_the_corners(), AT_OWN_TARGETS
        )
    if (RESULTS / WIDTHS).exists():
        lines += width.section(read(WIDTHS), SUITES, steps)
    return "\n".join(lines)


def elsewhere_lines(found: dict[str, Any], at_home: Sequence[Row]) -> list[str]:
    """The circuits that it was trained on, with the devices of a PDK that it was not."""
    rows = found["runs"]
    tasks = list(dict.fromkeys(r["task"] for r in rows))
    known = [r for r in at_home if r["task"] in tasks]
    scores = {
        name: np.mean([r["best"][sized.BUDGETS.index(5)] for r in part if r["method"] == POLICY])
        for name, part in (("here", rows), ("home", known))
    }
    return [
        "## On a PDK that it never saw", "", f"`{found['command']}`", "",
        f"The circuits that it was trained on, with the devices and supply of {rows[0]['pdk']}, at "
        f"held-out targets that are drawn there. After 5 simulations it scores {scores['here']:.3f} and "
        f"solves {solved(rows, POLICY, 5):.0%}; on {at_home[0]['pdk']} {scores['home']:.3f} and "
        f"{solved(known, POLICY, 5):.0%}.", "",
        *sized.table(rows, tasks), "",
        f"Its interquartile mean is above, after 5: {'; '.join(against(rows, 5))}. After 20: "
        f"{'; '.join(against(rows, 20))}.", "",
        *better(rows, 5),
    ]  # fmt: skip


def better(rows: Sequence[Row], budget: int) -> list[str]:
    """What finds more than the policy in as many simulations, by mean score; a lookup remembers."""
    place = sized.BUDGETS.index(budget)
    mean = {
        m: float(np.mean([r["best"][place] for r in rows if r["method"] == m]))
        for m in dict.fromkeys(r["method"] for r in rows)
    }
    ahead = [
        f"`{m}` ({score:.3f})"
        for m, score in mean.items()
        if score > mean[POLICY] and m not in (POLICY + sized.TOLD_ONCE, "lookup")
    ]
    if not ahead:
        return []
    return [
        f"**What finds more than the policy ({mean[POLICY]:.3f}) in {budget} simulations here**: "
        f"{', '.join(ahead)}. None of that was trained.",
        "",
    ]


def _how_it_chooses(rows: Sequence[Row], once: str) -> list[str]:
    """Where the policy's designs come from, and what trying one answer comes to."""
    if any(r["suggested"] for r in rows):
        return [
            "On a circuit that it was not trained on the policy goes on from two designs that need no "
            "policy: those of `role median` and `nearest goal`, in that order. That was chosen on three "
            f"problems of each of these circuits. `{once}` starts by itself, and tries what it samples "
            "in one order of parameters and specs."
        ]
    first, plain = (
        np.mean([r["best"][sized.BUDGETS.index(1)] for r in rows if r["method"] == m])
        for m in (POLICY, once)
    )
    return [
        "A design of the policy is the median of what it answers to the same episode in 15 orders of "
        "parameters and specs, for as long as that improves, then one of the answers (a rule that was "
        "chosen after always taking the median had scored less than one telling from the fifth "
        f"simulation on); `{once}` tries what it samples in one. The first design scores {first:.3f} so, "
        f"against {plain:.3f}."
    ]


def ratio(suite: str) -> tuple[float, float, float]:
    """Simulations to spec from the policy over those without it: mean over circuits, and its interval."""
    rows = [r for r in read(STARTED)["runs"] if r["task"] in suite_tasks(suite)]
    method = next(r["method"] for r in rows if not r["method"].startswith("tlgrpo:"))
    cold, begun = started.medians(rows, method), started.medians(rows, f"{POLICY}+{method}")
    return started.mean_ratio([begun[name] / alone for name, alone in cold.items()])


def in_short(rows: Sequence[Row]) -> list[str]:
    """What the tables below come to."""
    if STARTED not in results():
        return []
    share, unseen = (
        solved([r for r in rows if r["task"] in suite_tasks(suite)], POLICY, budget)
        for suite, budget in (("training", 5), ("held-out", 20))
    )
    known, new = (ratio(suite) for suite in SUITES)
    return [
        f"On circuits that it was shown it meets {share:.0%} of held-out targets within five "
        f"simulations, and an optimiser that goes on from its first designs meets every spec in "
        f"{known[0]:.2f} of the simulations that it takes alone [{known[1]:.2f}, {known[2]:.2f}]. On "
        f"circuits that it never saw it meets {unseen:.0%} by itself within twenty, and shortens the "
        f"optimiser's way to {new[0]:.2f} [{new[1]:.2f}, {new[2]:.2f}].{_elsewhere_in_short()}",
        "",
    ]  # fmt: skip


def _elsewhere_in_short() -> str:
    if ELSEWHERE not in results():
        return ""
    rows = read(ELSEWHERE)["runs"]
    place = sized.BUDGETS.index(5)
    ours, other = (
        np.mean([r["best"][place] for r in rows if r["method"] == m]) for m in (POLICY, "random")
    )
    return (
        f" With the devices of {rows[0]['pdk']}, which it never saw either, it scores {ours:.3f} within "
        f"five (random designs {other:.3f})."
    )


def _reinforced(training: dict[str, Any]) -> str:
    """What followed the warm start, in words."""
    rows = training.get("reinforced", [])
    if not rows:
        return (
            "No other training followed: it is what `tlgrpo.train` starts from, not yet what that makes "
            "of it."
        )
    settings = training["reinforced_settings"]
    first, last = (np.mean([r["solved"] for r in part]) for part in (rows[:_TENTH], rows[-_TENTH:]))
    return (
        f"Then it was trained by TL-GRPO (reward `{settings['turn_reward']}`, groups of "
        f"{settings['group']}, {settings['turns']} turns, {settings['problems']} problems an update, "
        f"rate {settings['learning_rate']:g}): {rows[-1]['update']} updates, {rows[-1]['simulations']} "
        f"simulations. Of its training episodes it solved {first:.0%} in the first {_TENTH} updates and "
        f"{last:.0%} in the last. [Which objective does that best](tlgrpo-objectives.md) was measured "
        "from the policy before it."
    )


def started_lines(
    title: str,
    begun: dict[str, Any],
    more: Sequence[str] = (),
    titles: Mapping[str, str] = SUITES,
) -> list[str]:
    lines = [f"## {title}", "", f"`{begun['command']}`", "", *more]
    methods = dict.fromkeys(r["method"] for r in begun["runs"])
    method = next(m for m in methods if not m.startswith("tlgrpo:"))
    for suite, title in titles.items():
        rows = [r for r in begun["runs"] if r["task"] in suite_tasks(suite)]
        lines += [
            f"{title}. Median simulations until every spec is met, `{method}` alone and from one "
            "episode of the policy:", "", *started.table(rows, POLICY, method), "",
        ]  # fmt: skip
        if any(r["method"] == f"{started.SUGGESTED}+{method}" for r in rows):
            lines += [
                "*From the suggestions*: the two designs that the policy goes on from there, then three "
                f"of `{method}`'s own initial ones, and no policy. {_what_the_policy_adds(rows, method)}",
                "",
            ]
    return lines


def _of_the_corners() -> list[str]:
    return [
        "Here a simulation is a design at one condition, and a run ends where every spec is met at all "
        "of them. No targets are drawn in `pvt`: those of the circuit are asked for, and the runs of a "
        "circuit differ in their seed. The policy was trained at nominal conditions, and is asked there.",
        "",
    ]


def _what_the_policy_adds(rows: Sequence[Row], method: str) -> str:
    """To what it goes on from: the mean ratio of both starts, circuit by circuit."""
    control = started.medians(rows, f"{started.SUGGESTED}+{method}")
    policy = started.medians(rows, f"{POLICY}+{method}")
    ratio, low, high = started.mean_ratio([policy[name] / control[name] for name in policy])
    return (
        f"Of what that takes, the policy's start takes {ratio:.2f} [{low:.2f}, {high:.2f}], mean over "
        "the circuits."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of the warm start to take over")
    parser.add_argument(
        "--went-on", action="store_true", help="that warm start began with the weights of the last"
    )
    parser.add_argument(
        "--reinforced", type=Path, help="folder of a run of tlgrpo.train that followed"
    )
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    if options.run is not None:
        take_over(options.run, went_on=options.went_on)
    if options.reinforced is not None:
        take_over_reinforced(options.reinforced)
    draw(read(TRAINING), options.docs / "images" / CURVE)
    (options.docs / PAGE).write_text(page())
    print(options.docs / PAGE)


if __name__ == "__main__":
    main()
