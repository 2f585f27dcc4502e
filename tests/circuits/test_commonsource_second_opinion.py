"""The common-source stage's metrics a second way: from its static transfer curve, without a servo.

The input voltage that puts the output at half the supply is found on the curve itself; the gains
at the ends of the swing are the curve's slope there; the input capacitance is read off the corner of
a large resistor. The netlist is written out here and runs in the ngspice program.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import acs_gym
from acs_gym.simulation.pool import Job, Simulator
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, library, measured

pytestmark = [needs_sky130, needs_ngspice_program]
_NFET, _PFET = "msky130_fd_pr__nfet_01v8", "msky130_fd_pr__pfet_01v8"


def stage(d: dict[str, float]) -> str:
    load = d["w_load"], d["l_load"]
    return "\n".join(
        [
            library(),
            f"ibias p 0 {d['i_bias']}",
            fet("ref", "pfet", "p p vdd vdd", *load),
            fet("load", "pfet", "out p vdd vdd", *load, copies=4),
            fet("drv", "nfet", "out in 0 0", d["w_driver"], d["l_driver"]),
            "cl out 0 1p",
            "vdd vdd 0 1.8",
        ]
    )


@pytest.fixture(scope="module")
def reference() -> dict[str, float]:
    return acs_gym.make_task("ACS-CommonSource-v0", pdk="sky130").reference or {}


@pytest.fixture(scope="module")
def ours(reference: dict[str, float], in_process: Simulator) -> dict[str, float]:
    task = acs_gym.make_task("ACS-CommonSource-v0", pdk="sky130")
    return in_process.run([Job(task.program, reference)])[0].metrics


@pytest.fixture(scope="module")
def theirs(
    reference: dict[str, float], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    deck = f"""* the transfer curve, then the stage at the point on it where the output is half the supply
{stage(reference)}
vin in 0 dc 0.65 ac 1
.options reltol=1e-6
.control
dc vin 0.57 0.65 0.25m
let slope = -deriv(v(out))
meas dc low find slope when v(out)=0.3
meas dc high find slope when v(out)=1.5
meas dc bias find v(in) when v(out)=0.9
alter vin dc = bias
op
let level = v(out)
let watts = -1.8*i(vdd)
let gm = @m.xdrv0.{_NFET}[gm]
let gds = @m.xdrv0.{_NFET}[gds]+4*@m.xload0.{_PFET}[gds]
print level watts gm gds
ac dec 50 1k 1g
let db = vdb(out)
meas ac gain find db at=1k
meas ac fu when db=0 fall=1
noise v(out) vin dec 100 10k 10meg
print inoise_total
.endc
.end
"""
    return measured(deck, tmp_path_factory.mktemp("curve"))


def test_gain_bandwidth_and_power_without_a_servo(
    ours: dict[str, float], theirs: dict[str, float]
) -> None:
    # The servo leaves the output a millivolt beside its target.
    assert theirs["level"] == pytest.approx(0.9, abs=2e-3)
    assert ours["gain"] == pytest.approx(theirs["gain"], abs=0.05)
    assert ours["ugbw"] == pytest.approx(theirs["fu"], rel=0.01)
    assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-3)


def test_gains_at_the_ends_of_the_swing_are_the_slopes_of_the_transfer_curve(
    ours: dict[str, float], theirs: dict[str, float]
) -> None:
    """Within 0.1 dB: near the ends the gain changes by 0.05 dB for each of the servo's millivolts."""
    assert ours["gain_low"] == pytest.approx(20 * math.log10(theirs["low"]), abs=0.1)
    assert ours["gain_high"] == pytest.approx(20 * math.log10(theirs["high"]), abs=0.1)
    assert ours["gain_swing"] == min(ours["gain_low"], ours["gain_high"])


def test_integrated_noise_of_ngspice_itself(
    ours: dict[str, float], theirs: dict[str, float]
) -> None:
    assert ours["noise"] == pytest.approx(theirs["inoise_total"], rel=0.02)


def test_hand_formulas_from_the_operating_point(
    ours: dict[str, float], theirs: dict[str, float]
) -> None:
    gain = theirs["gm"] / theirs["gds"]
    assert ours["gain"] == pytest.approx(20 * math.log10(gain), abs=0.1)
    # The junctions at the output add at most 15 % to the picofarad; gm/CL overestimates by as much.
    ideal = theirs["gm"] / (2 * math.pi * 1e-12)
    assert 0.85 * ideal < ours["ugbw"] < ideal


def test_input_capacitance_is_the_corner_of_a_large_resistor(
    reference: dict[str, float],
    ours: dict[str, float],
    theirs: dict[str, float],
    tmp_path: Path,
) -> None:
    """Within 3 %: at its corner of 2 kHz the gain, and so the Miller effect, is still that of DC."""
    deck = f"""* the gate behind 100 megohms
{stage(reference)}
vin source 0 dc {theirs["bias"]} ac 1
rs source in 100meg
.options reltol=1e-6 gmin=1e-15
.control
ac dec 50 10 1meg
let db = vdb(in)
meas ac corner when db=-3.0103 fall=1
.endc
.end
"""
    corner = measured(deck, tmp_path)["corner"]
    assert ours["c_in"] == pytest.approx(1 / (2 * math.pi * 100e6 * corner), rel=0.03)
