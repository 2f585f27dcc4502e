"""The modules of `acs_gym` stand in layers, without a circle; and there is one way past the meter."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import acs_gym

PACKAGE = Path(acs_gym.__file__).parent
# A task makes the session that sizes it: `task.session(budget=100)`.
KNOWN = {frozenset({"acs_gym.session", "acs_gym.task"})}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_modules_do_not_import_each_other() -> None:
    files = {
        ".".join(("acs_gym", *p.relative_to(PACKAGE).with_suffix("").parts)): p
        for p in PACKAGE.rglob("*.py")
        if p.name != "__init__.py"  # Those hand on names, lazily.
    }
    arrows = {name: {i for i in imports(path) if i in files} for name, path in files.items()}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for name in arrows[ahead.pop()] - seen:
                seen.add(name)
                ahead.append(name)
        return seen

    from_each = {name: reached(name) for name in arrows}
    circles = {
        frozenset(b for b in there if a in from_each[b])
        for a, there in from_each.items()
        if a in there
    }
    assert circles == KNOWN


# Beside simulators themselves: the metered door, a simulator of its own that passes jobs on, and the
# benchmark of how quick the others are.
RUN_SIMULATORS = {
    "acs_gym/session.py",
    "leaderboard/cells/runner.py",
    "benchmarks/simulation.py",
}


def test_nobody_has_a_private_shortcut_to_the_simulator() -> None:
    """All else is charged by a session, or stands in the list of `simulate_uncharged`."""
    repository = PACKAGE.parent
    rooms = (
        "acs_gym",
        "baselines",
        "agents",
        "leaderboard",
        "tlgrpo",
        "benchmarks",
        "docs",
        "scripts",
    )
    found = {
        path.relative_to(repository).as_posix()
        for room in rooms
        for path in (repository / room).rglob("*.py")
        if any(map(runs_a_simulator, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    inside = {name for name in found if name.startswith("acs_gym/simulation/")}
    assert found - inside == RUN_SIMULATORS


def runs_a_simulator(node: ast.AST) -> bool:
    """`simulator.run(...)`, `self._pool.run(...)`, `shared_pool(1).run(...)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    whose = ast.unparse(node.func.value)
    return node.func.attr == "run" and re.search("simulator|pool", whose, re.I) is not None
