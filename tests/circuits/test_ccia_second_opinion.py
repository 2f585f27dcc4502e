"""The instrumentation amplifier's metrics against a second, independent way of measuring them.

The netlist is written out here around the PDK's own subcircuits (or plain instances of the bundled
cards) and runs in the ngspice program: other sweeps, ngspice's own integral of the noise, a Fourier
integral, one voltage in the loop, the corner from a pseudo-resistor measured alone.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Status
from acs_gym.pdks.generic_cards import model_cards
from acs_gym.simulation.pool import Job, Simulator
from tests.circuits.proofs import winners
from tests.circuits.test_bandgap_second_opinion import plain_fet
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, library, measured

pytestmark = needs_ngspice_program
PDKS = [pytest.param("sky130", marks=needs_sky130), "generic"]
REST = "v(out)=0.75 v(gp)=0.75 v(gn)=0.75 v(wp)=0.75 v(wn)=0.75"


def models(pdk: str) -> str:
    return model_cards("tt") if pdk == "generic" else library()


def pseudo_resistor(pdk: str, name: str, a: str, b: str) -> list[str]:
    """Between a and b; its well is called after it."""
    transistor = fet if pdk == "sky130" else plain_fet
    well = f"w{name}"
    return [
        transistor(f"r{name}{end}", "pfet", f"{end} {end} {well} {well}", 0.5e-6, 1e-6)
        for end in (a, b)
    ]


def amplifier(pdk: str, d: Design, feedback: str = "out") -> str:
    """All but supply and signal; the feedback comes from the node of that name."""
    transistor = fet if pdk == "sky130" else plain_fet
    unit, bias = (d["w_load"], d["l_load"]), (d["w_bias"], d["l_bias"])
    pair, mirror = (d["w_pair"] / 8, d["l_pair"]), (d["w_mir"], d["l_mir"])
    m_load, large = int(d["m_load"]), d["n_gain"] * d["c_f"]
    return "\n".join(
        [
            f"cip inp gp {large}", f"cin inn gn {large}",
            f"cfp gp vref {d['c_f']}", f"cfn gn {feedback} {d['c_f']}",
            *pseudo_resistor(pdk, "p", "gp", "vref"),
            *pseudo_resistor(pdk, "n", "gn", feedback),
            f"ib vdd nb {d['i_bias']}",
            transistor("bias", "nfet", "nb nb 0 0", *bias),
            transistor("tail", "nfet", "tail nb 0 0", *bias, copies=8),
            transistor("sa", "nfet", "pb nb 0 0", *bias),
            transistor("sb", "nfet", "vcp nb 0 0", *bias),
            transistor("ca", "pfet", "pb pb vdd vdd", *unit),
            transistor("cb", "pfet", "vcn pb vdd vdd", *unit),
            transistor("ns", "nfet", "vcn vcn 0 0", 0.5e-6, d["l_nshift"]),
            transistor("ps", "pfet", "vcp vcp vdd vdd", 0.5e-6, d["l_pshift"]),
            transistor("pp", "nfet", "a gp tail 0", *pair, copies=8),
            transistor("pn", "nfet", "b gn tail 0", *pair, copies=8),
            transistor("lp", "pfet", "a a vdd vdd", *unit, copies=m_load),
            transistor("ln", "pfet", "b b vdd vdd", *unit, copies=m_load),
            transistor("lo", "pfet", "c a vdd vdd", *unit),
            transistor("lm", "pfet", "d b vdd vdd", *unit),
            transistor("po", "pfet", "out vcp c vdd", d["w_pcas"], d["l_cas"]),
            transistor("pm", "pfet", "mir vcp d vdd", d["w_pcas"], d["l_cas"]),
            transistor("no", "nfet", "out vcn e 0", d["w_ncas"], d["l_cas"]),
            transistor("nm", "nfet", "mir vcn f 0", d["w_ncas"], d["l_cas"]),
            transistor("mo", "nfet", "e mir 0 0", *mirror),
            transistor("mm", "nfet", "f mir 0 0", *mirror),
            f"co out 0 {d['c_out'] + 1e-12}",
            "vdd vdd 0 1.8",
            "vrs vrs 0 0.75",
            "rref vrs vref 1k noisy=0",
            "rsp sp inp 10k noisy=0",
            "rsn sn inn 10k noisy=0",
            f".nodeset {REST}",
            ".options reltol=1e-6",
        ]
    )  # fmt: skip


def small_signals(pdk: str, d: Design) -> str:
    """Halves of a signal, then a common mode, then the supply; noise last."""
    return f"""* small signals
{models(pdk)}
{amplifier(pdk, d)}
vp sp 0 dc 0 ac 0.5
vn sn 0 dc 0 ac -0.5
.control
op
let watts = -1.8*i(vdd)
print watts
ac dec 40 10m 1meg
let db = vdb(out)
meas ac top max db
let edge = top-3.0103
meas ac low when db=edge rise=1
meas ac high when db=edge fall=1
alter @vp[acmag] = 1
alter @vn[acmag] = 1
ac dec 40 10 5k
let db = vdb(out)
let re = real(v(out))
meas ac common max db
meas ac mains find re at=50
alter @vp[acmag] = 0
alter @vn[acmag] = 0
alter @vdd[acmag] = 1
ac dec 40 10 5k
let db = vdb(out)
meas ac supply max db
noise v(out) vdd dec 40 0.5 50k
print onoise_total
.endc
.end
"""


def some_designs(task: acs_gym.Task) -> list[Design]:
    """The reference, what optimisers ended on, and random designs about the reference."""
    rng = np.random.default_rng(9)
    reference = task.reference or {}
    near = task.space.to_unit(reference) + rng.normal(0, 0.02, (2, len(task.space)))
    return [reference, *winners(task), *(task.space.from_unit(u) for u in near.clip(0, 1))]


@pytest.fixture(params=PDKS)
def process(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(process: str) -> acs_gym.Task:
    return acs_gym.make_task("ccia", pdk=process)


def test_small_signals_at_the_reference_winners_and_random_designs(
    task: acs_gym.Task, process: str, in_process: Simulator, tmp_path: Path
) -> None:
    compared = 0
    for design in some_designs(task):
        [outcome] = in_process.run([Job(task.program, design)])
        if outcome.status is not Status.OK:
            continue
        ours, theirs = outcome.metrics, measured(small_signals(process, design), tmp_path)
        assert ours["power"] == pytest.approx(theirs["watts"], rel=5e-3)
        assert ours["gain"] == pytest.approx(theirs["top"], abs=0.02)
        assert ours["high_pass"] == pytest.approx(theirs["low"], rel=0.02)
        assert ours["bandwidth"] == pytest.approx(theirs["high"], rel=0.01)
        assert ours["cmrr"] == pytest.approx(theirs["top"] - theirs["common"], abs=0.1)
        assert ours["psrr"] == pytest.approx(theirs["top"] - theirs["supply"], abs=0.5)
        assert ours["noise_out"] == pytest.approx(theirs["onoise_total"], rel=0.02)
        compared += 1
    assert compared >= 2


def alone(pdk: str, gmin: str, folder: Path) -> float:
    """The conductance (S) of one pseudo-resistor about 0 V."""
    deck = f"""* one pseudo-resistor
{models(pdk)}
{chr(10).join(pseudo_resistor(pdk, "p", "x", "0"))}
vx x 0 0
.options reltol=1e-9 abstol=1e-18 gmin={gmin}
.control
dc vx -1m 1m 2m
let siemens = (i(vx)[0]-i(vx)[1])/2m
print siemens
.endc
.end
"""
    return measured(deck, folder)["siemens"]


def test_the_corner_is_that_of_one_pseudo_resistor_and_c_f(
    task: acs_gym.Task, process: str, in_process: Simulator, tmp_path: Path
) -> None:
    """And kT/C of it from 0.5 Hz on, by an integral."""
    d = task.reference or {}
    [outcome] = in_process.run([Job(task.program, d)])
    conductance, leak = (alone(process, gmin, tmp_path) for gmin in ("1e-12", "1e-15"))
    # At 27 °C what conducts is the simulator's gmin across two junctions, not the models' leakage.
    assert conductance == pytest.approx(0.5e-12, rel=0.1) and leak < 0.05 * conductance
    corner = conductance / (2 * math.pi * d["c_f"])
    assert outcome.metrics["high_pass"] == pytest.approx(corner, rel=0.05)
    f = np.geomspace(0.5, 1e7, 20_001)
    one = 4 * 1.380649e-23 * 300.15 / conductance / (1 + (f / corner) ** 2)
    both = math.sqrt(2 * float(np.trapezoid(one, f)))
    # What the task adds is a bound from above, and not a far one.
    assert both <= outcome.metrics["noise_leak"] < 1.35 * both


def test_gain_is_that_of_the_capacitors_and_a_finite_loop(
    task: acs_gym.Task, in_process: Simulator
) -> None:
    """n_gain, less what the loop gain in mid-band leaves: 0.1 dB and more would be another mistake."""
    d = task.reference or {}
    [outcome] = in_process.run([Job(task.program, d)])
    gain = outcome.metrics["gain"]
    assert 20 * math.log10(d["n_gain"]) - 0.5 < gain < 20 * math.log10(d["n_gain"])


def test_the_loop_by_one_voltage_in_the_feedback_wire(
    task: acs_gym.Task, process: str, in_process: Simulator, tmp_path: Path
) -> None:
    """The ratio of both sides alone: what c_f draws is a hundredth of what the output's load does."""
    d = task.reference or {}
    [outcome] = in_process.run([Job(task.program, d)])
    deck = f"""* a voltage in the wire
{models(process)}
{amplifier(process, d, "fb")}
vp sp 0 0
vn sn 0 0
vloop fb out 0 ac 1
.control
ac dec 50 10 10meg
let loop = -v(out)/v(fb)
let nearness = mag(1+loop)
let db = vdb(loop)
meas ac nearest min nearness
meas ac unity when db=0 fall=1
meas ac least find db at=10meg
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert outcome.metrics["modulus_margin"] == pytest.approx(theirs["nearest"], rel=0.02)
    assert outcome.metrics["gain_margin"] > 40 and theirs["least"] < -30
    # The loop falls as one pole, so the amplifier's upper corner is where it passes 1.
    assert outcome.metrics["bandwidth"] == pytest.approx(theirs["unity"], rel=0.05)


def test_distortion_by_a_long_sine_and_a_fourier_integral(
    task: acs_gym.Task, process: str, in_process: Simulator, tmp_path: Path
) -> None:
    """Ten periods with fine steps, the last one integrated by hand against each harmonic."""
    d = task.reference or {}
    [outcome] = in_process.run([Job(task.program, d)])
    deck = f"""* sine
{models(process)}
{amplifier(process, d)}
vp sp 0 dc 0 sin(0 2m 1k)
vn sn 0 dc 0 sin(0 -2m 1k)
.control
tran 2u 10m 0 2u
linearize v(out)
set wr_singlescale
wrdata sine v(out)
let peak = vecmax(v(out))
print peak
.endc
.end
"""
    measured(deck, tmp_path)
    t, v = np.loadtxt(tmp_path / "sine", usecols=(0, 1), unpack=True)
    last = (t > 8.9995e-3) & (t < 9.9985e-3)
    t, v = t[last], v[last]
    harmonics = [abs(np.mean(v * np.exp(-2j * np.pi * 1e3 * k * t))) for k in range(1, 11)]
    thd = 20 * math.log10(math.hypot(*harmonics[1:]) / harmonics[0])
    assert outcome.metrics["thd"] == pytest.approx(thd, abs=0.5)


def test_the_common_mode_over_mismatch_is_what_offsets_and_capacitors_make(
    in_process: Simulator, tmp_path: Path
) -> None:
    """By a millivolt in series with a gate of each kind, and the Pelgrom constants of docs/devices.md."""
    task = acs_gym.make_task("ccia", pdk="generic", tier="mc")
    d = task.reference or {}
    outcomes = in_process.run([task.job(d, draw) for draw in range(task.cost)])
    found = [o.metrics["a_mains"] for o in outcomes]
    body = amplifier("generic", d)
    # The gate that is moved, how many such devices there are, and sigma of one.
    kinds = {
        "mpp a gp": (2, 2.47e-9 / math.sqrt(d["w_pair"] * d["l_pair"])),
        "mlo c a": (4, 3.54e-9 / math.sqrt(d["w_load"] * d["l_load"])),
        "mmo e mir": (2, 2.47e-9 / math.sqrt(d["w_mir"] * d["l_mir"])),
    }
    parts = []
    for gate, (count, of_two) in kinds.items():
        assert body.count(gate) == 1
        *start, node = gate.split()
        moved = body.replace(gate, " ".join([*start, "moved"]))
        deck = f"""* a millivolt
{models("generic")}
{moved}
voff {node} moved 0
vp sp 0 dc 0 ac 1
vn sn 0 dc 0 ac 1
.control
ac lin 1 50 50
let still = real(v(out))
alter voff dc = 1m
ac lin 1 50 50
let slope = (real(v(out))-ac1.still)/1m
print slope
.endc
.end
"""
        slope = measured(deck, tmp_path)["slope"]
        parts.append(slope * of_two / math.sqrt(2) * math.sqrt(count))
    area = d["c_f"] / 2e-15
    parts.append(0.005 * math.sqrt(2 / area + 2 / (area * d["n_gain"])))
    # They are most of it; cascodes, bias and tail add the rest. 32 draws know sigma to an eighth.
    assert 0.6 < math.hypot(*parts) / np.std(found) < 1.2
