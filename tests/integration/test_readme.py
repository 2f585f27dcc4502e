"""What the README and the page on environments show runs as it stands there."""

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
PAGES = TEXT + (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGES, re.M | re.S)
NETLIST = ROOT / "tests" / "acs_gym" / "importing" / "netlists" / "xschem.spice"
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S)
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


def test_the_table_of_tasks_says_what_the_circuits_say() -> None:
    import acs_gym
    from acs_gym.units import format_si

    for task_id in (t for t in acs_gym.task_ids() if t.startswith("ACS-")):
        (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{task_id}`")]
        task = acs_gym.make_task(task_id, pdk="generic")
        assert f"| {len(task.space)} |" in row
        for spec in task.specs:
            value = format_si(spec.target, spec.unit).replace("u", "µ").replace(" °", "°")
            if spec.unit == "m^2":
                value = (
                    f"{spec.target * 1e12:,.2g} µm²"
                    if spec.target < 1e-10
                    else (f"{spec.target * 1e12:,.0f} µm²")
                )
            assert value in row or spec.fixed, (task_id, spec)
