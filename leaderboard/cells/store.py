"""The files of a cell: `<runs>/<run_key>/{spec.json, trace.jsonl, result.json}`.

`trace.jsonl` is flushed after every evaluation and on the disk before its result; `result.json` is
written under another name and renamed, so it is whole or absent, and its presence is the completion
mark. Damage is noticed, named and moved aside as `*.corrupt-N`; the cell then counts as not done, and
goes on from what is sound of its trace. An interrupted attempt that was not continued is kept as
`trace.N.jsonl`. Nothing else is touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError
from pydantic_core import to_json

from acs_gym.session import Call
from acs_gym.wording import first_problem
from leaderboard.cells.records import SCHEMA, EvaluationRecord, Result, TraceLine, recordable
from leaderboard.cells.spec import CellSpec
from leaderboard.errors import LeaderboardError
from leaderboard.files import (
    LARGEST_TRACE,
    Corrupt,
    read,
    read_json,
    remove_unfinished,
    write_atomically,
)

SPEC, TRACE, RESULT, LOCK = "spec.json", "trace.jsonl", "result.json", ".lock"
# A cell process whose run was killed ends by itself; as long as this the next one waits for it.
_PATIENCE_S = 10.0


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
        if not self.is_done(key):
            return None
        result = self.result(key)
        trace_path = self.cell(key) / TRACE
        raw = read(trace_path, LARGEST_TRACE)
        if hashlib.sha256(raw).hexdigest() != result.trace_sha256:
            raise Corrupt(trace_path, "is not the trace that the result was made from")
        return StoredCell(result, tuple(_trace_lines(trace_path, raw)))

    def result(self, key: str) -> Result:
        """A finished cell's result alone. Raises Corrupt, NewerResult."""
        path = self.cell(key) / RESULT
        if self.cell(key).is_symlink():  # To a folder that is not part of these runs.
            raise Corrupt(self.cell(key), "is a link")
        result = _read_result(path)
        if result.key != key:
            raise Corrupt(path, f"is the result of {result.key}")
        return result

    def finished(self) -> list[str]:
        """The keys of every finished cell, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(p.parent.name for p in self.folder.glob(f"*/{RESULT}"))

    def recorded(self, key: str) -> int:
        """Simulations that an unfinished cell has on disk."""
        try:
            lines = read(self.cell(key) / TRACE, LARGEST_TRACE).splitlines(keepends=True)
        except Corrupt:
            return 0
        spent = 0
        for line in lines:
            # What is damaged is found when the cell goes on; this is for those who watch.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                spent += int(json.loads(line)["evaluation"]["cost"])
        return spent

    def lines(self, key: str) -> tuple[TraceLine, ...]:
        """What is sound of a cell's trace, finished or not."""
        found: list[TraceLine] = []
        with contextlib.suppress(Corrupt):
            raw = read(self.cell(key) / TRACE, LARGEST_TRACE)
            # What came before damage stays.
            found.extend(_trace_lines(self.cell(key) / TRACE, raw[: raw.rfind(b"\n") + 1]))
        return tuple(found)

    def attempts(self, key: str) -> list[Path]:
        """Traces of interrupted attempts that were not continued, oldest first."""
        found = self.cell(key).glob("trace.*.jsonl")
        return sorted(found, key=lambda p: (len(p.name), p.name))

    def set_aside(self, key: str) -> list[str]:
        """Move a cell's damaged files to `*.corrupt-N`; returns the new names.

        A trace stays where it holds less than its result counted, or where the result cannot be read:
        then it is what an interrupt leaves, and the cell goes on from it.
        """
        moved = []
        for name in (RESULT,) if self._goes_on(key) else (RESULT, TRACE):
            path = self.cell(key) / name
            if path.exists():
                aside = _unused(path.parent, f"{name}.corrupt-{{}}")
                path.rename(aside)
                moved.append(str(aside))
        return moved

    def _goes_on(self, key: str) -> bool:
        trace = self.cell(key) / TRACE
        try:
            raw = read(trace, LARGEST_TRACE)
            whole = raw[: raw.rfind(b"\n") + 1]
            lines = list(_trace_lines(trace, whole))
        except Corrupt:
            return False
        if [line.index for line in lines] != list(range(len(lines))):
            return False
        try:
            counted = self.result(key).usage.calls
        except (Corrupt, NewerResult):
            return True
        return len(lines) < counted

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other run out of this folder for a while.

        The lock ends with the process, however that ends. Raises LeaderboardError when another run
        has it, OSError when the folder cannot be written to.
        """
        with (self.folder / LOCK).open("a+", encoding="utf-8") as stream:
            if not _try_lock(stream):
                stream.seek(0)
                holder = stream.read().strip() or "unknown"
                raise LeaderboardError(
                    f"another run ({holder}) is writing to {self.folder}; wait for it, "
                    "or choose another --out"
                )
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            stream.flush()
            yield

    def begin(self, key: str, spec: CellSpec) -> TraceWriter:
        """Start a cell, or go on with what an interrupted attempt left of it.

        Raises LeaderboardError when another process is at it, OSError.
        """
        folder = self.cell(key)
        folder.mkdir(parents=True, exist_ok=True)
        trace = TraceWriter(folder / TRACE)
        try:
            remove_unfinished(folder)
            write_atomically(folder / SPEC, spec.model_dump_json(indent=2) + "\n")
        except BaseException:
            trace.close()
            raise
        return trace

    def finish(self, result: Result) -> None:
        """Write the result: the cell is done from here on."""
        write_atomically(self.cell(result.key) / RESULT, result_text(result))


def result_text(result: Result) -> str:
    """What `result.json` holds."""
    return result.model_dump_json(indent=2) + "\n"


@dataclass(slots=True)
class TraceTail:
    """The lines of a trace that is being written, as they come; for those who watch.

    Attributes:
        restarted: whether the last look found another file: an attempt that was not continued.
    """

    path: Path
    restarted: bool = False
    _file: int = 0
    _offset: int = 0

    def new(self) -> list[dict[str, Any]]:
        """The whole lines since the last look, as JSON; none where there is no file yet."""
        try:
            stream = self.path.open("rb")
        except OSError:  # Whether the cell is done is another question.
            return []
        with stream:
            file = os.fstat(stream.fileno()).st_ino
            self.restarted = file != self._file
            if self.restarted:
                self._file, self._offset = file, 0
            stream.seek(self._offset)
            lines = [x for x in stream.read().splitlines(keepends=True) if x.endswith(b"\n")]
        self._offset += sum(map(len, lines))
        return [json.loads(line) for line in lines]


class TraceWriter:
    """Appends lines to a trace, each one on disk before the next simulation starts.

    What an interrupted attempt left is in `recorded`. As long as the same evaluations are written
    once more, its lines stand as they are, times included. Where another evaluation comes, or the
    trace ends earlier, the attempt is kept as `trace.N.jsonl` and the lines that agreed are copied.

    Raises LeaderboardError when another process is writing this trace, OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = _open_locked(path)
        self._digest = hashlib.sha256()
        self.lines = 0
        try:
            self._raw, self.recorded = self._sound_part()
        except BaseException:
            self._stream.close()
            raise

    def write(self, call: Call, seconds: float) -> float:
        """Put a line at the end; returns the seconds that the line there bears."""
        data, duplicate = recordable(call.evaluation), call.duplicate
        conditions = None if call.conditions is None else list(call.conditions)
        if self.lines < len(self.recorded):
            there = self.recorded[self.lines]
            again = EvaluationRecord.model_validate(data)
            if (there.evaluation, there.duplicate, there.conditions) == (
                again, duplicate, conditions,
            ):  # fmt: skip
                self._count(self._raw[self.lines])
                return there.seconds
            self._part()
        # As TraceLine has it, and not through one: this is on the path of every simulation.
        line = {
            "index": self.lines,
            "evaluation": data,
            "duplicate": duplicate,
            "seconds": round(seconds, 3),
            **({} if conditions is None else {"conditions": conditions}),
        }
        raw = to_json(line, inf_nan_mode="null") + b"\n"
        self._append(raw)
        self._count(raw)
        return seconds

    def seal(self) -> str:
        """Say that the trace ends here, and have it on the disk; its sha256."""
        if self.lines < len(self.recorded):
            self._part()
        os.fsync(self._stream.fileno())
        return self._digest.hexdigest()

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _count(self, data: bytes) -> None:
        self._digest.update(data)
        self.lines += 1

    def _append(self, data: bytes) -> None:
        left = data
        try:
            while left:
                left = left[self._stream.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):  # Half a line is none.
                size = os.fstat(self._stream.fileno()).st_size
                self._stream.truncate(size - (len(data) - len(left)))
            raise

    def _sound_part(self) -> tuple[list[bytes], tuple[TraceLine, ...]]:
        """The lines up to the first that is none, raw and read; the file is cut there."""
        raw = self._path.read_bytes()
        whole, lines = raw.splitlines(keepends=True), list[TraceLine]()
        torn = whole.pop() if whole and not raw.endswith(b"\n") else b""
        with contextlib.suppress(Corrupt):
            for line in _trace_lines(self._path, b"".join(whole)):
                if line.index != len(lines):
                    break
                lines.append(line)
        if len(lines) < len(whole):  # More than an interrupt does.
            _unused(self._path.parent, f"{TRACE}.corrupt-{{}}").write_bytes(raw)
        if torn or len(lines) < len(whole):
            self._stream.truncate(sum(map(len, whole[: len(lines)])))
        return whole[: len(lines)], tuple(lines)

    def _part(self) -> None:
        """Keep the attempt that was recorded; go on with a copy of the lines that agreed."""
        self._path.rename(_unused(self._path.parent, "trace.{}.jsonl"))
        self._stream.close()
        self._stream = _open_locked(self._path)
        self.recorded = self.recorded[: self.lines]
        self._append(b"".join(self._raw[: self.lines]))


def _open_locked(path: Path) -> IO[bytes]:
    """A file to append to, which no other process appends to meanwhile."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise LeaderboardError(f"{path} is no regular file; move it aside and run again")
    stream = path.open("ab", buffering=0)
    deadline = time.monotonic() + _PATIENCE_S
    while not _try_lock(stream):
        if time.monotonic() > deadline:
            stream.close()
            raise LeaderboardError(f"{path} is being written by another process; run again later")
        time.sleep(0.1)
    return stream


def _try_lock(stream: IO[Any]) -> bool:
    """Whether we have the file to ourselves now; where it cannot be locked, that is assumed."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # Some network file systems have no locks.
        pass
    return True


def _unused(folder: Path, form: str) -> Path:
    number = 1
    while (path := folder / form.format(number)).exists():
        number += 1
    return path


def _read_result(path: Path) -> Result:
    data = read_json(path, read(path))
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        raise NewerResult(
            f"{path} was written by a newer version (schema {version}; this one reads up to "
            f"{SCHEMA}); upgrade acs-gym or choose another --out"
        )
    try:
        return Result.model_validate(data)
    except ValidationError as error:
        raise Corrupt(path, str(first_problem(error, "file"))) from None


def _trace_lines(path: Path, raw: bytes) -> Iterator[TraceLine]:
    # Where a field may hold anything, pydantic's own parser would let these through.
    suspicious = b"NaN" in raw or b"Infinity" in raw
    for number, line in enumerate(raw.splitlines(), start=1):
        if suspicious:
            read_json(path, line)
        try:
            yield TraceLine.model_validate_json(line)
        except ValidationError as error:
            raise Corrupt(path, f"line {number}: {first_problem(error, 'file')}") from None
