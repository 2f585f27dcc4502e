"""The tables of this machine: measured when first asked for, then read from the user's cache.

A file's name holds what decides its numbers: the PDK's files, ngspice's version, device, corner,
temperature and width. Where the cache cannot be written, a table is measured again by each process.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from functools import lru_cache
from pathlib import Path

from acs_gym.gmid.measuring import WIDTH, measure
from acs_gym.gmid.table import GmIdTable
from acs_gym.pdks.registry import get_pdk
from acs_gym.pdks.store import cache_folder
from acs_gym.simulation.pool import shared_pool
from acs_gym.simulation.version import simulator_version

# Goes up when what is measured, or where, changes.
_LAYOUT = 1


@lru_cache(maxsize=32)
def gm_id_table(
    pdk: str, device: str, corner: str = "tt", temperature: float = 27.0, w: float = WIDTH
) -> GmIdTable:
    """The table of a transistor of a PDK: some seconds the first time, then none.

    Args:
        pdk, device, corner: as a task and an X line have them.
        temperature: °C.
        w: m, of one finger; a table is by the metre of width, and other widths differ by their edges.

    Raises PdkNotFound, PdkError, SimulatorNotFound.
    """
    path = _path(pdk, device, corner, temperature, w)
    with contextlib.suppress(OSError, ValueError, EOFError, zipfile.BadZipFile):
        return GmIdTable.load(path)
    table = measure(pdk, device, corner, temperature, w, simulator=shared_pool(1))
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        table.save(path)
    return table


def _path(pdk: str, device: str, corner: str, temperature: float, w: float) -> Path:
    decides = (_LAYOUT, get_pdk(pdk).digest(), simulator_version(), temperature, w)
    digest = hashlib.sha256(repr(decides).encode()).hexdigest()[:12]
    return cache_folder() / "gmid" / f"{pdk}-{device}-{corner}-{digest}.npz"
