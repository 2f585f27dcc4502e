"""`stdio:COMMAND`: an agent in any language, as a process that is asked and answers in lines.

    python -m leaderboard.run --agents "stdio:python my_agent.py"

The command reads from descriptor 3 and writes to descriptor 4 (docs/wire-protocol.md), so it may print
what it likes. It runs in the `subprocess` tier of isolation. For other limits, or with the network, a
factory of your own is named instead:

    def mine():
        return StdioAgent("python my_agent.py", isolation=Isolation(network=True))
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from acs_gym.session import BudgetExhausted, Session
from leaderboard.errors import LeaderboardError
from leaderboard.store import write_atomically
from leaderboard.wire.channel import Channel, ChannelClosed, Silent
from leaderboard.wire.exchange import AgentFailed, Exchange, Patience
from leaderboard.wire.isolation import (
    CannotRun,
    Confined,
    Isolation,
    resolve,
    split_command,
    start,
)
from leaderboard.wire.messages import PROTOCOL
from leaderboard.wire.probe import probe
from leaderboard.wire.strict_json import encode

LOG, RECORD = "agent.log", "wire.json"
# For a process that closed its descriptors to end, so that one can say how it did.
_LAST_BREATH_S = 1.0
_LOG_TAIL = 600


class StdioAgent:
    """Drives a command through a session.

    Args:
        command: as typed in a shell; words that name files are looked for from the current folder.
        patience: what the agent is allowed in time and errors.
        isolation: what its process may use.

    Raises LeaderboardError when there is no such command.
    """

    track: Literal["score", "metrics"] = "metrics"

    def __init__(
        self,
        command: str = "",
        *,
        patience: Patience | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        try:
            self.words = split_command(command)
            self._resolved = resolve(self.words)
        except CannotRun as error:
            raise LeaderboardError(str(error)) from None
        self.patience = patience or Patience()
        self.isolation = isolation or Isolation()
        self.exchange: Exchange | None = None
        self._folder: Path | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The command, whether it has the network, and the sha256 of every file that it names.

        Not of the program's own, which as an interpreter differs between machines; but of an agent that
        is a program by itself.
        """
        files = self._resolved[1:] if len(self.words) > 1 else self._resolved
        return {
            "command": list(self.words),
            "network": self.isolation.network,
            "files": {
                word: hashlib.sha256(Path(path).read_bytes()).hexdigest()
                for word, path in zip(self.words[-len(files) :], files, strict=True)
                if Path(path).is_file()
            },
        }

    def isolation_record(self) -> dict[str, Any]:
        """The tier, and what was found to hold on this machine; part of a result's fingerprint."""
        return {"tier": "subprocess"} | probe(self.isolation)

    def keep_files_in(self, folder: Path) -> None:
        """Keep the agent's output and the record of the conversation in `folder`."""
        self._folder = folder

    def run(self, session: Session) -> None:
        """Start the command, answer it until it sends `finish`, and end all that it started.

        Raises AgentFailed with what the agent did wrong, BudgetExhausted when that was asking for more
        than remained, ValueError for a session without a budget, and what the session raises.
        """
        if session.budget.limit is None:
            raise ValueError("a stdio agent needs a session with a budget; this one has no limit")
        exchange = self.exchange = Exchange(session, self.track, self.patience)
        with self._log() as log:
            confined = start(self._resolved, self.isolation, log)
        late, ended_by = 0, ""
        try:
            channel = Channel(confined.read, confined.write)
            try:
                self._converse(channel, exchange)
                # A runtime may not end before the read that it waits in does.
                confined.end_writing()
                late = self._see_off(channel, confined)
            except ChannelClosed:
                confined.close(_LAST_BREATH_S)
                why = self._why(confined, exchange)
                # As of an agent in this process that lets the refusal through.
                raise (BudgetExhausted(why) if exchange.refusal else AgentFailed(why)) from None
        except BaseException as error:
            ended_by = f"{type(error).__name__}: {error}"
            raise
        finally:
            confined.close()
            self._write_record(exchange, confined, late, ended_by)

    def _converse(self, channel: Channel, exchange: Exchange) -> None:
        patience = self.patience
        channel.send(exchange.opening(), patience.start_s)
        while exchange.finish is None:
            left = patience.start_s if exchange.agent is None else patience.answer_s
            try:
                answer = exchange.reply(channel.receive(left))
                if answer is not None:
                    channel.send(answer, left)
            except Silent:
                what = "answer initialize" if exchange.agent is None else "say anything, or read,"
                raise AgentFailed(f"the agent did not {what} for {left:g} s") from None

    def _see_off(self, channel: Channel, confined: Confined) -> int:
        """Wait for the agent to end; how many lines it still wrote, none of which is carried out."""
        deadline, lines = time.monotonic() + self.patience.leave_s, 0
        with contextlib.suppress(ChannelClosed, Silent):
            while (left := deadline - time.monotonic()) > 0:
                channel.receive(left)
                lines += 1
        confined.close(max(0.0, deadline - time.monotonic()))
        return lines

    def _why(self, confined: Confined, exchange: Exchange) -> str:
        """Why a conversation ended before `finish`, with the end of what the agent printed."""
        if confined.failure:
            return confined.failure
        when = "before it answered initialize" if exchange.agent is None else "before finish"
        said = "".join(f"; {line}" for line in self._last_output())
        return f"the agent closed the conversation {when}: {confined.ending}{said}"

    def _last_output(self) -> list[str]:
        if self._folder is None:
            return []
        with contextlib.suppress(OSError):
            raw = (self._folder / LOG).read_bytes()[-_LOG_TAIL:]
            lines = raw.decode("utf-8", "replace").strip().splitlines()
            return [f"it printed last: {lines[-1]!a}"] if lines else []
        return []

    @contextlib.contextmanager
    def _log(self) -> Iterator[int]:
        """Where the agent's output goes: the cell's log, or our standard error."""
        if self._folder is None:
            sys.stderr.flush()
            yield 2
            return
        # Appended to, because the cell's own process writes to the same file.
        log = os.open(self._folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            yield log
        finally:
            os.close(log)

    def _write_record(
        self, exchange: Exchange, confined: Confined, late: int, ended_by: str
    ) -> None:
        if self._folder is None:
            return
        finish = exchange.finish
        record = {
            "protocol": PROTOCOL,
            "agent": None if exchange.agent is None else exchange.agent.model_dump(),
            "finish": None if finish is None else finish.model_dump(),
            "error": ended_by,
            "exit_code": confined.exit_code,
            "errors": [{"code": code, "message": text} for code, text in exchange.failures],
            "lines_after_finish": late,
            "isolation": {**probe(self.isolation), "held": dict(confined.holds)},
        }
        write_atomically(self._folder / RECORD, encode(record).decode())
