"""The modules of `acs_gym` stand in layers: no circle of imports, those inside functions included."""

from __future__ import annotations

import ast
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
