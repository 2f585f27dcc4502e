"""Named sets of tasks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from acs_gym.circuit import CircuitError, CircuitSplit
from acs_gym.registry import BUNDLED, circuit_folders, id_or_folder
from acs_gym.task import make_task, task_ids
from leaderboard.errors import LeaderboardError, unknown

# Of the season: the one that everybody's cells share, so that nobody chooses among seeds.
SUITE_SEED = 0
DEMO = ("ACS-OpAmp-v0", "ACS-OTA5T-v0")
# Tens of milliseconds a simulation at most.
QUICK = ("ACS-CommonSource-v0", "ACS-OTA5T-v0", "ACS-RecyclingFC-v0")
SUITES = {
    "demo": "an op-amp and an OTA: a leaderboard in minutes",
    "quick": "three small circuits, one of them held out: does it work, in seconds of simulation",
    "training": "every bundled circuit of the training split: to learn, tune and be ranked on",
    "held-out": "every bundled circuit of the held-out split: what is left of that on others",
    "core": "every bundled circuit: training and held-out together",
}


def suite_tasks(name: str) -> tuple[str, ...]:
    """Task ids of a suite, in a fixed order. Raises LeaderboardError for an unknown name."""
    if name == "demo":
        return DEMO
    if name == "quick":
        return QUICK
    if name == "training":
        return _bundled("training")
    if name == "held-out":
        return _bundled("held-out")
    if name == "core":
        return _bundled("training") + _bundled("held-out")
    raise unknown("suite", name, SUITES)


def proved_tasks(name: str, *, pdk: str = "sky130", tier: str = "tt") -> tuple[str, ...]:
    """Of a suite, the tasks with a sizing that is known to meet every spec in a tier."""
    tasks = suite_tasks(name)
    return tuple(t for t in tasks if make_task(t, pdk=pdk, tier=tier).reference is not None)


def suite_of(tasks: Collection[str]) -> str:
    """The suite that has exactly these tasks, or an empty string."""
    return next((name for name in SUITES if set(suite_tasks(name)) == set(tasks)), "")


def suites_with(task: str) -> list[str]:
    """The suites that a task is in."""
    return [name for name in SUITES if task in suite_tasks(name)]


def resolve_task(name: str) -> str:
    """The id of a task named by id, by a known circuit's name (`opamp`), or by a circuit folder's path.

    A folder is registered for this process and its cell processes. Raises LeaderboardError naming the
    close ones, or what is wrong with the folder.
    """
    try:
        name = id_or_folder(name)
    except CircuitError as error:
        raise LeaderboardError(str(error)) from None
    folders = circuit_folders()
    if name in folders:
        return name
    by_folder = {folder.name: task_id for task_id, folder in folders.items()}
    if name in by_folder:
        return by_folder[name]
    if Path(name).is_dir():
        raise LeaderboardError(f"{name} is no circuit folder: it has no circuit.toml")
    raise unknown("task", name, [*folders, *by_folder])


def _bundled(split: CircuitSplit) -> tuple[str, ...]:
    folders = circuit_folders()
    return tuple(i for i in task_ids(split) if folders[i].parent == BUNDLED)
