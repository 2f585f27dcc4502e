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
from leaderboard.trust.verification import of_files

EXIT_LEFT_OUT, EXIT_USAGE = 1, 2
# What may differ between two runs of one cell: when, how long, and on what machine.
_INCIDENTAL = {"timing", "fingerprint", "trace_sha256"}


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of it: keys of the cells now in the folder, remarks, and what was left out."""

    cells: tuple[str, ...]
    remarks: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Copy:
    """One machine's copy of a cell."""

    folder: Path
    cell: StoredCell

    @property
    def files(self) -> tuple[bytes, bytes]:
        return (self.folder / RESULT).read_bytes(), (self.folder / TRACE).read_bytes()

    @property
    def finished(self) -> str:
        return self.cell.result.timing.finished


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
            chosen, said = _choose(key, found, out.resolve())
            if chosen is None:
                left_out.append(said)
                continue
            if problem := _place(chosen, out.resolve() / key, Path(waiting)):
                left_out.append(problem)
                continue
            cells.append(key)
            remarks += [said] if said else []
    return Merged(tuple(cells), tuple(remarks), tuple(left_out))


def _choose(key: str, copies: Sequence[_Copy], out: Path) -> tuple[_Copy | None, str]:
    """The copy to keep and a remark, or None and why there is none."""
    here = next((c for c in copies if c.folder.parent == out), None)
    if len({c.files for c in copies}) == 1:
        return here or copies[0], ""
    first = copies[0]
    for other in copies[1:]:
        if (field := _essential_difference(first.cell, other.cell)) is not None:
            return None, (
                f"refused: {key} ({first.cell.result.spec.label}): {first.folder} and {other.folder} "
                f"differ in {field}; verify both and remove one"
            )
    earliest = min(copies, key=lambda c: c.finished)
    kept, why = (earliest, "the one finished first") if here is None else (here, "what was there")
    return kept, (
        f"{key} ({kept.cell.result.spec.label}): {len(copies)} runs that differ in timing or machine "
        f"only; kept {why}: {kept.folder}, {kept.finished}"
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
