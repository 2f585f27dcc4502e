"""What keeps an agent apart from the harness: a class a level, from the least that holds to the most.

What a level is called, what a reader is told of it, what it needs of the machine and how an agent is
started in it stand here and nowhere else. Every result names the level of its agent, so this is read
everywhere; what starts processes is imported when one is started.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from leaderboard.wire.isolation.command_line import CannotRun
from leaderboard.wire.isolation.limits import Limits

if TYPE_CHECKING:
    from leaderboard.wire.isolation.confined import Confined, Prepare
    from leaderboard.wire.isolation.probe import Tried
    from leaderboard.wire.isolation.visible import Visible

_REMEDY = (
    "run it as stdio:COMMAND or mcp:COMMAND, in the level subprocess; or have user namespaces allowed "
    "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns; in a container engine, its seccomp profile and "
    "what it masks in /proc)"
)


class Level(ABC):
    """A level of isolation.

    Attributes:
        name: what results call it.
        sentence: for a reader of results, after the number of agents.
        doubt: why nothing shows that an agent kept to the meter; empty where it could not do otherwise.
    """

    name: ClassVar[str]
    sentence: ClassVar[str]
    doubt: ClassVar[str]

    @abstractmethod
    def require(self) -> None:
        """Raises CannotRun, saying what is missing, where this machine does not have the level."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """`level`, and what was found to hold of it; part of a result's fingerprint."""


class Inprocess(Level):
    """The agent is an object of the harness's own process: its `run` is called, nothing is started."""

    name = "inprocess"
    sentence = (
        "ran inside the harness's process: fit for development, no defence against an agent that "
        "cheats"
    )
    doubt = "shared the harness's process"

    def require(self) -> None:
        """Every machine has it."""

    def record(self) -> dict[str, Any]:
        """`level` alone: nothing holds."""
        return {"level": self.name}


@dataclass(frozen=True)
class Subprocess(Limits, Level):
    """The agent is a command in a process of its own, with limits; its arguments are `Limits`."""

    name = "subprocess"
    sentence = (
        "ran in processes of their own, which can read the user's files and use the simulator: fit "
        "for development"
    )
    doubt = "not in a container"
    # What fails first in it, for an agent that ended before it said anything.
    first_failure: ClassVar[str] = ""

    def require(self) -> None:
        """Every machine has it, though what holds of it differs (`record`)."""

    def record(self) -> dict[str, Any]:
        """The level that is really there, and what an agent cannot do in it; tried once a process.

        `network_cut`, `descendants_end`, `limits` and what is hidden: see `probe.Tried`.
        """
        tried = _tried(self)
        return {
            "level": self.name if self._holds(tried) else Subprocess.name,
            "network_cut": tried.network_cut,
            **tried.hidden,
            "descendants_end": tried.descendants_end,
            "limits": list(tried.limits),
        }

    def shows(self, *commands: Sequence[str]) -> Visible | None:
        """The files that an agent sees where it runs resolved commands; None: all that the user sees."""
        return None

    def identity(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """What of the level is part of an agent's identity. `files`: what its command names, by word.

        Raises OSError for what cannot be read.
        """
        return {}

    def start(
        self,
        command: Sequence[str],
        log: int,
        prepare: Prepare | None = None,
        also: Sequence[Sequence[str]] = (),
    ) -> Confined:
        """Start a resolved command; see `confined.start`. `also`: others that it is to be able to run."""
        from leaderboard.wire.isolation import confined

        prepare = prepare or confined.nothing_to_prepare
        return confined.start(command, self, log, prepare, self.shows(command, *also))

    def _holds(self, tried: Tried) -> bool:
        """Whether all is there that the level promises: of this one, whatever the machine has."""
        return True


@dataclass(frozen=True)
class Container(Subprocess):
    """A `Subprocess` that is shown no files but those that it needs (visible.py), or is not run."""

    name = "container"
    sentence = (
        "ran in processes of their own that saw, of all files, the system's programs and what the "
        "agent's command names"
    )
    doubt = ""
    # To find a file that lies beside the one named.
    first_failure = (
        "in a container it sees the files and folders that its command names, and no other"
    )

    def require(self) -> None:
        """Raises CannotRun, saying what is missing, where this machine does not have the level."""
        tried = _tried(self)
        if not self._holds(tried):
            lacking = [name for name, value in self.record().items() if not value]
            why = tried.failure or "does not hold: " + ", ".join(lacking)
            raise CannotRun(
                f"the level {self.name} cannot be had on this machine ({why}); {_REMEDY}"
            )

    def shows(self, *commands: Sequence[str]) -> Visible:
        """The files that an agent sees where it runs resolved commands."""
        from leaderboard.wire.isolation.visible import visible

        return visible(*commands)

    def identity(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """Its name, and the digest of every folder that is shown, which the agent's code may lie in."""
        from leaderboard.wire.isolation.visible import folder_digest

        folders = {w: p for w, p in files.items() if p.is_absolute() and p.is_dir()}
        return {
            "level": self.name,
            "folders": {word: folder_digest(path) for word, path in folders.items()},
        }

    def _holds(self, tried: Tried) -> bool:
        return tried.own_root and all(tried.hidden.values())


@lru_cache(maxsize=8)
def _tried(level: Subprocess) -> Tried:
    from leaderboard.wire.isolation.probe import probe

    return probe(level.start, level.folder_bytes)


# By the name that a result has for it.
LEVELS: Mapping[str, type[Level]] = {
    level.name: level for level in (Inprocess, Subprocess, Container)
}
