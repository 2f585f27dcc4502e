"""One training circuit left out: a policy warm-started on the other seven, asked for the eighth.

    python -m tlgrpo.bank --tasks training --simulations 500 --trajectories 6 \
      --optimizers composite-ei,de --out runs/left_out_banks
    python benchmarks/tlgrpo/left_out.py --banks runs/left_out_banks \
      --json benchmarks/results/tlgrpo_left_out.json

Eight small warm starts in hindsight, of one recipe that is no circuit's own, each asked for held-out
targets of the circuit that it was not shown. It is played as the agent does (`tlgrpo.agent`: first two
designs that need no policy), and told once without them, which is the policy by itself. What it is
compared with are the rows of `sized.py`, on the same targets: `role median` and `nearest goal` know the
same seven circuits, optimisers know none, and `llm-scripted` has a plan written by hand for each of them.

Training goes on from what is kept in `--out`, finished circuits are appended to `--runs`: the same
command goes on where it was stopped.
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

import resumable
import sized
import warmed
from sized import PDK, TOLD_ONCE, TRAINING, Row

import acs_gym

ROOT = Path(__file__).parents[2]
BESIDE = ROOT / "benchmarks/results/tlgrpo_policy.json"
POLICY = "left out"
NEEDS_NO_OTHER = ("random", "composite-ei", "botorch-composite", "scbo", "llm-scripted")
SAME_SEVEN = ("role median", "nearest goal")


def train(wanted: Mapping[str, Any]) -> tuple[Path, Row]:
    """(the run of a policy that was shown every training circuit but one, the end of its curve)."""
    others = [task for task in TRAINING if task != wanted["task"]]
    folder = Path(wanted["folder"]) / wanted["task"]
    return folder, warmed.train(folder, {"domain.arguments.tasks": others}, wanted)


def run_all(wanted: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Of one circuit: its policy, then what is asked of it."""
    folder, end = train(wanted[0])
    found = []
    for one in wanted:
        method = f"tlgrpo:{folder}" + one["method"].removeprefix(POLICY)
        asked = {"task": one["task"], "pdk": PDK, "problem": one["problem"], "repetition": 0}
        row = sized.run({**asked, "method": method, "banks": None})
        found.append({**row, **one, **end})
    return found


def beside(tasks: Sequence[str], problems: int) -> list[Row]:
    """What needs no policy, on the same problems."""
    known = json.loads(BESIDE.read_text())["runs"]
    rivals = {*NEEDS_NO_OTHER, *SAME_SEVEN}
    return [
        r for r in known
        if r["method"] in rivals and r["task"] in tasks and r["problem"] < problems
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--banks", type=Path, required=True, help="folder of tlgrpo.bank")
    parser.add_argument("--steps", type=int, default=1_000, help="of each warm start")
    parser.add_argument("--batch", type=int, default=12, help="episodes of a step")
    parser.add_argument("--bfloat16", action="store_true", help="matrix products in it")
    parser.add_argument("--problems", type=int, default=8, help="of each circuit")
    parser.add_argument(
        "--circuits", default=",".join(TRAINING), help="to be left out, one a policy"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/left_out"))
    parser.add_argument("--runs", type=Path, default=Path("runs/tlgrpo_left_out.jsonl"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    circuits = options.circuits.split(",")
    if unknown := [task for task in circuits if task not in TRAINING]:
        sys.exit(f"{unknown[0]!r} is no training circuit; there are: {', '.join(TRAINING)}")
    wanted = [
        {
            "task": task, "digest": acs_gym.make_task(task, pdk=PDK).digest[:16],
            "banks": str(options.banks), "folder": str(options.out), "steps": options.steps,
            "batch": options.batch, "bfloat16": options.bfloat16, "method": method,
            "problem": number,
        }
        for method in (POLICY, POLICY + TOLD_ONCE)
        for task in circuits
        for number in range(options.problems)
    ]  # fmt: skip
    rows = resumable.run_groups(options.runs, wanted, run_all, ("task",), options.jobs)
    compared = [*rows, *beside(circuits, options.problems)]
    print("\n".join(sized.table(compared, TRAINING)))
    print("\n".join(sized.by_circuit(compared, sized.BUDGETS.index(5))))
    if options.json:
        resumable.write(options.json, {"runs": rows})


if __name__ == "__main__":
    main()
