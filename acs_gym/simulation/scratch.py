"""The folders that workers run in: made, claimed, removed, and swept up where nobody was left to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

PREFIX = "acs-gym-worker-"
# A younger one may have been made this very moment, and not be claimed yet.
_LEFT_OVER_AFTER_S = 60.0


class Scratch:
    """A temporary folder, claimed by this process until it is closed or the process is gone."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix=PREFIX)
        try:
            self._claim = os.open(self.folder, os.O_RDONLY)
            with contextlib.suppress(OSError):  # Some network file systems have no locks.
                fcntl.flock(self._claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def close(self) -> None:
        """Remove the folder. Called once."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._claim)


@cache
def remove_left_over() -> None:
    """Remove folders whose worker was killed together with whoever started it; once a process."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # Claimed, or gone meanwhile.
            found = folder.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > _LEFT_OVER_AFTER_S:
                _remove_unclaimed(folder)


def _remove_unclaimed(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
