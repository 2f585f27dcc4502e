"""The files of a cell: `<runs>/<run_key>/{spec.json, trace.jsonl, result.json}`.

`trace.jsonl` is flushed after every evaluation; `result.json` is written under another name and
renamed, so it is whole or absent, and its presence is the completion mark. Damage is noticed, named
and moved aside as `*.corrupt-N`; the cell then counts as not done. Nothing else is touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from leaderboard.cells import CellSpec, canonical_json
from leaderboard.errors import LeaderboardError
from leaderboard.records import SCHEMA, Result, TraceLine

SPEC, TRACE, RESULT = "spec.json", "trace.jsonl", "result.json"


class Corrupt(Exception):
    """A file that is not what was written; the message names the file and what is wrong."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


class NewerResult(LeaderboardError):
    """A result written by a later version of this package."""


@dataclass(frozen=True, slots=True)
class StoredCell:
    """A finished cell as read back."""

    result: Result
    trace: tuple[TraceLine, ...]


class Store:
    """The runs below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def cell(self, key: str) -> Path:
        return self.folder / key

    def is_done(self, key: str) -> bool:
        """Whether the cell has a result (which `load` may yet find damaged)."""
        return (self.cell(key) / RESULT).exists()

    def load(self, key: str) -> StoredCell | None:
        """A finished cell, or None when it is not done. Raises Corrupt, NewerResult."""
        path = self.cell(key) / RESULT
        if not self.is_done(key):
            return None
        result = _read_result(path)
        if result.key != key:
            raise Corrupt(path, f"is the result of {result.key}")
        trace_path = self.cell(key) / TRACE
        raw = _read_bytes(trace_path)
        if hashlib.sha256(raw).hexdigest() != result.trace_sha256:
            raise Corrupt(trace_path, "is not the trace that the result was made from")
        return StoredCell(result, tuple(_trace_lines(trace_path, raw)))

    def finished(self) -> list[str]:
        """Of every finished cell, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(p.parent.name for p in self.folder.glob(f"*/{RESULT}"))

    def set_aside(self, key: str) -> list[str]:
        """Move a cell's result and trace to `*.corrupt-N`; returns the new names."""
        moved = []
        for name in (RESULT, TRACE):
            path = self.cell(key) / name
            if path.exists():
                number = 1
                while (aside := path.with_name(f"{name}.corrupt-{number}")).exists():
                    number += 1
                path.rename(aside)
                moved.append(str(aside))
        return moved

    def begin(self, key: str, spec: CellSpec) -> TraceWriter:
        """Start a cell, forgetting whatever an interrupted run of it left."""
        folder = self.cell(key)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / SPEC, spec.model_dump_json(indent=2) + "\n")
        return TraceWriter(folder / TRACE)

    def finish(self, result: Result) -> None:
        """Write the result: the cell is done from here on."""
        write_atomically(self.cell(result.key) / RESULT, result.model_dump_json(indent=2) + "\n")


class TraceWriter:
    """Appends lines to a trace, each one on disk before the next simulation starts."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._digest = hashlib.sha256()
        self.lines = 0

    def write(self, line: TraceLine) -> None:
        data = (canonical_json(line.model_dump()) + "\n").encode()
        self._stream.write(data)
        self._stream.flush()
        self._digest.update(data)
        self.lines += 1

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()


def write_atomically(path: Path, text: str) -> None:
    """`path` holds either what it held or all of `text`, whatever happens meanwhile."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)  # mkstemp makes it private; a result is to be shared.
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read_result(path: Path) -> Result:
    data = _read_json(path, _read_bytes(path))
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        raise NewerResult(
            f"{path} was written by a newer version (schema {version}; this one reads up to "
            f"{SCHEMA}); upgrade acs-gym or choose another --out"
        )
    try:
        return Result.model_validate(data)
    except ValidationError as error:
        raise Corrupt(path, _first_problem(error)) from None


def _trace_lines(path: Path, raw: bytes) -> Iterator[TraceLine]:
    for number, line in enumerate(raw.splitlines(), start=1):
        try:
            yield TraceLine.model_validate(_read_json(path, line))
        except ValidationError as error:
            raise Corrupt(path, f"line {number}: {_first_problem(error)}") from None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Corrupt(path, f"cannot be read: {error.strerror}") from None


def _read_json(path: Path, raw: bytes) -> Any:
    try:
        return json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Corrupt(path, f"is not JSON: {error}") from None


def _no_constant(token: str) -> float:
    raise ValueError(f"{token} is not a JSON number")


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
