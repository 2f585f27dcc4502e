"""What the agent's process sees of the file system, made so in a mount namespace of its own.

    read_only   everything stays where it is, and only the agent's own folder can be written
    contain     nothing is there but what it is given (`visible.py` says what)

Part of the program `supervisor.py`: standard library only, no import of this package.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import struct
import sys
from collections.abc import Sequence
from typing import Any

_NEW_NS = 0x00020000
_NO_SUID, _NO_DEV, _NO_EXEC, _BIND, _RECURSIVE, _PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_BARE = _NO_SUID | _NO_DEV | _NO_EXEC
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_DETACH = 2
_LIBC = ctypes.CDLL(None, use_errno=True)
# Where the host's files are while the agent's are put together.
_HOST = "/.host"
_DEVICES = ("null", "zero", "full", "random", "urandom")
_STREAMS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_SHARED_MEMORY = b"size=256m"


def call(name: str, *arguments: Any) -> bool:
    """A C function that returns 0 (or more) when it worked; False where there is no such function."""
    function = getattr(_LIBC, name, None)
    return function is not None and sys.platform == "linux" and function(*arguments) >= 0


def read_only(folder: str, *, own_processes: bool) -> dict[str, bool]:
    """A /proc of the agent's own processes; all but `folder` and /dev/shm read-only; what holds."""
    holds = {"proc": False, "read_only": False}
    if not _leave_the_hosts_mounts():
        return holds
    if own_processes:
        holds["proc"] = call("mount", b"proc", b"/proc", b"proc", _BARE, None)
    own = folder.encode()
    if call("mount", own, own, None, _BIND, None) and _set("/", _READ_ONLY, flags=_AT_RECURSIVE):
        holds["read_only"] = _set(folder, 0, _READ_ONLY)
        call("mount", b"tmpfs", b"/dev/shm", b"tmpfs", _BARE, _SHARED_MEMORY)
    return holds


def contain(
    folder: str,
    size: int,
    paths: Sequence[str],
    links: Sequence[tuple[str, str]],
    hidden: Sequence[str],
) -> dict[str, bool]:
    """Make a file system the root that has `folder`, `paths` (read-only) and `links` alone.

    `folder` is in memory, of `size` bytes, with what lies in the host's. Of `paths`, `hidden` ones are
    empty. Beside them: a /proc of the agent's own processes, a few devices, /dev/shm and /tmp in memory.
    Raises OSError naming the step that the kernel refused, after which nothing may be run.
    """
    _need(_leave_the_hosts_mounts(), "a namespace of mounts")
    # Any folder would do, for as long as it takes; what it held is under _HOST then.
    _mount(folder, b"tmpfs", _NO_SUID | _NO_DEV, b"mode=755,size=4m")
    os.mkdir(folder + _HOST)
    _need(call("pivot_root", os.fsencode(folder), os.fsencode(folder + _HOST)), "a root of its own")
    os.chdir("/")
    # While the host's is there, without which the kernel gives no other.
    _mount("/proc", b"proc", _BARE)
    _need(_set("/proc", _READ_ONLY), "/proc")
    _mount("/tmp", b"tmpfs", _NO_SUID | _NO_DEV, b"mode=1777,size=64m")
    _mount("/dev/shm", b"tmpfs", _BARE, b"mode=1777," + _SHARED_MEMORY)
    for name in _DEVICES:
        _bind(f"/dev/{name}", _READ_ONLY | _NO_SUID | _NO_EXEC)
    for name, stream in _STREAMS.items():
        os.symlink(f"/proc/self/fd{stream}", f"/dev/{name}")
    for where, to in links:
        os.makedirs(os.path.dirname(where), exist_ok=True)
        os.symlink(to, where)
    for path in paths:
        _bind(path, _READ_ONLY | _NO_SUID | _NO_DEV)
    for path in hidden:
        _hide(path)
    _mount(folder, b"tmpfs", _NO_SUID | _NO_DEV, b"mode=700,size=%d" % size)
    _fill(folder)
    _need(call("umount2", _HOST.encode(), _DETACH), "a root of its own")
    os.rmdir(_HOST)
    _need(_set("/", _READ_ONLY), "/")
    return {"proc": True, "read_only": True, "root": True}


def _leave_the_hosts_mounts() -> bool:
    return call("unshare", _NEW_NS) and call("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)


def _mount(where: str, kind: bytes, flags: int, options: bytes | None = None) -> None:
    os.makedirs(where, exist_ok=True)
    _need(call("mount", kind, os.fsencode(where), kind, flags, options), where)


def _bind(path: str, attributes: int) -> None:
    """Let what the host has at a path be there too."""
    source = _HOST + path
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o644))
    where = os.fsencode(path)
    bound = call("mount", os.fsencode(source), where, None, _BIND | _RECURSIVE, None)
    _need(bound and _set(path, attributes, flags=_AT_RECURSIVE), path)


def _hide(path: str) -> None:
    """Let a file or folder that is there have nothing in it."""
    if os.path.isdir(path):
        _mount(path, b"tmpfs", _BARE | _READ_ONLY, b"mode=755,size=4k")
    elif os.path.exists(path):
        nothing, where = os.fsencode(f"{_HOST}/dev/null"), os.fsencode(path)
        _need(call("mount", nothing, where, None, _BIND, None), path)


def _fill(folder: str) -> None:
    """Put what the host has in a folder into the one that is there now."""
    for entry in os.scandir(_HOST + folder):
        where = os.path.join(folder, entry.name)
        if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
            _bind(where, _NO_SUID | _NO_EXEC)
        else:
            shutil.copy2(entry.path, where)


def _set(path: str, attributes: int, cleared: int = 0, *, flags: int = 0) -> bool:
    """Set and clear attributes of the mount at a path."""
    change = struct.pack("QQQQ", attributes, cleared, 0, 0)
    size = ctypes.c_size_t(len(change))
    return call("syscall", _MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, change, size)


def _need(done: bool, what: str) -> None:
    if not done:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
