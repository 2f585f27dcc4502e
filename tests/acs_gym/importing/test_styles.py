"""Netlists in ten styles become folders as they are, with the operating point that ngspice gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from acs_gym.circuit_reading import read_circuit
from acs_gym.importing import import_text, read_file
from acs_gym.importing.folder import write_folder
from acs_gym.pdks.gf180mcu import LIBRARY
from acs_gym.task import task_of
from tests.acs_gym.test_gf180mcu_devices import library as gf180_library
from tests.acs_gym.test_sky130 import library
from tests.conftest import needs_gf180mcu, needs_ngspice_program, needs_sky130

NETLISTS = Path(__file__).parent / "netlists"
PREFIX = "sky130_fd_pr__"


@dataclass(frozen=True)
class Style:
    """A netlist, what stands around it where the file has no testbench, and what is compared.

    `supply` and `out` are the source and the node of the owner's file; `parameters` are what is sized.
    """

    name: str
    parameters: str
    supply: str = "vdd"
    out: str = "out"
    around: str = ""


FOLLOWER = "vdd vdd 0 1.8\nva a 0 0.9\niref vdd nb 10u\nx1 {ports} {name}\n"
STYLES = [
    Style("upper", "w_pair l_pair w_load l_load w_tail l_tail m_tail"),
    Style(
        "nested",
        "w_bias l_bias m_bias_b w_mirror m_sink_b w_mirror_copy_x2 l_mirror w_pair l_pair w_load l_load "
        "w_driver l_driver m_driver c_c",
    ),
    Style("flat", "i_bias w_pair l_pair w_load l_load w_tail l_tail", supply="vsup"),
    Style("microns", "w_m1 l_m1 m_m1 w_m2 l_m2 m_m2 l_r1 w_c1 l_c1", out="vout"),
    Style("gf180", "w_pair l_pair w_load l_load w_tail l_tail", out="y"),
    Style("fingers", "w_m1 l_m1 w_mirror l_mirror w_mirror_m3 l_mirror_m3 m_m3"),
    Style("quotes", "w_pair l_pair w_load l_load w_tail l_tail r_1", out="y"),
    Style("crlf", "w_pair l_pair w_load l_load w_tail l_tail", out="y"),
    Style(
        "xschem",
        "w_pair l_pair w_load l_load w_tail l_tail",
        out="y",
        around=FOLLOWER.format(ports="a y y vdd vs nb", name="ota_top"),
    ),
    Style(
        "extracted",
        "w_pair l_pair w_load l_load w_tail l_tail",
        out="y",
        around=FOLLOWER.format(ports="a y y vdd 0 nb", name="ota"),
    ),
]


def plain(style: Style, folder: Path) -> tuple[float, float]:
    """(current from the supply, voltage of the output) by `ngspice -b` with the PDK's own library."""
    text = (NETLISTS / f"{style.name}.spice").read_text(encoding="utf-8-sig")
    # What ngspice itself does not read: xschem's comment, other line ends, double quotes.
    for theirs, ours in (("**.", "."), ("\r", ""), ('"', "'")):
        text = text.replace(theirs, ours)
    used = sorted(set(re.findall(rf"{PREFIX}(\w+)", text.lower())))
    if used:
        models = library("tt", used)
    else:
        models = gf180_library(folder, ["typical"])
        for ours, theirs in (("nfet_03v3", "nmos_3p3"), ("pfet_03v3", "pmos_3p3")):
            if not re.search(rf"\.subckt\s+{ours}\b", (folder / LIBRARY).read_text(), re.I):
                text = text.replace(ours, theirs)
    text = re.sub(r"(?im)^\.(lib|end|op|ac)\b.*\n", "", text)
    text = re.sub(r"(?ims)^\.control.*?\.endc\n", "", text)
    printed = [".control", "op", f"print i({style.supply}) v({style.out})", ".endc", ".end"]
    body = text if text.startswith("*") else "* " + text
    (folder / ".spiceinit").write_text("set ngbehavior=hsa\n")
    deck = ["plain", *models, body, style.around, *printed]
    (folder / "plain.sp").write_text("\n".join(deck) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "plain.sp"], cwd=folder, capture_output=True, text=True, check=False
    )
    values = re.findall(r"^[iv]\(\S+\) = (\S+)$", done.stdout, re.M)
    assert len(values) == 2, done.stdout[-3000:] + done.stderr[-3000:]
    return -float(values[0]), float(values[1])


@needs_ngspice_program
@pytest.mark.parametrize(
    "style",
    [
        pytest.param(s, marks=needs_gf180mcu if s.name == "gf180" else needs_sky130, id=s.name)
        for s in STYLES
    ],
)
def test_a_netlist_as_it_is_has_the_operating_point_of_plain_ngspice(
    style: Style, tmp_path: Path
) -> None:
    path = NETLISTS / f"{style.name}.spice"
    circuit = import_text(read_file(path))
    assert {p.name for p in circuit.sizing.parameters} == set(style.parameters.split())
    folder = tmp_path / style.name
    write_folder(circuit, folder, path.read_bytes(), simulate=True)
    read, problems = read_circuit(folder)
    assert read is not None and problems == []
    task = task_of(read, circuit.pdk, "tt")
    with task.session(task.cost, workers=1) as session:
        evaluation = session.simulate(task.reference or {})
    assert evaluation.feasible, evaluation
    conditions = read.conditions(circuit.pdk)
    current, voltage = plain(style, tmp_path)
    assert evaluation.metrics["power"] / conditions["vdd"] == pytest.approx(current, rel=2e-3)
    names = [n for n in evaluation.metrics if n.startswith("v_")]
    found = (
        evaluation.metrics[names[0]] if names else conditions["v_cm"] + evaluation.metrics["offset"]
    )
    assert found == pytest.approx(voltage, abs=1e-3)
    shutil.rmtree(folder)
