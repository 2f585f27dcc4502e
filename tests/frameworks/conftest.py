"""What was run against which versions is kept beside the tests, with `--record FILE`."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, help="JSON file to keep versions and outcomes in")


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--record", None)
    if path is None or not session.items:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    outcomes = {
        k: len(v) for k, v in reporter.stats.items() if k in ("passed", "failed", "skipped")
    }
    known = json.loads(path.read_text()) if path.exists() else {}
    for name, count in Counter(item.path.stem for item in session.items).items():
        framework = name.removeprefix("test_")
        text = (HERE / "requirements" / f"{framework}.txt").read_text(encoding="utf-8")
        pinned = re.findall(r"^([\w-]+)[^=]*==", text, re.M)
        known[framework] = {
            "command": f"python -m pytest tests/frameworks/{name}.py",
            "date": datetime.now(UTC).date().isoformat(),
            "python": platform.python_version(),
            "versions": {n: importlib.metadata.version(n) for n in (*pinned, "acs-gym")},
            "tests": count,
            **outcomes,
        }
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
