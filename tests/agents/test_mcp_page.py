"""What docs/mcp.md shows works as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import acs_gym
from acs_gym.tools.definitions import definitions
from tests.agents.mcp_process import PATIENCE_S, ROOT, run

PAGE = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)


def without_numbers(text: str) -> str:
    """Another version of ngspice may differ in the last digit."""
    return re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", text)


def command_lines() -> list[list[str]]:
    """What a client or a person starts, without the Python in front."""
    lines = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    typed = [line[line.index("-m") :] for line in lines if "agents.mcp" in line]
    servers = [json.loads(b) for b in blocks("json")]
    entries = [next(iter(next(iter(s.values())).values())) for s in servers]
    return typed + [e["args"] for e in entries]


def test_the_example_prints_what_the_page_says(tmp_path: Path) -> None:
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True,
        timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    printed, said = blocks("text")
    assert without_numbers(done.stdout) == without_numbers(printed)
    assert without_numbers(done.stderr) == without_numbers(said)


@pytest.mark.parametrize("arguments", command_lines(), ids=" ".join)
def test_every_command_line_serves(arguments: list[str]) -> None:
    assert arguments[:2] == ["-m", "agents.mcp"]
    options = [o for o in arguments[2:] if o != "--http"]
    ended = run(*options, "--pdk", "generic")
    assert ended.returncode == 0, ended.stderr
    assert "serving at" in ended.stderr


def test_the_table_names_every_tool_and_its_arguments() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.M))
    task = acs_gym.make_task("ota5t", pdk="generic")
    functions = [d["function"] for d in definitions(task)]
    assert list(rows) == [f["name"] for f in functions]
    for function in functions:
        assert all(f"`{name}`" in rows[function["name"]] for name in (
            function["parameters"]["properties"]
        ))  # fmt: skip


@pytest.mark.parametrize("tier", ["pvt", "mc"])
def test_the_page_says_what_a_design_costs(tier: str) -> None:
    cost = acs_gym.make_task("opamp", pdk="generic", tier=tier).cost
    assert re.search(rf"`{tier}`: (\d+ or )?{cost}\b", PAGE)
