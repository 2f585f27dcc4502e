"""The kernel's numbers of the system calls that this package makes or refuses by number, by machine.

Part of the program `supervisor.py`: standard library only, no import of this package.
"""

from __future__ import annotations

import os

NUMBERS = {
    "x86_64": {
        "clone": 56, "flock": 73, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435,
    },
    "aarch64": {
        "flock": 32, "unshare": 97, "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435,
    },
}  # fmt: skip
SESSION_KEYRING, JOIN_SESSION_KEYRING, UNLINK_KEY, SEARCH_KEY = -3, 1, 9, 10
NEW_USER = 0x10000000


def here() -> dict[str, int]:
    """The numbers of this machine; empty where it is another kind."""
    return NUMBERS.get(os.uname().machine, {})
