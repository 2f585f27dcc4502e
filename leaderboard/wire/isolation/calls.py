"""System calls that a contained agent may not make, as a filter of the kernel's (seccomp).

What is refused leads round the namespaces: the kernel's keyrings, which cells of one user would share;
`flock`, by which they would say yes or no to each other through a file that both may read (`fcntl`'s
locks are left: one that keeps others out needs a file that may be written); new user namespaces, in
which it is root again; io_uring, which does what other calls do and is not seen by a filter. Part of the
program `supervisor.py`: standard library only, no import of this package.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaderboard.wire.isolation import mounts, syscalls
else:
    import mounts
    import syscalls

_SET_SECCOMP, _FILTER = 22, 2
# What the kernel calls each machine. `clone3` has its flags where a filter cannot read them; the C
# library goes back to `clone` where there is none.
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED = (
    "flock", "add_key", "request_key", "keyctl", "io_uring_setup", "io_uring_enter", "io_uring_register",
)  # fmt: skip
_MAKE_NAMESPACES = ("clone", "unshare")
_X32 = 0x40000000  # x86_64 has every call a second time, from here on.
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000


def session_keyring() -> bool:
    """Have a session keyring of one's own, in the place of the one that the harness's processes share."""
    number = syscalls.here().get("keyctl")
    return number is not None and mounts.call(
        "syscall", number, syscalls.JOIN_SESSION_KEYRING, None
    )


def refuse() -> bool:
    """Make the calls of this process and its children fail from now on; needs `no_new_privs`."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        return False
    steps = _program(machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    # struct sock_fprog: how many, and where.
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    return mounts.call("prctl", _SET_SECCOMP, _FILTER, program, 0, 0)


def _program(machine: str) -> list[tuple[int, int, int, int]]:
    """(what, steps to skip if so, steps to skip if not, with what) a step."""
    number_of = syscalls.NUMBERS[machine]
    no, unknown = _REFUSE | errno.EPERM, _REFUSE | errno.ENOSYS
    # Another machine's numbers (32 bits) mean other calls.
    steps = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, _MACHINES[machine]), (_RETURN, 0, 0, no)]
    steps += [(_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, no)]
    for name in _REFUSED:
        steps += [(_EQUAL, 0, 1, number_of[name]), (_RETURN, 0, 0, no)]
    steps += [(_EQUAL, 0, 1, number_of["clone3"]), (_RETURN, 0, 0, unknown)]
    for name in _MAKE_NAMESPACES:
        steps += [
            (_EQUAL, 0, 4, number_of[name]), (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_ANY_BIT, 0, 1, syscalls.NEW_USER),
            (_RETURN, 0, 0, no), (_RETURN, 0, 0, _ALLOW),
        ]  # fmt: skip
    return [*steps, (_RETURN, 0, 0, _ALLOW)]
