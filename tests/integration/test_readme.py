"""What the README and the first pages show runs as it stands there, and says what is so."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import needs_sky130

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND_LINE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
PAGES = TEXT + COMMAND_LINE + (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGES, re.M | re.S)
NETLIST = ROOT / "tests" / "acs_gym" / "importing" / "netlists" / "xschem.spice"
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```sh\n(.*?)^```", COMMAND_LINE, re.M | re.S)
    for line in block.splitlines()
    if line.startswith("acs-gym ") and "install" not in line
]


@needs_sky130
@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@needs_sky130
def test_commands_run_one_after_the_other(tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "acs-gym")
    assert len(COMMANDS) >= 6
    shutil.copy(NETLIST, tmp_path / "ota.spice")
    for command in COMMANDS:
        done = subprocess.run(
            [program, *command.split()[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", TEXT)
    assert links and all((ROOT / link).exists() for link in links)


def test_every_circuit_is_named_with_its_page_in_its_split() -> None:
    import acs_gym

    for split, row in (
        ("training", "| circuits to train on |"),
        ("held-out", "| circuits held out |"),
    ):
        (line,) = [line for line in TEXT.splitlines() if line.startswith(row)]
        pages = set(re.findall(r"docs/circuits/(\w+)\.md", line))
        assert pages == {acs_gym.make_task(name).circuit.name for name in acs_gym.task_ids(split)}


def test_the_counts_are_those_of_what_is_registered() -> None:
    import acs_gym
    from baselines.registry import METHODS

    tasks = [
        acs_gym.make_task(name) for s in ("training", "held-out") for name in acs_gym.task_ids(s)
    ]
    sizes, specs = [len(task.space) for task in tasks], max(len(task.specs) for task in tasks)
    assert f"{min(sizes)} to {max(sizes)} parameters, up to {specs} specs" in TEXT
    checks = {"constant", "oracle"}  # Of the harness, no optimisers.
    assert len({m.name for m in METHODS} - checks) == 16 and "sixteen optimisers" in TEXT
