"""A command line as words that can be run from another folder."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path


class CannotRun(ValueError):
    """A command that cannot be started; the message says what to do about it."""


def split_command(command: str, transport: str = "stdio") -> tuple[str, ...]:
    """The words of a command line, as a shell splits them. Raises CannotRun."""
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise CannotRun(f"{command!r} is no command line: {error}") from None
    if not words:
        raise CannotRun(
            f"no command; write {transport}:COMMAND, for example {transport}:'python mine.py'"
        )
    return words


def resolve(words: Sequence[str], own: Sequence[str] = ()) -> tuple[str, ...]:
    """The command so that it can be run from another folder: programs and files by absolute path.

    `own`: words that name files of the agent's own folder, and stay as they are. Raises CannotRun when
    there is no such program, or when it is a file that cannot be executed.
    """
    program, *arguments = words
    found = shutil.which(program)
    if found is None:
        if not Path(program).exists():
            raise CannotRun(f"there is no program {program}; give its path, or install it")
        raise CannotRun(
            f"{program} cannot be executed; name its interpreter (python {program}), or give it a first "
            f"line #!/usr/bin/env ... and chmod +x {program}"
        )
    # Not resolved through links: a virtual environment's interpreter is one.
    return os.path.abspath(found), *(
        os.path.abspath(word) if word not in own and _is_path(word) else word for word in arguments
    )


def _is_path(word: str) -> bool:
    return Path(word).is_file() or ("/" in word and Path(word).exists())
