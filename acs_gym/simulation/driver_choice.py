"""Which binding of libngspice a process uses, by its name: our own, or PySpice's.

The only module that knows both; neither knows of it.
"""

from __future__ import annotations

import importlib.util

from acs_gym.simulation.driver import NgSpice, SimulatorNotFound

DRIVERS = ("ctypes", "pyspice")


def check_driver(name: str) -> None:
    """Raises ValueError for a driver that does not exist, SimulatorNotFound for one not installed."""
    if name not in DRIVERS:
        raise ValueError(f"driver must be one of: {', '.join(DRIVERS)}; got {name!r}")
    if name == "pyspice" and importlib.util.find_spec("PySpice") is None:
        raise SimulatorNotFound(
            "driver 'pyspice' needs PySpice; install it with: pip install 'acs-gym[pyspice]'"
        )


def open_driver(name: str = "ctypes") -> NgSpice:
    """This process's libngspice through the named driver, initialised on first use.

    Raises what `check_driver` raises, and RuntimeError when this process already runs its
    libngspice through the other driver: there is one initialisation per process, ever.
    """
    check_driver(name)
    kind = NgSpice
    if name == "pyspice":
        from acs_gym.pyspice.driver import PySpiceDriver

        kind = PySpiceDriver
    opened = kind.shared()
    if type(opened) is not kind:
        raise RuntimeError(
            f"this process already runs libngspice through driver {opened.name!r} and cannot "
            f"change to {name!r}; use WorkerPool(driver={name!r}), whose workers are new processes"
        )
    return opened
