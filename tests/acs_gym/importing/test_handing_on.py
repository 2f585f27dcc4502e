"""A sizing goes where its owner works on: an xschem schematic, a CACE datasheet, a table over corners."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import acs_gym
from acs_gym.circuit import CircuitError
from acs_gym.cli import main
from acs_gym.importing import import_text, read_text
from acs_gym.importing.exporting import read_way_back
from acs_gym.importing.folder import write_folder
from acs_gym.importing.xschem import resized
from acs_gym.simulation.pool import Simulator
from acs_gym.simulation.program import initial_values, model_names, netlist, setting_values
from tests.acs_gym.importing.test_exporting import folder_of
from tests.conftest import needs_ngspice_program

SCHEMATIC = Path(__file__).parent / "core.sch"
# A Python that has PyPI's `cace`, which needs an environment of its own: `make test-cace`.
CACE = "ACS_GYM_CACE_PYTHON"


def test_properties_of_instances_are_other_numbers_and_every_other_byte_stays(
    tmp_path: Path,
) -> None:
    folder, _ = folder_of("xschem", tmp_path)
    out = tmp_path / "sized.sch"
    (tmp_path / "s.toml").write_text('w_pair = "22.5u"\nl_load = "0.75u"\n')
    command = ["export", str(folder), "--sizing", str(tmp_path / "s.toml"), "--format", "xschem"]
    assert main([*command, "--sch", str(SCHEMATIC), "--out", str(out)]) == 0
    before, after = SCHEMATIC.read_bytes().split(b"\n"), out.read_bytes().split(b"\n")
    changes = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changes == [
        (b"W=10", b"W=22.5"),  # of M1; the note and the text keep theirs
        *(
            (line, line.replace(old, new))
            for line in before
            for name, old, new in (
                (b"{name=M2 ", b"W=10", b"W=22.5"),
                (b"{name=M3 ", b"L=0.5", b"L=0.75"),
                (b"{name=M4 ", b"L = 0.5", b"L = 0.75"),
            )
            if name in line
        ),
    ]


def test_the_sizing_that_was_there_gives_the_schematic_back(tmp_path: Path) -> None:
    folder, _ = folder_of("xschem", tmp_path)
    way, _ = read_way_back(folder)
    text = SCHEMATIC.read_text()
    assert resized(text, way, {n: p.value for n, p in way.parameters.items()}, "core.sch") == text


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("W=8 nf=1 mult=1 model=pfet_01v8 spiceprefix=X}\nC", "W=9 nf=1}\nC", "w of xm3 is 9, where"),
        ("name=M3 L=0.5 W=8", "name=M3 L=0.5 W='2*4'", "no number; write the number"),
        ("name=M3 L=0.5 W=8", "name=M3 L=0.5", "w of xm3 is not a property"),
        ("name=M3", "name=M33", "is no schematic of this circuit or of a cell of it"),
    ],
)  # fmt: skip
def test_a_schematic_that_is_not_of_this_netlist_is_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    folder, _ = folder_of("xschem", tmp_path)
    way, _ = read_way_back(folder)
    text = SCHEMATIC.read_text().replace(old, new, 1)
    with pytest.raises(CircuitError, match=reason):
        resized(text, way, {"w_load": 9e-6}, "core.sch")


def test_a_cell_with_the_same_names_as_the_circuit_above_it_is_told_from_it(tmp_path: Path) -> None:
    n = "sky130_fd_pr__nfet_01v8"
    text = (
        f"* x\n.subckt cell d g s\nXM1 d g s s {n} W=2 L=0.5\n.ends\n"
        ".subckt top a b vss\nX1 a b vss cell\n"
        f"XM1 a b vss vss {n} W=4 L=0.6\nXM2 b a vss vss {n} W=7 L=0.7\n.ends\n"
    )
    circuit = import_text(read_text(text, "x.spice"))
    write_folder(circuit, tmp_path / "x", text.encode(), simulate=False)
    way, _ = read_way_back(tmp_path / "x")
    new = {name: 2 * p.value for name, p in way.parameters.items() if name.startswith("w_")}
    top = "C {n.sym} 0 0 0 0 {name=M1 W=4 L=0.6}\nC {n.sym} 9 0 0 0 {name=M2 hidden W=7 L=0.7}\n"
    sized = top.replace("W=4", "W=8").replace("W=7", "W=14")
    assert resized(top, way, new, "top.sch") == sized
    cell = "C {n.sym} 0 0 0 0 {name=M1 W=2 L=0.5}\n"
    assert resized(cell, way, new, "cell.sch") == cell.replace("W=2", "W=4")


def test_a_datasheet_has_every_spec_with_its_bound(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert main(["export", "ota5t", "--pdk", "generic", "--format", "cace"]) == 0
    sheet = yaml.safe_load(capfdbinary.readouterr().out)
    assert sheet["cace_format"] == 5.2 and sheet["pins"]["vdd"]["type"] == "power"
    assert sheet["default_conditions"]["temperature"] == {
        "description": "temperature", "display": "temperature", "unit": "°C", "minimum": -40.0,
        "typical": 27.0, "maximum": 125.0,
    }  # fmt: skip
    gain, power = (sheet["parameters"][name] for name in ("gain", "power"))
    assert gain["spec"]["gain"]["minimum"] == {"value": 39.0}
    assert gain["spec"]["gain"]["maximum"] == power["spec"]["power"]["minimum"] == {"value": "any"}
    assert gain["tool"]["ngspice"]["variables"] == ["gain"]


def as_cace_would(template: str, conditions: dict[str, str]) -> str:
    """The text within a template, with CACE's places filled by its documented rules."""
    text = template[template.index('value="') + 7 : template.rindex('"}')]
    text = re.sub(r"CACE\\\{([^\\=]+)(?:=[^\\]+)?\\\}", lambda m: conditions[m[1]], text)
    text = re.sub(r"CACE\[([^\]]+)\]", lambda m: repr(eval(m[1])), text)
    return re.sub(r'\\([{}"\\])', r"\1", text)


@needs_ngspice_program
def test_templates_give_cace_the_metrics_of_the_task(tmp_path: Path, in_process: Simulator) -> None:
    """On a DUT with the models of this project, which CACE would take from the PDK."""
    sheet = tmp_path / "ota.yaml"
    command = ["export", "ota5t", "--pdk", "generic", "--format", "cace", "--out", str(sheet)]
    assert main(command) == 0
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    found = task.session(simulator=in_process).simulate(task.reference)
    deck = task.program.decks[0]
    scope = {**task.program.conditions, **dict(task.reference or {})}
    scope |= {draw.name: 0.0 for draw in deck.draws}
    lines = netlist(deck, model_names(deck, scope), initial_values(deck, scope))
    dut = tmp_path / "dut.spice"
    dut.write_text("\n".join(lines[1 : lines.index(".ends ota5t") + 1]) + "\n")
    values = iter(setting_values(deck, scope))
    alters = [
        f"{s.command} @{s.target} = [ {' '.join(repr(next(values)) for _ in s.values)} ]"
        for s in deck.settings
        if ".xdut." in s.target
    ]
    conditions = {name: repr(value) for name, value in task.program.conditions.items()} | {
        "DUT_path": str(dut), "DUT_name": "ota5t", "simpath": str(tmp_path), "filename": "bench",
        "N": "0",
    }  # fmt: skip
    for metric in ("gain", "ugbw", "pm", "modulus_margin", "cmrr", "power"):
        template = (tmp_path / "templates" / f"{metric}.sch").read_text()
        text = as_cace_would(template, conditions)
        text = text.replace(".control\n", "\n".join([".control", *alters, ""]))
        (tmp_path / "bench.spice").write_text(f"{text}.end\n")
        done = subprocess.run(
            ["ngspice", "-b", "bench.spice"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        result = tmp_path / "bench_0.data"
        assert result.exists(), done.stdout + done.stderr
        assert float(result.read_text()) == pytest.approx(found.metrics[metric], rel=5e-3), metric
        result.unlink()


@pytest.mark.skipif(CACE not in os.environ, reason="run `make test-cace`")
def test_the_datasheet_is_one_that_cace_reads(tmp_path: Path) -> None:
    path = tmp_path / "ota.yaml"
    main(["export", "opamp", "--pdk", "generic", "--format", "cace", "--out", str(path)])
    # Its modules import each other; this one goes first.
    read = (
        "from cace.parameter import ParameterManager\nfrom cace.common.cace_read import cace_read_yaml\n"
        f"import json; print(json.dumps(cace_read_yaml({str(path)!r})))"
    )
    done = subprocess.run(
        [os.environ[CACE], "-c", read], capture_output=True, text=True, check=False
    )
    sheet = json.loads(done.stdout.splitlines()[-1])
    tool = sheet["parameters"]["pm"]["tool"]["ngspice"]
    assert (tool["format"], tool["template"]) == ("ascii", "pm.sch"), done.stderr


@pytest.mark.skipif(CACE not in os.environ, reason="run `make test-cace`")
def test_cace_finds_and_fills_the_places_of_a_template(tmp_path: Path) -> None:
    main(
        [
            "export",
            "opamp",
            "--pdk",
            "sky130",
            "--format",
            "cace",
            "--out",
            str(tmp_path / "o.yaml"),
        ]
    )
    template, filled = tmp_path / "templates" / "pm.sch", tmp_path / "pm_filled.sch"
    code = (
        "from types import SimpleNamespace as N\nfrom cace.parameter.parameter import Parameter as P\n"
        "n = N(datasheet={'cace_format': 5.2}, vectrex=P.vectrex)\n"
        f"used = P.get_condition_names_used(n, {str(template)!r}, escape=True)\n"
        "given = {'vdd': 1.8, 'v_cm': 0.9, 'v_step': 0.3, 't_edge': 3e-7, 'c_load': 5e-12}\n"
        "values = {name: given.get(name, name) for name in used}\n"
        f"P.substitute(n, {str(template)!r}, {str(filled)!r}, values, {{}}, {{}}, escape=True)\n"
        "print(' '.join(sorted(used)))"
    )
    done = subprocess.run(
        [os.environ[CACE], "-c", code], capture_output=True, text=True, check=False
    )
    assert {"vdd", "v_cm", "temperature", "DUT_path", "simpath", "N"} <= set(done.stdout.split())
    text = filled.read_text()
    assert "CACE" not in text and "vdd vdd 0 dc 1.8 ac 0" in text
    assert "pulse(0.9 1.2 5n 0.1n 0.1n 2.999e-07 1)" in text


def test_a_table_has_a_row_for_each_corner(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run = tmp_path / "run" / "cell"
    run.mkdir(parents=True)
    size = ["w_pair", "l_pair", "w_load", "l_load", "w_bias", "l_bias", "m_tail", "i_bias"]
    design = dict(zip(size, (30e-6, 0.5e-6, 7e-6, 0.6e-6, 1.2e-6, 0.6e-6, 6, 4e-6), strict=True))
    (run / "result.json").write_text(json.dumps({"best": {"score": 0.9, "design": design}}))
    command = ["export", "ota5t", "--pdk", "generic", "--run", str(tmp_path / "run")]
    assert main([*command, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capfdbinary.readouterr().out.decode())))
    assert {r["corner"] for r in rows} == {"tt", "ff", "ss", "sf", "fs"} and len(rows) == 25
    assert len({r["gain"] for r in rows}) == 25


@needs_ngspice_program
def test_the_deck_that_was_simulated_is_simulated_alike_by_plain_ngspice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["simulate", "ota5t", "w_pair=23u", "--pdk", "generic", "--json", "--deck"]
    assert main([*command, str(tmp_path)]) == 0
    power = json.loads(capsys.readouterr().out)["metrics"]["power"]
    for deck in tmp_path.glob("*.spice"):
        said = subprocess.run(
            ["ngspice", "-b", deck.name], cwd=tmp_path, capture_output=True, text=True, check=False
        ).stdout
        if found := re.search(r"(?m)^i\(vdd\) = (\S+)", said):
            assert power == pytest.approx(-1.8 * float(found[1]), rel=1e-5)
            return
    pytest.fail("no deck has an operating point that yields the supply's current")


def test_a_schematic_and_a_format_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "ota5t", "--format", "xschem"]) == 2
    assert "--sch FILE go together" in capsys.readouterr().err
