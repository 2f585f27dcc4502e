"""What designers write as their netlists have it: accepted, or told what to write."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

import acs_gym
from acs_gym.circuit import CircuitError
from acs_gym.circuit_lint import suspicions
from acs_gym.circuit_reading import load_circuit
from acs_gym.cli import main
from acs_gym.evaluation import Evaluation, Status
from acs_gym.pdks import get_pdk
from acs_gym.simulation.pool import Simulator
from acs_gym.task import task_of
from tests.conftest import needs_sky130

BENCH = "bench_differential.spice"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh circuit as `acs-gym new` writes it, known to this test alone."""
    monkeypatch.setattr("acs_gym.registry._registered", {})
    assert main(["new", "preamp", "--into", str(tmp_path)]) == 0
    return tmp_path / "preamp"


def edit(folder: Path, file: str, *changes: tuple[str, str], every: bool = False) -> None:
    text = (folder / file).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, -1 if every else 1)
    (folder / file).write_text(text)


def reference(folder: Path, simulator: Simulator, pdk: str = "generic") -> Evaluation:
    task = task_of(load_circuit(folder), pdk)
    assert task.reference is not None
    return task.judge(task.reference, simulator.run([task.job(task.reference)])[0])


def test_microns_in_a_field_of_metres_are_an_invalid_design_that_says_so(
    folder: Path, in_process: Simulator
) -> None:
    edit(folder, "circuit.toml", ("low = 0.5e-6", "low = 0.5"), ("high = 100e-6", "high = 100"),
         ("step = 5e-9", "step = 0.005"))  # fmt: skip
    (folder / "reference.toml").write_text("")
    circuit = load_circuit(folder)
    remarks = [str(p) for p in suspicions(circuit)]
    assert any("goes up to 100 m: microns? write 0.5e-6 to 100e-6" in r for r in remarks), remarks
    task = task_of(circuit, "sky130" if get_pdk("sky130").available() else "generic")
    if task.pdk_name == "generic":
        pytest.skip("the bundled cards have no bins")
    outcome = in_process.run([task.job(task.space.from_unit([0.9] * len(task.space)))])[0]
    assert outcome.status is Status.INVALID_DESIGN
    assert "pair_p: no model card for w = " in outcome.message
    assert outcome.message.endswith("were microns meant?")


def test_a_port_called_gnd_has_its_own_potential(folder: Path, in_process: Simulator) -> None:
    """ngspice ties every gnd to 0; a substrate 0.2 V up must count, whatever its node is called."""
    edit(folder, BENCH, (" 0 preamp", " low preamp"), ("vcm ", "vlow low 0 dc 0.2\nvcm "))
    plain = reference(folder, in_process)
    edit(folder, "dut.spice", ("vss", "gnd"), every=True)
    renamed = reference(folder, in_process)
    assert plain.status is renamed.status is Status.OK
    assert {k: f"{v:.9g}" for k, v in renamed.metrics.items()} == {
        k: f"{v:.9g}" for k, v in plain.metrics.items()
    }


def test_gnd_in_a_bench_is_node_0(folder: Path, in_process: Simulator) -> None:
    before = reference(folder, in_process)
    edit(folder, BENCH, (" 0 preamp", " gnd preamp"), ("rout out 0", "rout out GND"))
    assert reference(folder, in_process).metrics == before.metrics


def test_a_first_line_that_spice_would_drop_is_refused(folder: Path) -> None:
    text = (folder / BENCH).read_text()
    (folder / BENCH).write_text("vx x 0 dc 1\n" + text)
    with pytest.raises(
        CircuitError, match=rf"{BENCH}:1: SPICE takes the first line, 'vx x 0 dc 1'"
    ):
        load_circuit(folder)


def test_upper_case_parameters_are_as_good_as_any(folder: Path, in_process: Simulator) -> None:
    before = reference(folder, in_process)
    for file in ("circuit.toml", "dut.spice", "reference.toml"):
        edit(folder, file, ("w_pair", "W_PAIR"), every=True)
    assert reference(folder, in_process).metrics == before.metrics


def test_parameters_that_differ_in_case_alone_are_one_too_many(folder: Path) -> None:
    edit(folder, "circuit.toml", ('name = "l_pair"', 'name = "W_pair"'))
    with pytest.raises(CircuitError, match="a second parameter called 'W_pair', beside 'w_pair'"):
        load_circuit(folder)


def test_an_x_line_takes_suffixes_as_every_spice_does(folder: Path, in_process: Simulator) -> None:
    edit(folder, "dut.spice", ("nfet w={w_bias} l={l_bias}", "nfet w=4.7u l=500n"))
    first = reference(folder, in_process)
    edit(folder, "dut.spice", ("w=4.7u l=500n", "w=4.7e-6 l={0.5e-6}"))
    assert first.status is Status.OK
    assert reference(folder, in_process).metrics == first.metrics


def test_a_byte_order_mark_is_no_part_of_a_file(folder: Path, in_process: Simulator) -> None:
    before = reference(folder, in_process)
    for path in folder.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert reference(folder, in_process).metrics == before.metrics


# --- the devices of a foundry -------------------------------------------------------------------


@needs_sky130
@pytest.mark.parametrize(
    "line",
    [
        "XC1 outp outn sky130_fd_pr__cap_mim_m3_1 W=10 L=10 MF=1 m=1",
        "XR1 outp outn vss sky130_fd_pr__res_high_po_0p35 L=10 mult=1 m=1",
        "XR1 outp outn vss sky130_fd_pr__res_xhigh_po W=0.35 L=10 mult=1 m=1",
        "XV1 outp vss vss sky130_fd_pr__cap_var_lvt W=5 L=0.5 VM=20",
        "XQ1 vss vss outp sky130_fd_pr__pnp_05v5_W3p40L3p40 NE=1 m=1",
        "XD1 vss outp sky130_fd_pr__diode_pw2nd_05v5 area=1e12 perim=4e6",
        "XM9 vdd vdd outp vss sky130_fd_pr__nfet_01v8 L=0.15 W=2 nf=2 "
        "ad='int((nf+1)/2) * W/nf * 0.29' as='int((nf+2)/2) * W/nf * 0.29' "
        "pd='2*int((nf+1)/2) * (W/nf + 0.29)' nrd='0.29 / W' sa=0 sb=0 sd=0 mult=1 m=1",
    ],
)
def test_a_schematic_s_line_is_simulated_as_it_is(
    folder: Path, in_process: Simulator, line: str
) -> None:
    only_sky130(folder)
    before = reference(folder, in_process, "sky130")
    edit(folder, "dut.spice", (".ends", f"{line}\n.ends"))
    found = reference(folder, in_process, "sky130")
    assert found.status is Status.OK, found.message
    assert found.metrics != before.metrics


@needs_sky130
@pytest.mark.parametrize(
    "line",
    [
        "Xv outp vss vss sky130_fd_pr__cap_var_hvt w={w_pair} l=1e-6 vm=20",
        "Xr outp outn vss sky130_fd_pr__res_xhigh_po w=1e-6 l={w_pair}",
    ],
    ids=["varactor", "poly"],
)
def test_a_law_of_voltages_follows_the_design(
    folder: Path, in_process: Simulator, line: str
) -> None:
    """`alter` cannot reach a formula of voltages; what a design moves in it is held by sources."""
    only_sky130(folder)
    edit(folder, "dut.spice", (".ends", f"{line}\n.ends"))
    task = task_of(load_circuit(folder), "sky130")
    assert task.reference is not None
    small, large = ({**task.reference, "w_pair": w} for w in (5e-6, 40e-6))
    for job in (task.job(small), task.job(large)):
        moved = in_process.run([job])[0].metrics
    edit(folder, "dut.spice", (line, line.replace("{w_pair}", "40e-6")))
    still = task_of(load_circuit(folder), "sky130")
    assert in_process.run([still.job(large)])[0].metrics == pytest.approx(moved, rel=1e-6)
    assert in_process.run([still.job(small)])[0].metrics != pytest.approx(
        in_process.run([task.job(small)])[0].metrics, rel=1e-3
    )


def only_sky130(folder: Path) -> None:
    text = (folder / "circuit.toml").read_text()
    assert "[pdk.generic]" in text
    (folder / "circuit.toml").write_text(text.replace("[pdk.generic]\n", ""))
    sizings = (folder / "reference.toml").read_text()
    start, end = sizings.index("[generic.tt]"), sizings.index("[sky130.tt]")
    (folder / "reference.toml").write_text(sizings[:start] + sizings[end:])


@needs_sky130
def test_families_are_what_they_are_and_not_their_cousins(in_process: Simulator) -> None:
    """A low threshold is worth a factor in current where a pair is biased: 3.3 at Vgs = 0.7 V."""
    devices = get_pdk("sky130").devices("tt")
    cards = {k: devices[f"sky130_fd_pr__{k}"].cards for k in ("nfet_01v8", "nfet_01v8_lvt")}
    assert not set(cards["nfet_01v8"]) & set(cards["nfet_01v8_lvt"])


@needs_sky130
def test_another_pdk_s_device_is_refused_by_name(folder: Path) -> None:
    pair = "sky130_fd_pr__nfet_01v8_lvt w={w_pair}"
    edit(folder, "dut.spice", ("nfet w={w_pair}", pair), every=True)
    with pytest.raises(CircuitError, match="generic has no device sky130_fd_pr__nfet_01v8_lvt"):
        task_of(load_circuit(folder), "generic")


BETA_MULTIPLIER = """\
* a current that its resistor sets: it follows the resistor's corners and temperature
.subckt bm vdd iout na vss
Xmn_a na na vss vss nfet w=5e-6 l=2e-6
Xmn_b pb na src vss nfet w=5e-6 l=2e-6 m=4
Xr    src vss {kind} r={{r_set}}
Xmp_a na pb vdd vdd pfet w=10e-6 l=2e-6
Xmp_b pb pb vdd vdd pfet w=10e-6 l=2e-6
Xmp_o iout pb vdd vdd pfet w=10e-6 l=2e-6
.ends bm
"""
BETA_TOML = """\
id = "My-BetaMultiplier-v0"
title = "beta multiplier"
description = "current reference"
figure_of_merit = "iout"
[conditions]
vdd = 1.8
temperature = 27.0
[[parameter]]
name = "r_set"
unit = "Ohm"
low = 1000
high = 100000
scale = "log"
description = "the resistor"
[[bench]]
netlist = "bench_dc.spice"
  [[bench.analysis]]
  name = "op"
  command = "op"
  [[bench.analysis]]
  name = "temp"
  command = "dc temp -40 125 5"
[[metric]]
name = "iout"
unit = "A"
description = "output current"
analysis = "op"
signal = "i(vo)"
[[metric]]
name = "tc"
unit = "ppm/K"
description = "temperature coefficient of the output current"
analysis = "temp"
signal = "i(vo)"
measure = "temperature_coefficient"
options = { reference = 27 }
[[spec]]
metric = "iout"
direction = ">="
target = 5e-6
[pdk.sky130]
[pdk.generic]
"""


@needs_sky130
def test_a_resistor_s_corners_are_in_pvt_where_an_ideal_one_hides_them(
    tmp_path: Path, in_process: Simulator
) -> None:
    """With an ideal 10 kOhm this reference holds 5 uA to 10 uA over pvt; no real one does."""
    spans: dict[str, tuple[float, float]] = {}
    coefficient: dict[str, float] = {}
    for kind in ("ideal_res", "res"):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "circuit.toml").write_text(BETA_TOML)
        (folder / "dut.spice").write_text(BETA_MULTIPLIER.format(kind=kind))
        (folder / "bench_dc.spice").write_text(
            "* its output at 0.6 V\nvdd vdd 0 dc {vdd}\nvo iout 0 dc 0.6\nXdut vdd iout na 0 bm\n"
            ".nodeset v(na)=0.7\n"
        )
        (folder / "reference.toml").write_text("")
        task = task_of(load_circuit(folder), "sky130", "pvt")
        jobs = [task.job({"r_set": 1e4}, k) for k in range(task.cost)]
        found = [o.metrics for o in in_process.run(jobs)]
        spans[kind] = min(m["iout"] for m in found), max(m["iout"] for m in found)
        coefficient[kind] = found[task.conditions.nominal]["tc"]
    assert spans["ideal_res"][0] > 5e-6 and spans["ideal_res"][1] < 10e-6
    assert spans["res"][0] < 4.8e-6 and spans["res"][1] > 10.8e-6
    # Poly grows with temperature and takes a quarter of the current's own slope away.
    assert coefficient["res"] < 0.85 * coefficient["ideal_res"]


@needs_sky130
def test_fingers_divide_the_width_and_share_diffusions(in_process: Simulator) -> None:
    """W = 20 um in ten fingers is ten devices of 2 um, with less capacitance at the drain."""
    device = get_pdk("sky130").devices("tt")["nfet"]
    folded = device.values(device.parts[0], {"w": 20e-6, "l": 0.15e-6, "nf": 10})
    ten = device.values(device.parts[0], {"w": 2e-6, "l": 0.15e-6, "m": 10})
    assert device.model(20e-6 / 10, 0.15e-6) == device.model(2e-6, 0.15e-6)
    assert folded["ad"] == pytest.approx(0.5 * 10 * ten["ad"], rel=1e-12)
    assert folded["as"] == pytest.approx(0.6 * 10 * ten["as"], rel=1e-12)
    assert math.isclose(folded["pd"], 10 * (2e-6 + 0.29e-6))
    assert replace(device) == device and acs_gym.get_pdk("sky130").devices("tt")["nfet"] is device
