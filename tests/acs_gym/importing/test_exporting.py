"""A sizing goes back into the owner's own text, and means there what it means in the folder."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from acs_gym.circuit import CircuitError
from acs_gym.circuit_reading import load_circuit
from acs_gym.cli import main
from acs_gym.importing import import_text, read_file
from acs_gym.importing.exporting import as_csv, exported, read_way_back
from acs_gym.importing.folder import write_folder
from acs_gym.task import task_of
from tests.acs_gym.test_sky130 import library
from tests.conftest import needs_ngspice_program, needs_sky130

NETLISTS = Path(__file__).parent / "netlists"


def folder_of(name: str, tmp_path: Path) -> tuple[Path, bytes]:
    path = NETLISTS / f"{name}.spice"
    folder = tmp_path / name
    write_folder(import_text(read_file(path)), folder, path.read_bytes(), simulate=False)
    return folder, path.read_bytes()


def changed(folder: Path, design: dict[str, float]) -> dict[str, str]:
    """Line by line what an export changes: before -> after."""
    way, raw = read_way_back(folder)
    new = exported(way, raw, design)
    before, after = raw.decode().split("\n"), new.decode().split("\n")
    assert len(before) == len(after)
    return {a: b for a, b in zip(before, after, strict=True) if a != b}


@pytest.mark.parametrize("name", sorted(p.stem for p in NETLISTS.glob("*.spice")))
def test_the_sizing_that_was_there_gives_back_the_file_byte_by_byte(
    name: str, tmp_path: Path
) -> None:
    folder, original = folder_of(name, tmp_path)
    way, raw = read_way_back(folder)
    assert exported(way, raw, {n: p.value for n, p in way.parameters.items()}) == original == raw


def test_numbers_keep_their_units_quotes_and_places(tmp_path: Path) -> None:
    folder, _ = folder_of("crlf", tmp_path)
    assert changed(folder, {"w_load": 9.25e-6}) == {
        "+ W=8 L=0.5\r": "+ W=9.25 L=0.5\r", "+W=8 L=0.5\r": "+W=9.25 L=0.5\r",
    }  # fmt: skip
    folder, _ = folder_of("gf180", tmp_path)
    new = changed(folder, {"w_tail": 4e-6})
    assert [re.findall(r"W=\S+", line) for line in new.values()] == [["W=8u"], ["W=4u"]]
    folder, _ = folder_of("upper", tmp_path)
    assert changed(folder, {"w_pair": 20e-6}) == {
        ".PARAM WPAIR=12 LPAIR=0.5": ".PARAM WPAIR=20 LPAIR=0.5"
    }
    folder, _ = folder_of("nested", tmp_path)
    new = changed(folder, {"w_bias": 6e-6, "m_sink_b": 9})
    assert "xsink ib2 out vss mirror w=5 k=9" in new.values()
    assert "xbias ib tail vss mirror w=6 k=2" in new.values()


def test_what_follows_a_width_goes_with_it(tmp_path: Path) -> None:
    folder, _ = folder_of("microns", tmp_path)
    ((_, line),) = changed(folder, {"w_m1": 10e-6, "m_m1": 3}).items()
    assert "W=10 nf=1 ad=2.9 as=2.9 pd=20.58 ps=20.58 nrd=0.029 nrs=0.029" in line
    assert line.endswith("mult=3 m=3")


def test_what_goes_over_lines_or_is_shared_by_instances_is_put_back_whole(tmp_path: Path) -> None:
    n = "sky130_fd_pr__nfet_01v8"
    text = (
        f"* x\n.subckt cell d g s w=2\nXM1 d g s s {n} W=w L='0.5\n+ *2' ad=1 as=1\n.ends\n"
        ".subckt top a b vss\nX1 a b vss cell w=3\nX2 b a vss cell w=7\n.ends\n"
    )
    (tmp_path / "x.spice").write_text(text)
    folder = tmp_path / "x"
    circuit = import_text(read_file(tmp_path / "x.spice"))
    write_folder(circuit, folder, text.encode(), simulate=False)
    assert changed(folder, {"w_x1_m1": 4e-6, "w_x2_m1": 8e-6, "l_x1_m1": 0.7e-6}) == {
        f"XM1 d g s s {n} W=w L='0.5": f"XM1 d g s s {n} W=w L='0.7'",
        "+ *2' ad=1 as=1": "+ ad=1 as=1",
        "X1 a b vss cell w=3": "X1 a b vss cell w=4",
        "X2 b a vss cell w=7": "X2 b a vss cell w=8",
    }


@needs_sky130
@needs_ngspice_program
def test_plain_ngspice_measures_in_the_exported_file_what_the_task_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    netlist, folder, sizing = NETLISTS / "xschem.spice", tmp_path / "ota", tmp_path / "sizing.json"
    assert main(["import", str(netlist), "--out", str(folder)]) == 0
    task = task_of(load_circuit(folder), "sky130", "tt")
    design = {
        **(task.reference or {}),
        "w_pair": 22e-6,
        "l_pair": 0.9e-6,
        "l_load": 1.2e-6,
        "w_tail": 7e-6,
    }
    with task.session(task.cost, workers=1) as session:
        evaluation = session.simulate(design)
    sizing.write_text(json.dumps({"design": evaluation.design}))
    out = tmp_path / "sized.spice"
    command = ["export", str(folder), "--sizing", str(sizing), "--out", str(out)]
    assert main(command) == 0
    text = re.sub(r"(?im)^\.(lib|end|save)\b.*\n", "", out.read_text().replace("**.", "."))
    deck = [
        "plain", *library("tt", ["nfet_01v8", "pfet_01v8"]), text,
        "vdd vdd 0 1.8", "va a 0 0.9 ac 1", "iref vdd nb 10u", "x1 a f y vdd vs nb ota_top", "cl y 0 5p",
        "lfb y f 1e9", "cfb f 0 1e9",  # Closed at DC, open at 1 Hz.
        ".control", "op", "print i(vdd)", "ac lin 1 1 1", "print vdb(y)", ".endc", ".end",
    ]  # fmt: skip
    (tmp_path / ".spiceinit").write_text("set ngbehavior=hsa\n")
    (tmp_path / "plain.sp").write_text("\n".join(deck) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "plain.sp"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    current, gain = map(float, re.findall(r"^(?:i|vdb)\(\S+\) = (\S+)$", done.stdout, re.M))
    assert evaluation.metrics["gain"] == pytest.approx(gain, abs=0.05)
    assert evaluation.metrics["power"] == pytest.approx(-1.8 * current, rel=2e-3)


def test_a_table_has_a_row_for_each_number(tmp_path: Path) -> None:
    folder, _ = folder_of("gf180", tmp_path)
    way, _ = read_way_back(folder)
    rows = as_csv(way, {"w_tail": 4e-6}).splitlines()
    assert rows[0] == "parameter,device,size,unit,was,is"
    assert "w_tail,xm5,w,m,1.2e-05,8e-06" in rows and "w_tail,xm6,w,m,6e-06,4e-06" in rows


def test_an_export_that_cannot_be_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, raw = folder_of("upper", tmp_path)
    (tmp_path / "s.json").write_text('{"w_piar": 1e-6}')
    assert main(["export", str(folder), "--sizing", str(tmp_path / "s.json")]) == 2
    assert "no parameter 'w_piar'" in capsys.readouterr().err
    (tmp_path / "s.json").write_text("[1]")
    assert main(["export", str(folder), "--sizing", str(tmp_path / "s.json")]) == 2
    assert "expected numbers in SI units" in capsys.readouterr().err
    assert main(["export", str(tmp_path)]) == 2
    assert "was not written by acs-gym import" in capsys.readouterr().err
    (folder / "original.spice").write_bytes(raw + b"*\n")
    with pytest.raises(CircuitError, match=r"is not the file that import.json is about"):
        read_way_back(folder)
