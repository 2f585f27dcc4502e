"""The five-transistor OTA's metrics a second, independent way: open loop, and offset by hand.

The netlist is written out here, the loop is opened with the classic inductor and capacitor servo, the
numbers come from `.meas` in the ngspice program. A threshold that is off is a voltage source before
the gate, and the offset's spread follows from the areas by Pelgrom's law.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.simulation.pool import Job, Simulator
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, input_capacitance, library, measured

pytestmark = [needs_sky130, needs_ngspice_program]
_NFET, _PFET = "msky130_fd_pr__nfet_01v8", "msky130_fd_pr__pfet_01v8"
_SERVO = "lservo out inn 1g\ncservo inn src 1\n.nodeset v(out)=0.9 v(inn)=0.9"
_FOLLOWER = "vip inp 0 dc 0.9\nvshort inn out 0\n.nodeset v(out)=0.9 v(inn)=0.9"


def ota(d: dict[str, float], pair_shift: float = 0.0, load_shift: float = 0.0) -> str:
    """The OTA; the shifts add to the threshold's magnitude on the side of the output."""
    bias, pair = (d["w_bias"], d["l_bias"]), (d["w_pair"], d["l_pair"])
    load = d["w_load"], d["l_load"]
    return "\n".join(
        [
            library(),
            f"ibias vdd g {d['i_bias']}",
            fet("bias", "nfet", "g g 0 0", *bias),
            fet("tail", "nfet", "s g 0 0", *bias, copies=int(d["m_tail"])),
            fet("pp", "nfet", "a inp s 0", *pair),
            f"vpair inn gn {pair_shift}",
            fet("pn", "nfet", "out gn s 0", *pair),
            fet("lp", "pfet", "a a vdd vdd", *load),
            f"vload gp a {load_shift}",
            fet("ln", "pfet", "out gp vdd vdd", *load),
            "cl out 0 1p",
            "vdd vdd 0 1.8",
        ]
    )


@pytest.fixture(scope="module")
def task() -> acs_gym.Task:
    return acs_gym.make_task("ACS-OTA5T-v0", pdk="sky130")


@pytest.fixture(scope="module")
def reference(task: acs_gym.Task) -> dict[str, float]:
    return task.reference or {}


@pytest.fixture(scope="module")
def ours(
    task: acs_gym.Task, reference: dict[str, float], in_process: Simulator
) -> dict[str, float]:
    return in_process.run([Job(task.program, reference)])[0].metrics


@pytest.fixture(scope="module")
def theirs(
    reference: dict[str, float], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("open")
    still = f"{ota(reference)}\nvip inp 0 dc 0.9\n.nodeset v(out)=0.9 v(inn)=0.9"
    c_in = input_capacitance(still, folder)
    deck = f"""* open loop, closed at DC by a servo of 1 GH and 1 F
{ota(reference)}
cin out 0 {c_in}
vip inp 0 dc 0.9
vin src 0 dc 0 ac -1
{_SERVO}
.options reltol=1e-6
.control
op
let watts = -1.8*i(vdd)
let offset = v(out)-0.9
let gm = @m.xpn0.{_NFET}[gm]
let gmload = @m.xln0.{_PFET}[gm]
let gds = @m.xpn0.{_NFET}[gds]+@m.xln0.{_PFET}[gds]
print watts offset gm gmload gds
ac dec 50 10 1g
let db = vdb(out)
let deg = 180/pi*cph(out)
meas ac gain find db at=10
meas ac fu when db=0 fall=1
meas ac phase find deg when db=0 fall=1
.endc
.end
"""
    return measured(deck, folder) | {"c_in": c_in}


def test_open_loop_gain_bandwidth_phase_margin_and_power(
    ours: dict[str, float], theirs: dict[str, float]
) -> None:
    assert ours["gain"] == pytest.approx(theirs["gain"], abs=0.05)
    assert ours["ugbw"] == pytest.approx(theirs["fu"], rel=0.01)
    assert ours["pm"] == pytest.approx(180 + theirs["phase"], abs=1.0)
    assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-4)
    assert ours["offset"] == pytest.approx(theirs["offset"], abs=10e-6)


def test_hand_formulas_from_the_operating_point(
    ours: dict[str, float], theirs: dict[str, float]
) -> None:
    """Within 0.5 dB: the tail and the mirror's own conductance are left out."""
    assert ours["gain"] == pytest.approx(20 * math.log10(theirs["gm"] / theirs["gds"]), abs=0.5)
    # The junctions of a wide pair and the mirror's pole take up to a quarter of gm/C.
    ideal = theirs["gm"] / (2 * math.pi * (1e-12 + theirs["c_in"]))
    assert 0.75 * ideal < ours["ugbw"] < ideal


def test_rejection_by_the_textbook_definition(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    gains: dict[str, float] = {}
    for name, sources in {
        "differential": "vip inp 0 dc 0.9 ac 0.5\nvin src 0 ac -0.5",
        "common": "vip inp 0 dc 0.9 ac 1\nvin src 0 ac 1",
    }.items():
        deck = (
            f"* {name}\n{ota(reference)}\n{sources}\n{_SERVO}\n.options reltol=1e-6\n.control\n"
            "ac lin 1 100 100\nlet db = vdb(out)\nprint db\n.endc\n.end\n"
        )
        gains[name] = measured(deck, tmp_path)["db"]
    assert ours["cmrr"] == pytest.approx(gains["differential"] - gains["common"], abs=0.3)


@pytest.mark.parametrize("device", ["pair", "load"])
def test_a_drawn_threshold_is_a_source_before_the_gate(
    device: str,
    task: acs_gym.Task,
    reference: dict[str, float],
    in_process: Simulator,
    tmp_path: Path,
) -> None:
    """Two sigma of one device, through the draw here and as a battery there."""
    kind = {"pair": "nfet", "load": "pfet"}[device]
    law = task.pdk.devices("tt")[kind].parts[0].attributes["delvto"]
    size = {"w": reference[f"w_{device}"], "l": reference[f"l_{device}"], "m": 1.0}
    shift = float(law({**size, "z": 2.0})) - float(law({**size, "z": 0.0}))
    drawn = Job(task.program, reference, mismatch={f"m.xdut.m{device}_n": 2.0})
    plain, moved = in_process.run([Job(task.program, reference), drawn])
    ours = moved.metrics["offset"] - plain.metrics["offset"]
    # delvto adds to the threshold, so it takes from v_gs; for a PMOS that is a higher gate too.
    theirs: list[float] = []
    for volts in (0.0, shift):
        deck = (
            f"* follower\n{ota(reference, **{f'{device}_shift': volts})}\n{_FOLLOWER}\n"
            ".options reltol=1e-6\n.control\nop\nlet level = v(out)\nprint level\n.endc\n.end\n"
        )
        theirs.append(measured(deck, tmp_path)["level"])
    assert abs(ours) > 0.2e-3
    assert abs(ours) == pytest.approx(abs(theirs[1] - theirs[0]), rel=0.05)


def test_spread_of_the_offset_by_pelgrom(
    task: acs_gym.Task, reference: dict[str, float], theirs: dict[str, float]
) -> None:
    """Two pair devices, and two load devices referred to the input by gm over gm.

    A sigma estimated from 128 draws is itself uncertain by 6 %; three times that are allowed.
    """

    def sigma(kind: str, device: str) -> float:
        law = task.pdk.devices("tt")[kind].parts[0].attributes["delvto"]
        size = {"w": reference[f"w_{device}"], "l": reference[f"l_{device}"], "m": 1.0}
        return float(law({**size, "z": 1.0})) - float(law({**size, "z": 0.0}))

    load = sigma("pfet", "load") * theirs["gmload"] / theirs["gm"]
    expected = math.sqrt(2) * math.hypot(sigma("nfet", "pair"), load)
    drawn = acs_gym.make_task("ACS-OTA5T-v0", pdk="sky130", tier="mc128")
    with drawn.session(workers=1) as session:
        spread = session.simulate(reference).spread
    assert spread.sigma["offset"] == pytest.approx(expected, rel=0.2)
    assert np.sign(spread.mean["offset"]) == np.sign(theirs["offset"])
