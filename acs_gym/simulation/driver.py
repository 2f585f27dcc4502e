"""libngspice in this process, through ctypes: load a deck, run a command, read a vector.

A thin pipe. It knows nothing of circuits, designs or metrics. Its peculiarities come from the
library and were each learnt the hard way: one `ngSpice_Init` per process, ever (a second one
segfaults); the ControlledExit callback must exist, and after it fires the library is unusable;
`num_threads` must be set by command, since OpenMP's environment variable is ignored and the
default makes two workers on two cores 15 times slower.

API reference: ngspice manual, chapter "ngspice as shared library".
"""

from __future__ import annotations

import contextlib
import ctypes as C
import ctypes.util
import os
import re
import sys
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIBRARY_VARIABLE = "NGSPICE_LIBRARY_PATH"
_COMPLEX_FLAG = 2  # VF_COMPLEX
_HOUSEKEEPING_EVERY = 50
_SETTINGS = ("set num_threads=1", "set nomoremode", "set filetype=ascii", "unset askquit")


class SimulatorNotFound(RuntimeError):
    """libngspice is not on this machine; the message says how to install it."""


class SimulatorDied(RuntimeError):
    """libngspice asked to exit or refused to go on; this process must not use it again."""


class _VectorInfo(C.Structure):
    _fields_ = [
        ("name", C.c_char_p),
        ("type", C.c_int),
        ("flags", C.c_short),
        ("real", C.c_void_p),  # double *
        ("complex", C.c_void_p),  # struct of two doubles *
        ("length", C.c_int),
    ]


_SEND_CHAR = C.CFUNCTYPE(C.c_int, C.c_char_p, C.c_int, C.c_void_p)
_SEND_STAT = C.CFUNCTYPE(C.c_int, C.c_char_p, C.c_int, C.c_void_p)
_EXIT = C.CFUNCTYPE(C.c_int, C.c_int, C.c_bool, C.c_bool, C.c_int, C.c_void_p)


def find_library() -> str:
    """Path or soname of libngspice. Raises SimulatorNotFound with the install line."""
    if chosen := os.environ.get(LIBRARY_VARIABLE):
        if not Path(chosen).is_file():
            raise SimulatorNotFound(
                f"{LIBRARY_VARIABLE}={chosen} is not a file; unset it or correct it"
            )
        return chosen
    if found := ctypes.util.find_library("ngspice"):
        return found
    prefixes = [Path(sys.prefix), Path("/opt/homebrew"), Path("/usr/local")]
    for prefix in prefixes:
        for name in ("libngspice.dylib", "libngspice.so", "libngspice.so.0"):
            if (path := prefix / "lib" / name).is_file():
                return str(path)
    raise SimulatorNotFound(
        "libngspice was not found. Install it with one of:\n"
        "  sudo apt-get install libngspice0          (Debian, Ubuntu)\n"
        "  brew install libngspice                   (macOS)\n"
        "  conda install -c conda-forge ngspice-lib  (any)\n"
        f"or set {LIBRARY_VARIABLE} to the library's path."
    )


class NgSpice:
    """The one libngspice of this process; get it with `open_driver` of `simulation.driver_choice`.

    Only the five methods at the end touch the library; another binding overrides those.
    """

    name = "ctypes"

    _shared: NgSpice | None = None

    @classmethod
    def shared(cls) -> NgSpice:
        """The driver of this process, initialised on first use."""
        if NgSpice._shared is None:
            NgSpice._shared = cls()
        return NgSpice._shared

    def __init__(self) -> None:
        if NgSpice._shared is not None:
            raise RuntimeError(
                "libngspice can be initialised once per process; use NgSpice.shared()"
            )
        foreign = sys.modules.get("PySpice.Spice.NgSpice.Shared")
        if foreign is not None and foreign.NgSpiceShared._instances:
            raise RuntimeError(
                "PySpice has already started libngspice in this process, where it can be started "
                f"once; use WorkerPool(driver={self.name!r}), whose workers are new processes"
            )
        self._alive = True
        self._circuits: list[int] = []  # Newest first: `setcirc 1` is the newest.
        self._loaded = 0
        self._commands = 0
        self._log: deque[bytes] = deque(maxlen=200)
        name = find_library()
        try:
            with _private_start_folder():
                self._start(name)
        except OSError as error:
            raise SimulatorNotFound(f"{name} cannot be loaded: {error}") from None
        for setting in _SETTINGS:
            self.command(setting)
        NgSpice._shared = self

    def load(self, lines: Iterable[str]) -> int:
        """Load a netlist (first line the title, last `.end`); returns a handle, now current.

        Raises ValueError with ngspice's own words when it refuses the netlist.
        """
        self._log.clear()
        self._send_netlist(lines)
        self._check_alive()
        said = self._lines()
        # It returns 0 for a netlist it has thrown away; only its own list of circuits tells.
        if self._listed_circuits() != len(self._circuits) + 1:
            reason = "; ".join(line for line in said if not line.startswith(("Note:", "Circuit:")))
            raise ValueError(f"ngspice refused the netlist: {reason[:400] or 'no reason given'}")
        self._loaded += 1
        self._circuits.insert(0, self._loaded)
        return self._loaded

    def _listed_circuits(self) -> int:
        self._log.clear()
        self.command("setcirc")
        return sum(bool(re.match(r"(Current\s+)?\d+\s", line)) for line in self._lines())

    def use(self, circuit: int) -> None:
        """Make a loaded netlist the current one."""
        self.command(f"setcirc {self._circuits.index(circuit) + 1}")

    def remove(self, circuit: int) -> None:
        """Forget a loaded netlist and free its memory."""
        self.use(circuit)
        self.command("remcirc")
        self._circuits.remove(circuit)

    def command(self, text: str) -> bool:
        """Run one command; False when ngspice says that it failed (do not rely on True).

        Raises SimulatorDied when ngspice asked to exit.
        """
        code = self._send_command(text)
        self._check_alive()
        return code == 0

    def commands(self, texts: Iterable[str]) -> None:
        """Run commands one after the other; for `alter`, of which an evaluation takes a hundred."""
        send = self._send_command
        for text in texts:
            send(text)
            if not self._alive:
                self._check_alive()

    def clear_results(self) -> None:
        """Drop every plot, and from time to time the command history, which only grows."""
        self.command("destroy all")
        self._commands += 1
        if self._commands % _HOUSEKEEPING_EVERY == 0:
            self._send_command(None)

    def forget_log(self) -> None:
        self._log.clear()

    def said(self, word: str) -> bool:
        """Whether a line since the log was last cleared contains `word`."""
        return any(word in line for line in self._lines())

    def errors(self) -> str:
        """What ngspice complained about since the log was last cleared, on one short line."""
        wanted = re.compile(
            r"error|fatal|fail|singular|too small|limit|no such|unknown|can't|cannot|aborted", re.I
        )
        lines = [s for s in self._lines() if wanted.search(s) and not s.startswith("Trying gmin")]
        return "; ".join(list(dict.fromkeys(lines))[-3:])[:400]

    def version(self) -> str:
        """The library's version, e.g. `39`."""
        self._log.clear()
        self.command("version -f")
        for line in self._lines():
            if match := re.search(r"ngspice-(\d[\w.]*)", line):
                return match[1]
        return "unknown"

    def _lines(self) -> list[str]:
        """What ngspice said since the log was last cleared, without its stream prefixes."""
        texts = (line.decode(errors="replace") for line in self._log)
        return [t.removeprefix("stdout ").removeprefix("stderr ").strip() for t in texts]

    def _on_text(self, text: bytes, _library: int, _user: object) -> int:
        # Kept raw: ngspice says a hundred lines an evaluation and hardly any is ever read.
        self._log.append(text)
        return 0

    def _on_exit(self, _status: int, _now: bool, _quit: bool, _library: int, _user: object) -> int:
        self._alive = False
        return 0

    def _check_alive(self) -> None:
        if not self._alive:
            raise SimulatorDied(self.errors() or "ngspice asked to exit")

    # --- the binding ----------------------------------------------------------------------------

    def _start(self, path: str) -> None:
        """Load the library and initialise it. Raises OSError when it cannot be loaded."""
        self._library = C.CDLL(path)
        self._library.ngGet_Vec_Info.restype = C.POINTER(_VectorInfo)
        self._library.ngSpice_CurPlot.restype = C.c_char_p
        # The callbacks must outlive this call, or ngspice jumps into freed memory.
        self._callbacks = (_SEND_CHAR(self._on_text), _SEND_STAT(_ignore), _EXIT(self._on_exit))
        self._library.ngSpice_Init(*self._callbacks, None, None, None, None)

    def _send_netlist(self, lines: Iterable[str]) -> None:
        encoded = [line.encode() for line in lines]
        self._library.ngSpice_Circ((C.c_char_p * (len(encoded) + 1))(*encoded, None))

    def _send_command(self, text: str | None) -> int:
        """The library's return code; None instead of a command makes it forget its history."""
        return int(self._library.ngSpice_Command(None if text is None else text.encode()))

    def current_plot(self) -> str:
        return str(self._library.ngSpice_CurPlot().decode())

    def vector(self, name: str) -> NDArray[Any] | None:
        """A copy of a vector (`v(out)`, `frequency`, `@m.x1.m1[gm]`), float64 or complex128.

        `plot.vector` addresses another plot. None when there is no such vector.
        """
        pointer = self._library.ngGet_Vec_Info(name.encode())
        if not pointer:
            return None
        info = pointer.contents
        n = info.length
        if n <= 0:
            return None
        # string_at copies: the array is ours, and read-only.
        if info.flags & _COMPLEX_FLAG:
            return np.frombuffer(C.string_at(info.complex, 16 * n), dtype=np.complex128)
        return np.frombuffer(C.string_at(info.real, 8 * n), dtype=np.float64)


def _ignore(_text: bytes, _library: int, _user: object) -> int:
    return 0


@contextlib.contextmanager
def _private_start_folder() -> Any:
    """Start ngspice where no user's or system's start-up file can change a result."""
    before, scripts = os.getcwd(), os.environ.get("SPICE_SCRIPTS")
    with tempfile.TemporaryDirectory(prefix="acs-gym-") as folder:
        Path(folder, ".spiceinit").write_text("* no user settings\n", encoding="utf-8")
        os.environ["SPICE_SCRIPTS"] = folder
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            if scripts is None:
                del os.environ["SPICE_SCRIPTS"]
            else:
                os.environ["SPICE_SCRIPTS"] = scripts
