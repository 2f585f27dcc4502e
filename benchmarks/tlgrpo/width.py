"""Would a larger sizing policy be better? Warm starts of several widths on the same banks.

    python -m tlgrpo.bank --tasks training --simulations 500 --trajectories 6 \
      --optimizers composite-ei,de --out runs/left_out_banks
    python benchmarks/tlgrpo/width.py --banks runs/left_out_banks --bfloat16 \
      --json benchmarks/results/tlgrpo_width.json

Each was shown all eight training circuits, with the same episodes in the same order, and takes the same
steps; the rate falls as the width grows. What is asked is the policy by itself, one sampled action a
turn, at held-out targets of the circuits that it was shown and of those that it never saw.

Training goes on from what is kept in `--out`, finished circuits are appended to `--runs`: the same
command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import resumable
import sized
import warmed
from sized import PDK, TOLD_ONCE, Row

import acs_gym
from leaderboard.suites import suite_tasks
from tlgrpo.memory import clustered_interval

WIDTHS = (128, 256)
SUITES = ("training", "held-out")


def method_of(width: int) -> str:
    """Its name in a table."""
    return f"width {width}"


def rate_of(width: int) -> float:
    """Of the warm start: a wider layer sums more steps, so that each is smaller."""
    return warmed.RATE * WIDTHS[0] / width


def parameters(run: Path) -> int:
    """Numbers in the weights of a run."""
    import torch

    weights = torch.load(run / "warm" / "weights.pt", weights_only=True)
    return sum(value.numel() for value in weights.values())


def run_all(wanted: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Of one width and circuit: its policy, trained where it is not yet, then what is asked of it."""
    width = wanted[0]["width"]
    folder = Path(wanted[0]["folder"]) / str(width)
    end = warmed.train(folder, {"policy.width": width}, wanted[0], rate_of(width))
    size = parameters(folder)
    found = []
    for one in wanted:
        asked = {"task": one["task"], "pdk": PDK, "problem": one["problem"], "repetition": 0}
        began = time.process_time()
        row = sized.run({**asked, "method": f"tlgrpo:{folder}{TOLD_ONCE}", "banks": None})
        cost = {"parameters": size, "agent_seconds": round(time.process_time() - began, 2)}
        found.append({**row, **one, **end, **cost})
    return found


def section(found: Mapping[str, Any], titles: Mapping[str, str], steps: int) -> list[str]:
    """Of a page: what a larger policy is worth. `titles`: of suites; `steps`: of the package's policy."""
    rows = found["runs"]
    narrow, *wider = sorted({r["width"] for r in rows})
    one = rows[0]
    lines = [
        "## Would a larger one be better?", "", f"`{found['command']}`", "",
        f"Warm starts of the same {one['steps']} steps of {one['batch']} episodes, one seed each, on "
        f"banks of {one['simulated']} simulated designs, and no reinforcement learning after them: less "
        f"than the package's policy had, which took {steps} steps. Asked is the policy by itself, one "
        "sampled action a turn. What a larger one becomes in more steps than these is not said.", "",
        "| policy | parameters | loss, nats a value | its own seconds for 20 designs |",
        "|---|---|---|---|",
    ]  # fmt: skip
    for size in (narrow, *wider):
        mine = [r for r in rows if r["width"] == size]
        seconds = np.median([r["agent_seconds"] for r in mine])
        lines.append(
            f"| {mine[0]['method']} | {mine[0]['parameters'] / 1e6:.2f} million | {mine[0]['loss']:.2f} "
            f"| {seconds:.1f} |"
        )
    for suite, title in titles.items():
        tasks = suite_tasks(suite)
        mine = [r for r in rows if r["task"] in tasks]
        said = "; ".join(_wider(mine, narrow, size, 5) for size in wider)
        lines += ["", f"{title}:", "", *sized.table(mine, tasks), "", f"{said}."]
    return [*lines, ""]


def _wider(rows: Sequence[Row], narrow: int, size: int, budget: int) -> str:
    """The difference in score on the same problems, and what its interval says."""
    place = sized.BUDGETS.index(budget)
    scores = {
        of: {
            (r["task"], r["anchor"], r["problem"]): r["best"][place]
            for r in rows
            if r["width"] == of
        }
        for of in (narrow, size)
    }
    difference = [scores[size][problem] - score for problem, score in scores[narrow].items()]
    low, high = clustered_interval(difference, [problem[:2] for problem in scores[narrow]])
    told = "above" if low > 0 else "below" if high < 0 else "not told apart from"
    return (
        f"Score after {budget}, {method_of(size)} less {method_of(narrow)}: "
        f"{np.mean(difference):+.3f} [{low:+.3f}, {high:+.3f}], {told} it"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--banks", type=Path, required=True, help="folder of tlgrpo.bank")
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)))
    parser.add_argument("--steps", type=int, default=1_000, help="of each warm start")
    parser.add_argument("--batch", type=int, default=12, help="episodes of a step")
    parser.add_argument("--bfloat16", action="store_true", help="matrix products in it")
    parser.add_argument("--problems", type=int, default=8, help="of each circuit")
    parser.add_argument("--out", type=Path, default=Path("runs/width"))
    parser.add_argument("--runs", type=Path, default=Path("runs/tlgrpo_width.jsonl"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = [
        {
            "task": task, "digest": acs_gym.make_task(task, pdk=PDK).digest[:16], "width": width,
            "banks": str(options.banks), "folder": str(options.out), "steps": options.steps,
            "batch": options.batch, "bfloat16": options.bfloat16, "method": method_of(width),
            "problem": number,
        }
        for width in map(int, options.widths.split(","))
        for suite in SUITES
        for task in suite_tasks(suite)
        for number in range(options.problems)
    ]  # fmt: skip
    # One job: a policy is trained with the first of its circuits.
    rows = resumable.run_groups(options.runs, wanted, run_all, ("width", "task"), jobs=1)
    for suite in SUITES:
        print(f"\n{suite}\n")
        print("\n".join(sized.table(rows, suite_tasks(suite))))
    if options.json:
        resumable.write(options.json, {"runs": rows})


if __name__ == "__main__":
    main()
