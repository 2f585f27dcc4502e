"""The code and the commands of docs/frameworks.md, which the tests of each framework run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text(encoding="utf-8")


def code_of(section: str, **instead: str) -> str:
    """A section's Python, with what has to be another here replaced; each must be there."""
    code = re.search(rf"^## {section}$.*?^```python\n(.*?)^```", TEXT, re.M | re.S)[1]
    assert len([line for line in code.splitlines() if line]) <= 13
    for written, here in instead.items():
        assert written in code, written
        code = code.replace(written, here)
    return code


def command_of(section: str) -> tuple[dict[str, str], list[str]]:
    """A section's first shell command: (the variables before it, its words), as a shell reads them."""
    script = re.search(rf"^## {section}$.*?^```sh\n(.*?)^```", TEXT, re.M | re.S)[1]
    words = shlex.split(script.replace("\\\n", ""), comments=True)
    variables = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return variables, words
