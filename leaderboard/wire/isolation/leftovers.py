"""Removing a folder that somebody unkind has filled.

Part of the program `supervisor.py`: standard library only, no import of this package.
"""

from __future__ import annotations

import contextlib
import os


def remove(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and all in it, whatever its depth, names and permissions; links are not followed.

    A folder found in it is moved to the top before it is looked into, so no path and no recursion gets
    longer than that. What cannot be removed is left.
    """
    top = os.fspath(folder)
    with contextlib.suppress(OSError):
        os.chmod(top, 0o700)
    number, stuck = 0, set[str]()
    while folders := [name for name in _unlink_files(top) if name not in stuck]:
        for name in folders:
            here = os.path.join(top, name)
            try:
                os.chmod(here, 0o700)
                for inner in _unlink_files(here):
                    number += 1
                    while os.path.lexists(where := os.path.join(top, f"{number}")):
                        number += 1
                    os.chmod(os.path.join(here, inner), 0o700)  # To be moved it has to be writable.
                    os.rename(os.path.join(here, inner), where)
                os.rmdir(here)
            except OSError:
                stuck.add(name)
    with contextlib.suppress(OSError):
        os.rmdir(top)


def _unlink_files(folder: str) -> list[str]:
    """The folders that are left in one."""
    left = []
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            left.append(entry.name)
        else:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
    return left
