"""Task ids to Gymnasium: the one place that registers environments."""

from __future__ import annotations

import tomllib
from pathlib import Path

import gymnasium

_ENTRY_POINT = "acs_gym.envs.sizing:SizingEnv"
_VECTOR_ENTRY_POINT = "acs_gym.envs.vector:SizingVectorEnv"
_BUNDLED = Path(__file__).parent.parent / "circuits"


def register_task(task_id: str) -> None:
    """Make `gymnasium.make(task_id)` and `make_vec` work; a second call is a no-op."""
    if task_id not in gymnasium.registry:
        gymnasium.register(
            id=task_id,
            entry_point=_ENTRY_POINT,
            vector_entry_point=_VECTOR_ENTRY_POINT,
            kwargs={"task": task_id},
        )


def register_all() -> None:
    """Register every bundled circuit and those of the `acs_gym.circuits` entry points.

    Only ids are read: a circuit is validated when it is made, not when the package is imported.
    """
    import importlib.metadata

    for path in sorted(_BUNDLED.glob("*/circuit.toml")):
        register_task(str(tomllib.loads(path.read_text(encoding="utf-8"))["id"]))
    if importlib.metadata.entry_points(group="acs_gym.circuits"):
        from acs_gym.circuit import circuit_folders

        for task_id in circuit_folders():
            register_task(task_id)
