"""The leaderboard's current results: every built-in agent without a paid model, on both splits.

    python benchmarks/boards.py run                 # hours; the same command again goes on
    python benchmarks/boards.py run --dry-run       # the commands alone
    python benchmarks/boards.py summarise           # runs/boards/* -> benchmarks/results/boards.json
                                                    # (of a folder alone: the other boards are kept)
    python benchmarks/boards.py page                # that -> docs/boards.md

A board a split, tier and kind of targets, each in a folder of its own, verified before it is summarised.
Boards may be run on several machines: what is summarised here takes the place of the same board alone.
Targets are held out with the public salt, so that anybody can run the very same tasks; in `pvt` none are
drawn, and only circuits with a sizing that is known to meet it are asked for. Every number and sentence
of the page is made here, so that it cannot disagree with the result.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboard.board.chosen import choose
from leaderboard.board.standings import Standings
from leaderboard.cells.spec import FIXED, HELD_OUT
from leaderboard.reporting.conclusions import conclusions
from leaderboard.reporting.export import to_markdown
from leaderboard.suites import proved_tasks, suite_tasks

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "boards"
RESULT = ROOT / "benchmarks" / "results" / "boards.json"
PAGE = ROOT / "docs" / "boards.md"
# An ask of a method takes some tenths of a second, so that five seeds are a matter of hours.
AGENTS = {
    "tt": (
        "random", "sobol", "de", "cma-es", "optuna-tpe", "skopt-gp", "skopt-forest", "composite-ei",
        "transfer", "botorch-logei", "botorch-cei", "botorch-composite", "turbo", "scbo", "llm-scripted",
        "tlgrpo:pretrained", "tlgrpo:pretrained+composite-ei",
    ),
    "pvt": ("random", "composite-ei", "corner-aware", "corner-aware:transfer"),
}  # fmt: skip
BUDGETS = {"tt": 40, "pvt": 250}
TARGETS = {"tt": (HELD_OUT, FIXED), "pvt": (FIXED,)}
SPLITS = ("training", "held-out")


@dataclass(frozen=True, slots=True)
class Board:
    """One leaderboard."""

    suite: str
    tier: str
    targets: str

    @property
    def folder(self) -> Path:
        """Of its cells. A board of held-out targets has its open track in the same one."""
        return RUNS / f"{self.suite}-{self.tier}"

    @property
    def tasks(self) -> tuple[str, ...]:
        """Of its suite, those with a sizing that is known to meet the tier."""
        return proved_tasks(self.suite, tier=self.tier)

    def command(self, seeds: int, jobs: int) -> list[str]:
        return [
            sys.executable, "-m", "leaderboard.run", "--tasks", ",".join(self.tasks), "--tier", self.tier,
            "--targets", self.targets, "--agents", ",".join(AGENTS[self.tier]),
            "--budget", str(BUDGETS[self.tier]), "--seeds", str(seeds), "--jobs", str(jobs),
            "--out", str(self.folder.relative_to(ROOT)),
        ]  # fmt: skip


def boards() -> list[Board]:
    """Held-out targets before the fixed ones, cheap conditions before dear ones."""
    return [
        Board(suite, tier, targets)
        for tier, kinds in TARGETS.items()
        for targets in kinds
        for suite in SPLITS
    ]


def run(seeds: int, jobs: int, dry_run: bool) -> None:
    """Every board to its end, then verified. Exits with the status of the first command that fails."""
    commands = [board.command(seeds, jobs) for board in boards()]
    # Not replayed: asking every agent again takes as long as the boards, which this user has just run.
    commands += [
        [sys.executable, "-m", "leaderboard.verify", "--no-replay", str(folder.relative_to(ROOT))]
        for folder in dict.fromkeys(board.folder for board in boards())
    ]
    for command in commands:
        print(shlex.join(["python", *command[1:]]), flush=True)
        if not dry_run and (status := subprocess.run(command, cwd=ROOT, check=False).returncode):
            sys.exit(status)


def summary(board: Standings) -> dict[str, Any]:
    """What is kept of a board: its table, its sentences, and what each agent cost."""
    conditions = board.conditions
    return {
        "suite": next((s for s in SPLITS if set(board.tasks) <= set(suite_tasks(s))), "custom"),
        "tier": conditions.tier,
        "held_out": conditions.held_out,
        "tasks": {task: card.title for task, card in board.tasks.items()},
        "simulators": list(board.simulators),
        "conclusions": conclusions(board),
        "ranking": to_markdown(board),
        "costs": [
            {
                "agent": row.agent,
                "runs": row.overall.cells,
                "met": row.overall.successes,
                "score": round(row.overall.score, 4),
                "simulations": conditions.budget,
                "agent_seconds": round(row.agent_seconds, 2),
                "simulator_seconds": round(row.simulator_seconds, 2),
                "peak_memory_mib": row.peak_memory_mib,
            }
            for row in board.rows
        ],
    }


def summarised(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The boards of these folders; where one has both kinds of targets, the held-out ones first."""
    found = []
    for folder in folders:
        chosen = choose(folder)
        found.append(summary(chosen.board()))
        if chosen.open_track:
            found.append(summary(choose(folder, targets=FIXED).board()))
    return found


def merged(kept: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was found, and what was kept of other boards, in the order in which boards are run."""
    planned = [(b.suite, b.tier, b.targets == HELD_OUT) for b in boards()]
    every = {_identity(board): board for board in (*kept, *found)}
    return sorted(
        every.values(),
        key=lambda b: planned.index(_identity(b)) if _identity(b) in planned else len(planned),
    )


def _identity(board: Mapping[str, Any]) -> tuple[str, str, bool]:
    return board["suite"], board["tier"], board["held_out"]


def page(made: Mapping[str, Any]) -> str:
    """The page of a summary."""
    lines = [
        "<!-- Made by `python benchmarks/boards.py page`. -->",
        "# Current results",
        "",
        "Every built-in agent that needs no paid model, at the same simulations, with every winning "
        f"design simulated again. `{made['command']}` made the boards; "
        "[boards.json](../benchmarks/results/boards.json) holds what is shown.",
        "",
        "Not all of them begin with nothing. `transfer` and `corner-aware:transfer` start from the "
        "circuit's designs in another process, `llm-scripted` has a plan for each training circuit, and "
        "`tlgrpo:pretrained` was trained on the training circuits at other targets. The others know the "
        "ranges of a task and no more.",
    ]
    run = {_identity(board) for board in made["boards"]}
    missing = [
        _title(b.suite, b.tier, held_out=b.targets == HELD_OUT)
        for b in boards()
        if (b.suite, b.tier, b.targets == HELD_OUT) not in run
    ]
    if missing:
        lines += ["", f"Not run yet: {'; '.join(missing)}. The same command goes on with them."]
    if len(made["boards"]) > 1:
        lines += ["", "## At a glance", "", *_at_a_glance(made["boards"])]
    for board in made["boards"]:
        lines += ["", *_section(board)]
    return "\n".join(lines) + "\n"


def _at_a_glance(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Score and runs that met every spec: agents by boards, the best of the first board first."""
    titles = [_title(b["suite"], b["tier"], held_out=b["held_out"]) for b in found]
    by_board = [{cost["agent"]: cost for cost in board["costs"]} for board in found]
    agents = dict.fromkeys(agent for rows in by_board for agent in rows)
    yield "Score, and in how many of its runs an agent met every spec. Each board says how sure that is."
    yield ""
    yield f"| agent | {' | '.join(titles)} |"
    yield f"|---|{'--:|' * len(titles)}"
    for agent in agents:
        cells = [
            f"{rows[agent]['score']:.3f}, {rows[agent]['met']} of {rows[agent]['runs']}"
            if agent in rows
            else "–"
            for rows in by_board
        ]
        yield f"| `{agent}` | {' | '.join(cells)} |"


def _title(suite: str, tier: str, *, held_out: bool) -> str:
    split = {"training": "Training circuits", "held-out": "Held-out circuits"}.get(
        suite, "Circuits"
    )
    return f"{split}, {tier}, {'held-out' if held_out else 'fixed'} targets"


def _section(board: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {_title(board['suite'], board['tier'], held_out=board['held_out'])}"
    yield ""
    yield f"{', '.join(board['tasks'].values())} ({', '.join(board['simulators'])})."
    whole = suite_tasks(board["suite"]) if board["suite"] in SPLITS else board["tasks"]
    if missing := len(whole) - len(board["tasks"]):
        yield (
            f"{missing} of the split's circuits are not asked for: no sizing of theirs is known to meet "
            f"every spec in `{board['tier']}`."
        )
    yield ""
    yield from (f"* {sentence}" for sentence in board["conclusions"])
    yield ""
    yield board["ranking"].strip()
    yield ""
    yield (
        "What a run took, mean over the runs of an agent, and the most memory of any. An agent's seconds "
        "end with the answer to its last design, without those that it waited for the simulator:"
    )
    yield ""
    yield "| agent | simulations | agent, s | simulator, s | memory, MiB | runs |"
    yield "|---|--:|--:|--:|--:|--:|"
    for cost in board["costs"]:
        memory = cost["peak_memory_mib"]
        held = "" if memory is None else f"{memory:.0f}"
        yield (
            f"| `{cost['agent']}` | {cost['simulations']} | {cost['agent_seconds']:.2f} | "
            f"{cost['simulator_seconds']:.2f} | {held} | {cost['runs']} |"
        )
    # Written by hand: what a later version found to be wrong with an older board.
    if "note" in board:
        yield ""
        yield board["note"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    running = steps.add_parser("run", help="run and verify every board")
    running.add_argument("--seeds", type=int, default=5)
    running.add_argument("--jobs", type=int, default=2)
    running.add_argument("--dry-run", action="store_true", help="print the commands alone")
    making = steps.add_parser("summarise", help="keep what the page shows, as JSON")
    making.add_argument("folders", nargs="*", type=Path, help="by default those of `run`")
    making.add_argument("--json", type=Path, default=RESULT)
    writing = steps.add_parser("page", help="write the page")
    writing.add_argument("--json", type=Path, default=RESULT)
    writing.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    if options.step == "run":
        run(options.seeds, options.jobs, options.dry_run)
    elif options.step == "summarise":
        folders = options.folders or list(dict.fromkeys(board.folder for board in boards()))
        kept = json.loads(options.json.read_text())["boards"] if options.json.exists() else []
        every = merged(kept, summarised(folders))
        made = {"command": "python benchmarks/boards.py run", "boards": every}
        options.json.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
        print(options.json)
    else:
        options.output.write_text(page(json.loads(options.json.read_text())))
        print(options.output)


if __name__ == "__main__":
    main()
