"""The second driver: the same small interface over PySpice's `NgSpiceShared`.

`NgSpiceShared` is used as a thin pipe: its callbacks, `load_circuit` and `exec_command`. Two of its
habits are tamed in a subclass: it takes every note on stderr ("using transient initial conditions")
for an error and raises after a simulation that went well, and it has no way to read one vector.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySpice.Spice.NgSpice.Shared import NgSpiceShared, ffi

from acs_gym.simulation.driver import NgSpice

_COMPLEX_FLAG = 2  # VF_COMPLEX


class _Pipe(NgSpiceShared):  # type: ignore[misc]
    """`NgSpiceShared` that reports what ngspice says and judges nothing.

    The static methods are C callbacks; `user_data` is the handle of this object.
    """

    # PySpice knows the vector types of ngspice up to 34 and warns of any later one. No vector type
    # is asked for here.
    _logger = logging.getLogger(__name__)

    def __init__(self, **options: Any) -> None:
        self.said: deque[bytes] = deque(maxlen=200)
        self.alive = True
        level = self._logger.level
        self._logger.setLevel(logging.ERROR)
        try:
            super().__init__(**options)
        finally:
            self._logger.setLevel(level)

    @staticmethod
    def _send_char(message: Any, _library: int, user_data: Any) -> int:
        pipe, text = ffi.from_handle(user_data), ffi.string(message)
        pipe.said.append(text)
        if text.startswith(b"stdout "):  # What `exec_command` returns; it empties the list itself.
            pipe._stdout.append(text[7:].decode(errors="replace"))
        return 0

    @staticmethod
    def _exit(_status: int, _now: bool, _quit: bool, _library: int, user_data: Any) -> int:
        ffi.from_handle(user_data).alive = False
        return 0


class PySpiceDriver(NgSpice):
    """libngspice through PySpice; get it with `simulation.driver_choice.open_driver`."""

    name = "pyspice"

    def _start(self, path: str) -> None:
        # A path is a template there: `{}` stands for the number of a copy of the library.
        _Pipe.LIBRARY_PATH = path.replace("{", "{{").replace("}", "}}")
        # PySpice's own instance of this process, so that its simulators get this pipe and do not
        # initialise the library a second time.
        self._pipe = _Pipe.new_instance()
        self._log = self._pipe.said

    def _send_netlist(self, lines: Iterable[str]) -> None:
        # Raises NameError on a non-zero return code; whether the netlist was taken is asked later.
        self._guarded(self._pipe.load_circuit, "\n".join(lines))

    def _send_command(self, text: str | None) -> int:
        if text is None:
            return int(self._pipe._ngspice_shared.ngSpice_Command(ffi.NULL))
        return self._guarded(self._pipe.exec_command, text)

    def _guarded(self, send: Any, text: str) -> int:
        """`send(text)`; PySpice raises NameError for a non-zero return code, which is 1 here."""
        try:
            send(text)
        except NameError:
            return 1
        finally:
            self._alive = self._pipe.alive
        return 0

    def current_plot(self) -> str:
        return str(ffi.string(self._pipe._ngspice_shared.ngSpice_CurPlot()).decode())

    def vector(self, name: str) -> NDArray[Any] | None:
        info = self._pipe._ngspice_shared.ngGet_Vec_Info(name.encode())
        if info == ffi.NULL or info.v_length <= 0:
            return None
        if info.v_flags & _COMPLEX_FLAG:
            raw = ffi.buffer(info.v_compdata, 16 * info.v_length)
            return np.frombuffer(raw, dtype=np.complex128).copy()
        raw = ffi.buffer(info.v_realdata, 8 * info.v_length)
        return np.frombuffer(raw, dtype=np.float64).copy()
