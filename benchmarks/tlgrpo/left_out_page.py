"""The page of the policies that one training circuit was kept from, from their committed results.

    python benchmarks/tlgrpo/left_out_page.py          # docs/tlgrpo-left-out.md

Every number and judgement of the page is computed here, so that it cannot disagree with the results.
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

import left_out
import numpy as np
import policy_page
import sized
from left_out import NEEDS_NO_OTHER, POLICY, SAME_SEVEN
from sized import BUDGETS, TOLD_ONCE, Row

RESULT = Path(__file__).parents[1] / "results" / "tlgrpo_left_out.json"
DOCS = Path(__file__).parents[2] / "docs"
PAGE = "tlgrpo-left-out.md"


def read() -> dict[str, Any]:
    return dict(json.loads(RESULT.read_text()))


def beside_shown(rows: Sequence[Row], shown: Sequence[Row], budget: int) -> tuple[float, float]:
    """Mean score of the policies that were not shown the circuit, and of the package's, that was."""
    place = BUDGETS.index(budget)
    same = {(r["task"], r["problem"]) for r in rows if r["method"] == POLICY}
    mine = [r["best"][place] for r in rows if r["method"] == POLICY]
    theirs = [
        r["best"][place]
        for r in shown
        if r["method"] == policy_page.POLICY and (r["task"], r["problem"]) in same
    ]
    return float(np.mean(mine)), float(np.mean(theirs))


def judged(rows: Sequence[Row], budget: int) -> str:
    """Against whom the policy's interquartile mean is above on most circuits, and against whom not."""
    ahead, behind = [], []
    for method, above, of in policy_page.above(rows, budget, POLICY):
        if method.removesuffix(TOLD_ONCE) != POLICY:
            (ahead if 2 * above > of else behind).append(f"`{method}` ({above} of {of})")
    sentences = [
        f"After {budget} its interquartile mean is above that of {', '.join(ahead) or 'none'} on more "
        "than half of the circuits"
    ]
    if behind:
        sentences.append(f"above that of {', '.join(behind)} on no more than half")
    return "; ".join(sentences) + "."


def page() -> str:
    made = read()
    rows = made["runs"]
    tasks = tuple(dict.fromkeys(r["task"] for r in rows))
    problems = 1 + max(r["problem"] for r in rows)
    shown = policy_page.read(policy_page.PLAYED)["runs"]
    compared = [*rows, *left_out.beside(tasks, problems)]
    first = rows[0]
    spent = [r["simulated"] for r in {r["task"]: r for r in rows}.values()]
    unseen, seen = beside_shown(rows, shown, 5)
    lines = [
        "<!-- Made by `python benchmarks/tlgrpo/left_out_page.py`. -->",
        "# A circuit kept from the policy",
        "",
        f"Each of the {len(tasks)} training circuits was kept from one policy. That was warm-started on "
        f"the others: {first['steps']} steps of {first['batch']} episodes, by labels in hindsight, of "
        f"banks of {min(spent)} to {max(spent)} simulated designs. Then it was asked for held-out "
        f"targets of the circuit that it had not seen, {problems} of each, on SKY130. These policies are "
        "of one seed and a short training: [the package's](tlgrpo-policy.md) took "
        f"{_steps_of_the_package()} steps, and reinforcement learning after them. What is asked is "
        "whether sizing carries over to a circuit that nobody chose as a test.",
        "",
        f"`{made['command']}`",
        "",
        f"After 5 simulations the mean score is {unseen:.3f}. The package's policy, which was shown "
        f"every one of these circuits, has {seen:.3f} at the same targets. {judged(compared, 5)} "
        f"{judged(compared, 20)}",
        "",
        *sized.table(compared, tasks),
        "",
        "After 5 simulations, mean best score and share solved:",
        "",
        *sized.by_circuit(compared, BUDGETS.index(5)),
        "",
        f"`{POLICY}` begins with two designs that need no policy, those of `role median` and "
        "`nearest goal`, as the package's does on circuits that it was not shown. "
        f"`{POLICY}{TOLD_ONCE}` is the policy by itself. {_words(SAME_SEVEN)} know the same other "
        f"circuits. {_words(NEEDS_NO_OTHER[:-1])} know none. `{NEEDS_NO_OTHER[-1]}` has a plan for these "
        "very circuits, written by hand, so that it is told more than the policy.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _steps_of_the_package() -> int:
    training = policy_page.read(policy_page.TRAINING)
    return sum(part["step"] for part in (*training["before"], training["runs"][-1]))


def _words(methods: Sequence[str]) -> str:
    *most, last = (f"`{m}`" for m in methods)
    return f"{', '.join(most)} and {last}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    (options.docs / PAGE).write_text(page())
    print(options.docs / PAGE)


if __name__ == "__main__":
    main()
