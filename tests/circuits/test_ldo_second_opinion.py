"""The regulator's metrics measured a second, independent way, in the ngspice program.

The netlist is written out here around the PDK's own subcircuits. Supply and load are swept the other
way round, a supply ripple is a sine in the time domain, the loop is opened by an inductor and a
capacitor, the quiescent current is what leaves through the ground pin.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.simulation.pool import Job, Simulator
from tests.circuits.test_flattery import NERVOUS_REGULATOR
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, library, measured, run_program

pytestmark = [needs_sky130, needs_ngspice_program]


def regulator(d: dict[str, float]) -> str:
    mirror, sink = (d["w_load"], d["l_load"]), (d["w_sink"], d["l_sink"])
    bias, pair = (d["w_bias"], d["l_bias"]), (d["w_pair"], d["l_pair"])
    tail, k, pass_units = (f" m={int(d[name])}" for name in ("m_tail", "k_out", "m_pass"))
    return "\n".join(
        [
            f"ibias vdd nb {d['i_bias']}",
            fet("bias", "nfet", "nb nb vss vss", *bias),
            fet("tail", "nfet", "tail nb vss vss", *bias) + tail,
            fet("ref", "nfet", "a vref tail vss", *pair),
            fet("fb", "nfet", "b fb tail vss", *pair),
            fet("la", "pfet", "a a vdd vdd", *mirror),
            fet("lb", "pfet", "b b vdd vdd", *mirror),
            fet("down", "pfet", "c a vdd vdd", *mirror),
            fet("up", "pfet", "gate b vdd vdd", *mirror) + k,
            fet("sd", "nfet", "c c vss vss", *sink),
            fet("so", "nfet", "gate c vss vss", *sink) + k,
            fet("pass", "pfet", "out gate vdd vdd", 50e-6, d["l_pass"]) + pass_units,
            f"rz gate z {d['r_zero']}",
            f"cc z out {d['c_comp']}",
            # 0.8 V of 1.2 V
            f"rt sense fb {d['r_div'] / 3}",
            f"rb fb vss {d['r_div'] / 1.5}",
            "cl out 0 100p",
            "vgnd vss 0 0",
            "vref vref 0 0.8",
            ".nodeset v(out)=1.2 v(sense)=1.2",
            ".options reltol=1e-5",
        ]
    )


@pytest.fixture(scope="module")
def reference() -> dict[str, float]:
    return acs_gym.make_task("ACS-LDO-v0", pdk="sky130").reference or {}


@pytest.fixture(scope="module")
def ours(reference: dict[str, float], in_process: Simulator) -> dict[str, float]:
    task = acs_gym.make_task("ACS-LDO-v0", pdk="sky130")
    return in_process.run([Job(task.program, reference)])[0].metrics


def test_regulation_dropout_and_ground_pin_current(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* closed loop: supply falling in 5 mV steps, load rising
{library()}
{regulator(reference)}
vdd vdd 0 1.8
iload out 0 20m
vfb sense out 0
.control
dc vdd 1.98 1.1 -5m
meas dc top find v(out) at=1.98
meas dc bottom find v(out) at=1.62
meas dc knee when v(out)=1.176 fall=1
dc iload 0.2m 20.2m 0.2m
meas dc vlight find v(out) at=0.2m
meas dc vfull find v(out) at=20m
meas dc iground find i(vgnd) at=20m
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert ours["line_regulation"] == pytest.approx(theirs["top"] - theirs["bottom"], abs=50e-6)
    # Our sweep interpolates between points 20 mV apart.
    assert ours["dropout"] == pytest.approx(theirs["knee"] - 1.176, abs=2e-3)
    assert ours["load_regulation"] == pytest.approx(theirs["vlight"] - theirs["vfull"], abs=50e-6)
    assert ours["error"] == pytest.approx(theirs["vfull"] - 1.2, abs=50e-6)
    assert ours["i_q"] == pytest.approx(theirs["iground"], rel=1e-3)


def test_quiescent_current_by_hand(reference: dict[str, float], ours: dict[str, float]) -> None:
    """Bias, tail, two mirror branches and the divider; mirror errors are below 10 %."""
    branches = 1 + reference["m_tail"] * (1 + 0.5 + 0.5 * reference["k_out"])
    by_hand = reference["i_bias"] * branches + 1.2 / reference["r_div"]
    assert ours["i_q"] == pytest.approx(by_hand, rel=0.1)


@pytest.mark.parametrize(
    ("load", "current"), [("light", "0.2m"), ("middle", "4m"), ("full", "20m")]
)
def test_loop_opened_by_an_inductor_and_a_capacitor(
    load: str, current: str, reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* open loop, closed at DC by 1 GH; the signal enters the sense line through 1 F
{library()}
{regulator(reference)}
vdd vdd 0 1.8
iload out 0 {current}
* the divider loads the output through the sense line, which the opened loop leaves out
rsense out block {reference["r_div"]}
cblock block 0 1
lservo out sense 1g
vin src 0 dc 0 ac -1
cservo src sense 1
.control
ac dec 50 1k 1g
let db = vdb(out)
let deg = 180/pi*cph(out)
meas ac gain find db at=1k
meas ac fu when db=0 fall=1
meas ac phase find deg when db=0 fall=1
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert ours[f"gain_{load}"] == pytest.approx(theirs["gain"], abs=0.05)
    assert ours[f"ugbw_{load}"] == pytest.approx(theirs["fu"], rel=0.02)
    assert ours[f"pm_{load}"] == pytest.approx(180 + theirs["phase"], abs=1.0)


def test_rejection_of_a_ripple_in_the_time_domain(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* 10 mV of 10 kHz on the supply
{library()}
{regulator(reference)}
vdd vdd 0 dc 1.8 sin(1.8 10m 10k)
iload out 0 20m
vfb sense out 0
.control
tran 1u 250u 0 1u
meas tran ripple pp v(out) from=50u to=250u
let db = 20*log10(20m/ripple)
print db
.endc
.end
"""
    assert ours["psrr"] == pytest.approx(measured(deck, tmp_path)["db"], abs=0.3)


def test_load_step_of_a_fine_grained_transient(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* 0.2 mA to 20 mA and back, edges of 0.5 us, 4 ns steps at most
{library()}
{regulator(reference)}
vdd vdd 0 1.8
iload out 0 pwl(0 0.2m 0.2u 0.2m 0.7u 20m 2.2u 20m 2.7u 0.2m 4.2u 0.2m)
vfb sense out 0
.control
tran 4n 4.2u 0 4n
meas tran before find v(out) at=0.1u
meas tran lowest min v(out) from=0.2u to=2.2u
meas tran highest max v(out) from=2.2u to=4.2u
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert ours["undershoot"] == pytest.approx(theirs["before"] - theirs["lowest"], rel=0.05)
    assert ours["overshoot"] == pytest.approx(theirs["highest"] - theirs["before"], rel=0.05)


def rings(design: dict[str, float], folder: Path) -> int:
    """How often the output passes its final value after a 10 % load step at 4 mA, beyond 1 % of the
    first swing; in the ngspice program, 1 ns steps at most."""
    deck = f"""* 4 mA to 4.4 mA within 10 ns
{library()}
{regulator(design)}
vdd vdd 0 1.8
iload out 0 pwl(0 4m 0.5u 4m 0.51u 4.4m 6u 4.4m)
vfb sense out 0
.control
tran 2n 6u 0 2n
wrdata ring v(out)
.endc
.end
"""
    run_program(deck, folder)
    time, output = np.loadtxt(folder / "ring", usecols=(0, 1), unpack=True)
    after = time > 0.51e-6
    swing = output[after] - output[-1]
    swing[np.abs(swing) < 0.01 * np.abs(swing).max()] = 0.0
    signs = np.sign(swing[swing != 0])
    return int((signs[1:] != signs[:-1]).sum())


def test_the_reference_does_not_ring_after_a_small_load_step(
    reference: dict[str, float], tmp_path: Path
) -> None:
    assert rings(reference, tmp_path) <= 4
    assert rings(NERVOUS_REGULATOR, tmp_path) > 20
