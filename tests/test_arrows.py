"""Who may import whom: between the packages, and between the rooms of the leaderboard."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# CONTRIBUTING.md says the same in words.
PACKAGES = {
    "acs_gym": set(),
    "baselines": {"acs_gym"},
    "agents": {"acs_gym", "baselines"},
    "tlgrpo": {"acs_gym", "agents", "baselines"},
    "leaderboard": {"acs_gym"},
}
# From the lowest: a room knows those before it, and what is no room.
ROOMS = ("wire", "contract", "agents", "cells", "trust", "board", "reporting", "running", "sizing")
BELOW = {"errors", "files", "printable", "suites"}
COMMANDS = {
    "run",
    "report",
    "verify",
    "export",
    "merge",
    "submission",
    "check_agent",
    "options",
    "explain",
    "size",
}


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions and for types alone too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_it_may(package):
    found = {
        (path.relative_to(ROOT).as_posix(), name.partition(".")[0])
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
    }
    allowed = PACKAGES[package] | {package}
    assert [(path, to) for path, to in sorted(found) if to in PACKAGES and to not in allowed] == []


def room(parts: list[str]) -> str:
    """`leaderboard.cells.store` -> cells; `leaderboard.errors` -> errors."""
    return parts[1] if len(parts) > 1 else ""


def test_every_part_of_the_leaderboard_has_its_place():
    there = {p.stem for p in (ROOT / "leaderboard").iterdir() if p.suffix in ("", ".py")}
    assert there - {"__init__", "py", "__pycache__"} == {*ROOMS, *BELOW, *COMMANDS}


def test_no_room_knows_one_above_it():
    arrows: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "leaderboard").rglob("*.py"):
        own = room(["leaderboard", *path.relative_to(ROOT / "leaderboard").with_suffix("").parts])
        for name in imported(path):
            if name.startswith("leaderboard."):
                arrows[own].add(room(name.split(".")))
    for below in BELOW:
        assert arrows[below] <= BELOW | {below}, below
    for place, own in enumerate(ROOMS):
        known = BELOW | set(ROOMS[: place + 1])
        assert arrows[own] <= known, f"{own} knows {sorted(arrows[own] - known)}"
    assert not {r for r in ROOMS for to in arrows[r] if to in COMMANDS}
