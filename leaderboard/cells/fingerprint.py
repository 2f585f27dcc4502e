"""What produced a result: versions, machine, simulator. Recorded, never compared."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import acs_gym
from acs_gym.simulation import version
from acs_gym.simulation.driver import SimulatorNotFound
from acs_gym.threads import THREAD_VARIABLES
from leaderboard.agents.registry import DISTRIBUTION
from leaderboard.errors import LeaderboardError
from leaderboard.wire.isolation.levels import Inprocess

# What is recorded of an agent that says nothing: it shares the process of the meter.
_IN_PROCESS: Mapping[str, Any] = Inprocess().record()
_PACKAGES = (DISTRIBUTION, "numpy", "scipy", "scikit-optimize", "scikit-learn", "pydantic")


def simulator_version() -> str:
    """The version of libngspice, e.g. `ngspice 42`. Raises LeaderboardError with the install line."""
    try:
        return str(version.simulator_version())
    except SimulatorNotFound as error:
        raise LeaderboardError(str(error)) from None


def distribution_version() -> str:
    """The version of this package, as installed."""
    return _version(DISTRIBUTION) or "unknown"


def fingerprint(
    pdk_digest: str, isolation: Mapping[str, Any] = _IN_PROCESS, origin: str | None = None
) -> dict[str, Any]:
    """Everything about this process and machine that a reader of a result may ask for.

    `isolation` is the agent's level, and what was found to hold where it was probed; `origin` the
    distribution that registered the agent.
    """
    return {
        "packages": {name: v for name in _PACKAGES if (v := _version(name)) is not None},
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": _cpu(),
        "threads": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "simulator": simulator_version(),
        "pdk_digest": pdk_digest,
        "isolation": dict(isolation),
        "origin": origin,
    }


def recorded_level(fingerprint: Mapping[str, Any]) -> str | None:
    """The name of the agent's level of isolation, as a stranger's record has it; None where none is."""
    record = fingerprint.get("isolation")
    level = record.get("level") if isinstance(record, dict) else None
    return None if level is None else str(level)


@lru_cache(maxsize=1)
def git_commit() -> str | None:
    """The commit this package runs from, `+` when it has changes; None outside a checkout."""
    folder = Path(acs_gym.__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None else commit + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, check=False, timeout=10, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
