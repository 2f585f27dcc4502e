"""What is wrong with an agent of any kind, found by running it a few times on closed-form metrics.

Nothing depends on ngspice or on luck: the task is a bundled circuit's, its simulator
`leaderboard.agents.analytic`.
"""

from __future__ import annotations

import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import Session
from acs_gym.task import make_task
from leaderboard.agents.analytic import AnalyticSimulator
from leaderboard.agents.registry import build
from leaderboard.contract import agent_config, agent_track, offer_folder
from leaderboard.wire.command import CommandAgent
from leaderboard.wire.exchange import Exchange
from leaderboard.wire.messages import PARSE_ERROR

TASK, PDK, SEED = "ACS-OTA5T-v0", "generic", 1
_WORDS = 400
# By what comes before a command: its first check, how to pass it, and how to keep other lines out.
_OPENING = {
    "stdio": (
        "starts and answers initialize",
        "read one line from descriptor 3, answer on descriptor 4 with "
        '{"jsonrpc":"2.0","id":1,"result":{"name":"..."}}',
        "print to standard output or error; descriptor 4 is for one JSON object a line",
    ),
    "mcp": (
        "starts and connects",
        "start the server that mcp.json in its own folder names, and send it initialize, as any MCP "
        "client does",
        "write to the server's standard input one JSON-RPC object a line, and nothing else",
    ),
}


class Verdict(StrEnum):
    """`problem` makes the exit code 1; `note` is worth knowing and no fault."""

    FINE = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and what to do about it."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


class TookTooLong(BaseException):
    """Raised in an agent of this process; a BaseException, because agents catch the others."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the agent.

    Attributes:
        ended: empty when the agent returned; otherwise what it was ended by.
        exchange: of an agent that is a command.
        transport: what it speaks; empty of an agent in this process.
    """

    session: Session
    ended: str = ""
    exchange: Exchange | None = None
    transport: str = ""

    @property
    def history(self) -> list[Evaluation]:
        return self.session.history

    @property
    def designs(self) -> list[tuple[tuple[str, float], ...]]:
        return [tuple(e.design.items()) for e in self.history]


def try_agent(
    spec: str, budget: int, *, failing: float, timeout_s: float, keep: Path | None = None
) -> Trial:
    """Run a fresh agent once on the analytic task. Raises LeaderboardError when it cannot be built.

    Args:
        failing: share of the design space where simulations fail.
        timeout_s: seconds that it may think at once (a command) or take altogether (other agents).
        keep: folder for what the agent prints and keeps; None forgets it.
    """
    task = make_task(TASK, pdk=PDK)
    agent = build(spec)
    command = agent if isinstance(agent, CommandAgent) else None
    if command is not None:
        command.patience = replace(command.patience, start_s=timeout_s, answer_s=timeout_s)
    agent_config(agent)
    agent_track(agent)
    session = Session(task, budget, seed=SEED, simulator=AnalyticSimulator(task, failing))
    ended = ""
    with tempfile.TemporaryDirectory(prefix="acs-gym-check-") as folder, session:
        offer_folder(agent, keep or Path(folder))
        try:
            # A process has its own time-out, which says more.
            with _at_most(timeout_s if command is None else None):
                agent.run(session)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, the author is to hear of it
            ended = f"{type(error).__name__}: {error}"[:_WORDS]
    if command is None:
        return Trial(session, ended)
    return Trial(session, ended, command.exchange, command.transport)


@contextmanager
def _at_most(seconds: float | None) -> Iterator[None]:
    """End an agent of this process after so long, where the platform can."""
    if seconds is None or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise TookTooLong(f"it did not return within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check(
    spec: str, budget: int, *, timeout_s: float = 60.0, keep: Path | None = None
) -> Iterator[Finding]:
    """Everything found out about an agent, in the order to mend it; `keep`: files of the first run.

    Stops after the first run when the agent cannot even start. Raises LeaderboardError when there is
    no such agent.
    """

    def attempt(size: int, failing: float = 0.0) -> Trial:
        return try_agent(spec, size, failing=failing, timeout_s=timeout_s)

    first = try_agent(spec, budget, failing=0.0, timeout_s=timeout_s, keep=keep)
    yield from _starts(first)
    if first.exchange is not None and first.exchange.agent is None:
        if first.exchange.failures:
            yield _lines(first.exchange, first.transport)
        return
    yield _finishes(first)
    yield _bounds(first)
    yield _spends(first, budget)
    if first.exchange is not None:
        yield _lines(first.exchange, first.transport)
    if first.ended:
        return
    yield _repeats(first, attempt(budget))
    yield _survives_failures([attempt(budget, failing=0.5), attempt(budget, failing=1.0)])
    yield _survives_refusal([attempt(1), attempt(min(5, budget))])
    yield _usage(first)


def _starts(trial: Trial) -> Iterator[Finding]:
    exchange = trial.exchange
    if exchange is None:
        yield Finding("starts", Verdict.FINE, "it can be built")
        return
    check, remedy, _ = _OPENING[trial.transport]
    if exchange.agent is None:
        yield Finding(check, Verdict.PROBLEM, trial.ended, remedy)
    else:
        name = f"{exchange.agent.name} {exchange.agent.version}".strip()
        yield Finding(check, Verdict.FINE, f"it is {name}")


def _finishes(trial: Trial) -> Finding:
    if not trial.ended:
        how = "it returned" if trial.exchange is None else "it sent finish"
        if trial.exchange is not None and trial.exchange.finish is None:
            how = "it ended, without finish"
        return Finding("finishes", Verdict.FINE, how)
    if trial.ended.startswith("BudgetExhausted"):
        remedy = "ask for at most what remains, and end when nothing does"
    elif trial.exchange is not None:
        remedy = "send finish when nothing remains, then end; --keep FOLDER shows what it printed"
    elif trial.ended.startswith("TookTooLong"):
        remedy = "return from run(session) when session.remaining is 0"
    else:
        remedy = "an exception ends the run there; what was simulated until then counts"
    return Finding("finishes", Verdict.PROBLEM, trial.ended, remedy)


def _bounds(trial: Trial) -> Finding:
    bad = [e for e in trial.history if e.status is Status.INVALID_DESIGN]
    if not bad:
        return Finding("bounds and types", Verdict.FINE, "every design was inside its ranges")
    return Finding(
        "bounds and types", Verdict.PROBLEM,
        f"{len(bad)} of {len(trial.history)} designs were invalid, each charged; "
        f"the first: {bad[0].message}",
        "give every parameter of the task, by name, as a number from low to high (both included)",
    )  # fmt: skip


def _spends(trial: Trial, budget: int) -> Finding:
    used = len(trial.history)
    if used == 0:
        return Finding(
            "uses its budget", Verdict.PROBLEM, f"it simulated nothing of {budget}",
            "call simulate with at least one design",
        )  # fmt: skip
    found = f"{used} of {budget} designs"
    solved = trial.session.best is not None and trial.session.best.feasible
    if used == budget or solved:
        return Finding("uses its budget", Verdict.FINE, found)
    return Finding(
        "uses its budget", Verdict.NOTE, f"{found}, with specs still unmet",
        "what is not spent is lost; go on while something remains",
    )  # fmt: skip


def _lines(exchange: Exchange, transport: str) -> Finding:
    check = "speaks the protocol only"
    if not exchange.failures:
        return Finding(check, Verdict.FINE, "every line was carried out")
    code, message = exchange.failures[0]
    found = f"{len(exchange.failures)} lines were refused; the first: {message} ({code})"
    if any(code == PARSE_ERROR for code, _ in exchange.failures):
        _, _, remedy = _OPENING[transport]
    else:
        remedy = "see docs/wire-protocol.md and leaderboard/wire/schemas/protocol-v1.json"
    return Finding(check, Verdict.PROBLEM, found, remedy)


def _repeats(first: Trial, second: Trial) -> Finding:
    check = "same seed, same designs"
    if first.designs == second.designs:
        return Finding(check, Verdict.FINE, "two runs simulated the same designs")
    pairs = zip(first.designs, second.designs, strict=False)
    place = next((k for k, (a, b) in enumerate(pairs, start=1) if a != b), None)
    where = "one of them stopped earlier" if place is None else f"they part at design {place}"
    return Finding(
        check, Verdict.NOTE, f"two runs differ: {where}",
        "draw every random number from the session's seed; a language model may be unable to",
    )  # fmt: skip


def _survives_failures(trials: list[Trial]) -> Finding:
    check = "survives failed simulations"
    for share, trial in zip(("half of the space", "every simulation"), trials, strict=True):
        if trial.ended:
            return Finding(
                check, Verdict.PROBLEM, f"with {share} failing: {trial.ended}",
                "a failed simulation is an answer: look at its status, and expect metrics without a "
                "value (null, or NaN in Python's own records)",
            )  # fmt: skip
    kinds = Counter(str(e.status) for trial in trials for e in trial.history)
    seen = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "nothing simulated"
    return Finding(check, Verdict.FINE, seen)


def _survives_refusal(trials: list[Trial]) -> Finding:
    check = "survives a refused batch"
    for trial in trials:
        if trial.ended:
            return Finding(
                check, Verdict.PROBLEM,
                f"with a budget of {trial.session.budget}: {trial.ended}",
                "a batch larger than what remains is refused whole; ask for at most what remains",
            )  # fmt: skip
    refused = sum(t.session.usage.refused for t in trials)
    idle = [t for t in trials if not t.history]
    if idle:
        return Finding(
            check, Verdict.NOTE, f"refused {refused} times, it gave up with a budget of "
            f"{idle[0].session.budget} unspent", "ask again, for at most what remains",
        )  # fmt: skip
    said = (
        f"refused {refused} times, it went on" if refused else "it never asks for more than remains"
    )
    return Finding(check, Verdict.FINE, said)


def _usage(trial: Trial) -> Finding:
    usage = trial.session.usage
    if usage.tokens or usage.money:
        return Finding("reports usage", Verdict.FINE, f"{usage.tokens} tokens, {usage.money:g} $")
    return Finding("reports usage", Verdict.NOTE, "none, which is right without a model to pay for")
