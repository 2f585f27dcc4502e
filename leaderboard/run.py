"""python -m leaderboard.run: let agents spend the same budget on the same tasks, and rank them."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from acs_gym import program
from acs_gym.import_names import shared_names
from acs_gym.pdks import available_pdks, pdk_names
from acs_gym.registry import circuit_folders
from acs_gym.session import available_cores
from leaderboard.agents.registry import build, listings
from leaderboard.cells.environment import SALT_VARIABLE
from leaderboard.cells.records import CellStatus
from leaderboard.cells.spec import FIXED, HELD_OUT
from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError, unknown
from leaderboard.printable import printable
from leaderboard.running.backends import find_backend
from leaderboard.running.dry_run import durations_in, forecast, forecast_table, summary_text
from leaderboard.running.evaluate import Request, Run, check_folder, nothing_finished, started
from leaderboard.running.plan import Durations, PlannedCell
from leaderboard.running.progress import CellProgress
from leaderboard.suites import SUITE_SEED, SUITES, resolve_task, suite_tasks, suites_with
from leaderboard.trust.perturbations import Salt, read_salt

EXIT_INCOMPLETE, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
# Of the table in a file or a pipe, where nothing is gained by folding it to 80 columns.
_LOG_WIDTH = 140
_FAILURES_SHOWN = 10
DEFAULT_SUITE, DEFAULT_AGENTS = "demo", "random,sobol,skopt-gp"

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(no_args_is_help=False)
def main(
    suite: Annotated[
        str | None,
        typer.Option(help=f"Named set of tasks: {', '.join(SUITES)}.", show_default=DEFAULT_SUITE),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Tasks instead of a suite, with commas: ids, names, or folders of your own circuits, "
            "e.g. ACS-OpAmp-v0,ota5t,./my_amp."
        ),
    ] = None,
    agents: Annotated[
        str,
        typer.Option(
            help="Agents, with commas: ids, id:argument (llm:my_model.toml), "
            '"stdio:COMMAND", "mcp:COMMAND", either after container:, or '
            "package.module:factory for your own."
        ),
    ] = DEFAULT_AGENTS,
    start_from: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Sizing that every agent starts from: TOML or JSON, a value a parameter, or a "
            "result.json. The same as id:FILE for each.",
        ),
    ] = None,
    budget: Annotated[int, typer.Option(help="Simulations each agent may spend on a task.")] = 40,
    seeds: Annotated[
        int, typer.Option(help="Repetitions; fewer than 10 are shown, not ranked.")
    ] = 3,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results; the same command again resumes.", show_default="runs/SUITE"
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Cells to run at once.", show_default="all cores, or the backend's"),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="Where cells run: local (processes), ray, slurm; options as "
            "slurm:partition=cpu,time=60 (docs/scaling.md)."
        ),
    ] = "local",
    pdk: Annotated[str, typer.Option(help=f"Process: {', '.join(pdk_names())}.")] = "sky130",
    tier: Annotated[
        str,
        typer.Option(
            help="Conditions of each design: tt (nominal), pvt (25 or 73 corners), mc or mcN (N mismatch "
            "draws). A design costs a simulation per condition."
        ),
    ] = "tt",
    targets: Annotated[
        str,
        typer.Option(
            help=f"Of the specs: {FIXED} (the circuits' own, public), or {HELD_OUT}: drawn from a salt, "
            "others in each repetition."
        ),
    ] = FIXED,
    salt_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"The secret that held-out targets are drawn from; else {SALT_VARIABLE}, else a "
            "public one.",
        ),
    ] = None,
    suite_seed: Annotated[
        int, typer.Option(help="Seed that all others are drawn from; the season's is ranked.")
    ] = SUITE_SEED,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run and how long; write nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result on standard output, as JSON alone.")
    ] = False,
    list_agents: Annotated[bool, typer.Option("--list-agents", help="Show the agents.")] = False,
    list_tasks: Annotated[bool, typer.Option("--list-tasks", help="Show the tasks.")] = False,
) -> None:
    """Let agents spend the same simulation budget on the same circuits, and rank them.

    Every (task, agent, seed) is a cell with a folder of its own, and the best design of each is
    simulated again in a fresh simulator before it counts.

    Interrupt at any time: the same command goes on where it stopped.

    [bold]Examples[/bold]

      python -m leaderboard.run

      python -m leaderboard.run --agents sobol,skopt-gp --budget 100 --seeds 10

      python -m leaderboard.run --tasks opamp --agents my_package:MyAgent
    """
    try:
        if list_agents:
            Console().print(_agent_table())
            for sentence in shared_names():
                print(f"warning: {sentence}", file=sys.stderr)
            return
        if list_tasks:
            Console().print(_task_table())
            return
        if suite is not None and tasks is not None:
            raise LeaderboardError("give --suite or --tasks, not both")
        chosen = suite or DEFAULT_SUITE
        names = suite_tasks(chosen) if tasks is None else tuple(map(resolve_task, _split(tasks)))
        if jobs is None and backend == "local":
            jobs = available_cores()
        if jobs is not None and jobs < 1:
            raise LeaderboardError(f"--jobs is {jobs}; it must be at least 1")
        starting = _starting(_split(agents), start_from)
        request = Request(
            tasks=names, agents=starting, budget=budget, seeds=seeds, suite_seed=suite_seed,
            pdk=pdk, tier=tier, salt=_salt(targets, salt_file), backend=backend, jobs=jobs,
            out=out or Path("runs") / ("custom" if tasks else chosen),
        )  # fmt: skip
        code = _forecast(request, as_json) if dry_run else _run(request, as_json)
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except KeyboardInterrupt:  # Before the first cell or after the last; cells have their own.
        print("interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


def _starting(agents: tuple[str, ...], start_from: Path | None) -> tuple[str, ...]:
    """The agents' names with the sizing to start from, where there is one."""
    if start_from is None:
        return agents
    starting = tuple(f"{agent}:{start_from}" for agent in agents)
    for agent, name in zip(agents, starting, strict=True):
        build(agent)  # Whatever is wrong with the agent itself is said first.
        if getattr(build(name), "start_from", None) is None:
            raise LeaderboardError(f"agent {agent} cannot start from a sizing; leave it out")
    return starting


def _salt(targets: str, salt_file: Path | None) -> Salt | None:
    """The salt to draw targets from; None for fixed ones."""
    if targets == HELD_OUT:
        return read_salt(salt_file)
    if targets != FIXED:
        raise unknown("--targets", targets, (FIXED, HELD_OUT))
    if salt_file is not None:
        raise LeaderboardError(f"--salt-file is for --targets {HELD_OUT}; {FIXED} ones need none")
    return None


def _forecast(request: Request, as_json: bool) -> int:
    find_backend(request.backend)
    check_folder(request.out)
    cells, store = request.plan(), Store(request.out.resolve())
    found = forecast(cells, store, durations_in(store), request.jobs or 1)
    if as_json:
        print(json.dumps({"out": str(request.out)} | found.to_json(), indent=2, allow_nan=False))
        return 0
    terminal = _terminal()
    terminal.print(forecast_table(found))
    _say(terminal, f"{summary_text(found)} -> {request.out} (nothing was written)")
    return 0


def _run(request: Request, as_json: bool) -> int:
    with started(request) as run:
        progress = Console(stderr=True)
        for text in run.damage:
            _say(progress, text)
        _announce(progress, run)
        # A polite `kill` ends the run as Ctrl-C does, not with orphans.
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            run.carry_out(partial(_progress, progress, run))
        except KeyboardInterrupt:
            named = Path(sys.argv[0]).name == "acs-gym"  # `acs-gym run ...`
            start = ["acs-gym"] if named else ["python", "-m", "leaderboard.run"]
            command = shlex.join([*start, *sys.argv[1:]])
            _say(
                progress,
                f"interrupted: {len(run.done)} of {len(run.cells)} cells are done; "
                f"to go on: {command}",
            )
            return EXIT_INTERRUPTED
        return _show(run, as_json, progress)


def _announce(console: Console, run: Run) -> None:
    request, done = run.request, len(run.cells) - len(run.todo)
    resumed = f", {done} of them done already" if done else ""
    _say(
        console,
        f"{len(request.tasks)} tasks x {len(set(request.agents))} agents x {request.seeds} seeds = "
        f"{len(run.cells)} cells of {request.budget} simulations{resumed} -> {request.out}",
    )
    if request.salt is not None:
        _say(console, f"targets drawn from the {request.salt.label} salt {request.salt.sha256[:8]}")


def _progress(console: Console, run: Run, todo: Sequence[PlannedCell]) -> CellProgress:
    recorded = {c.key: n for c in todo if (n := run.store.recorded(c.key))}
    durations = durations_in(run.store) if todo else Durations()
    return CellProgress(console, todo, run.request.jobs, durations, recorded)


def _show(run: Run, as_json: bool, console: Console) -> int:
    # Here, because scipy.stats takes longer to import than everything else together.
    from leaderboard.reporting.report import REPORT, best_waveforms, write_report
    from leaderboard.reporting.summary import ranking_table, to_json

    finished, failures, out = run.done, run.failures, run.request.out
    if not finished:
        raise nothing_finished(run)
    chosen = run.request.choose()
    for text in chosen.left_out:
        _say(console, f"left out: {text}")
    board = chosen.board()
    report = write_report(board, out / REPORT, best_waveforms(board, chosen))
    if as_json:
        document = to_json(board) | {"report": str(report), "failures": list(failures)}
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        terminal = _terminal()
        terminal.print()
        terminal.print(ranking_table(board))
        terminal.print(Text(f"Report: {report}"), soft_wrap=True)
    ended = [text for cell in finished if (text := _ending(cell, run.store))]
    for text in ended[:_FAILURES_SHOWN]:
        _say(console, text)
    if len(ended) > _FAILURES_SHOWN:
        _say(console, f"{len(ended) - _FAILURES_SHOWN} more cells did not end well; see the report")
    for text in failures[:_FAILURES_SHOWN]:
        _say(console, f"not run: {text}")
    if len(failures) > _FAILURES_SHOWN:
        _say(console, f"not run: {len(failures) - _FAILURES_SHOWN} more cells, see above")
    if failures:
        _say(console, "the same command runs these cells again; what they simulated is kept")
    return EXIT_INCOMPLETE if failures else 0


def _ending(cell: PlannedCell, store: Store) -> str:
    """What went wrong in a finished cell, in its own last words; empty where nothing did."""
    result = store.result(cell.key)
    complete = result.status is CellStatus.COMPLETE
    if complete and (result.usage.simulations or not result.message):
        return ""
    spec, last = result.spec, (result.message.strip().splitlines() or ["no reason given"])[-1]
    status = "no design" if complete else str(result.status).replace("_", " ")
    return printable(f"{status}: {spec.agent} on {spec.task}, seed {spec.repetition}: {last}")


def _agent_table() -> Table:
    table = Table(header_style="bold", title="Agents", title_justify="left", title_style="bold")
    table.add_column("id", style="bold", no_wrap=True)
    table.add_column("what it is")
    table.add_column("can run")
    for found in listings():
        state = (
            Text("yes", style="green") if not found.problem else Text(found.problem, style="yellow")
        )
        table.add_row(found.id, found.summary or found.location, state)
    table.caption = (
        'Yours: --agents package.module:factory, "stdio:COMMAND", "mcp:COMMAND", either after container: '
        "(docs/wire-protocol.md), or the entry-point group leaderboard.agents"
    )
    table.caption_justify = "left"
    return table


def _task_table() -> Table:
    table = Table(header_style="bold", title="Tasks", title_justify="left", title_style="bold")
    table.add_column("id", style="bold", no_wrap=True)
    table.add_column("name")
    table.add_column("suites")
    for task, folder in sorted(circuit_folders().items()):
        table.add_row(task, folder.name, ", ".join(suites_with(task)))
    here = available_pdks()
    installed = [n + ("" if n in here else " (not installed)") for n in pdk_names()]
    table.caption = f"PDKs: {', '.join(installed)}"
    table.caption_justify = "left"
    return table


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _terminal() -> Console:
    terminal = Console()
    if not terminal.is_terminal:
        terminal.width = _LOG_WIDTH
    return terminal


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    program.start()
    app()
