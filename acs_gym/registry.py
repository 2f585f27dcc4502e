"""Which circuits there are: bundled, from entry points, registered by hand; and their environments.

Light on purpose, since importing the package goes through here: only ids and splits are read, a circuit
is validated when a task is made of it.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from acs_gym.circuit_files import parse_toml, read_text

BUNDLED = Path(__file__).parent / "circuits"
_ENTRY_POINTS = "acs_gym.circuits"
_registered: dict[str, Known] = {}


class Known(NamedTuple):
    """A circuit's folder, and its split as circuit.toml has it."""

    folder: Path
    split: str


def register_circuit(path: str | Path) -> str:
    """Make a circuit folder available by its id, here and to `gymnasium.make`; returns the id.

    Registering a folder again takes up what was edited in it. Raises CircuitError when the folder
    is unusable or its id is taken by another folder.
    """
    from acs_gym.circuit import CircuitError
    from acs_gym.circuit_reading import load_circuit
    from acs_gym.envs.registration import register_task

    folder = Path(path).resolve()
    circuit = load_circuit(folder)
    taken = circuit_folders().get(circuit.id)
    if taken is not None and taken != folder:
        raise CircuitError(f"{circuit.id} is already registered from {taken}")
    _registered[circuit.id] = Known(folder, circuit.file.split)
    register_task(circuit.id)
    return circuit.id


def id_or_folder(name: str) -> str:
    """`name`, unless it is the path of a circuit folder: that is registered and its id returned.

    A task's id and a known circuit's short name come first; write `./name` to mean the folder. Raises
    CircuitError for a folder that is unusable.
    """
    known = circuit_folders()
    if name in known or name in {folder.name for folder in known.values()}:
        return name
    return register_circuit(name) if (Path(name) / "circuit.toml").is_file() else name


def registered_by_hand() -> Mapping[str, Path]:
    """Task id -> folder of the circuits that this process alone knows; others must be told."""
    return {task_id: known.folder for task_id, known in _registered.items()}


def register_environments() -> None:
    """Make `gymnasium.make` know every circuit there is."""
    from acs_gym.envs.registration import register_task

    for task_id in circuit_folders():
        register_task(task_id)


def circuit_folders() -> Mapping[str, Path]:
    """Task id -> folder of every known circuit."""
    return {task_id: known.folder for task_id, known in _known().items()}


def circuit_splits() -> Mapping[str, str]:
    """Task id -> `training`, `held-out` or `custom` of every known circuit."""
    return {task_id: known.split for task_id, known in _known().items()}


def _known() -> dict[str, Known]:
    return {**_discovered(), **_registered}


def folder_state(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of the folder does; for those who remember what they made of it."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".toml", ".spice", ".json"))
    stats = [(p.name, p.stat()) for p in files]
    return tuple((name, s.st_mtime_ns, s.st_size) for name, s in stats)


@lru_cache(maxsize=1)
def _discovered() -> dict[str, Known]:
    found: dict[str, Known] = {}
    for folder in (*(p.parent for p in sorted(BUNDLED.glob("*/circuit.toml"))), *_plugged_in()):
        try:
            data = parse_toml(read_text(folder / "circuit.toml"))
            split = str(data.get("split", "custom"))
            found.setdefault(str(data["id"]), Known(folder, split))
        except (ValueError, KeyError) as error:
            # Somebody else's broken folder must not take the package down with it.
            warnings.warn(f"circuit folder {folder} is left out: {error!r}", stacklevel=2)
    return found


def _plugged_in() -> Iterator[Path]:
    for point in importlib.metadata.entry_points(group=_ENTRY_POINTS):
        try:
            yield Path(point.load())
        except Exception as error:  # noqa: BLE001 - whatever a plug-in raises
            warnings.warn(f"circuit plug-in {point.name} is left out: {error!r}", stacklevel=2)
