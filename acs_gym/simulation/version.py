"""Which ngspice simulates here: part of every result's identity."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache

from acs_gym.simulation.driver import SimulatorNotFound, find_library

_ASK = """
import json, pathlib
from acs_gym.simulation.driver import NgSpice
version = NgSpice.shared().version()
maps = pathlib.Path("/proc/self/maps")
lines = maps.read_text().splitlines() if maps.is_file() else []
paths = [line.split(maxsplit=5)[5] for line in lines if "libngspice" in line]
print(json.dumps([version, paths[0] if paths else ""]))
"""


@dataclass(frozen=True, slots=True)
class SimulatorVersion:
    """`number` such as `39`, and the library's path."""

    number: str
    library: str

    def __str__(self) -> str:
        return f"ngspice {self.number}"


@lru_cache(maxsize=1)
def simulator_version() -> SimulatorVersion:
    """The libngspice that workers load. Raises SimulatorNotFound when there is none that starts.

    Asked in a process of its own: the library can be initialised once per process, and a broken
    one takes that process down, not this one.
    """
    library = find_library()
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{_ASK}"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode or not done.stdout.strip():
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise SimulatorNotFound(f"{library} does not start: {said}")
    number, path = json.loads(done.stdout.splitlines()[-1])
    return SimulatorVersion(number, path or library)
