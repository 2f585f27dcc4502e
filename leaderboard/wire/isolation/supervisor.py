"""The program between the harness and an agent: confines it, keeps its output, ends all of it.

    python -I -S supervisor.py FOLDER < LIFELINE     (its first line: the order of confined.py, in JSON)

Three processes, so that an agent that signals its parent hits neither the harness nor this one:

    supervisor   ends everybody when descriptor 0 ends (the harness is done or gone), or with `init`.
                 Its order is read from there: the order holds the agent's environment, and every local
                 user can read a command line
    init         process 1 of a process namespace where the kernel allows one: what the agent started
                 dies with it, wherever it hid; signals from inside do not reach it
    agent        the command

Standard library only, with its neighbours `mounts`, `calls`, `syscalls` and `leftovers`, and no import of
this package: it starts in a few milliseconds, and what it has in memory is nobody's secret. What holds is
tried, never assumed, and reported as a line of JSON on the descriptor `report`: {"holds": {...}}, then
{"exit": N} (negative: signal) or {"failed": "why"}. In the level `container` a step that fails is such a
failure, and nothing is run.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaderboard.wire.isolation import calls, leftovers, mounts
else:
    sys.path.append(os.path.dirname(__file__))
    import calls
    import leftovers
    import mounts

_NEW_IPC, _NEW_USER, _NEW_PID, _NEW_NET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS, _DROP_CAPABILITY = 1, 4, 38, 24
_SET_CHILD_SUBREAPER = 36
_SET_INTERFACE_FLAGS, _INTERFACE_UP = 0x8914, 1
_KILL_S = 5.0
_LONGEST_WAIT_S = 3600.0
_CHUNK = 1 << 16


def main(order: dict[str, Any]) -> None:
    """Run the command of an order to its end, and leave nothing of it behind."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    holds = _confine(order)
    group = _control_group(order["group"])
    holds["cgroup"] = group is not None
    output, write_output = os.pipe()
    ended, write_ended = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(output)
        os.close(ended)
        if group is not None:
            _write(f"{group}/cgroup.procs", "0")
        _init(order, holds, write_output)
    os.close(write_output)
    os.close(write_ended)
    for descriptor in (order["read"], order["write"], order["report"]):
        os.close(descriptor)
    left = _keep_output(output, ended, order["log_bytes"], time.monotonic() + order["wall_seconds"])
    _kill_all(init, walk=not holds["processes"])
    _drain(output, left)
    # Here, because the harness may be gone.
    leftovers.remove(order["folder"])
    if group is not None:
        with contextlib.suppress(OSError):
            os.rmdir(group)


# --- what the kernel allows ---------------------------------------------------------------------


def _confine(order: dict[str, Any]) -> dict[str, bool]:
    """Enter namespaces, each on its own; True for those that hold."""
    uid, gid = os.getuid(), os.getgid()
    mounts.call("prctl", _SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    holds = {"user": order["namespaces"] and mounts.call("unshare", _NEW_USER)}
    if holds["user"]:
        # The same ids inside as outside: the agent's files stay its own.
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
        mounts.call("unshare", _NEW_IPC)
    holds["network"] = holds["user"] and not order["network"] and mounts.call("unshare", _NEW_NET)
    if holds["network"]:
        _loopback_up()
    holds["processes"] = holds["user"] and mounts.call("unshare", _NEW_PID)
    # Others of this user may not trace this process or read its memory and descriptors.
    mounts.call("prctl", _SET_DUMPABLE, 0, 0, 0, 0)
    return holds


def _control_group(limits: dict[str, int], root: str = "/sys/fs/cgroup") -> str | None:
    """A control group (version 2) below this process's own, with limits of the agent as a whole.

    None where the kernel, or whoever started the harness, delegates none; then there is no such limit.
    """
    try:
        with open("/proc/self/cgroup") as stream:
            own = next(line.strip()[3:] for line in stream if line.startswith("0::"))
        with open(f"{root}{own}/cgroup.subtree_control") as stream:
            given = stream.read().split()
        if not {"memory", "pids"} <= set(given):
            return None
        group = f"{root}{own}/acs-gym-agent-{os.getpid()}"
        os.mkdir(group)
        for name, value in limits.items():
            with open(f"{group}/{name}", "w") as stream:
                stream.write(str(value))
    except (OSError, StopIteration):
        return None
    return group


def _loopback_up() -> None:
    """The agent may talk to itself through 127.0.0.1, as some libraries do."""
    with contextlib.suppress(OSError), socket.socket() as any_socket:
        request = struct.pack("16sH22x", b"lo", _INTERFACE_UP)
        fcntl.ioctl(any_socket, _SET_INTERFACE_FLAGS, request)


def _write(path: str, text: str) -> None:
    with contextlib.suppress(OSError), open(path, "w") as stream:
        stream.write(text)


def _limit(limits: dict[str, int], *, own_user: bool) -> dict[str, bool]:
    """Set resource limits, the lower of ours and what already holds; True for those that were."""
    done = {}
    for name, value in limits.items():
        which = getattr(resource, name, None)
        done[name] = False
        # Without a namespace of users the number of processes is counted over all of this user's.
        if which is not None and (name != "RLIMIT_NPROC" or own_user):
            _, hard = resource.getrlimit(which)
            lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(which, (lower, lower))
                done[name] = True
    return done


# --- init and the agent -------------------------------------------------------------------------


def _file_system(order: dict[str, Any], holds: dict[str, bool]) -> dict[str, bool]:
    """What the agent is to see; what holds of it. Raises OSError when it would see more.

    In `init`, because the supervisor needs the /proc it has.
    """
    if order["visible"] is not None:
        for name, what in (("user", "user namespaces"), ("processes", "process namespaces")):
            if not holds[name]:
                raise OSError(errno.EPERM, os.strerror(errno.EPERM), what)
        return mounts.contain(order["folder"], order["folder_bytes"], **order["visible"])
    if not holds["user"]:
        return {"proc": False, "read_only": False}
    return mounts.read_only(order["folder"], own_processes=holds["processes"])


def _init(order: dict[str, Any], holds: dict[str, bool], output: int) -> None:
    """Start the agent, adopt what it leaves, say how it ended. Never returns."""
    mounts.call("prctl", _SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.setsid()
    try:
        holds |= _file_system(order, holds)
    except OSError as error:
        failure = f"{error.filename2 or error.filename}: {error.strerror}"
        os.write(order["report"], json.dumps({"failed": failure}).encode() + b"\n")
        os._exit(127)
    ready, write_ready = os.pipe()
    agent = os.fork()
    if agent == 0:
        _become_agent(order, holds, output, write_ready)
    os.close(write_ready)
    for descriptor in (0, 1, order["read"], order["write"], output):
        os.close(descriptor)
    said = _read_all(ready)
    os.write(order["report"], said)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == agent:
            code = os.waitstatus_to_exitcode(status)
            os.write(order["report"], json.dumps({"exit": code}).encode() + b"\n")
            os._exit(0)


def _become_agent(order: dict[str, Any], holds: dict[str, bool], output: int, say: int) -> None:
    """Turn into the command, with nothing of this process but descriptors 3 and 4. Never returns."""
    say, read, write, output = (
        fcntl.fcntl(d, fcntl.F_DUPFD, 16) for d in (say, order["read"], order["write"], output)
    )
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2), (read, 3), (write, 4)):
        os.dup2(source, target)
    os.closerange(5, 16)
    # Anything above but `say`, which exec closes.
    os.closerange(16, say)
    os.closerange(say + 1, 1 << 20)
    fcntl.fcntl(say, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    mounts.call("prctl", _SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    try:
        os.chdir(order["folder"])
        limited = _limit(order["limits"], own_user=holds["user"])
        holds["keyring"] = calls.session_keyring()
        mounts.call("prctl", _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for capability in range(64):
            mounts.call("prctl", _DROP_CAPABILITY, capability, 0, 0, 0)
        holds["calls"] = order["visible"] is not None and calls.refuse()
        if order["visible"] is not None and not holds["calls"]:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), "a filter of system calls")
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.write(say, json.dumps({"holds": {**holds, **limited}}).encode() + b"\n")
        os.execve(order["command"][0], order["command"], order["environment"])
    except OSError as error:
        what = error.filename or order["command"][0]
        failure = f"{what} cannot be run: {error.strerror}"
        os.write(say, json.dumps({"failed": failure}).encode() + b"\n")
    os._exit(127)


def _read_all(descriptor: int) -> bytes:
    found = b""
    while data := os.read(descriptor, _CHUNK):
        found += data
    os.close(descriptor)
    return found


# --- output, and the end ------------------------------------------------------------------------


def _keep_output(output: int, ended: int, left: int, deadline: float) -> int:
    """Copy the agent's output to descriptor 1 until the end; how many bytes may still be kept."""
    poll = select.poll()
    for descriptor in (0, output, ended):
        poll.register(descriptor, select.POLLIN)
    while True:
        wait = deadline - time.monotonic()
        if wait <= 0:
            _keep(b"\n[its time was over]\n", left)
            return left
        ready = [descriptor for descriptor, _ in poll.poll(min(wait, _LONGEST_WAIT_S) * 1000)]
        if output in ready:
            data = os.read(output, _CHUNK)
            if not data:
                poll.unregister(output)
            left = _keep(data, left)
        if 0 in ready or ended in ready:
            return left


def _keep(data: bytes, left: int) -> int:
    if left >= 0:
        with contextlib.suppress(OSError):  # A full disk is no reason to stop the agent.
            os.write(1, data[:left])
            if len(data) > left:
                os.write(1, b"\n[the rest of the output was not kept]\n")
    return left - len(data)


def _drain(output: int, left: int) -> None:
    os.set_blocking(output, False)
    with contextlib.suppress(BlockingIOError):
        while data := os.read(output, _CHUNK):
            left = _keep(data, left)


def _kill_all(init: int, *, walk: bool) -> None:
    """End `init`, which takes its namespace along; without one, every descendant is looked for."""
    deadline = time.monotonic() + _KILL_S
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(init, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(init, signal.SIGKILL)
    while time.monotonic() < deadline:
        for pid in _descendants(os.getpid()) if walk else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.002)
        except ChildProcessError:
            return


def _descendants(pid: int) -> list[int]:
    """Ids of the processes below one; those orphaned are below this one, which adopts them."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as stream:
            direct = [int(child) for child in stream.read().split()]
    except (OSError, ValueError):
        return []
    return direct + [below for child in direct for below in _descendants(child)]


def _read_order(folder: str) -> dict[str, Any]:
    """The first line of descriptor 0.

    Where the harness was gone before it wrote it, this process removes the agent's folder and ends.
    """
    found = b""
    while not found.endswith(b"\n"):
        data = os.read(0, _CHUNK)
        if not data:
            leftovers.remove(folder)
            sys.exit("no order")
        found += data
    order: dict[str, Any] = json.loads(found)
    return order


if __name__ == "__main__":
    main(_read_order(sys.argv[1]))
