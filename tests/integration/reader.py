"""A page gone through as a reader does: its files saved, its commands typed, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent


def blocks(text: str) -> list[tuple[str, str, str]]:
    """(language, file name or nothing, text) of every block, in order."""
    return re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```", text, re.M | re.S)


def run(command: str, folder: Path) -> str:
    """One line as typed into a shell in `folder`, with this environment's programs first."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def walk(text: str, folder: Path, runs: Callable[[str, Path], str] = run) -> dict[str, str]:
    """What each command of a page printed, in a folder that has its files afterwards."""
    said = {}
    for language, file, content in blocks(text):
        if file:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(content, encoding="utf-8")
        elif language == "sh":
            said |= {line: runs(line, folder) for line in content.splitlines()}
    return said


def printed(said: dict[str, str], beginning: str) -> str:
    """What the last command that begins so printed."""
    return [text for command, text in said.items() if command.startswith(beginning)][-1]
