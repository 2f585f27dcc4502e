"""A real language model, warm-started in hindsight, then trained turn by turn or by whole episodes.

    python benchmarks/tlgrpo/language_model.py --model models/smollm2 --banks runs/lm_banks \
      --json benchmarks/results/tlgrpo_language_model.json

Both algorithms go on from one warm start, with the settings of `examples/tlgrpo/language_model.toml`, to
the same number of simulations, siblings counted. Beside them are the model as it came, its warm start
alone, and what needs no model: random designs, `composite-ei` and the best of the warm start's own bank,
looked up. All are asked for the same held-out targets, with one action a turn, five turns.

The interval resamples the anchors that problems are drawn from. Training goes on from its checkpoints and
finished rows are kept in `--runs`: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import resumable
from study import curve

import acs_gym
from tlgrpo.config import TrainConfig
from tlgrpo.domains.circuits import SEEDS
from tlgrpo.memory import clustered_interval

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "examples/tlgrpo/language_model.toml"
TURNS = 5
MODEL, WARM = "as it came", "warm start"
TRAINED: Mapping[str, Mapping[str, Any]] = {
    "tl-grpo improvement": {"algorithm": "tl-grpo", "turn_reward": "improvement"},
    "grpo best": {"algorithm": "grpo", "episode_reward": "best"},
}
WITHOUT = ("random", "composite-ei", "lookup")
METHODS = (*WITHOUT, MODEL, WARM, *TRAINED)
Row = dict[str, Any]


def run(wanted: Mapping[str, Any]) -> Row:
    """Train where there is something to train, then ask for the held-out targets."""
    method = wanted["method"]
    if method in WITHOUT:
        return {**wanted, **without_model(wanted)}
    from tlgrpo.evaluate import evaluate
    from tlgrpo.samplers.hf import HfSampler

    start = time.perf_counter()
    lines: list[dict[str, Any]] = []
    warm = Path(wanted["folder"]) / "warm"
    base = {
        "policy.path": wanted["model"], "seed": wanted["seed"],
        "simulations": wanted["simulations"],
    }  # fmt: skip
    if method == MODEL:
        from tlgrpo.domains import build_domain
        from tlgrpo.policy import build_policy

        config = TrainConfig.read(CONFIG, base | {"policy.lora_rank": 0})
        domain, policy = build_domain(config.domain), build_policy(config.policy, (), 0)
    else:
        from tlgrpo.loop import Trainer

        changes = dict(base)
        folder = warm
        if method == WARM:
            changes["sft.banks"] = wanted["banks"]
        else:
            changes |= {"start_from": str(warm), **TRAINED[method]}
            folder = folder_of(wanted["folder"], method)
        config = TrainConfig.read(CONFIG, changes)
        trainer = Trainer(config, folder, say=lambda text: print(text, flush=True))
        if method != WARM:
            for line in trainer.run():
                print(json.dumps(line), flush=True)
            lines = resumable.lines(folder / "metrics.jsonl")
        domain, policy = trainer.domain, trainer.policy
    seconds = time.perf_counter() - start
    if lines:  # Those of a run that was interrupted too.
        seconds = sum(line["sample_seconds"] + line["learn_seconds"] for line in lines)
    sampler = HfSampler(
        policy.model, end=policy.codec.end, pad=policy.codec.pad,
        action_tokens=config.action_tokens, temperature=wanted["temperature"], seed=wanted["seed"],
    )  # fmt: skip
    found = evaluate(
        domain, policy.codec, sampler, problems=wanted["problems"], turns=TURNS, seed=wanted["seed"]
    )
    return {
        **wanted,
        "best": [[round(b, 5) for b in found_best] for found_best in found.curves],
        "solved_in": list(found.solved_in),
        "invalid": round(found.invalid, 4),
        "updates": len(lines),
        "spent": lines[-1]["simulations"] if lines else 0,
        "seconds": round(seconds),
        "curve": curve(lines) if lines else [],
    }


def folder_of(root: str | Path, method: str) -> Path:
    return Path(root) / method.replace(" ", "-")


def begun(root: Path, methods: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """How far the training of each algorithm is that is not asked for."""
    found = {}
    for name in TRAINED:
        lines = resumable.lines(folder_of(root, name) / "metrics.jsonl")
        if name not in methods and lines:
            found[name] = curve(lines)
    return found


def without_model(wanted: Mapping[str, Any]) -> Row:
    """Of the same problems, what needs no model."""
    from leaderboard.agents.registry import build
    from tlgrpo.brief_labels import design_of
    from tlgrpo.designs import read_bank
    from tlgrpo.domains.brief_circuits import BriefCircuits
    from tlgrpo.labels import scored

    method = wanted["method"]
    domain = BriefCircuits([wanted["task"]], workers=1)
    (own,) = domain.tasks.values()
    bank = read_bank(Path(wanted["banks"]), own)
    curves, solved_in = [], []
    for number in range(wanted["problems"]):
        task = domain.task_of(domain.problem(number, "held-out"))
        with task.session(TURNS, seed=number) as session:
            if method == "lookup":
                place = int(scored(task, bank, tuple(task.specs)).worst.argmax())
                session.simulate(design_of(task, bank.levels[place].tolist()))
            else:
                build(method).run(session)
        met = [k for k, e in enumerate(session.history, start=1) if e.feasible]
        best = np.maximum.accumulate([e.score for e in session.history])
        best = np.pad(best, (0, TURNS - len(best)), mode="edge")
        curves.append([round(float(b), 5) for b in best])
        solved_in.append(min(met, default=None))
    return {"best": curves, "solved_in": solved_in, "designs": bank.counts}


def clusters_of(row: Row) -> list[tuple[str, int]]:
    """(circuit, anchor) that each held-out problem of a row is drawn from."""
    own = acs_gym.make_task(row["task"])
    rngs = [np.random.default_rng((SEEDS["held-out"], k)) for k in range(row["problems"])]
    return [(row["task"], own.sampled_anchor(rng, "held-out")) for rng in rngs]


def scores_of(row: Row, turns: int) -> list[float]:
    """Best score of each problem after so many turns."""
    return [best[turns - 1] for best in row["best"]]


def solved_of(row: Row, turns: int) -> list[float]:
    """1 for each problem that was solved in so many turns, else 0."""
    return [float(number is not None and number <= turns) for number in row["solved_in"]]


def table(rows: Sequence[Row]) -> list[str]:
    """Markdown: a method a line."""
    lines = [
        "| method | score after 1 | solved | score after 5 | solved | no action | simulations | s |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        clusters = clusters_of(row)
        cells = []
        for turns in (1, TURNS):
            for values, form in (
                (scores_of(row, turns), "{:.3f} [{:.3f}, {:.3f}]"),
                (solved_of(row, turns), "{:.0%} [{:.0%}, {:.0%}]"),
            ):
                cells.append(form.format(np.mean(values), *clustered_interval(values, clusters)))
        invalid = f"{row['invalid']:.0%}" if "invalid" in row else ""
        spent = str(row["spent"]) if row.get("spent") else ""
        seconds = str(row["seconds"]) if row["method"] in (WARM, *TRAINED) else ""
        lines.append(
            f"| `{row['method']}` | {' | '.join(cells)} | {invalid} | {spent} | {seconds} |"
        )
    return lines


def run_all(wanted: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One: each has a process of its own."""
    return [run(w) for w in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of tlgrpo.smollm")
    parser.add_argument("--banks", type=Path, required=True, help="folder of tlgrpo.bank")
    parser.add_argument("--methods", default=",".join(METHODS), help="with commas, in this order")
    parser.add_argument("--simulations", type=int, default=2_000, help="of each algorithm")
    parser.add_argument("--temperature", type=float, default=0.5, help="of what is evaluated")
    parser.add_argument("--problems", type=int, default=64, help="held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/language_model"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    methods = options.methods.split(",")
    if unknown := [m for m in methods if m not in METHODS]:
        sys.exit(f"no method {unknown[0]!r}; there are: {', '.join(METHODS)}")
    (task,) = TrainConfig.read(CONFIG).domain.arguments["tasks"]
    wanted = [
        {
            "task": task, "method": method, "model": str(options.model),
            "banks": str(options.banks), "folder": str(options.runs), "seed": options.seed,
            "simulations": options.simulations, "temperature": options.temperature,
            "problems": options.problems,
        }
        for method in methods
    ]  # fmt: skip
    rows = resumable.run_groups(options.runs / "rows.jsonl", wanted, run_all, ("method",), 1)
    print("\n".join(table(rows)))
    if options.json:
        resumable.write(options.json, {"begun": begun(options.runs, methods), "runs": rows})


if __name__ == "__main__":
    main()
