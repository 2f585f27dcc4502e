"""Does turn-level credit beat trajectory-level credit at equal simulations?

    python benchmarks/tlgrpo/study.py --json benchmarks/results/tlgrpo_study.json
    python benchmarks/tlgrpo/study.py --set ablations --json benchmarks/results/tlgrpo_ablations.json
    python benchmarks/tlgrpo/study.py --table --json ...    # of what is done so far; runs nothing

Goal-conditioned sizing on real ngspice: a policy reads targets, proposes a sizing, reads by how
much each spec is missed, and proposes again, `turns` times. Every arm of a seed starts from the
same warm start, meets the same training problems in the same order, and ends at the same number of
simulations, siblings counted. Then it is tried on held-out targets, drawn from designs that
training never saw, one sampled action a turn.

Runs are kept in `--runs`, one folder each; the same command goes on where it stopped. Collapsed
runs stay in.

Intervals: 95 % percentile bootstrap that resamples seeds, and problems within them; for a
difference, both arms by the same seeds and problems.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from acs_gym.session import available_cores
from acs_gym.simulation.version import simulator_version
from acs_gym.threads import ONE_THREAD

TL, GRPO = {"algorithm": "tl-grpo"}, {"algorithm": "grpo"}
# The simulations of an update are problems x turns x group in either.
ARMS: Mapping[str, Mapping[str, Any]] = {
    "tl-grpo improvement": TL | {"turn_reward": "improvement"},
    "tl-grpo score": TL | {"turn_reward": "score"},
    "grpo best": GRPO | {"episode_reward": "best"},
    "grpo last": GRPO | {"episode_reward": "last"},
    "sft": {"simulations": 1},
}
_BASE = ARMS["tl-grpo improvement"]
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "tl-grpo improvement": _BASE,
    "group 4": _BASE | {"group": 4, "problems": 16},
    "group 16": _BASE | {"group": 16, "problems": 4},
    "turns 3": _BASE | {"turns": 3},
    "continue with the best": _BASE | {"continuation": "best"},
    "mean only": _BASE | {"normalise": "mean"},
    "entropy bonus 0.01": _BASE | {"entropy_bonus": 0.01},
    "score, entropy bonus 0.01": _BASE | {"turn_reward": "score", "entropy_bonus": 0.01},
}
SETS = {"main": ARMS, "ablations": ABLATIONS}
BASELINE = "tl-grpo improvement"
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Run:
    """One arm with one seed."""

    arm: str
    seed: int
    settings: str  # The whole configuration as JSON, so that a changed one is run again.

    @property
    def folder(self) -> str:
        return f"{self.arm.replace(' ', '_').replace(',', '')}-{self.seed}"


def settings(arm: Mapping[str, Any], seed: int, options: argparse.Namespace) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "study",
        "seed": seed,
        "turns": 5,
        "group": 8,
        "problems": 8,
        "simulations": options.simulations,
        "learning_rate": 3e-4,
        "action_tokens": 64,
        "checkpoint_every": 20,
        # A row at a time: on a CPU the attention of several is slower than one after the other.
        "micro_tokens": 1024,
        "domain": {
            "name": "circuits",
            "arguments": {
                "tasks": options.tasks.split(","),
                "pdk": options.pdk,
                "workers": 1,
                "vocabulary": options.vocabulary.split(",") if options.vocabulary else [],
            },
        },
        "sft": {"episodes": options.demonstrations},
    }
    return base | dict(arm)


def execute(job: tuple[Run, str, int]) -> dict[str, Any]:
    """Train one arm and try it on held-out problems. Runs in a process of its own."""
    run, root, problems = job
    from tlgrpo.config import TrainConfig
    from tlgrpo.evaluate import evaluate_run
    from tlgrpo.loop import WARM, Trainer

    folder = Path(root) / run.folder
    result = folder / "evaluation.json"
    if result.exists():
        kept = json.loads(result.read_text())
        if kept["settings"] == run.settings and kept["evaluated"]["problems"] == problems:
            return dict(kept)
        shutil.rmtree(folder)
    config = TrainConfig.of(json.loads(run.settings), run.arm)
    warm = Path(root) / f"warm-{run.seed}"
    if warm.exists() and not (folder / WARM).exists():
        shutil.copytree(warm, folder / WARM)
    start = time.perf_counter()
    for _ in Trainer(config, folder).run():
        pass
    seconds = time.perf_counter() - start
    only_warm = run.arm == "sft"
    evaluated = evaluate_run(folder, problems=problems, turns=5, warm=only_warm, seed=run.seed)
    lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    found = {
        "arm": run.arm,
        "seed": run.seed,
        "settings": run.settings,
        "simulations": 0 if only_warm else lines[-1]["simulations"],
        "seconds": round(seconds, 1),
        "evaluated": asdict(evaluated),
        "curve": [] if only_warm else curve(lines),
    }
    result.write_text(json.dumps(found))
    return found


def curve(lines: Sequence[dict[str, Any]], points: int = 20) -> list[dict[str, float]]:
    """Means over consecutive updates of the training's own numbers."""
    wanted = (
        "simulations", "best_of_episode", "first_turn", "solved", "entropy", "invalid_share",
        "dead_groups", "idle_groups", "clip_fraction", "mismatch", "sample_seconds", "learn_seconds",
    )  # fmt: skip
    parts = np.array_split(np.arange(len(lines)), min(points, len(lines)))
    return [
        {name: round(float(np.mean([lines[k][name] for k in part])), 5) for name in wanted}
        for part in parts
    ]


def warm_start(job: tuple[Run, str]) -> None:
    """Make the warm start of a seed, in a process of its own; it is the same for all arms."""
    from tlgrpo.config import TrainConfig
    from tlgrpo.loop import WARM, Trainer

    run, root = job
    kept = Path(root) / f"warm-{run.seed}"
    if kept.exists():
        return
    config = json.loads(run.settings) | {"simulations": 1, "name": "warm"}
    folder = Path(root) / f".warming-{run.seed}"
    shutil.rmtree(folder, ignore_errors=True)
    Trainer(TrainConfig.of(config, "warm start"), folder, say=_say)
    shutil.copytree(folder / WARM, folder / "whole")
    os.replace(folder / "whole", kept)
    shutil.rmtree(folder)


def interquartile_mean(values: NDArray[np.float64], axis: int) -> Any:
    return stats.trim_mean(values, 0.25, axis=axis)


def statistic(scores: NDArray[np.float64], kind: str) -> Any:
    """The statistic of scores of shape (..., seeds, problems), shape (...)."""
    flat = scores.reshape(*scores.shape[:-2], -1)
    return (flat >= 1.0).mean(-1) if kind == "success" else interquartile_mean(flat, -1)


@lru_cache(maxsize=16)
def _draws(seeds: int, problems: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of every draw, shapes (draws, seeds, 1) and (draws, 1, problems)."""
    rng = np.random.default_rng(seed)
    places = [
        (rng.integers(seeds, size=(seeds, 1)), rng.integers(problems, size=(1, problems)))
        for _ in range(RESAMPLES)
    ]
    rows, columns = (np.array(p) for p in zip(*places, strict=True))
    return rows, columns


def interval(
    first: NDArray[np.float64], second: NDArray[np.float64] | None, kind: str, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a statistic, or of its difference between two arms of the same seeds."""
    drawn = _draws(*first.shape, seed)
    found = statistic(first[drawn], kind)
    if second is not None:
        found = found - statistic(second[drawn], kind)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def report(found: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[str]:
    """Markdown tables."""
    by_arm: dict[str, dict[int, Mapping[str, Any]]] = {}
    for run in found:
        by_arm.setdefault(run["arm"], {})[run["seed"]] = run
    lines = [
        "| arm | seeds | best@1 | area | best@5 (IQM) | solved | turns to solve | no action "
        "| simulations | s a run |",
        "|---" * 10 + "|",
    ]

    def scores(arm: str, seeds: Sequence[int]) -> NDArray[np.float64]:
        return np.array([by_arm[arm][s]["evaluated"]["scores"] for s in seeds])

    for arm in (a for a in arms if a in by_arm):
        runs = by_arm[arm]
        seeds = sorted(runs)
        grid = scores(arm, seeds)
        low, high = interval(grid, None, "iqm")
        won, most = interval(grid, None, "success")
        one = np.mean([runs[s]["evaluated"]["best_at"][0] for s in seeds])
        area = np.mean([np.mean(runs[s]["evaluated"]["best_at"]) for s in seeds])
        turns = [t for s in seeds if (t := runs[s]["evaluated"]["turns_to_solve"]) is not None]
        bad = np.mean([runs[s]["evaluated"]["invalid"] for s in seeds])
        lines.append(
            f"| {arm} | {len(seeds)} | {one:.3f} | {area:.3f} "
            f"| {statistic(grid, 'iqm'):.4f} [{low:.4f}, {high:.4f}] "
            f"| {statistic(grid, 'success'):.1%} [{won:.1%}, {most:.1%}] "
            f"| {np.mean(turns) if turns else float('nan'):.1f} | {bad:.1%} "
            f"| {runs[seeds[0]]['simulations']} | {np.mean([runs[s]['seconds'] for s in seeds]):.0f} |"
        )
    lines += ["", f"Differences, `{BASELINE}` less the other, by the same seeds and problems:", ""]
    lines += ["| other | seeds | IQM of best@5 | solved |", "|---|---|---|---|"]
    for arm in (a for a in arms if a in by_arm and a != BASELINE and BASELINE in by_arm):
        seeds = sorted(set(by_arm[arm]) & set(by_arm[BASELINE]))
        if not seeds:
            continue
        mine, other = scores(BASELINE, seeds), scores(arm, seeds)
        cells = []
        for kind, form in (("iqm", "{:+.4f}"), ("success", "{:+.1%}")):
            low, high = interval(mine, other, kind)
            middle = statistic(mine, kind) - statistic(other, kind)
            cells.append(f"{form.format(middle)} [{form.format(low)}, {form.format(high)}]")
        lines.append(f"| {arm} | {len(seeds)} | {cells[0]} | {cells[1]} |")
    return lines


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--set", choices=sorted(SETS), default="main")
    parser.add_argument("--arms", help="some of the set's arms, with commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--simulations", type=int, default=16_000)
    parser.add_argument("--demonstrations", type=int, default=2048)
    parser.add_argument("--problems", type=int, default=256, help="held-out problems")
    parser.add_argument("--tasks", default="ACS-OTA5T-v0")
    parser.add_argument(
        "--vocabulary", default="ACS-CommonSource-v0", help="tasks never trained on"
    )
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--jobs", type=int, default=available_cores())
    parser.add_argument("--runs", type=Path, default=Path("runs/tlgrpo-study"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    chosen = SETS[options.set]
    names = options.arms.split(",") if options.arms else list(chosen)
    if unknown := [n for n in names if n not in chosen]:
        sys.exit(f"no arm {unknown[0]!r}; arms: {', '.join(chosen)}")
    runs = [
        Run(name, seed, json.dumps(settings(chosen[name], seed, options), sort_keys=True))
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for name in names
    ]
    options.runs.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    if options.table:
        for run in runs:
            path = options.runs / run.folder / "evaluation.json"
            if path.exists():
                found.append(json.loads(path.read_text()))
    else:
        os.environ |= ONE_THREAD
        jobs = [(run, str(options.runs), options.problems) for run in runs]
        firsts = {run.seed: (run, str(options.runs)) for run in reversed(runs)}
        context = multiprocessing.get_context("spawn")
        with context.Pool(
            options.jobs,
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
            maxtasksperchild=1,
        ) as pool:
            try:
                pool.map(warm_start, firsts.values(), chunksize=1)
                for done in pool.imap_unordered(execute, jobs):
                    found.append(done)
                    success, best = done["evaluated"]["success"], done["evaluated"]["best_at"][-1]
                    _say(
                        f"{len(found)}/{len(runs)}: {done['arm']}, seed {done['seed']}: "
                        f"best@5 {best:.4f}, solved {success:.1%} in {done['seconds']:.0f} s"
                    )
            except KeyboardInterrupt:
                sys.exit(f"stopped; what is done is in {options.runs}, the same command goes on")
    if not found:
        sys.exit("no run of this study is done")
    lines = report(found, names)
    print("\n".join(lines))
    if options.json:
        result = {
            "command": shlex.join(["python", "benchmarks/tlgrpo/study.py", *sys.argv[1:]]),
            "ngspice": str(simulator_version()),
            "cores": available_cores(),
            "runs": sorted(found, key=lambda r: (names.index(r["arm"]), r["seed"])),
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, separators=(",", ":"))
        options.json.write_text(text.replace('{"arm":', '\n{"arm":') + "\n")


if __name__ == "__main__":
    main()
