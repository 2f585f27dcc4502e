"""Looks for what it should not see, and writes where it should not: by name, and by every way round.

Given as JSON: `files` to read, `folders` to write into, `skip`, folders that are not worth a walk.
"""

import ctypes
import json
import os
import struct
import sys

from raw import call, hello, say

NEW_NAMESPACES = 0x10000000 | 0x00020000
MOUNT_SETATTR, HERE, READ_ONLY, DETACH = 442, -100, 1, 2
given = json.loads(sys.argv[1])
libc = ctypes.CDLL(None)


def ways(path):
    """Paths that might lead to the same file."""
    yield path
    for process in ("self", *filter(str.isdigit, os.listdir("/proc"))):
        yield f"/proc/{process}/root{path}"
        yield f"/proc/{process}/cwd{'/..' * 30}{path}"
    yield f"{'../' * 30}{path}"
    yield f"/.host{path}"
    yield f"/dev/fd/../..{path}"


def done(action, *arguments):
    try:
        action(*arguments)
    except OSError:
        return False
    return True


def read(path):
    with open(path, "rb") as stream:
        stream.read(1)


def write(folder):
    with open(os.path.join(folder, "forged"), "w"):
        pass


def files():
    for folder, inner, names in os.walk("/"):
        inner[:] = [n for n in inner if os.path.join(folder, n) not in given["skip"]]
        yield from (os.path.join(folder, name) for name in names)


def open_files():
    """What other processes have open, or were started with."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        if int(process) != os.getpid():
            folder = f"/proc/{process}"
            for name in ("environ", "mem", "maps"):
                if done(read, f"{folder}/{name}"):
                    yield f"{folder}/{name}"
            for name in ("root", "cwd", "exe", *(f"fd/{n}" for n in range(32))):
                if done(os.readlink, f"{folder}/{name}"):
                    yield f"{folder}/{name}"


def undo_what_holds():
    """How many mounts it could remove or make writable, as root of namespaces of its own."""
    libc.unshare(NEW_NAMESPACES)
    writable = struct.pack("QQQQ", 0, READ_ONLY, 0, 0)
    size = ctypes.c_size_t(len(writable))
    done = [libc.umount2(path, DETACH) for path in (b"/etc/passwd", b"/tmp", b"/proc", b"/")]
    done += [
        libc.syscall(MOUNT_SETATTR, HERE, path.encode(), 0, writable, size)
        for path in given["folders"]
    ]
    return done.count(0)


hello()
say(
    {
        "read": [way for path in given["files"] for way in ways(path) if done(read, way)],
        "files": sorted(files()),
        "others": list(open_files()),
        "processes": len([p for p in os.listdir("/proc") if p.isdigit()]),
        "written": [folder for folder in given["folders"] if done(write, folder)],
        "undone": undo_what_holds(),
        "written then": [folder for folder in given["folders"] if done(write, folder)],
    }
)
call("finish")
