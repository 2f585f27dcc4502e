"""Task ids to Gymnasium."""

from __future__ import annotations

import gymnasium

_ENTRY_POINT = "acs_gym.envs.sizing:SizingEnv"
_VECTOR_ENTRY_POINT = "acs_gym.envs.vector:SizingVectorEnv"


def register_task(task_id: str) -> None:
    """Make `gymnasium.make(task_id)` and `make_vec` work; a second call is a no-op."""
    if task_id not in gymnasium.registry:
        gymnasium.register(
            id=task_id,
            entry_point=_ENTRY_POINT,
            vector_entry_point=_VECTOR_ENTRY_POINT,
            kwargs={"task": task_id},
        )
