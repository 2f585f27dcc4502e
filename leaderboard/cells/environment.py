"""The environment of a process that runs cells: the same wherever it was started from."""

from __future__ import annotations

import os

from acs_gym.threads import ONE_THREAD

# Where whoever runs a leaderboard may keep its secret; no agent is to find it.
SALT_VARIABLE = "ACS_GYM_SALT"
# One thread a cell, because the cells already fill the cores; and one hash seed, because an agent
# that iterates over a set of names is otherwise a different agent in every process.
_SAME_EVERYWHERE = {**ONE_THREAD, "PYTHONHASHSEED": "0"}


def environment() -> dict[str, str]:
    """This process's own, with what must be the same everywhere and without what is secret."""
    own = {name: value for name, value in os.environ.items() if name != SALT_VARIABLE}
    return own | _SAME_EVERYWHERE
