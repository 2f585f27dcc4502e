"""The page of the study on known functions, from its committed result; evaluates nothing.

    python benchmarks/synthetic_page.py          # writes docs/optimizers-on-known-functions.md

Every number in the page is computed here, so that it cannot disagree with the result.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from direct import BESIDE
from known_functions import PROBLEMS, Problem
from synthetic import TOO_SLOW, Finished, load_results, table

from baselines.initial import default_size

RESULT = Path(__file__).parent / "results" / "synthetic.json"
PAGE = Path(__file__).parents[1] / "docs" / "optimizers-on-known-functions.md"


def ranking(done: Finished) -> tuple[float, float]:
    """The smaller, the better: evaluations until every spec was met, then the least f."""
    return (
        math.inf if done.first_met is None else done.first_met,
        math.inf if done.best is None else done.best,
    )


def duel(ours: Sequence[Finished], theirs: Sequence[Finished]) -> tuple[int, int]:
    """Seeds on which our method is better, and on which the library is."""
    other = {d.run.seed: ranking(d) for d in theirs}
    pairs = [(ranking(d), other[d.run.seed]) for d in ours if d.run.seed in other]
    return sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)


def duels(finished: Sequence[Finished]) -> dict[tuple[str, str], tuple[int, int]]:
    """(our method, problem) -> seeds won and lost, wherever both ran."""
    runs: dict[tuple[str, str], list[Finished]] = {}
    for done in finished:
        runs.setdefault((done.run.method, done.run.problem), []).append(done)
    return {
        (method, problem.name): duel(runs[method, problem.name], runs[library, problem.name])
        for method, library in BESIDE.items()
        for problem in PROBLEMS
        if (method, problem.name) in runs and (library, problem.name) in runs
    }


def duel_table(finished: Sequence[Finished]) -> list[str]:
    found = duels(finished)
    names = [p.name for p in PROBLEMS]
    lines = [
        "| ours | the library | " + " | ".join(names) + " | all |",
        "|---" * (len(names) + 3) + "|",
    ]
    for method, library in BESIDE.items():
        pairs = [found.get((method, name)) for name in names]
        total = [sum(p[k] for p in pairs if p) for k in (0, 1)]
        cells = ["–" if p is None else f"{p[0]} : {p[1]}" for p in pairs]
        lines.append(
            f"| `{method}` | {library} | " + " | ".join(cells) + f" | {total[0]} : {total[1]} |"
        )
    return lines


def behind(finished: Sequence[Finished]) -> str:
    """Where a library is better on every seed."""
    seeds = len({d.run.seed for d in finished})
    lost = [f"`{m}` on {p}" for (m, p), (won, worse) in duels(finished).items() if worse == seeds]
    won = sum(w == seeds for w, _ in duels(finished).values())
    return (
        f"On every one of the {seeds} seeds, the library is better with {', '.join(lost) or 'none'}; "
        f"ours is in {won} of the {len(duels(finished))} comparisons."
    )


def problem_line(problem: Problem) -> str:
    box = f"{len(problem.space)} parameters"
    if problem.constraints:
        box += f", {len(problem.constraints)} constraints, to reach f ≤ {problem.target:g}"
    initial = default_size(problem.budget, len(problem.space))
    return (
        f"* **{problem.name}**: {box}; least known f {problem.optimum:.6g}; {problem.budget} "
        f"evaluations, {initial} of them initial designs."
    )


def page(finished: Sequence[Finished], command: str, libraries: Mapping[str, str]) -> str:
    seeds = len({d.run.seed for d in finished})
    slow = "; ".join(sorted(f"{m} on {p}" for m, p in TOO_SLOW))
    versions = ", ".join(f"{k} {v}" for k, v in libraries.items())
    return "\n".join(
        [
            "<!-- Made by `python benchmarks/synthetic_page.py`. -->",
            "# The optimisers on known functions",
            "",
            "Is a method weaker here than in the library it comes from? Functions of the "
            "literature answer that without a simulator: our methods through `ask` and `tell`, "
            "the libraries as their own documentation uses them, from the same initial designs.",
            "",
            *map(problem_line, PROBLEMS),
            "",
            "Our protocol has specs and no objective, so f is a spec. Without constraints its "
            "target is the known optimum: never met, so the budget is spent and the least f "
            "counts. Under constraints it lies a little above, and evaluations until every spec "
            "is met count. The libraries minimise f under the constraints, or without means for "
            "these (scikit-optimize, pycma) one less the score.",
            "",
            f"`{command}` made the result ([synthetic.json](../benchmarks/results/synthetic.json); "
            f"{seeds} seeds; {versions}). Left out, since a run takes one to ten minutes: {slow}. "
            "`botorch-cei`, `botorch-composite` and `scbo` run under constraints only, being "
            "`botorch-logei` and `turbo` without.",
            "",
            "Without constraints: median of the least f [range]. With them: median evaluations "
            "until every spec is met, and how many runs met them. The last column is CPU seconds.",
            "",
            *table(finished),
            "",
            "## Ours beside the library",
            "",
            "Seeds on which ours is better : on which the library is.",
            "",
            *duel_table(finished),
            "",
            behind(finished),
            "",
        ]
    )


def main() -> None:
    data = json.loads(RESULT.read_text())
    PAGE.write_text(page(load_results(RESULT), data["command"], data["libraries"]))
    print(PAGE)


if __name__ == "__main__":
    main()
