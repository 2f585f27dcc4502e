"""Keep the memory of large tensors in this process between uses.

glibc gives every block of 32 MiB or more back to the system when it is freed. A training step on a CPU
asks for the same ones again and again, and in a virtual machine the pages that fault take half of it.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # malloc.h


def keep_memory() -> bool:
    """Of the whole process, so that it is for a program to call. False where there is no glibc."""
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # No block in a mapping of its own, and nothing given back from the end of the heap.
    return bool(tell(_MMAP_MAX, 0)) and bool(tell(_TRIM_THRESHOLD, -1))


def give_back() -> bool:
    """Give the system every page that nothing uses now. False where there is no glibc.

    Kept memory falls to pieces: what one size of batch leaves is not what the next asks for, and a
    process grows from update to update. Once an update it can afford to fault its pages anew.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    return bool(trim(0))
