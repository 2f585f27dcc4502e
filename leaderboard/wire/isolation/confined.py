"""A command that runs in a process which holds little: starting it, and what the harness sees of it.

What the kernel allows differs from machine to machine. So everything is tried, and the process itself
says what was done (`Confined.holds`).
"""

from __future__ import annotations

import contextlib
import json
import os
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
from leaderboard.wire.isolation.limits import Limits
from leaderboard.wire.isolation.visible import Visible

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")
# One thread and one hash seed, as every other agent of a run has.
_FIXED = {**ONE_THREAD, "PYTHONHASHSEED": "0"}
_END_S = 10.0
# Puts files into an agent's folder, and says the variables that name them.
Prepare = Callable[[Path], Mapping[str, str]]


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


def nothing_to_prepare(_folder: Path) -> Mapping[str, str]:
    """The folder stays empty."""
    return {}


def start(
    command: Sequence[str],
    limits: Limits,
    log: int,
    prepare: Prepare = nothing_to_prepare,
    seen: Visible | None = None,
) -> Confined:
    """Start a resolved command. `log`: descriptor that its output is written to.

    `prepare` puts into the agent's folder what it is to find there, and returns variables for its
    environment. `seen`: the files that it is shown, or nothing is run; None: what the user sees.
    Whether the command could be executed is known when it is closed (`failure`).
    """
    with contextlib.ExitStack() as undo:
        # Where it really is: of a link on the way, a container has nothing.
        folder = os.path.realpath(tempfile.mkdtemp(prefix="acs-gym-agent-"))
        undo.callback(leftovers.remove, folder)
        their_read, write = _pipe(undo)
        read, their_write = _pipe(undo)
        report, their_report = _pipe(undo)
        their_lifeline, lifeline = _pipe(undo)
        environment = {**_environment(folder, limits), **prepare(Path(folder))}
        order = {
            "command": list(command),
            "environment": environment,
            "folder": folder,
            "limits": limits.of_the_kernel(),
            "log_bytes": limits.log_bytes,
            "wall_seconds": limits.wall_seconds,
            "group": {"memory.max": limits.group_bytes, "pids.max": limits.processes},
            "folder_bytes": limits.folder_bytes,
            "network": limits.network,
            "namespaces": limits.namespaces,
            "visible": None if seen is None else asdict(seen),
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


def _environment(folder: str, limits: Limits) -> dict[str, str]:
    passed = {n: os.environ[n] for n in (*_KEPT, *limits.environment) if n in os.environ}
    return {**_FIXED, **passed, "HOME": folder, "TMPDIR": folder}
