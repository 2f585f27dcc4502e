"""What a level of isolation really holds on this machine, found by trying to get out of it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import select
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboard.wire.isolation import syscalls
from leaderboard.wire.isolation.confined import Confined
from leaderboard.wire.isolation.limits import Limits

_PROBE_S = 20.0
_LIMITS = frozenset((*Limits().of_the_kernel(), "cgroup"))
_TRIES = Path(__file__).with_name("tries.py")


@dataclass(frozen=True, slots=True)
class Tried:
    """What an agent cannot do on this machine, found by trying; all of it False where nothing ran.

    Attributes:
        network_cut: no connection to a listener on this machine.
        hidden: what is out of its reach, by name. `harness_hidden`: neither the environment of the
            harness nor a signal to it. `files_hidden`: a file of this user's that the command does not
            name cannot be read. `files_read_only`: nothing written outside its own folder.
            `environment_hidden`: nor is a file of the environment that the harness runs in.
            `simulator_hidden`: no ngspice is found. `sockets_hidden`, `fifos_hidden`, `terminal_hidden`:
            no Unix socket, pipe or terminal of this user's can be opened by its path. `locks_refused`:
            nor a file be locked, not even one that the command names. `keyring_apart`: a key of the
            harness's session is not found. `no_new_namespaces`, `no_io_uring`: the kernel gives neither.
            `folder_limited`: its folder is no larger than it may be.
        descendants_end: a process that left its session is gone afterwards.
        limits: the resource limits that were set, and the control group where there is one.
        own_root: it ran in a file system of its own.
        failure: why the probe could not be run; empty when it was.
    """

    network_cut: bool
    hidden: Mapping[str, bool]
    descendants_end: bool
    limits: tuple[str, ...]
    own_root: bool
    failure: str


def probe(start: Callable[[Sequence[str], int], Confined], folder_bytes: int) -> Tried:
    """Run a small program that tries to get out of what `start` puts a command into.

    `start`: takes a resolved command, and the descriptor that its output goes to. `folder_bytes`: how
    large its folder may get.
    """
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryDirectory(prefix="acs-gym-probe-") as folder,
        open(os.devnull, "wb") as nowhere,
        contextlib.ExitStack() as undo,
    ):
        unnamed, named = (Path(folder) / name for name in ("unnamed", "named"))
        for path in (unnamed, named):
            path.touch()
        key = f"acs-gym-probe-{secrets.token_hex(8)}"
        question = {
            "port": listener.getsockname()[1],
            "pid": os.getpid(),
            "unnamed": str(unnamed),
            "package": __file__ if sys.prefix == sys.base_prefix else f"{sys.prefix}/pyvenv.cfg",
            "key": key,
            "calls": syscalls.here(),
            "search": syscalls.SEARCH_KEY,
            "keyring": syscalls.SESSION_KEYRING,
            "new_user": syscalls.NEW_USER,
            **_ways_to_pass_on(Path(folder), undo),
            "folder_bytes": folder_bytes,
        }
        command = [sys.executable, "-I", "-S", str(_TRIES), str(named)]
        undo.enter_context(key_of_this_session(key))
        confined = start(command, nowhere.fileno())
        witness = os.dup(confined.read)
        try:
            # The probe may be gone already.
            with contextlib.suppress(BrokenPipeError):
                os.write(confined.write, json.dumps(question).encode() + b"\n")
            got_out = _probe_answer(confined.read)
        finally:
            confined.close()
        # Whoever is left holds the other end of this pipe.
        ended = _all_gone(witness)
        os.close(witness)
        # Where it has a /tmp of its own, it may well have written something there.
        untouched = not (unnamed.read_text() or named.read_text())

    def none_of(*attempts: str) -> bool:
        return got_out is not None and not set(attempts) & set(got_out)

    hidden = {
        "harness_hidden": none_of("environ", "signal"),
        "files_hidden": none_of("read"),
        "files_read_only": got_out is not None and untouched,
        "environment_hidden": none_of("package"),
        "simulator_hidden": none_of("program", "library"),
        "sockets_hidden": none_of("unix"),
        "fifos_hidden": none_of("fifo"),
        "terminal_hidden": none_of("terminal"),
        "locks_refused": none_of("lock"),
        "keyring_apart": none_of("key"),
        "no_new_namespaces": none_of("namespace"),
        "no_io_uring": none_of("io_uring"),
        "folder_limited": none_of("folder"),
    }
    return Tried(
        network_cut=none_of("connect"),
        hidden=hidden,
        descendants_end=got_out is not None and ended,
        limits=tuple(sorted(n for n, done in confined.holds.items() if done and n in _LIMITS)),
        own_root=bool(confined.holds.get("root")),
        failure=confined.failure,
    )


def _ways_to_pass_on(folder: Path, undo: contextlib.ExitStack) -> dict[str, str]:
    """A socket, a pipe and a terminal that somebody on this side listens at, by path."""
    ways = {"socket": str(folder / "socket"), "fifo": str(folder / "fifo")}
    listener = undo.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(ways["socket"])
    listener.listen()
    os.mkfifo(ways["fifo"])
    undo.callback(os.close, os.open(ways["fifo"], os.O_RDONLY | os.O_NONBLOCK))
    with contextlib.suppress(OSError):  # Where there are no terminals, none is found.
        for descriptor in (pair := os.openpty()):
            undo.callback(os.close, descriptor)
        ways["terminal"] = os.ttyname(pair[1])
    return ways


@contextlib.contextmanager
def key_of_this_session(name: str) -> Iterator[None]:
    """A key of the kernel's that every process of this session finds; none where there are no keys."""
    libc, numbers = ctypes.CDLL(None), syscalls.here()
    key = -1
    if numbers:
        size, ring = ctypes.c_size_t(1), syscalls.SESSION_KEYRING
        key = libc.syscall(numbers["add_key"], b"user", name.encode(), b"x", size, ring)
    try:
        yield
    finally:
        if key >= 0:
            libc.syscall(numbers["keyctl"], syscalls.UNLINK_KEY, key, syscalls.SESSION_KEYRING)


def _probe_answer(descriptor: int) -> list[str] | None:
    """The line that the probe wrote; None when there is none."""
    data, deadline = b"", time.monotonic() + _PROBE_S
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000) or not (chunk := os.read(descriptor, 4096)):
            return None
        data += chunk
    return list(json.loads(data))


def _all_gone(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000)) and os.read(descriptor, 1) == b""
