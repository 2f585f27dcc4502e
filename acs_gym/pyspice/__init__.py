"""PySpice, an optional extra: circuits written with it as tasks, and its binding as a driver.

    from acs_gym.pyspice import register_circuit

PySpice is GPL-3.0-or-later, so nothing else of `acs_gym` imports it. A worker process that needs
only the driver must not load what reads circuits; hence the lazy names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acs_gym.pyspice.circuits import register_circuit, write_circuit

__all__ = ["register_circuit", "write_circuit"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'acs_gym.pyspice' has no attribute {name!r}")
    from acs_gym.pyspice import circuits

    return getattr(circuits, name)
