"""How much memory this process held at most: by Linux's own account, and unknown elsewhere.

`ru_maxrss` would count what the parent held before this process was made of it.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # See proc(5), /proc/pid/clear_refs.


def forget_peak() -> None:
    """From now on, the peak is that of what comes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)


def peak_memory_mib() -> float | None:
    """The largest resident memory since `forget_peak`; None where the system does not tell."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else round(int(found[1]) / 1024, 1)
