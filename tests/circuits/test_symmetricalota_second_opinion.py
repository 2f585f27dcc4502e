"""The symmetrical OTA's metrics a second, independent way: open loop and by hand.

The netlist is written out here, the loop is opened with the classic inductor and capacitor servo,
the numbers come from `.meas` in the ngspice program or from the operating point with a formula.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import acs_gym
from acs_gym.simulation.pool import Job, Simulator
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, input_capacitance, library, measured

pytestmark = [needs_sky130, needs_ngspice_program]
_NFET, _PFET = "msky130_fd_pr__nfet_01v8", "msky130_fd_pr__pfet_01v8"
_SERVO = "lservo out inn 1g\ncservo inn src 1\n.nodeset v(out)=0.9 v(inn)=0.9"


def ota(d: dict[str, float]) -> str:
    bias, pair = (d["w_bias"], d["l_bias"]), (d["w_pair"], d["l_pair"])
    mirror, sink = (d["w_mirror"], d["l_mirror"]), (d["w_sink"], d["l_sink"])
    ratio = int(d["m_ratio"])
    return "\n".join(
        [
            library(),
            f"ibias vdd g {d['i_bias']}",
            fet("bias", "nfet", "g g 0 0", *bias),
            fet("tail", "nfet", "s g 0 0", *bias, copies=4),
            fet("pp", "nfet", "a inp s 0", *pair),
            fet("pn", "nfet", "b inn s 0", *pair),
            fet("ma", "pfet", "a a vdd vdd", *mirror),
            fet("mb", "pfet", "b b vdd vdd", *mirror),
            fet("up", "pfet", "out a vdd vdd", *mirror, copies=ratio),
            fet("turn", "pfet", "c b vdd vdd", *mirror, copies=ratio),
            fet("sc", "nfet", "c c 0 0", *sink),
            fet("so", "nfet", "out c 0 0", *sink),
            "cl out 0 2p",
            "vdd vdd 0 1.8",
        ]
    )


@pytest.fixture(scope="module")
def reference() -> dict[str, float]:
    return acs_gym.make_task("ACS-SymmetricalOTA-v0", pdk="sky130").reference or {}


@pytest.fixture(scope="module")
def ours(reference: dict[str, float], in_process: Simulator) -> dict[str, float]:
    task = acs_gym.make_task("ACS-SymmetricalOTA-v0", pdk="sky130")
    return in_process.run([Job(task.program, reference)])[0].metrics


@pytest.fixture(scope="module")
def theirs(
    reference: dict[str, float], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    ratio = int(reference["m_ratio"])
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
let gm = @m.xpp0.{_NFET}[gm]
let tail = @m.xpp0.{_NFET}[id]+@m.xpn0.{_NFET}[id]
let gds = {ratio}*@m.xup0.{_PFET}[gds]+@m.xso0.{_NFET}[gds]
let up = {ratio}*@m.xup0.{_PFET}[gm]/(@m.xma0.{_PFET}[gm]+@m.xma0.{_PFET}[gds])
let turn = {ratio}*@m.xturn0.{_PFET}[gm]/(@m.xmb0.{_PFET}[gm]+@m.xmb0.{_PFET}[gds])
let sink = @m.xso0.{_NFET}[gm]/(@m.xsc0.{_NFET}[gm]+@m.xsc0.{_NFET}[gds])
print watts gm tail gds up turn sink
ac dec 50 10 1g
let db = vdb(out)
let deg = 180/pi*cph(out)
meas ac gain find db at=10
meas ac fu when db=0 fall=1
meas ac phase find deg when db=0 fall=1
.endc
.end
"""
    return measured(deck, folder) | {"c": 2e-12 + c_in}


def test_open_loop_gain_bandwidth_phase_margin_and_power(
    ours: dict[str, float], theirs: dict[str, float]
) -> None:
    assert ours["gain"] == pytest.approx(theirs["gain"], abs=0.05)
    assert ours["ugbw"] == pytest.approx(theirs["fu"], rel=0.01)
    assert ours["pm"] == pytest.approx(180 + theirs["phase"], abs=1.0)
    assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-3)


def test_hand_formulas_from_the_operating_point(
    reference: dict[str, float], ours: dict[str, float], theirs: dict[str, float]
) -> None:
    """Gain within 0.5 dB: what the pair's and the mirrors' conductances take at the diodes."""
    ratio = reference["m_ratio"]
    sides = 0.5 * (theirs["up"] + theirs["turn"] * theirs["sink"])
    gain = sides * theirs["gm"] / theirs["gds"]
    assert ours["gain"] == pytest.approx(20 * math.log10(gain), abs=0.5)
    # All the tail current, multiplied, into the load and the follower's own input. The pair hands over
    # the last of it only slowly, as the follower catches up within the 20 % to 80 % of a 0.3 V step.
    slew = ratio * theirs["tail"] / theirs["c"]
    assert 0.75 * slew < ours["slew_rate"] < 1.05 * slew
    # The mirrors' poles and the junctions at the output take their share of B·gm/C.
    ideal = ratio * theirs["gm"] / (2 * math.pi * theirs["c"])
    assert 0.8 * ideal < ours["ugbw"] < ideal


def test_slew_rate_of_a_fine_grained_transient(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* unity-gain follower, 0.4 ns steps at most
{ota(reference)}
vip inp 0 pulse(0.9 1.2 5n 0.1n 0.1n 39.9n 1)
vshort inn out 0
.nodeset v(out)=0.9 v(inn)=0.9
.options reltol=1e-5
.control
tran 0.4n 85n 0 0.4n
meas tran rise trig v(out) val=0.96 rise=1 targ v(out) val=1.14 rise=1
meas tran fall trig v(out) val=1.14 fall=1 targ v(out) val=0.96 fall=1
.endc
.end
"""
    found = measured(deck, tmp_path)
    assert ours["slew_rise"] == pytest.approx(0.18 / found["rise"], rel=0.03)
    assert ours["slew_fall"] == pytest.approx(0.18 / found["fall"], rel=0.03)


def test_rejection_by_the_textbook_definition(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    """CMRR and PSRR as differential gain over common-mode and supply gain, open loop."""
    gains: dict[str, float] = {}
    for name, sources in {
        "differential": "vip inp 0 dc 0.9 ac 0.5\nvin src 0 ac -0.5",
        "common": "vip inp 0 dc 0.9 ac 1\nvin src 0 ac 1",
        "supply": "vip inp 0 dc 0.9\nvin src 0 0",
    }.items():
        body = ota(reference)
        if name == "supply":
            body = body.replace("vdd vdd 0 1.8", "vdd vdd 0 1.8 ac 1")
        deck = (
            f"* {name}\n{body}\n{sources}\n{_SERVO}\n.options reltol=1e-6\n.control\n"
            "ac lin 1 100 100\nlet db = vdb(out)\nprint db\n.endc\n.end\n"
        )
        gains[name] = measured(deck, tmp_path)["db"]
    assert ours["cmrr"] == pytest.approx(gains["differential"] - gains["common"], abs=0.3)
    assert ours["psrr"] == pytest.approx(gains["differential"] - gains["supply"], abs=0.3)


def test_integrated_noise_of_ngspice_itself(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* input-referred noise of the follower, 100 points a decade
{ota(reference)}
vip inp 0 dc 0.9 ac 1
vshort inn out 0
.nodeset v(out)=0.9 v(inn)=0.9
.control
noise v(out) vip dec 100 1k 10meg
print inoise_total
.endc
.end
"""
    assert ours["noise"] == pytest.approx(measured(deck, tmp_path)["inoise_total"], rel=0.02)
