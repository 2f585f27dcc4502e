"""An agent that is a command, whatever it speaks: how it is named, confined, logged and recorded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from acs_gym.session import BudgetExhausted, Session
from leaderboard.errors import LeaderboardError
from leaderboard.files import write_atomically
from leaderboard.wire.exchange import AgentFailed, Exchange, Patience
from leaderboard.wire.isolation.command_line import CannotRun, resolve, split_command
from leaderboard.wire.isolation.confined import Confined
from leaderboard.wire.isolation.levels import Subprocess
from leaderboard.wire.isolation.visible import kept_apart
from leaderboard.wire.messages import PROTOCOL
from leaderboard.wire.strict_json import encode

LOG, RECORD = "agent.log", "wire.json"
# For a process that closed its descriptors to end, so that one can say how it did.
LAST_BREATH_S = 1.0
_LOG_TAIL = 600


class CommandAgent(ABC):
    """What agents that are commands have in common; `run` is theirs.

    Args:
        command: as typed in a shell; words that name files are looked for from the current folder.
        patience: what the agent is allowed in time and errors.
        isolation: the level that it runs in, with what its process may use.

    Attributes:
        transport: what comes before the command in the agent's name.
        opens: how the agent opens the conversation, in words.
        own_files: names that mean files of the agent's own folder.
        also: other commands that it is to be able to run.
        exchange: the conversation with it; None before it is run.

    Raises LeaderboardError when there is no such command, and in the level `container` when this machine
    has no such level, or when the command names a folder that may not be shown.
    """

    track: Literal["score", "metrics"] = "metrics"
    transport: ClassVar[str]
    opens: ClassVar[str]
    own_files: ClassVar[tuple[str, ...]] = ()
    also: ClassVar[Sequence[Sequence[str]]] = ()
    usual_patience: ClassVar[Patience] = Patience()

    def __init__(
        self,
        command: str = "",
        *,
        patience: Patience | None = None,
        isolation: Subprocess | None = None,
    ) -> None:
        try:
            self.words = split_command(command, self.transport)
            self._resolved = resolve(self.words, self.own_files)
            self.isolation = isolation or Subprocess()
            self.isolation.require()
        except CannotRun as error:
            raise LeaderboardError(str(error)) from None
        self._keep_apart(kept_apart())
        self.patience = patience or self.usual_patience
        self.exchange: Exchange | None = None
        self._folder: Path | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The command, whether it has the network, and the sha256 of every file that it names.

        Not of the program's own, which as an interpreter differs between machines; but of an agent that
        is a program by itself. In `container` also the level, and of every folder that it names.
        Raises LeaderboardError for what cannot be read.
        """
        try:
            return self._config()
        except OSError as error:
            raise LeaderboardError(f"{error.filename}: cannot be read: {error.strerror}") from None

    def _config(self) -> dict[str, Any]:
        files = self._resolved[1:] if len(self.words) > 1 else self._resolved
        named = {
            word: Path(path)
            for word, path in zip(self.words[-len(files) :], files, strict=True)
            if word not in self.own_files
        }
        return {
            "command": list(self.words),
            "network": self.isolation.network,
            "files": {
                word: hashlib.sha256(path.read_bytes()).hexdigest()
                for word, path in named.items()
                if path.is_file()
            },
            **self.isolation.identity(named),
        }

    def isolation_record(self) -> dict[str, Any]:
        """The level, and what was found to hold on this machine; part of a result's fingerprint."""
        return self.isolation.record()

    def keep_files_in(self, folder: Path) -> None:
        """Keep the agent's output and the record of the conversation in `folder`.

        Raises LeaderboardError when the agent would see it, and the results beside it.
        """
        self._keep_apart({str(folder): "the results of this run"})
        self._folder = folder

    @abstractmethod
    def run(self, session: Session) -> None:
        """Start the command, answer it until it is done, and end all that it started.

        Raises AgentFailed with what the agent did wrong, BudgetExhausted when that was asking for more
        than remained, ValueError for a session without a budget, and what the session raises.
        """

    def _begin(self, session: Session) -> Exchange:
        if session.budget is None:
            raise ValueError(
                f"a {self.transport} agent needs a session with a budget; this one has no limit"
            )
        self.exchange = Exchange(session, self.track, self.patience)
        return self.exchange

    def _keep_apart(self, folders: Mapping[str, str]) -> None:
        seen = self.isolation.shows(self._resolved, *self.also)
        if seen is None:
            return
        for folder, what in folders.items():
            if (shown := seen.holding(folder)) is not None:
                raise LeaderboardError(
                    f"{shown} cannot be shown to the agent, because {what} would be seen with it "
                    f"({folder}); name the files that it needs, or a folder of their own"
                )

    def _left(self, confined: Confined, exchange: Exchange) -> Exception:
        """What a conversation that ended too early is to be raised as."""
        why = self._why(confined, exchange)
        # As of an agent in this process that lets the refusal through.
        return BudgetExhausted(why) if exchange.refusal else AgentFailed(why)

    def _why(self, confined: Confined, exchange: Exchange) -> str:
        """Why a conversation ended before `finish`, with the end of what the agent printed."""
        if confined.failure:
            return confined.failure
        when = f"before it {self.opens}" if exchange.agent is None else "before finish"
        said = "".join(f"; {line}" for line in self._last_output())
        why = f"the agent closed the conversation {when}: {confined.ending}{said}"
        if self.isolation.first_failure and exchange.agent is None:
            why += f"; {self.isolation.first_failure}"
        return why

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
        self, exchange: Exchange, confined: Confined, late: int, ended_by: str, **more: Any
    ) -> None:
        if self._folder is None:
            return
        finish = exchange.finish
        record = {
            "protocol": PROTOCOL,
            "transport": self.transport,
            "agent": None if exchange.agent is None else exchange.agent.model_dump(),
            "finish": None if finish is None else finish.model_dump(),
            "error": ended_by,
            "exit_code": confined.exit_code,
            "errors": [{"code": code, "message": text} for code, text in exchange.failures],
            "lines_after_finish": late,
            "isolation": {**self.isolation.record(), "held": dict(confined.holds)},
            **more,
        }
        write_atomically(self._folder / RECORD, encode(record).decode())
