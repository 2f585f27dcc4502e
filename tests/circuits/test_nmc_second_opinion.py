"""The nested-Miller op-amp's metrics against a second, independent way of measuring them.

The netlist is written out here, the devices are the PDK's own subcircuits (or plain instances of the
bundled cards), the loop is open with an inductor and capacitor servo, edges come from a transient of
small steps, and all of it runs in the ngspice program: at the reference, at designs around it and at what
optimisers end on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.design import Design
from acs_gym.simulation.pool import Job, Simulator
from benchmarks import analoggym
from tests.circuits.proofs import winners
from tests.circuits.test_telescopic_second_opinion import ELEMENT, PDKS, devices
from tests.conftest import needs, needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import measured

pytestmark = needs_ngspice_program
V_CM, HEAVY, LIGHT = 0.3, 100e-12, 10e-12
# What optimisers ended on is known for SKY130 (winners.json).
WHERE = [
    pytest.param(pdk, where, id=f"{pdk}-{where}", marks=needs(pdk))
    for pdk in ("sky130", "generic")
    for where in ("reference", "near 0", *(("winner 0", "winner 1") if pdk == "sky130" else ()))
]
START = f".nodeset v(out)={V_CM} v(inn)={V_CM} v(o2)=0.65 v(s1)=0.2 v(s2)=0.2"


def nmc(d: dict[str, float], fet: Callable[..., str]) -> str:
    source = d["w_bias"], d["l_bias"]
    sink = d["w_sink"], d["l_sink"]
    cascode = d["w_ncas"], d["l_ncas"]
    second = d["w_second"], d["l_load"]
    m_sink = int(d["m_sink"])
    return "\n".join(
        [
            f"ibias gp 0 {d['i_bias']}",
            fet("bias", "pfet", "gp gp vdd vdd", *source),
            fet("biasa", "pfet", "gc gp vdd vdd", *source),
            fet("biasb", "pfet", "gn gp vdd vdd", *source),
            fet("tail", "pfet", "tail gp vdd vdd", *source, copies=int(d["m_tail"])),
            fet("pull", "pfet", "o2 gp vdd vdd", *source, copies=int(d["m_second"])),
            fet("shift", "nfet", "gc gc 0 0", 1e-6, d["l_nshift"]),
            fet("casr", "nfet", "gn gc sr 0", *cascode),
            fet("sinkr", "nfet", "sr gn 0 0", *sink),
            fet("pn", "pfet", "s1 inn tail tail", d["w_pair"], d["l_pair"]),
            fet("pp", "pfet", "s2 inp tail tail", d["w_pair"], d["l_pair"]),
            fet("sink1", "nfet", "s1 gn 0 0", *sink, copies=m_sink),
            fet("sink2", "nfet", "s2 gn 0 0", *sink, copies=m_sink),
            fet("cas1", "nfet", "mir gc s1 0", *cascode, copies=m_sink),
            fet("cas2", "nfet", "o1 gc s2 0", *cascode, copies=m_sink),
            fet("ld1", "pfet", "mir mir vdd vdd", d["w_load"], d["l_load"]),
            fet("ld2", "pfet", "o1 mir vdd vdd", d["w_load"], d["l_load"]),
            fet("sec", "pfet", "turn o1 vdd vdd", *second),
            fet("turn1", "nfet", "turn turn 0 0", d["w_turn"], d["l_turn"]),
            fet("turn2", "nfet", "o2 turn 0 0", d["w_turn"], d["l_turn"]),
            fet("drv", "nfet", "out o2 0 0", d["w_driver"], d["l_driver"], copies=4),
            fet("fwd", "pfet", "out o1 vdd vdd", *second, copies=int(d["m_forward"])),
            f"cm1 o1 out {d['c_m1']}",
            f"cm2 o2 out {d['c_m2']}",
            f"cl out 0 {HEAVY}",
            "vdd vdd 0 1.8",
        ]
    )


def open_loop(body: str, models: str, c_in: float, gm: str) -> str:
    """Gain, rejections, bandwidth, phase and power; closed at DC by a servo of 1 GH and 1 F."""
    return f"""* open loop
{models}
{body}
cin out 0 {c_in}
vip inp 0 dc {V_CM} ac 0
vin src 0 dc 0 ac -1
lservo out inn 1g
cservo inn src 1
{START}
.options reltol=1e-6 keepopinfo
.control
op
let watts = -1.8*i(vdd)
print watts
let gm1 = {gm}
print gm1
ac lin 1 0.1 0.1
let gain = vdb(out)
print gain
ac lin 1 100 100
let differential = vdb(out)
print differential
alter @vin[acmag] = 0
alter @vdd[acmag] = 1
ac lin 1 100 100
let of_supply = vdb(out)
print of_supply
alter @vdd[acmag] = 0
alter @vin[acmag] = 1
alter @vip[acmag] = 1
ac lin 1 100 100
let common = vdb(out)
print common
alter @vip[acmag] = 0
alter @vin[acmag] = -1
* its pivots are chosen at the first frequency, and the servo's admittances change by their square
ac dec 50 10k 1g
let db = vdb(out)
let deg = 180/pi*cph(out)
meas ac fu when db=0 fall=1
meas ac phase find deg when db=0 fall=1
alter cl={LIGHT}
ac dec 50 10k 1g
let db = vdb(out)
let deg = 180/pi*cph(out)
meas ac fu_light when db=0 fall=1
meas ac phase_light find deg when db=0 fall=1
.endc
.end
"""


def input_load(body: str, models: str, folder: Path) -> float:
    """The capacitance (F) that the inverting input adds to the load, with the output held."""
    deck = f"""* what the inverting input draws at 10 MHz
{models}
{body}
vip inp 0 dc {V_CM}
vin src 0 dc 0 ac 1
lservo out inn 1g
cservo inn src 1
chold out 0 1
{START}
.options reltol=1e-6
.control
ac lin 1 10meg 10meg
let c = -imag(i(vin))/(2*pi*10meg)
print c
.endc
.end
"""
    return measured(deck, folder)["c"]


def follower(body: str, models: str) -> str:
    """Noise, peaking with both loads, the input's range, and edges in steps of 5 ns."""
    return f"""* unity-gain follower
{models}
{body}
vip inp 0 dc {V_CM} ac 1 pulse({V_CM} {V_CM + 0.2} 50n 1n 1n 2499n 1)
vshort inn out 0
{START}
.options reltol=1e-5
.control
tran 5n 5050n 0 5n
meas tran rise trig v(out) val=0.34 rise=1 targ v(out) val=0.46 rise=1
meas tran fall trig v(out) val=0.46 fall=1 targ v(out) val=0.34 fall=1
meas tran top max v(out)
meas tran rested find v(out) at=2540n
meas tran bottom min v(out) from=2560n to=5050n
meas tran ended find v(out) at=5040n
meas tran low_up when v(out)=0.498 cross=last from=60n to=2540n
meas tran high_up when v(out)=0.502 cross=last from=60n to=2540n
meas tran low_down when v(out)=0.298 cross=last from=2560n to=5040n
meas tran high_down when v(out)=0.302 cross=last from=2560n to=5040n
noise v(out) vip dec 20 100 100k
print inoise_total
ac dec 200 1k 100meg
let db = vdb(out)
meas ac first find db at=1k
meas ac most max db
alter cl={LIGHT}
ac dec 200 1k 100meg
let db = vdb(out)
meas ac first_light find db at=1k
meas ac most_light max db
dc vip 0.05 1.1 0.005
let error = v(out)-v(inp)
meas dc middle find error at=0.3
let moved = abs(error-middle)
meas dc last when moved=0.005 rise=1
.endc
.end
"""


@pytest.fixture
def task(process: str) -> acs_gym.Task:
    return acs_gym.make_task("nmc", pdk=process)


@pytest.fixture
def design(task: acs_gym.Task, where: str) -> Design:
    """The reference, a design 4 % of the ranges away from it, or one that an optimiser ended on."""
    kind, _, number = where.partition(" ")
    reference = task.space.canonicalize(task.reference or {})
    if kind == "reference":
        return reference
    if kind == "winner":
        return winners(task)[int(number)]
    steps = np.random.default_rng(int(number)).normal(0, 0.04, len(task.space))
    return task.space.from_unit(np.clip(task.space.to_unit(reference) + steps, 0, 1))


@pytest.fixture
def ours(task: acs_gym.Task, design: Design, in_process: Simulator) -> dict[str, float]:
    return in_process.run([Job(task.program, design)])[0].metrics


@pytest.mark.parametrize(("process", "where"), WHERE)
def test_open_loop_gain_bandwidth_and_phase_with_both_loads(
    task: acs_gym.Task, design: Design, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    body = nmc(design, fet)
    gm = f"@{ELEMENT[task.pdk_name].format('pn', 'pfet')}[gm]"
    deck = open_loop(body, models, input_load(body, models, tmp_path), gm)
    theirs = measured(deck, tmp_path)
    assert ours["gain"] == pytest.approx(theirs["gain"], abs=0.1)
    assert ours["ugbw"] == pytest.approx(theirs["fu"], rel=0.01)
    assert ours["psrr"] == pytest.approx(theirs["differential"] - theirs["of_supply"], abs=0.3)
    assert ours["cmrr"] == pytest.approx(theirs["differential"] - theirs["common"], abs=0.3)
    assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-4)
    assert ours["pm_heavy"] == pytest.approx(180 + theirs["phase"], abs=1.0)
    assert ours["pm_light"] == pytest.approx(180 + theirs["phase_light"], abs=1.0)
    if design == task.space.canonicalize(task.reference or {}):
        # gm1/Cm1; the poles behind it move it where the load is large.
        by_hand = theirs["gm1"] / (2 * math.pi * design["c_m1"])
        assert theirs["fu_light"] == pytest.approx(by_hand, rel=0.1)


@pytest.mark.parametrize(("process", "where"), WHERE)
def test_a_follower_of_plain_ngspice_has_the_same_edges_peaks_and_noise(
    task: acs_gym.Task, design: Design, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    theirs = measured(follower(nmc(design, fet), models), tmp_path)
    assert ours["slew_rise"] == pytest.approx(0.12 / theirs["rise"], rel=0.03)
    assert ours["slew_fall"] == pytest.approx(0.12 / theirs["fall"], rel=0.03)
    assert ours["over_rise"] == pytest.approx((theirs["top"] - theirs["rested"]) / 0.2, abs=0.005)
    assert ours["over_fall"] == pytest.approx((theirs["ended"] - theirs["bottom"]) / 0.2, abs=0.005)
    up = max(t for name, t in theirs.items() if name.endswith("_up")) - 50e-9
    down = max(t for name, t in theirs.items() if name.endswith("_down")) - 2550e-9
    assert ours["settle_rise"] == pytest.approx(up, rel=0.03)
    assert ours["settle_fall"] == pytest.approx(down, rel=0.03)
    assert ours["input_range"] == pytest.approx(theirs["last"] - 0.05, rel=0.01)
    assert ours["noise"] == pytest.approx(theirs["inoise_total"], rel=0.02)
    assert ours["peak_heavy"] == pytest.approx(theirs["most"] - theirs["first"], abs=0.02)
    light = theirs["most_light"] - theirs["first_light"]
    assert ours["peak_light"] == pytest.approx(light, abs=0.02)


@needs_sky130
def test_at_published_sizes_the_testbenches_find_what_was_published(in_process: Simulator) -> None:
    """AnalogGym's amplifier (its slew rate and settling were simulated at other sizes)."""
    _, still, _ = analoggym.measure(in_process)
    for metric in ("gain", "cmrr", "psrr"):
        assert still.metrics[metric] == pytest.approx(analoggym.PUBLISHED[metric], abs=0.6)
    for metric in ("ugbw", "power"):
        assert still.metrics[metric] == pytest.approx(analoggym.PUBLISHED[metric], rel=0.04)
    assert still.metrics["pm"] == pytest.approx(analoggym.PUBLISHED["pm"], abs=0.3)
    assert still.metrics["saturation"] < 1


@pytest.mark.parametrize("pdk", PDKS)
def test_no_load_in_between_has_smaller_margins_than_the_two_that_are_measured(
    pdk: str, in_process: Simulator
) -> None:
    task = acs_gym.make_task("nmc", pdk=pdk)
    assert task.reference is not None
    loads = [LIGHT * 10 ** (k / 4) for k in range(5)]
    jobs = [Job(task.program, task.reference, conditions={"c_load": c}) for c in loads]
    outcomes = [o.metrics for o in in_process.run(jobs)]
    shown = outcomes[-1]  # c_light stays: the smaller of both ends.
    for metric in ("modulus_margin", "pm"):
        assert min(o[metric] for o in outcomes) > 0.95 * shown[metric]
