"""The page of the language model's study, from its committed results; trains nothing.

    python benchmarks/tlgrpo/language_model_page.py   # docs/tlgrpo-language-model.md and its picture

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

import language_model
import matplotlib.pyplot as plt
import numpy as np
import pictures
from language_model import MODEL, TRAINED, TURNS, WARM, Row, clusters_of, scores_of, solved_of

from tlgrpo.config import TrainConfig
from tlgrpo.memory import clustered_interval

RESULT = Path(__file__).parents[1] / "results" / "tlgrpo_language_model.json"
DOCS = Path(__file__).parents[2] / "docs"
PAGE, CURVES = "tlgrpo-language-model.md", "tlgrpo-language-model.svg"


def read() -> dict[str, Any]:
    return dict(json.loads(RESULT.read_text()))


def draw(rows: Sequence[Row], path: Path) -> None:
    """What training episodes reached over simulations, an update a point."""
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
    for k, row in enumerate(r for r in rows if r["method"] in TRAINED):
        at = [point["simulations"] for point in row["curve"]]
        for axis, name in zip(axes, ("best_of_episode", "invalid_share"), strict=True):
            values = [point[name] for point in row["curve"]]
            axis.plot(at, values, "o-", color=f"C{k}", markersize=3, label=row["method"])
    axes[0].set(xlabel="simulations", ylabel="best score of a training episode")
    axes[1].set(xlabel="simulations", ylabel="share of actions that name no design", ylim=(0, None))
    for axis in axes:
        axis.grid(alpha=0.25)
    axes[0].legend(frameon=False, fontsize=8)
    pictures.save(figure, path)


def ahead(one: Row, other: Row, turns: int) -> dict[str, tuple[float, float, float]]:
    """What one method is above another by after so many turns on the same problems, with its interval."""
    found = {}
    for name, values_of in (("score", scores_of), ("solved", solved_of)):
        values = np.subtract(values_of(one, turns), values_of(other, turns))
        interval = clustered_interval(values.tolist(), clusters_of(one))
        found[name] = (float(values.mean()), *interval)
    return found


def compared(one: Row, other: Row) -> str:
    """In words."""
    form = "{:+.3f} [{:+.3f}, {:+.3f}]"
    first, last = (ahead(one, other, turns) for turns in (1, TURNS))
    solved = "{:+.0f} points [{:+.0f}, {:+.0f}]".format(*(100 * x for x in last["solved"]))
    return (
        f"`{one['method']}` less `{other['method']}`: score after 1 {form.format(*first['score'])}, "
        f"after {TURNS} {form.format(*last['score'])}, solved {solved}"
    )


def reading(rows: Mapping[str, Row]) -> list[str]:
    warm, trained = rows[WARM], [rows[name] for name in TRAINED if name in rows]
    pairs = [(row, warm) for row in trained]
    pairs += [(trained[0], other) for other in trained[1:]]
    pairs += [(row, rows[m]) for row in (warm, *trained[:1]) for m in ("composite-ei", "lookup")]
    apart = [
        f"`{one['method']}` from `{other['method']}`"
        for one, other in pairs
        if (found := ahead(one, other, TURNS)["score"]) and (found[1] > 0 or found[2] < 0)
    ]
    return [
        *(f"* {compared(one, other)}" for one, other in pairs),
        "",
        f"Told apart in score after {TURNS} (95 %): {', '.join(apart) or 'none'}.",
    ]


def not_finished(name: str, begun: Sequence[Mapping[str, float]]) -> str:
    """What is known of a training that was not run to its end."""
    if not begun:
        return f"`{name}` was not run."
    last = begun[-1]
    seconds = np.mean([point["sample_seconds"] + point["learn_seconds"] for point in begun])
    each = begun[0]["simulations"]
    return (
        f"`{name}` was not run to its end: an update of {each:g} simulations takes {seconds:.0f} s on a "
        f"core that is shared with other work. It is at {last['simulations']:g} simulations, whose "
        f"episodes reach {last['best_of_episode']:.3f}; the same command goes on with it."
    )


def page() -> str:
    found = read()
    rows = {row["method"]: row for row in found["runs"]}
    config = TrainConfig.read(language_model.CONFIG)
    warm = rows[WARM]
    trained = [rows[name] for name in TRAINED if name in rows]
    names = [f"`{row['method']}`" for row in trained]
    missing = [name for name in TRAINED if name not in rows]
    counts = rows["lookup"]["designs"]
    simulated = sum(counts.values()) - counts["anchor"]
    lines = [
        "<!-- Made by `python benchmarks/tlgrpo/language_model_page.py`. -->",
        "# A real language model learns to size",
        "",
        "SmolLM2-135M-Instruct ([its report](https://arxiv.org/abs/2502.02737), Apache-2.0) is a small "
        f"chat model. Here a low-rank adapter of it (rank {config.policy.lora_rank}) learns to size "
        f"`{warm['task']}` on SKY130, from labels in hindsight"
        f"{''.join(f', then by {name}' for name in names[:1])}"
        f"{''.join(f' or by {name}' for name in names[1:])}. **This is a reduced run**: one "
        "circuit, one seed, on a core of a CPU in bfloat16, one learning rate that was not tuned. It "
        "shows that the way from trainer to leaderboard works with a real model. It does not say which "
        "algorithm is better; [the study of objectives](tlgrpo-objectives.md) asks that.",
        "",
        *(f"{not_finished(name, found['begun'].get(name, []))}\n" for name in missing),
        f"`{found['command']}`",
        "",
        *language_model.table(list(rows.values())),
        "",
        f"{warm['problems']} held-out targets, {TURNS} turns of one simulation each, sampled at "
        f"T = {warm['temperature']}. The interval resamples the designs that targets are drawn from. "
        "Simulations and seconds are those of training; an action that names no design is charged as "
        "one simulation. `lookup` tries the one design of the warm start's own bank that meets the "
        f"targets best, `{MODEL}` is the model without an adapter.",
        "",
        *reading(rows),
        "",
        *((f"![Training over simulations](images/{CURVES})", "") if trained else ()),
        "## What it was shown",
        "",
        f"The bank has {simulated} simulated designs and {counts['anchor']} training anchors of "
        f"`targets.json`. From it came {config.sft.episodes} episodes with a label a turn, read "
        f"{'once' if config.sft.epochs == 1 else f'{config.sft.epochs} times'} at a rate of "
        f"{config.sft.learning_rate:g}: {warm['seconds']} seconds. "
        + ("Then " if trained else "")
        + " and ".join(f"{row['updates']} updates of `{row['method']}`" for row in trained)
        + (f" at a rate of {config.learning_rate:g}. " if trained else "")
        + f"In all {simulated + sum(row['spent'] for row in trained)} simulations, the anchors' own not "
        "counted. "
        "The settings are in "
        "`examples/tlgrpo/language_model.toml`.",
        "",
        "## How to serve it",
        "",
        "```sh",
        "python -m tlgrpo.merged runs/language_model --out models/sizer",
        "transformers serve models/sizer --device cpu",
        "python -m leaderboard.run --tasks ota5t --agents llm:sizer.toml --budget 5",
        "```",
        "",
        "where `sizer.toml` is",
        "",
        "```toml",
        'model = "models/sizer"',
        'base_url = "http://127.0.0.1:8000/v1"',
        'tool_format = "brief"',
        f"reply_tokens = {config.action_tokens}",
        f"temperature = {warm['temperature']}",
        "```",
        "",
        "`make test-model` does all of that in small.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    rows = read()["runs"]
    if any(row["method"] in TRAINED for row in rows):
        draw(rows, options.docs / "images" / CURVES)
    (options.docs / PAGE).write_text(page())
    print(options.docs / PAGE)


if __name__ == "__main__":
    main()
