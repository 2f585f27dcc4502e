"""The runs of several machines in one folder.

A cell's key is what it is, so equal keys mean the same cell. What is in C already is one of the
sources and is never written over; each cell arrives whole or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboard.cells.store import RESULT, TRACE, Store, StoredCell
from leaderboard.errors import LeaderboardError
from leaderboard.files import LARGEST_TRACE, read
from leaderboard.trust.verification import of_cell, of_files
from leaderboard.trust.verified import look
from leaderboard.trust.verify import task_here

EXIT_LEFT_OUT, EXIT_USAGE = 1, 2
# What may differ between two runs of one cell: when, how long, and on what machine.
_INCIDENTAL = {"timing", "fingerprint", "trace_sha256"}


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of it: keys of the cells now in the folder, remarks, and what was left out.

    `unsigned`: of the cells, those that nobody has signed for here, and that are not ranked.
    """

    cells: tuple[str, ...]
    remarks: tuple[str, ...]
    left_out: tuple[str, ...]
    unsigned: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Copy:
    """One machine's copy of a cell."""

    folder: Path
    cell: StoredCell

    @property
    def files(self) -> tuple[bytes, bytes]:
        return read(self.folder / RESULT), read(self.folder / TRACE, LARGEST_TRACE)


def merge(sources: Sequence[Path], out: Path) -> Merged:
    """Join the finished cells of `sources` in `out`. Raises LeaderboardError for a missing folder."""
    for source in sources:
        if not source.is_dir():
            raise LeaderboardError(f"no folder {source}; give the --out of leaderboard.run")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LeaderboardError(f"cannot write to --out {out}: {error.strerror}") from None
    copies: dict[str, list[_Copy]] = {}
    left_out: list[str] = []
    for folder in dict.fromkeys(s.resolve() for s in (out, *sources)):
        store = Store(folder)
        for key in store.finished():
            cell, findings = of_files(store, key)
            if cell is None or findings:
                left_out.append(f"damaged: {store.cell(key)}: {findings[0].text}")
                continue
            copies.setdefault(key, []).append(_Copy(store.cell(key), cell))
    remarks: list[str] = []
    cells: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".merging-", dir=out) as waiting:
        for key, found in sorted(copies.items()):
            chosen, said = _choose(key, found)
            if problem := _place(chosen, out.resolve() / key, Path(waiting)):
                left_out.append(problem)
                continue
            cells.append(key)
            remarks += [said] if said else []
    store = Store(out.resolve())
    unsigned = [key for key in cells if isinstance(look(store.cell(key), store.result(key)), str)]
    return Merged(tuple(cells), tuple(remarks), tuple(left_out), tuple(unsigned))


def _choose(key: str, copies: Sequence[_Copy]) -> tuple[_Copy, str]:
    """The copy to keep, and a remark where there were others.

    What was signed for here, else what follows from its own trace; of these what is in `out`, else what
    was named first. A copy that says something else, or that it was finished earlier, silences nobody.
    """
    if len({c.files for c in copies}) == 1:
        return copies[0], ""
    signed = [c for c in copies if not isinstance(look(c.folder, c.cell.result), str)]
    sound = [c for c in copies if not of_cell(c.cell, task_here(c.cell)[0])]
    kept = (signed or sound or copies)[0]  # What is in `out` was found first.
    why = "the one signed for here" if signed else "what came first"
    fields = (_essential_difference(kept.cell, other.cell) for other in copies)
    differs = next((field for field in fields if field is not None), "timing or machine only")
    return kept, (
        f"{key} ({kept.cell.result.spec.label}): {len(copies)} runs that differ in {differs}; "
        f"kept {why}: {kept.folder}"
    )


def _essential_difference(one: StoredCell, two: StoredCell) -> str | None:
    """The first field in which two runs of a cell give different results."""
    first, second = (c.result.model_dump(exclude=_INCIDENTAL) for c in (one, two))
    for name in first:
        if first[name] != second[name]:
            return f"{RESULT}: {name}"
    if _moves(one) != _moves(two):
        return TRACE
    return None


def _moves(cell: StoredCell) -> list[dict[str, Any]]:
    return [line.model_dump(exclude={"seconds"}) for line in cell.trace]


def _place(chosen: _Copy, target: Path, waiting: Path) -> str:
    """Copy a cell's folder to where it belongs, whole or not at all; why not, or nothing."""
    if chosen.folder == target:
        return ""
    if target.exists():
        return f"{target} is in the way and has no sound result; move it aside and merge again"
    try:
        # Links are kept as links: a copy must not gather files from outside the cell.
        shutil.copytree(chosen.folder, waiting / target.name, symlinks=True)
        (waiting / target.name).rename(target)
    except (OSError, shutil.Error) as error:
        return f"{chosen.folder} could not be copied to {target}: {error}"
    return ""
