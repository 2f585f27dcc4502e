"""The two pages that go from an xschem netlist to a sized one, command by command."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from acs_gym.cli import main
from leaderboard.explain import main as explain
from leaderboard.size import main as size
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.reader import ROOT, printed, run, walk
from tests.leaderboard.tampering import invoke

pytestmark = [needs_sky130, needs_ngspice_program]
BROUGHT = {"size": size, "explain": explain}


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def typed(command: str, folder: Path) -> str:
    """Our own commands in this process, which has everything imported; others in a shell."""
    program, *arguments = shlex.split(command)
    if program != "acs-gym":
        return run(command, folder)
    name, *options = arguments
    if name in BROUGHT:
        done = invoke(BROUGHT[name], *options)
        code, said = done.exit_code, done.stdout
    else:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = main(arguments)
        said = out.getvalue()
    assert code == 0, f"{command}\n{said}"
    return said


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def sized(said: dict[str, str], metric: str) -> str:
    """A metric of the sizing in the table of the last `acs-gym simulate`."""
    found = re.search(rf"{metric} +([\d.]+ \w+)", printed(said, "acs-gym simulate"))
    assert found is not None
    return found[1]


def test_an_ota_from_xschem_and_back(tmp_path: Path) -> None:
    said = walk(page("tutorial-xschem.md"), tmp_path, typed)
    assert "ota: in order" in printed(said, "acs-gym check")
    assert "Meets every spec at nominal" in printed(said, "acs-gym size")
    assert "none of" in printed(said, "acs-gym explain")
    changed = [line for line in printed(said, "diff").splitlines() if line.startswith(("<", ">"))]
    bare = [re.sub(r"\b([LW])=[\d.]+", r"\1=", line[2:]) for line in changed]
    assert len(bare) == 12 and bare[:6] == bare[6:]
    current = re.search(r"^i\(vdd\) = (\S+)", printed(said, "ngspice"), re.M)
    assert current is not None
    power = float(sized(said, "power").removesuffix(" uW")) * 1e-6
    assert power == pytest.approx(-1.8 * float(current[1]), rel=1e-3)


def test_a_comparator_with_a_testbench_of_its_own(tmp_path: Path) -> None:
    said = walk(page("tutorial-comparator.md"), tmp_path, typed)
    first = next(
        text for command, text in said.items() if command == "acs-gym simulate ./strongarm"
    )
    assert "369" in first
    assert "Meets every spec at nominal" in printed(said, "acs-gym size")
    assert "> .param wcross=" in printed(said, "diff")
    decided = re.search(r"^decided\s*=\s*(\S+)", printed(said, "ngspice"), re.M)
    assert decided is not None
    told = float(sized(said, "decided").removesuffix(" ns")) * 1e-9
    assert told == pytest.approx(float(decided[1]), abs=2e-12)
