"""python -m agents.mcp: offer one circuit's sizing to any MCP client."""

from __future__ import annotations

import itertools
import json
import math
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from acs_gym import program
from acs_gym.pdks import PdkError, pdk_names
from acs_gym.registry import id_or_folder
from acs_gym.session import Session, available_cores
from acs_gym.simulation.driver import SimulatorNotFound, find_library
from acs_gym.simulation.pool import WorkerPool
from acs_gym.task import DEFAULT_PDK, Task, TaskNotFound, make_task
from agents.mcp.bench import Bench
from agents.transcript.records import End, Simulated, Start, TranscriptWriter

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
IDLE_S = 1800.0

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


class UsageError(ValueError):
    """Options that do not go together; the message says what to give instead."""


@app.command()
def main(
    task: Annotated[
        str, typer.Option(help="Task: an id, a circuit's name, or its folder.")
    ] = "ACS-OpAmp-v0",
    budget: Annotated[int, typer.Option(help="Simulations that all clients share.")] = 50,
    pdk: Annotated[str, typer.Option(help=f"Process: {', '.join(pdk_names())}.")] = DEFAULT_PDK,
    tier: Annotated[str, typer.Option(help="Conditions: tt, pvt, mc, mcN.")] = "tt",
    workers: Annotated[
        int | None, typer.Option(help="Simulation processes.", show_default="all cores")
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(help="File for every evaluation, as JSON lines; one that exists is kept."),
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="Address for --http.", show_default=DEFAULT_HOST)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port for --http; 0 is any.", show_default=str(DEFAULT_PORT)),
    ] = None,
    idle: Annotated[
        float,
        typer.Option(
            help="Seconds: a client that is silent so long is shown out, and simulators that have "
            "nothing to do are ended until they are needed."
        ),
    ] = IDLE_S,
) -> None:
    """Offer one circuit's sizing to any MCP client: its tools and a budget.

    The budget belongs to this process: clients may come, go and share it. The best design and its
    score are printed to standard error at the end. With --http a token is made, and printed with the
    configuration that clients take; without it no request is answered.

    [bold]Examples[/bold]

      python -m agents.mcp --task ACS-OpAmp-v0 --budget 50

      python -m agents.mcp --task ota5t --pdk generic --http
    """
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        server = _protocol()
        if not http and (host is not None or port is not None):
            raise UsageError("--host and --port belong to --http; give that too")
        count = available_cores() if workers is None else workers
        _at_least_one(budget=budget, workers=count)
        if not 0 < idle < math.inf:
            raise UsageError(f"--idle is {idle:g}; it must be a positive number of seconds")
        sized = _task(task, pdk, tier, budget)
        find_library()
        with WorkerPool(count) as pool:
            bench = Bench(sized.session(budget, simulator=pool), pool, idle)
            if http:
                address = host or DEFAULT_HOST, DEFAULT_PORT if port is None else port
                where, told, serve = _over_http(server, bench, *address, idle)
            else:
                where, told, serve = _over_stdio(server, bench)
            writer = _writer(transcript)
            _say(f"{sized.id} on {sized.pdk_name}, {tier}, budget {budget}: serving at {where}")
            if told:
                _say(told)
            code = _work(bench, serve, writer)
        _say(_summary(bench.session, task))
    except (UsageError, TaskNotFound, PdkError, SimulatorNotFound) as error:
        _say(f"error: {error}")
        code = EXIT_USAGE
    except KeyboardInterrupt:  # Before there was anything to end.
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:
        # A thread may be waiting for standard input, and only the end of the process ends that.
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


def _protocol() -> ModuleType:
    """The module that needs the MCP package."""
    try:
        from agents.mcp import server
    except ImportError as error:
        raise UsageError(f"{error}; the MCP server needs pip install 'acs-gym[mcp]'") from None
    return server


def _at_least_one(**options: int) -> None:
    for name, value in options.items():
        if value < 1:
            raise UsageError(f"--{name} is {value}; it must be at least 1")


def _task(name: str, pdk: str, tier: str, budget: int) -> Task:
    try:
        task = make_task(id_or_folder(name), pdk=pdk, tier=tier)
    except ValueError as error:  # An unknown tier, or a circuit folder with mistakes.
        raise UsageError(str(error)) from None
    if budget < task.cost:
        raise UsageError(
            f"--budget is {budget}, and a design costs {task.cost} simulations in tier {tier}"
        )
    return task


def _over_stdio(server: ModuleType, bench: Bench) -> tuple[str, str, Callable[[], None]]:
    """(where it is served, for a person; what else to tell; what serves it)."""
    return "standard input and output", "", lambda: server.serve_stdio(server.build_server(bench))


def _over_http(
    server: ModuleType, bench: Bench, host: str, port: int, idle_s: float
) -> tuple[str, str, Callable[[], None]]:
    """(the URL; how clients are told of it; what serves it)."""
    from agents.mcp import over_http

    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port}; it goes from 0 (any that is free) to 65535")
    try:
        listening = over_http.listen(host, port)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host} port {port}: {error.strerror}; choose others with --host, --port"
        ) from None
    if not over_http.is_loopback(host):
        _say(
            f"warning: whoever reaches {host} and has the token may spend the budget, and who listens on "
            "the way reads both, because this is HTTP without encryption; requests are answered that "
            f"call this machine {', '.join(over_http.names(host))}"
        )
    token, where = over_http.new_token(), over_http.url_of(host, listening)
    told = (
        "a request without this run's token is refused; for a client's configuration:\n"
        + json.dumps(over_http.client_config(where, token), indent=2)
    )

    def serve() -> None:
        over_http.serve_http(
            server.build_server(bench), host, listening,
            token=token, idle_s=idle_s, left=bench.left,
        )  # fmt: skip

    return where, told, serve


def _work(bench: Bench, serve: Callable[[], None], writer: TranscriptWriter) -> int:
    """Carry out what clients ask until serving ends or a signal comes. Returns the exit code."""
    session, begun = bench.session, time.monotonic()
    session.on_call = lambda call: writer.write(Simulated.of(len(session.history), call.evaluation))
    writer.write(_start(session))
    reason, code = "the client left", 0
    try:
        _work_while(serve, bench)
    except KeyboardInterrupt:
        reason, code = "interrupted", EXIT_INTERRUPTED
    reason = "the model finished" if bench.tools.finished else reason
    writer.write(_end(session, reason, time.monotonic() - begun))
    writer.close()
    return code


def _work_while(serve: Callable[[], None], bench: Bench) -> None:
    """Work at the bench while `serve` runs in a thread of its own. Raises what `serve` raises."""
    served: Future[None] = Future()

    def talk() -> None:
        try:
            serve()
            served.set_result(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            served.set_exception(error)
        finally:
            bench.stop()

    threading.Thread(target=talk, daemon=True).start()
    bench.work()
    served.result()


def _start(session: Session) -> Start:
    task = session.task
    return Start(
        agent="mcp", task=task.id, task_digest=task.digest, pdk=task.pdk_name, tier=task.tier,
        specs=task.specs.targets, budget=session.budget, seed=session.seed, config={},
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def _end(session: Session, reason: str, seconds: float) -> End:
    best = session.best
    return End(
        reason=reason, score=None if best is None else best.score,
        feasible=best is not None and best.feasible, simulations=session.meter.used,
        replies=0, prompt_tokens=0, completion_tokens=0, usd=0.0, seconds=round(seconds, 3),
    )  # fmt: skip


def _writer(path: Path | None) -> TranscriptWriter:
    """A client starts the same command again and again, so a file that exists is another run's."""
    if path is None:
        return TranscriptWriter(None)
    numbered = (path.with_stem(f"{path.stem}-{k}") for k in itertools.count(2))
    unused = next(p for p in itertools.chain([path], numbered) if not p.exists())
    try:
        writer = TranscriptWriter(unused)
    except OSError as error:
        raise UsageError(f"cannot write --transcript {path}: {error.strerror}") from None
    _say(f"transcript: {unused}")
    return writer


def _summary(session: Session, name: str) -> str:
    """How far it came, and a command that simulates the best design again."""
    used = f"{session.meter.used} of {session.budget} simulations used"
    best = session.best
    if best is None:
        return f"{used}; no design was simulated"
    missed = [s.metric for s in session.task.specs if not best.margins[s.metric] >= 0]
    values = [f"{p.name}={best.design[p.name]!r}" for p in session.task.space]
    options = ["--pdk", session.task.pdk_name, "--tier", session.task.tier]
    return (
        f"{used}; best: design {session.history.index(best) + 1}, score {best.score:.4f}, "
        + (f"misses {', '.join(missed)}" if missed else "every spec met")
        + "\n"
        + shlex.join(["acs-gym", "simulate", name, *values, *options])
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: object) -> None:
    # The end is on its way; another signal must not interrupt it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    program.start()
    app()
