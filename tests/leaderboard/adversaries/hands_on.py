"""Looks for what another cell left in the kernel, simulates beside the meter, and fills its folder.

Given: a word that names what is left, and the kernel's numbers of its calls, as JSON.
"""

import ctypes
import ctypes.util
import errno
import importlib.util
import json
import os
import shutil
import sys

from raw import call, hello, say

SESSION, SEARCH, NEW_USER = -3, 10, 0x10000000
NUMBERS = json.loads(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)


def refusal(name, *arguments):
    """The error of a system call, by name; empty when it was carried out."""
    done = libc.syscall(NUMBERS[name], *arguments)
    return errno.errorcode[ctypes.get_errno()] if done < 0 else ""


def loads(library):
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def fill():
    """MiB that its folder takes, at most 1,000; the refusal."""
    block = b"x" * (1 << 20)
    with open("large", "wb") as stream:
        for written in range(1000):
            try:
                stream.write(block)
            except OSError as error:
                return [written, errno.errorcode[error.errno]]
    return [1000, ""]


word = sys.argv[1].encode()
hello()
names = ("libngspice.so.0", "libngspice.so", ctypes.util.find_library("ngspice"))
program = shutil.which("ngspice")
say(
    {
        "found": refusal("keyctl", SEARCH, SESSION, b"user", word, 0),
        "left": refusal("add_key", b"user", word, b"x", ctypes.c_size_t(1), SESSION),
        "namespace": refusal("unshare", NEW_USER),
        "io_uring": refusal("io_uring_setup", 1, ctypes.create_string_buffer(256)),
        "simulator": [n for n in names if n and loads(n)],
        "program": os.path.getsize(program) if program else 0,
        "harness": importlib.util.find_spec("acs_gym") is not None,
        "folder": fill(),
    }
)
call("finish")
