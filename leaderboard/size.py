"""acs-gym size CIRCUIT: let an optimiser size a circuit, watch it, and get what a designer asks for."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from acs_gym import program
from acs_gym.pdks import pdk_names
from acs_gym.simulation.pool import shared_pool
from leaderboard.agents.enough import NAME as ENOUGH
from leaderboard.cells.fingerprint import simulator_version
from leaderboard.cells.runner import cell_task
from leaderboard.errors import LeaderboardError
from leaderboard.running.backends import Observer
from leaderboard.running.evaluate import Request, Run, started
from leaderboard.running.plan import PlannedCell
from leaderboard.sizing.live import SizingProgress
from leaderboard.suites import SUITE_SEED, resolve_task
from leaderboard.trust.verification import winner

EXIT_NOTHING, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
# At nominal the quickest method that meets specs; over corners, what makes every simulation count.
NOMINAL, CORNERS = "composite-ei", "corner-aware"


def main(
    circuit: Annotated[
        str, typer.Argument(help="Folder of your own circuit, or a bundled one by id or name.")
    ],
    budget: Annotated[int, typer.Option(help="Simulations it may take.")] = 200,
    agent: Annotated[
        str | None,
        typer.Option(
            help="Who sizes, as in leaderboard.run.",
            show_default=f"{NOMINAL}; {CORNERS} in pvt, mc",
        ),
    ] = None,
    pdk: Annotated[str, typer.Option(help=f"Process: {', '.join(pdk_names())}.")] = "sky130",
    tier: Annotated[
        str, typer.Option(help="Conditions to meet the specs at: tt (nominal), pvt, mc or mcN.")
    ] = "tt",
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A sizing of yours to start from (TOML, JSON, result.json), or policy[:RUN]: a "
            "trained policy tries some designs first.",
        ),
    ] = None,
    until_budget: Annotated[
        bool,
        typer.Option(
            "--until-budget", help="Spend the whole budget on margin, also when every spec is met."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Another one searches elsewhere.")] = SUITE_SEED,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results; the same command again goes on.",
            show_default="runs/size/CIRCUIT-PDK-TIER",
        ),
    ] = None,
) -> None:
    """Size a circuit, and end with the sizing, its netlist, and a page that says whether to use it.

    Once every spec is met it spends a tenth of the budget on margin, and stops.
    Ctrl-C at any time keeps the best; the same command goes on.
    Exit code 0: every spec is met; 1: not every one, or nothing was measured; 2: wrong use.
    """
    try:
        task = resolve_task(circuit)
        name = agent or (NOMINAL if tier == "tt" else CORNERS)
        if start_from is not None:
            name = _starting(name, start_from)
        if not until_budget:
            name = f"{ENOUGH}:{name}"
        request = Request(
            tasks=(task,), agents=(name,), budget=budget, seeds=1, pdk=pdk, tier=tier,
            suite_seed=seed, jobs=1,
            out=out or Path("runs") / "size" / f"{Path(circuit).name}-{pdk}-{tier}",
        )  # fmt: skip
        code = _size(request)
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


def _starting(agent: str, start_from: str) -> str:
    """The name of the agent that starts from a sizing, or from what a policy tries."""
    kind, _, run = start_from.partition(":")
    if kind != "policy":
        return f"{agent}:{start_from}"
    return f"tlgrpo:{run or 'pretrained'}+{agent}"


def _size(request: Request) -> int:
    console, terminal = Console(stderr=True), Console()
    with started(request) as run:
        for text in run.damage:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        (cell,) = run.cells
        interrupted = False
        if run.todo:
            try:
                run.carry_out(lambda todo: _watching(console, run, todo))
            except KeyboardInterrupt:
                interrupted = True
        for text in run.failures:
            console.print(f"not run: {text}", markup=False, highlight=False, soft_wrap=True)
        met = _tell(terminal, run, cell)
    if interrupted:
        named = Path(sys.argv[0]).name == "acs-gym"
        start = ["acs-gym"] if named else ["python", "-m", "leaderboard.size"]
        console.print(
            f"interrupted; to go on: {shlex.join([*start, *sys.argv[1:]])}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        return EXIT_INTERRUPTED
    return 0 if met else EXIT_NOTHING


def _watching(
    console: Console, run: Run, todo: Sequence[PlannedCell]
) -> AbstractContextManager[Observer]:
    return SizingProgress(console, cell_task(todo[0].spec), todo[0], run.store)


def _tell(terminal: Console, run: Run, cell: PlannedCell) -> bool:
    """Write and print what came of it; whether every spec is met."""
    # Here, because drawing takes a second to import.
    from leaderboard.sizing.answer import answer
    from leaderboard.sizing.files import write_netlist, write_sizing
    from leaderboard.sizing.page import verdict, write_page
    from leaderboard.sizing.terminal import table

    trace = run.store.lines(cell.key)
    result = run.store.result(cell.key) if run.store.is_done(cell.key) else None
    verified = None if result is None else result.verified
    best = verified or winner(trace)
    if best is None:
        why = "" if result is None or not result.message else f": {result.message.splitlines()[-1]}"
        terminal.print(Text(f"nothing was measured{why}"), soft_wrap=True)
        return False
    found = answer(
        cell_task(cell.spec), cell, trace, best, shared_pool(1),
        finished=result is not None, verified=verified is not None,
    )  # fmt: skip
    files = [
        write_sizing(found, run.request.out),
        write_netlist(found, run.request.out),
        write_page(found, run.request.out, simulator_version()),
    ]
    terminal.print(table(found))
    for suggestion in found.suggestions:
        terminal.print(
            Text(
                f"worth touching: {suggestion.parameter} {suggestion.step}, least margin at "
                f"{found.touched_at} {suggestion.before:+.3f} to about {suggestion.after:+.3f}"
            )
        )
    terminal.print(Text(f"{verdict(found)} after {found.spent} simulations.", style="bold"))
    for path in files:
        terminal.print(Text(str(path)), soft_wrap=True)
    return found.evaluation.feasible


if __name__ == "__main__":
    program.start()
    typer.run(main)
