"""A command in a process that holds little and can reach little: the levels `subprocess`, `container`.

What the kernel allows differs from machine to machine. So everything is tried, the process itself
says what was done (`Confined.holds`), and `probe.py` runs a small program inside that tries to get out.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from acs_gym.threads import ONE_THREAD
from leaderboard.wire.isolation import leftovers
from leaderboard.wire.isolation.visible import visible

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")
# One thread and one hash seed, as every other agent of a run has.
_FIXED = {**ONE_THREAD, "PYTHONHASHSEED": "0"}
_END_S = 10.0


class CannotRun(ValueError):
    """A command that cannot be started; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What an agent's process may use.

    Attributes:
        cpu_seconds: of each of its processes.
        memory_bytes: address space of each process. Generous, because runtimes reserve much more than
            they use.
        file_bytes: size of any file that it writes.
        open_files: of each process.
        wall_seconds: from its start to its end.
        folder_bytes: of its folder, in the level `container`, where that is in memory.
        group_bytes: memory of all its processes together; only where a control group is delegated.
        processes: of the agent altogether; only where it has a user namespace of its own, or a group.
        log_bytes: of its standard output and error that are kept.
        network: leave the network as it is, for an agent that calls a model on a server.
        environment: variables to pass on, beside a short list that every agent gets.
        namespaces: use the kernel's namespaces where it has them.
        container: show it no files but those that it needs (visible.py), or do not run it.
    """

    cpu_seconds: int = 24 * 3600
    wall_seconds: int = 24 * 3600
    folder_bytes: int = 256 << 20
    group_bytes: int = 16 << 30
    memory_bytes: int = 64 << 30
    file_bytes: int = 1 << 30
    open_files: int = 1024
    processes: int = 256
    log_bytes: int = 1 << 20
    network: bool = False
    environment: tuple[str, ...] = ()
    namespaces: bool = True
    container: bool = False

    @property
    def level(self) -> str:
        return "container" if self.container else "subprocess"

    def limits(self) -> dict[str, int]:
        return {
            "RLIMIT_CPU": self.cpu_seconds,
            "RLIMIT_AS": self.memory_bytes,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_CORE": 0,
        }


def split_command(command: str, transport: str = "stdio") -> tuple[str, ...]:
    """The words of a command line, as a shell splits them. Raises CannotRun."""
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise CannotRun(f"{command!r} is no command line: {error}") from None
    if not words:
        raise CannotRun(
            f"no command; write {transport}:COMMAND, for example {transport}:'python mine.py'"
        )
    return words


def resolve(words: Sequence[str], own: Sequence[str] = ()) -> tuple[str, ...]:
    """The command so that it can be run from another folder: programs and files by absolute path.

    `own`: words that name files of the agent's own folder, and stay as they are. Raises CannotRun when
    there is no such program, or when it is a file that cannot be executed.
    """
    program, *arguments = words
    found = shutil.which(program)
    if found is None:
        if not Path(program).exists():
            raise CannotRun(f"there is no program {program}; give its path, or install it")
        raise CannotRun(
            f"{program} cannot be executed; name its interpreter (python {program}), or give it a first "
            f"line #!/usr/bin/env ... and chmod +x {program}"
        )
    # Not resolved through links: a virtual environment's interpreter is one.
    return os.path.abspath(found), *(
        os.path.abspath(word) if word not in own and _is_path(word) else word for word in arguments
    )


def _is_path(word: str) -> bool:
    return Path(word).is_file() or ("/" in word and Path(word).exists())


@dataclass(slots=True)
class Confined:
    """A command that runs, as the harness sees it.

    Attributes:
        read, write: our ends of its descriptors 4 and 3.
        report: readable when `has_ended` may say something new.
        folder: its own, where it starts and may write; removed in the end.
    """

    process: subprocess.Popen[bytes]
    read: int
    write: int
    folder: Path
    report: int
    _lifeline: int
    _said: dict[str, Any] = field(default_factory=dict)
    _ended: bool = False
    _write_ended: bool = False
    _unread: bytes = b""
    _reported: bool = False

    @property
    def holds(self) -> Mapping[str, bool]:
        """What of the isolation is really there; empty before the process said so."""
        return dict(self._said.get("holds", {}))

    @property
    def failure(self) -> str:
        """Why the command could not be run; empty when it could."""
        return str(self._said.get("failed", ""))

    @property
    def ending(self) -> str:
        """How the command ended, for a person."""
        code = self._said.get("exit")
        if code is None:
            return "it was ended"
        if code >= 0:
            return f"it ended with exit code {code}"
        return f"it was ended by {_signal_name(-code)}"

    @property
    def exit_code(self) -> int | None:
        """The command's exit code; negative for a signal; None when the harness ended it."""
        return self._said.get("exit")

    def has_ended(self) -> bool:
        """Whether the command has ended by itself; what it left is being ended then."""
        self._read_report()
        return self._reported

    def end_writing(self) -> None:
        """Nothing more will be written to the agent; it reads the end of its descriptor 3."""
        if not self._write_ended:
            self._write_ended = True
            os.close(self.write)

    def close(self, grace_s: float = 0.0) -> None:
        """End everything that the command started, after `grace_s` seconds to end by itself."""
        if self._ended:
            return
        self._ended = True
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if grace_s > 0:
                    self.process.wait(grace_s)
            os.close(self._lifeline)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_S)
        finally:
            _kill_group(self.process)
            self._read_report()
            for descriptor in (self.read, self.report):
                os.close(descriptor)
            self.end_writing()
            leftovers.remove(self.folder)

    def _read_report(self) -> None:
        os.set_blocking(self.report, False)
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.report, 1 << 16):
                self._unread += chunk
            self._reported = True
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):  # Cut short when it was killed.
                self._said |= json.loads(line)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # Before it is reaped, so that its number cannot be another's; after that it has no group.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def start(
    command: Sequence[str],
    isolation: Isolation,
    log: int,
    prepare: Callable[[Path], Mapping[str, str]] = lambda _folder: {},
    also: Sequence[Sequence[str]] = (),
) -> Confined:
    """Start a resolved command. `log`: descriptor that its output is written to.

    `prepare` puts into the agent's folder what it is to find there, and returns variables for its
    environment. `also`: other commands that it is to be able to run, in the level `container`. Whether
    the command could be executed is known when it is closed (`failure`).
    """
    with contextlib.ExitStack() as undo:
        # Where it really is: of a link on the way, a container has nothing.
        folder = os.path.realpath(tempfile.mkdtemp(prefix="acs-gym-agent-"))
        undo.callback(leftovers.remove, folder)
        their_read, write = _pipe(undo)
        read, their_write = _pipe(undo)
        report, their_report = _pipe(undo)
        their_lifeline, lifeline = _pipe(undo)
        environment = {**_environment(folder, isolation), **prepare(Path(folder))}
        order = {
            "command": list(command),
            "environment": environment,
            "folder": folder,
            "limits": isolation.limits(),
            "log_bytes": isolation.log_bytes,
            "wall_seconds": isolation.wall_seconds,
            "group": {"memory.max": isolation.group_bytes, "pids.max": isolation.processes},
            "folder_bytes": isolation.folder_bytes,
            "network": isolation.network,
            "namespaces": isolation.namespaces,
            "visible": asdict(visible(command, *also)) if isolation.container else None,
            "read": their_read,
            "write": their_write,
            "report": their_report,
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), folder],
            stdin=their_lifeline,
            stdout=log,
            stderr=log,
            pass_fds=(their_read, their_write, their_report),
            # Its own variables can be read through /proc where nothing hides them.
            env=environment,
            start_new_session=True,
        )
        undo.pop_all()
    for descriptor in (their_read, their_write, their_report, their_lifeline):
        os.close(descriptor)
    _send(lifeline, json.dumps(order).encode() + b"\n")
    return Confined(process, read, write, Path(folder), report, lifeline)


def _send(descriptor: int, data: bytes) -> None:
    # A supervisor that died at once is noticed as one that closed the conversation.
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(descriptor, data) :]


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    undo.callback(os.close, reader)
    undo.callback(os.close, writer)
    return reader, writer


def _environment(folder: str, isolation: Isolation) -> dict[str, str]:
    passed = {n: os.environ[n] for n in (*_KEPT, *isolation.environment) if n in os.environ}
    return {**_FIXED, **passed, "HOME": folder, "TMPDIR": folder}
