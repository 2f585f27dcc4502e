"""Which objective makes a sizing policy better, from one warm start and at equal simulations?

    python benchmarks/tlgrpo/objectives.py --json benchmarks/results/tlgrpo_objectives.json
    python benchmarks/tlgrpo/objectives.py --table --json ...    # of what is done so far; runs nothing

Every arm starts from the weights of `--policy`, meets the same training problems in the same order and
ends at the same number of simulations, siblings counted. Before that, each of the two algorithms is
given the same trials: `--rates`, one run each of `--tuning-simulations` with its plain objective (a
seed that no other run has), and takes the rate whose policy solves the most of `TUNING_PROBLEMS`
training problems that no run trains on. In the same way, and on the same problems, each arm is given
`TEMPERATURES` and takes the best of them over all its seeds. Held-out problems are met once, at the
end: drawn from designs that no training problem is drawn from, one sampled action a turn, five turns.

What is averaged are circuits: intervals resample circuits, the anchors that a circuit's problems are
drawn from, and seeds; of a difference, both arms by the same ones.

Finished runs are appended to `--runs` (which starts as the runs of `--json`, where it is new), and
the same command goes on with those that are missing. Runs that collapse stay in.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import resumable
from numpy.typing import NDArray
from study import curve

from tlgrpo.pretrained import read_weights, weights_file

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "examples/tlgrpo/sizing.toml"
TL, GRPO = {"algorithm": "tl-grpo"}, {"algorithm": "grpo"}
IMPROVEMENT = TL | {"turn_reward": "improvement"}
OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "tl-grpo improvement": IMPROVEMENT,
    "tl-grpo score": TL | {"turn_reward": "score"},
    "grpo best": GRPO | {"episode_reward": "best"},
    "grpo last": GRPO | {"episode_reward": "last"},
    "leave-one-out": IMPROVEMENT | {"normalise": "leave-one-out"},
    "max@4": IMPROVEMENT | {"normalise": "max@k"},
    "entropic": IMPROVEMENT | {"normalise": "entropic"},
    "later scores": GRPO | {"episode_reward": "later"},
}
NONE = "none"
PLAIN = {"tl-grpo": "tl-grpo improvement", "grpo": "grpo best"}
TURNS = 5
TEMPERATURES = (0.5, 0.8)
# Of the training split, beyond what a run of any length here meets.
TUNING_PROBLEMS, TUNING_FIRST = 64, 1_000_000
TUNING_SEED = 1_000
RESAMPLES = 2_000
FORMS = {"best": "{:.4f} [{:.4f}, {:.4f}]", "solved": "{:.1%} [{:.1%}, {:.1%}]"}
AHEAD = {"best": "{:+.4f} [{:+.4f}, {:+.4f}]", "solved": "{:+.1%} [{:+.1%}, {:+.1%}]"}
Row = dict[str, Any]


def settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a run changes of `CONFIG`."""
    return {
        **OBJECTIVES[wanted["objective"]],
        "start_from": str(ROOT / wanted["policy"]),
        "seed": wanted["seed"],
        "simulations": wanted["simulations"],
        "learning_rate": wanted["rate"],
        "warmup_updates": 2,
        "checkpoint_every": 1_000_000,
        "domain.arguments.reward": wanted["reward"],
        "domain.arguments.workers": 1,
    }


def run(wanted: Mapping[str, Any]) -> Row:
    """Train one arm and try it; without an objective, try the warm start."""
    from tlgrpo.config import TrainConfig
    from tlgrpo.loop import Trainer

    start = time.perf_counter()
    lines: list[dict[str, Any]] = []
    if wanted["objective"] == NONE:
        config = TrainConfig.read(CONFIG)
        weights = read_weights(weights_file(ROOT / wanted["policy"]))
    else:
        config = TrainConfig.read(CONFIG, settings(wanted))
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(config, Path(folder))
            lines = list(trainer.run())
        weights = trainer.policy.weights()
    trained = time.perf_counter() - start
    tuning = {str(t): tried(config, weights, t, wanted["seed"], "train")[1] for t in TEMPERATURES}
    held_out = {}
    if wanted["problems"]:
        for t in TEMPERATURES:
            best, solved = tried(config, weights, t, wanted["seed"], "held-out", wanted["problems"])
            held_out[str(t)] = {"best": best, "solved": solved}
    return {
        **wanted,
        "spent": lines[-1]["simulations"] if lines else 0,
        "seconds": round(trained, 1),
        "tuning": {t: round(float(np.mean([s[-1] for s in v])), 4) for t, v in tuning.items()},
        "held_out": held_out,
        "curve": curve(lines) if lines else [],
    }


def tried(
    config: Any,
    weights: Mapping[str, Any],
    temperature: float,
    seed: int,
    split: Any,
    count: int = 0,
) -> tuple[list[list[float]], list[list[int]]]:
    """(best scores, solved) after 1 and after all turns, of each problem of a split."""
    from tlgrpo.domains.sizing import Sizing
    from tlgrpo.evaluate import evaluate
    from tlgrpo.policy import build_policy
    from tlgrpo.samplers.hf import HfSampler
    from tlgrpo.tokens import mask_of

    arguments = {**config.domain.arguments, "reward": "score", "subset": 0.0, "workers": 1}
    domain = Sizing(**arguments)
    policy = build_policy(config.policy, domain.grammar(), 0)
    policy.load_weights(dict(weights))
    policy.model.eval()
    codec = policy.codec
    sampler = HfSampler(
        policy.model, end=codec.end, pad=codec.pad, action_tokens=config.action_tokens,
        temperature=temperature, seed=seed, answer=mask_of(domain, codec),
    )  # fmt: skip
    first, many = (TUNING_FIRST, TUNING_PROBLEMS) if split == "train" else (0, count)
    found = evaluate(
        domain, codec, sampler, problems=many, turns=TURNS, split=split, seed=seed, first=first
    )
    best = [[round(curve[0], 5), round(curve[-1], 5)] for curve in found.curves]
    solved = [[int(number == 1), int(number is not None)] for number in found.solved_in]
    return best, solved


def run_all(wanted: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One run: each has a process of its own."""
    return [run(w) for w in wanted]


def best_rate(rows: Sequence[Row], algorithm: str) -> float:
    """Of the tuning runs of an algorithm, that whose policy solves the most training problems."""
    mine = [r for r in rows if r["objective"] == PLAIN[algorithm]]
    return float(max(mine, key=lambda r: max(r["tuning"].values()))["rate"])


def temperature_of(rows: Sequence[Row]) -> str:
    """At which the runs of an arm solve the most training problems."""
    return max(rows[0]["tuning"], key=lambda t: float(np.mean([r["tuning"][t] for r in rows])))


@lru_cache(maxsize=1)
def clusters(problems: int) -> list[tuple[str, int]]:
    """(circuit, anchor) that each held-out problem is drawn from."""
    from tlgrpo.config import TrainConfig
    from tlgrpo.domains import build_domain

    domain: Any = build_domain(TrainConfig.read(CONFIG).domain)
    found = (domain.anchor(k, "held-out") for k in range(problems))
    return [(task, anchor) for task, _, anchor in found]


@lru_cache(maxsize=8)
def resampled(seeds: int, problems: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each draw has each seed and each problem, shapes (draws, seeds) and (draws, problems).

    Circuits are drawn first, then the anchors of each.
    """
    tree: dict[str, dict[int, list[int]]] = {}
    for k, (circuit, anchor) in enumerate(clusters(problems)):
        tree.setdefault(circuit, {}).setdefault(anchor, []).append(k)
    rng = np.random.default_rng(0)
    circuits = list(tree)
    rows, columns = np.zeros((RESAMPLES, seeds)), np.zeros((RESAMPLES, problems))
    for row, column in zip(rows, columns, strict=True):
        for c in rng.integers(len(circuits), size=len(circuits)):
            anchors = list(tree[circuits[int(c)]].values())
            for a in rng.integers(len(anchors), size=len(anchors)):
                column[anchors[int(a)]] += 1
        np.add.at(row, rng.integers(seeds, size=seeds), 1)
    return rows, columns


def grid(rows: Sequence[Row], what: str, place: int) -> NDArray[np.float64]:
    """Shape (seeds, problems)."""
    t = temperature_of(rows)
    return np.array([[x[place] for x in r["held_out"][t][what]] for r in rows], dtype=np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean's resampled values."""
    rows, columns = resampled(*values.shape)
    # The mean over every pair of a drawn seed and a drawn problem.
    means = ((rows @ values) * columns).sum(axis=1) / (rows.sum(axis=1) * columns.sum(axis=1))
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def arm_of(row: Mapping[str, Any]) -> str:
    """The name of a run's arm."""
    return row["objective"] + ("" if row["reward"] == "score" else ", worst spec")


def arms_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The runs of each arm, by seed."""
    arms: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: int(r["seed"])):
        arms.setdefault(arm_of(row), []).append(row)
    return arms


def paired(first: Sequence[Row], second: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The runs of two arms with the seeds that both have, in the same order."""
    seeds = {r["seed"] for r in first} & {r["seed"] for r in second}
    one, other = ([r for r in rows if r["seed"] in seeds] for rows in (first, second))
    return one, other


def table(rows: Sequence[Row], baseline: str = PLAIN["tl-grpo"]) -> list[str]:
    """Markdown: an arm a line, then what the baseline is ahead of each by."""
    arms = arms_of(rows)
    lines = [
        "| arm | seeds | rate | T | score after 1 | solved | score after 5 | solved | s a run |",
        "|---" * 9 + "|",
    ]
    for name, mine in arms.items():
        cells = []
        for place in (0, 1):
            for what, form in FORMS.items():
                values = grid(mine, what, place)
                cells.append(form.format(values.mean(), *interval(values)))
        seconds = np.mean([r["seconds"] for r in mine])
        lines.append(
            f"| {name} | {len(mine)} | {mine[0]['rate']:g} | {temperature_of(mine)} | "
            f"{' | '.join(cells)} | {seconds:.0f} |"
        )
    lines += ["", f"`{baseline}` less the other, same seeds and problems, after 5:", ""]
    lines += ["| other | seeds | score | solved |", "|---|---|---|---|"]
    for name, mine in arms.items():
        pair = paired(arms.get(baseline, []), mine)
        if name == baseline or not pair[0]:
            continue
        cells = []
        for what, form in AHEAD.items():
            difference = grid(pair[0], what, 1) - grid(pair[1], what, 1)
            cells.append(form.format(difference.mean(), *interval(difference)))
        lines.append(f"| {name} | {len(pair[0])} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--policy", type=Path, default=Path("tlgrpo/weights"), help="folder, from the root"
    )
    parser.add_argument("--objectives", default=",".join(OBJECTIVES), help="with commas")
    parser.add_argument(
        "--rewards", default="score,worst", help="of the domain `sizing`, with commas"
    )
    parser.add_argument("--rates", default="1e-4,3e-4,1e-3", help="tried for each algorithm")
    parser.add_argument("--seeds", default="5", help="of every reward, or of each, with commas")
    parser.add_argument("--simulations", type=int, default=8_000)
    parser.add_argument("--tuning-simulations", type=int, default=4_000)
    parser.add_argument("--problems", type=int, default=128, help="held out, over all circuits")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/tlgrpo_objectives.jsonl"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    names = options.objectives.split(",")
    if unknown := [n for n in names if n not in OBJECTIVES]:
        sys.exit(f"no objective {unknown[0]!r}; there are: {', '.join(OBJECTIVES)}")
    rewards = options.rewards.split(",")
    seeds = [int(count) for count in options.seeds.split(",")]
    if len(seeds) not in (1, len(rewards)):
        sys.exit(f"--seeds {options.seeds}: give one number, or one for each of {options.rewards}")
    if options.json is not None and not options.runs.exists():
        for row in resumable.document(options.json):
            resumable.append(options.runs, row)
    if options.table:
        print("\n".join(table([r for r in resumable.lines(options.runs) if r["held_out"]])))
        return
    digest = _digest(ROOT / options.policy)
    base = {"policy": str(options.policy), "weights": digest}
    # One process a run: the runs of one share nothing.
    by = ("objective", "reward", "seed", "rate")
    tuning = [
        {
            **base, "objective": PLAIN[algorithm], "reward": "score", "seed": TUNING_SEED,
            "rate": float(rate), "simulations": options.tuning_simulations, "problems": 0,
        }
        for rate in options.rates.split(",")
        for algorithm in PLAIN
    ]  # fmt: skip
    tuned = resumable.run_groups(options.runs, tuning, run_all, by, options.jobs)
    rates = {algorithm: best_rate(tuned, algorithm) for algorithm in PLAIN}
    wanted = [
        {
            **base, "objective": name, "reward": reward, "seed": seed,
            "rate": rates[str(OBJECTIVES[name]["algorithm"])] if name != NONE else 0.0,
            "simulations": options.simulations if name != NONE else 0, "problems": options.problems,
        }
        for reward, count in zip(rewards, seeds * (len(rewards) // len(seeds)), strict=True)
        for seed in range(count)
        for name in ([NONE] if reward == "score" else []) + names
    ]  # fmt: skip
    rows = resumable.run_groups(options.runs, wanted, run_all, by, options.jobs)
    print("\n".join(table(rows)))
    if options.json:
        resumable.write(options.json, {"rates": rates, "runs": [*tuned, *rows]})


def _digest(policy: Path) -> str:
    import hashlib

    return hashlib.sha256(weights_file(policy).read_bytes()).hexdigest()[:16]


if __name__ == "__main__":
    main()
