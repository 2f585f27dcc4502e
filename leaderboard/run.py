"""python -m leaderboard.run: let agents spend the same budget on the same tasks, and rank them."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from acs_gym.import_names import shared_names
from acs_gym.pdks import available_pdks, pdk_names
from acs_gym.registry import circuit_folders
from acs_gym.session import available_cores
from leaderboard.backends import MakeBackend, find_backend
from leaderboard.dry_run import durations_in, forecast, forecast_table, summary_text
from leaderboard.errors import LeaderboardError
from leaderboard.plan import Durations, PlannedCell, plan_cells
from leaderboard.printable import printable
from leaderboard.progress import CellProgress
from leaderboard.records import CellStatus
from leaderboard.registry import build, listings
from leaderboard.store import Corrupt, Store, remove_unfinished
from leaderboard.suites import SUITES, resolve_task, suite_tasks, suites_with

EXIT_INCOMPLETE, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
# Of the table in a file or a pipe, where nothing is gained by folding it to 80 columns.
_LOG_WIDTH = 140
_FAILURES_SHOWN = 10
DEFAULT_SUITE, DEFAULT_AGENTS = "demo", "random,sobol,skopt-gp"

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class _Options:
    """What was asked for, by name."""

    tasks: tuple[str, ...]
    agents: tuple[str, ...]
    budget: int
    seeds: int
    suite_seed: int
    pdk: str
    tier: str
    out: Path
    backend: str
    jobs: int | None
    as_json: bool


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
    suite_seed: Annotated[int, typer.Option(help="Seed that all others are drawn from.")] = 0,
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
        options = _Options(
            tasks=names, agents=starting, budget=budget, seeds=seeds, suite_seed=suite_seed,
            pdk=pdk, tier=tier, out=out or Path("runs") / ("custom" if tasks else chosen),
            backend=backend, jobs=jobs, as_json=as_json,
        )  # fmt: skip
        code = _forecast(options) if dry_run else _run(options)
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


def _plan(options: _Options) -> list[PlannedCell]:
    return plan_cells(
        options.tasks, options.agents, repetitions=options.seeds, pdk=options.pdk,
        tier=options.tier, budget=options.budget, suite_seed=options.suite_seed,
    )  # fmt: skip


def _forecast(options: _Options) -> int:
    find_backend(options.backend)
    _check_folder(options.out)
    cells, store = _plan(options), Store(options.out.resolve())
    found = forecast(cells, store, durations_in(store), options.jobs or 1)
    if options.as_json:
        print(json.dumps({"out": str(options.out)} | found.to_json(), indent=2, allow_nan=False))
        return 0
    terminal = _terminal()
    terminal.print(forecast_table(found))
    _say(terminal, f"{summary_text(found)} -> {options.out} (nothing was written)")
    return 0


def _run(options: _Options) -> int:
    make_backend = find_backend(options.backend)
    cells = _plan(options)
    store = _open(options.out)
    try:
        with store.locked():
            return _run_locked(options, cells, store, make_backend)
    except OSError as error:
        what = error.strerror or str(error)
        raise LeaderboardError(
            f"cannot write to --out {options.out}: {what}; put that right and run the same "
            "command again: what is finished is kept"
        ) from None


def _run_locked(
    options: _Options, cells: Sequence[PlannedCell], store: Store, make_backend: MakeBackend
) -> int:
    progress = Console(stderr=True)
    remove_unfinished(store.folder)
    todo = _undone(cells, store, progress)
    _announce(progress, options, cells, todo)
    # A polite `kill` ends the run as Ctrl-C does, not with orphans.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        failures = _run_cells(todo, store, options.jobs, make_backend, progress)
    except KeyboardInterrupt:
        done = sum(store.is_done(c.key) for c in cells)
        command = shlex.join(["python", "-m", "leaderboard.run", *sys.argv[1:]])
        _say(progress, f"interrupted: {done} of {len(cells)} cells are done; to go on: {command}")
        return EXIT_INTERRUPTED
    return _show(options, store, cells, failures, progress)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise LeaderboardError(f"--out {folder} is a file; give a folder")


def _open(folder: Path) -> Store:
    _check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LeaderboardError(f"cannot write to --out {folder}: {error.strerror}") from None
    return Store(folder.resolve())


def _undone(cells: Sequence[PlannedCell], store: Store, console: Console) -> list[PlannedCell]:
    """The cells without a sound result; damaged files are named and moved aside."""
    todo = []
    for cell in cells:
        try:
            if store.load(cell.key) is not None:
                continue
        except Corrupt as damage:
            moved = store.set_aside(cell.key)
            _say(console, f"corrupt: {damage}\n  kept as {', '.join(moved)}; the cell is run again")
        todo.append(cell)
    return todo


def _announce(
    console: Console, options: _Options, cells: Sequence[PlannedCell], todo: Sequence[PlannedCell]
) -> None:
    done = len(cells) - len(todo)
    resumed = f", {done} of them done already" if done else ""
    _say(
        console,
        f"{len(options.tasks)} tasks x {len(set(options.agents))} agents x {options.seeds} seeds = "
        f"{len(cells)} cells of {options.budget} simulations{resumed} -> {options.out}",
    )


def _run_cells(
    todo: Sequence[PlannedCell],
    store: Store,
    jobs: int | None,
    make_backend: MakeBackend,
    console: Console,
) -> list[str]:
    jobs = None if jobs is None else min(jobs, max(1, len(todo)))
    recorded = {c.key: n for c in todo if (n := store.recorded(c.key))}
    durations = durations_in(store) if todo else Durations()
    with CellProgress(console, todo, jobs, durations, recorded) as observer:
        runner = make_backend(store, jobs, observer)
        runner.run(todo)
    return runner.failures


def _show(
    options: _Options,
    store: Store,
    cells: Sequence[PlannedCell],
    failures: Sequence[str],
    console: Console,
) -> int:
    # Here, because scipy.stats takes longer to import than everything else together.
    from leaderboard.chosen import choose
    from leaderboard.report import REPORT, best_waveforms, write_report
    from leaderboard.standings import Conditions
    from leaderboard.summary import ranking_table, to_json

    finished = [c for c in cells if store.is_done(c.key)]
    if not finished:
        raise LeaderboardError(
            f"no cell could be finished; the first failure: {failures[0]}; put that right and run "
            "the same command again: what was simulated is kept"
        )
    conditions = Conditions(options.pdk, options.tier, options.budget, options.suite_seed)
    chosen = choose(options.out, **asdict(conditions))
    for text in chosen.left_out:
        _say(console, f"left out: {text}")
    board = chosen.board()
    report = write_report(board, options.out / REPORT, best_waveforms(board, chosen))
    if options.as_json:
        document = to_json(board) | {"report": str(report), "failures": list(failures)}
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        terminal = _terminal()
        terminal.print()
        terminal.print(ranking_table(board))
        terminal.print(Text(f"Report: {report}"), soft_wrap=True)
    ended = [text for cell in finished if (text := _ending(cell, store))]
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
    if result.status is CellStatus.COMPLETE:
        return ""
    spec, last = result.spec, (result.message.strip().splitlines() or ["no reason given"])[-1]
    status = str(result.status).replace("_", " ")
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
    app()
