"""Files: read without trusting who wrote them, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

# What is ours in a folder that may hold anything else: `.acs-gym-report.html-1a2b3c`.
OURS = ".acs-gym-"
# A hundred times what the largest bundled circuit makes; a trace, of a cell of a week.
LARGEST_RECORD, LARGEST_TRACE = 8 << 20, 512 << 20
# As deep as anything of ours is, twice over.
DEEPEST = 32


class Corrupt(Exception):
    """A file that is not what was written; the message names the file and what is wrong."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path, self.why = path, why


def read(path: Path, largest: int = LARGEST_RECORD) -> bytes:
    """A regular file of at most so many bytes. Raises Corrupt for anything else.

    A link is not followed, a pipe not waited for, and of a file that is larger nothing is read.
    """
    try:
        # Without O_NONBLOCK a pipe is opened when somebody writes to it, which may be never.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "is a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise Corrupt(path, why) from None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_size > largest:
        os.close(handle)
        many = f"has {about.st_size} bytes; at most {largest} are read"
        raise Corrupt(path, many if stat.S_ISREG(about.st_mode) else "is no regular file")
    try:
        with os.fdopen(handle, "rb") as stream:
            raw = stream.read(largest + 1)  # It may be growing.
    except OSError as error:
        raise Corrupt(path, f"cannot be read: {error.strerror}") from None
    if len(raw) > largest:
        raise Corrupt(path, f"has more than {largest} bytes")
    return raw


def read_json(path: Path, raw: bytes) -> Any:
    """The one JSON value of some bytes of a file. Raises Corrupt, also for one nested too deep."""
    try:
        data = json.loads(raw, parse_constant=_no_constant)
        return shallow(data)
    except (ValueError, RecursionError) as error:
        raise Corrupt(path, f"is not JSON: {error}") from None


def shallow(data: Any) -> Any:
    """The value itself. Raises ValueError where it is nested deeper than anything here is.

    What compares and shows values calls itself once a level.
    """
    level = [data]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, (list, tuple)):
                below.extend(value)
        if not below:
            return data
        level = below
    raise ValueError(f"nested more than {DEEPEST} deep")


# Of a record's field that may hold anything.
JsonObject = Annotated[dict[str, Any], AfterValidator(shallow)]


def write_atomically(path: Path, text: str) -> None:
    """`path` holds either what it held or all of `text`, whatever happens meanwhile.

    Once this returns it is on the disk, its name included.
    """
    handle, name = tempfile.mkstemp(prefix=f"{OURS}{path.name}-", dir=path.parent)
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
    _sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed `write_atomically`s left in a folder that no other run writes to now."""
    for left in folder.glob(f"{OURS}*"):
        if left.is_file() and not left.is_symlink():
            left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # Some network file systems cannot.
        pass
    finally:
        os.close(handle)


def _no_constant(token: str) -> float:
    raise ValueError(f"{token} is not a JSON number")
