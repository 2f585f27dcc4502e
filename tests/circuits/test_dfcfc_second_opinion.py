"""The DFCFC op-amp's metrics against a second, independent way of measuring them.

The netlist is written out here on the devices of the PDK's own subcircuits (or plain instances of the
bundled cards), and runs in the ngspice program: open with an inductor and capacitor servo, and as a
follower in small steps with either load. At the references, beside one, and where optimisers ended.
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
from tests.circuits.proofs import winners
from tests.circuits.test_nmc_second_opinion import (
    HEAVY,
    LIGHT,
    START,
    V_CM,
    input_load,
    open_loop,
)
from tests.circuits.test_telescopic_second_opinion import ELEMENT, PDKS, devices
from tests.conftest import needs, needs_ngspice_program
from tests.integration.test_classic_bench import measured

pytestmark = needs_ngspice_program
# The first feasible design of composite-ei on SKY130.
SOLVED = {
    "w_pair": 6.025e-06,
    "l_pair": 8.3e-07,
    "w_bias": 2.505e-06,
    "l_bias": 1.475e-06,
    "w_sink": 1.0585e-05,
    "l_sink": 1.3835e-05,
    "w_ncas": 4.365e-06,
    "l_ncas": 1.34e-06,
    "l_nshift": 1.202e-05,
    "w_load": 1.2495e-05,
    "l_load": 4e-06,
    "w_second": 5.41e-06,
    "l_second": 1.7e-07,
    "w_turn": 5.15e-06,
    "l_turn": 7.15e-07,
    "w_driver": 1.329e-05,
    "l_driver": 2.05e-07,
    "m_tail": 3,
    "m_sink": 4,
    "m_second": 3,
    "m_damp": 1,
    "m_forward": 18,
    "i_bias": 1.54310956e-06,
    "c_m1": 2.84222325e-12,
    "c_m2": 1.898093e-12,
}
WHERE = [
    *(
        pytest.param("sky130", where, id=f"sky130-{where}", marks=needs("sky130"))
        for where in ("reference", "near", "solved", "winner 1")
    ),
    pytest.param("generic", "reference", id="generic-reference"),
]


def dfcfc(d: dict[str, float], fet: Callable[..., str]) -> str:
    source = d["w_bias"], d["l_bias"]
    sink = d["w_sink"], d["l_sink"]
    cascode = d["w_ncas"], d["l_ncas"]
    second = d["w_second"], d["l_second"]
    unit = d["w_driver"], d["l_driver"]
    m_sink, m_second, m_damp = int(d["m_sink"]), int(d["m_second"]), int(d["m_damp"])
    m_forward = int(d["m_forward"])
    return "\n".join(
        [
            "vdd vdd 0 1.8",
            f"cl out 0 {HEAVY}",
            f"ibias gp 0 {d['i_bias']}",
            fet("bias", "pfet", "gp gp vdd vdd", *source),
            fet("biasa", "pfet", "gc gp vdd vdd", *source),
            fet("biasb", "pfet", "gn gp vdd vdd", *source),
            fet("shift", "nfet", "gc gc 0 0", 1e-6, d["l_nshift"]),
            fet("casr", "nfet", "gn gc sr 0", *cascode),
            fet("sinkr", "nfet", "sr gn 0 0", *sink),
            fet("tail", "pfet", "tail gp vdd vdd", *source, copies=int(d["m_tail"])),
            fet("pn", "pfet", "s1 inn tail tail", d["w_pair"], d["l_pair"]),
            fet("pp", "pfet", "s2 inp tail tail", d["w_pair"], d["l_pair"]),
            *(fet(f"sink{k}", "nfet", f"s{k} gn 0 0", *sink, copies=m_sink) for k in (1, 2)),
            fet("cas1", "nfet", "mir gc s1 0", *cascode, copies=m_sink),
            fet("cas2", "nfet", "o1 gc s2 0", *cascode, copies=m_sink),
            fet("ld1", "pfet", "mir mir vdd vdd", d["w_load"], d["l_load"]),
            fet("ld2", "pfet", "o1 mir vdd vdd", d["w_load"], d["l_load"]),
            fet("sec", "pfet", "turn o1 vdd vdd", *second),
            fet("turn1", "nfet", "turn turn 0 0", d["w_turn"], d["l_turn"]),
            fet("turn2", "nfet", "o2 turn 0 0", d["w_turn"], d["l_turn"]),
            fet("pull", "pfet", "o2 gp vdd vdd", *source, copies=m_second),
            fet("dmp", "nfet", "od o2 0 0", *unit, copies=m_damp),
            fet("hold", "pfet", "od gp vdd vdd", *source, copies=m_second * m_damp),
            fet("drv", "nfet", "out o2 0 0", *unit, copies=m_forward),
            fet("fwd", "pfet", "out o1 vdd vdd", *second, copies=m_forward),
            f"cm1 o1 out {d['c_m1']}",
            f"cm2 od o2 {d['c_m2']}",
        ]
    )


def follower(body: str, models: str) -> str:
    """Noise, peaking with both loads, the input's range, and edges in steps of 4 ns."""
    return f"""* unity-gain follower
{models}
{body}
vip inp 0 dc {V_CM} ac 1 pulse({V_CM} {V_CM + 0.2} 50n 1n 1n 1199n 10u)
vshort inn out 0
{START}
.options reltol=1e-5
.control
tran 4n 2450n 0 4n
meas tran rise trig v(out) val=0.34 rise=1 targ v(out) val=0.46 rise=1
meas tran fall trig v(out) val=0.46 fall=1 targ v(out) val=0.34 fall=1
meas tran top max v(out) from=60n to=1250n
meas tran rested find v(out) at=1250n
meas tran bottom min v(out) from=1260n to=2450n
meas tran ended find v(out) at=2449n
noise v(out) vip dec 20 100 100k
print inoise_total
ac dec 100 1k 100meg
let db = vdb(out)
meas ac first find db at=1k
meas ac most max db
alter cl={LIGHT}
ac dec 100 1k 100meg
let db = vdb(out)
meas ac first_light find db at=1k
meas ac most_light max db
tran 2n 550n 0 2n
meas tran top_light max v(out) from=60n to=549n
meas tran rested_light find v(out) at=549n
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
    return acs_gym.make_task("dfcfc", pdk=process)


@pytest.fixture
def design(task: acs_gym.Task, where: str) -> Design:
    """The reference, a design 4 % of the ranges away from it, or where an optimiser ended."""
    if where == "winner 1":
        return winners(task)[1]
    reference = task.space.canonicalize(SOLVED if where == "solved" else task.reference or {})
    if where != "near":
        return reference
    steps = np.random.default_rng(0).normal(0, 0.04, len(task.space))
    return task.space.from_unit(np.clip(task.space.to_unit(reference) + steps, 0, 1))


@pytest.fixture
def ours(task: acs_gym.Task, design: Design, in_process: Simulator) -> dict[str, float]:
    return in_process.run([Job(task.program, design)])[0].metrics


@pytest.mark.parametrize(("process", "where"), WHERE)
def test_open_loop_gain_bandwidth_and_phase_with_both_loads(
    task: acs_gym.Task, design: Design, where: str, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    body = dfcfc(design, fet)
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
    if where == "reference":
        # gm1/Cm1; the poles behind it move it where the load is large.
        by_hand = theirs["gm1"] / (2 * math.pi * design["c_m1"])
        assert theirs["fu_light"] == pytest.approx(by_hand, rel=0.1)


@pytest.mark.parametrize(("process", "where"), WHERE)
def test_a_follower_of_plain_ngspice_has_the_same_edges_peaks_and_noise(
    task: acs_gym.Task, design: Design, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    theirs = measured(follower(dfcfc(design, fet), models), tmp_path)
    assert ours["slew_rise"] == pytest.approx(0.12 / theirs["rise"], rel=0.03)
    assert ours["slew_fall"] == pytest.approx(0.12 / theirs["fall"], rel=0.03)
    assert ours["over_rise"] == pytest.approx((theirs["top"] - theirs["rested"]) / 0.2, abs=0.005)
    assert ours["over_fall"] == pytest.approx((theirs["ended"] - theirs["bottom"]) / 0.2, abs=0.005)
    light = (theirs["top_light"] - theirs["rested_light"]) / 0.2
    assert ours["over_light"] == pytest.approx(light, abs=0.005)
    assert ours["input_range"] == pytest.approx(theirs["last"] - 0.05, rel=0.01)
    assert ours["noise"] == pytest.approx(theirs["inoise_total"], rel=0.02)
    assert ours["peak_heavy"] == pytest.approx(theirs["most"] - theirs["first"], abs=0.02)
    light = theirs["most_light"] - theirs["first_light"]
    assert ours["peak_light"] == pytest.approx(light, abs=0.02)


@pytest.mark.parametrize("pdk", PDKS)
def test_no_load_in_between_has_smaller_margins_than_the_two_that_are_measured(
    pdk: str, in_process: Simulator
) -> None:
    task = acs_gym.make_task("dfcfc", pdk=pdk)
    assert task.reference is not None
    loads = [LIGHT * 10 ** (k / 4) for k in range(5)]
    jobs = [Job(task.program, task.reference, conditions={"c_load": c}) for c in loads]
    outcomes = [o.metrics for o in in_process.run(jobs)]
    shown = outcomes[-1]  # c_light stays: the smaller of both ends.
    for metric in ("modulus_margin", "pm"):
        assert min(o[metric] for o in outcomes) > 0.95 * shown[metric]


@pytest.mark.parametrize("pdk", PDKS)
def test_the_damping_stage_damps(pdk: str, in_process: Simulator) -> None:
    """Without its capacitor the second stage keeps its gain to high frequencies, and the loop rings."""
    task = acs_gym.make_task("dfcfc", pdk=pdk)
    assert task.reference is not None
    small = {**task.reference, "c_m2": task.space["c_m2"].low}
    with_it, without = in_process.run([Job(task.program, d) for d in (task.reference, small)])
    assert without.metrics["modulus_margin"] < 0.9 * with_it.metrics["modulus_margin"]
