"""The tutorial, file by file and command by command, as a reader goes through it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.reader import PROGRAMS, ROOT, blocks, printed, run, walk

TEXT = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The reader's folder after the last block, and what each command printed."""
    folder = tmp_path_factory.mktemp("reader")
    return folder, walk(TEXT, folder)


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="the ngspice program is not on PATH")
def test_the_netlist_it_starts_from_peaks_as_it_says(walked: tuple[Path, dict[str, str]]) -> None:
    measured = re.search(r"^peaking\s*=\s*(\S+)", run("ngspice -b fvf.cir", walked[0]), re.M)
    assert measured is not None and float(measured[1]) == pytest.approx(11.5, abs=0.5)


def test_every_command_does_what_it_says(walked: tuple[Path, dict[str, str]]) -> None:
    folder, said = walked
    assert len(said) == 5
    assert "no [generic.tt]: nothing shows" in printed(said, "acs-gym check fvf --no-simulation")
    simulated = printed(said, "acs-gym simulate")
    for value in ("84", "176 MHz", "55 uW", "10.9 dB"):
        number, _, unit = value.partition(" ")
        numbers = [float(n) for n in re.findall(rf"([\d.]+) {unit or 'Ohm'}\s", simulated)]
        assert any(n == pytest.approx(float(number), rel=0.01) for n in numbers), value
    assert "score 1.000" in printed(said, "python size_fvf.py")
    checked = said["acs-gym check fvf"]
    assert "reference on generic, tier tt: holds" in checked and "fvf: in order\n" in checked
    assert "0 of 200 blind designs are feasible" in checked and "nothing to remark" in checked
    assert (folder / "runs" / "fvf" / "report.html").is_file()


def test_what_it_leaves_out_is_refused_as_it_says(walked: tuple[Path, dict[str, str]]) -> None:
    folder, _ = walked
    copy = Path(shutil.copytree(folder / "fvf", folder / "copy"))
    control = re.search(r"\.control.*?\.endc\n", blocks(TEXT)[0][2], re.S)
    assert control is not None
    (copy / "bench_buffer.spice").open("a").write(control[0])
    done = subprocess.run(
        [PROGRAMS / "acs-gym", "check", copy, "--no-simulation"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "'.control' is not allowed here: it runs simulator commands" in done.stdout
