"""The gm-C filter's metrics against second, independent ways of measuring them.

A netlist of its own with the PDK's subcircuits and ideal capacitors in the ngspice program: a fine
sweep with `.meas`, trapezoids of the noise, the loop from a voltage in its wire and a current into it
(Tian), and Fourier integrals of a sine with fine steps. And the response that two
transconductances and two capacitances make on paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Status
from acs_gym.simulation.pool import Job, Simulator
from tests.circuits.proofs import changed, winners
from tests.circuits.test_telescopic_second_opinion import PDKS, devices
from tests.conftest import needs_ngspice_program
from tests.integration.test_classic_bench import measured

pytestmark = needs_ngspice_program
V_CM, C_LOAD = 1.0, 0.2e-12
FACTORS: dict[str, dict[str, float]] = {
    "reference": {},
    # The linearised pair in moderate inversion, a high quality factor, and little headroom.
    "short": {"l_pair": 0.3, "l_lin": 0.7, "l_load": 0.6, "i_bias": 1.3},
    "peaked": {"c_two": 3, "w_lin": 0.5, "w_pair": 2},
}
NAMES = (*FACTORS, "winner 0", "winner 1")


def design_of(task: acs_gym.Task, name: str) -> Design:
    if name in FACTORS:
        return changed(task, FACTORS[name])
    found = winners(task)
    if not found:
        pytest.skip("winners are of sky130")
    return found[int(name.split()[1])]


def transconductor(
    d: Design, fet: Callable[..., str], name: str, plus: str, minus: str, out: str, copies: int
) -> str:
    a, b, m = f"a{name}", f"b{name}", f"m{name}"
    pair, joint = (d["w_pair"], d["l_pair"]), (d["w_lin"], d["l_lin"])
    tail, load = (d["w_tail"], d["l_tail"]), (d["w_load"], d["l_load"])
    k = int(d["m_tail"]) * copies
    return "\n".join(
        [
            fet(f"ta{name}", "nfet", f"{a} nb 0 0", *tail, copies=k),
            fet(f"tb{name}", "nfet", f"{b} nb 0 0", *tail, copies=k),
            fet(f"pa{name}", "nfet", f"{m} {plus} {a} 0", *pair, copies=copies),
            fet(f"pb{name}", "nfet", f"{out} {minus} {b} 0", *pair, copies=copies),
            fet(f"ja{name}", "nfet", f"{a} {plus} {b} 0", *joint, copies=copies),
            fet(f"jb{name}", "nfet", f"{a} {minus} {b} 0", *joint, copies=copies),
            fet(f"la{name}", "pfet", f"{m} {m} vdd vdd", *load, copies=copies),
            fet(f"lb{name}", "pfet", f"{out} {m} vdd vdd", *load, copies=copies),
        ]
    )


def biquad(d: Design, pdk: str) -> str:
    """With the models; its source is `vi`, its feedback wire `vf`."""
    models, fet = devices(pdk)
    return "\n".join(
        [
            models,
            f"ibias vdd nb {d['i_bias']}",
            fet("ref", "nfet", "nb nb 0 0", d["w_tail"], d["l_tail"]),
            transconductor(d, fet, "1", "in", "fb", "x", 1),
            transconductor(d, fet, "2", "x", "fb", "o", int(d["k_two"])),
            f"c1 x 0 {d['c_one']}\nc2 o 0 {d['c_two']}\ncl o 0 {C_LOAD}",
            f"vdd vdd 0 1.8\nvf fb o 0\ninj 0 fb 0\nvi in 0 dc {V_CM} sin({V_CM} 0.15 1.6meg)",
            f".nodeset v(o)={V_CM} v(x)={V_CM}",
        ]
    )


@pytest.fixture(params=PDKS)
def task(request: pytest.FixtureRequest) -> acs_gym.Task:
    return acs_gym.make_task("ACS-GmCFilter-v0", pdk=request.param)


@pytest.mark.parametrize("name", NAMES)
def test_response_loop_noise_and_distortion_of_a_plain_deck(
    task: acs_gym.Task, name: str, in_process: Simulator, tmp_path: Path
) -> None:
    design = design_of(task, name)
    outcome = in_process.run([Job(task.program, design)])[0]
    assert outcome.status is Status.OK, outcome.message
    ours = outcome.metrics
    harmonics = "\n".join(
        f"let w{k} = (v(o)-{V_CM})*{wave}({k}*2*pi*1.6meg*time)\n"
        f"meas tran {wave}{k} integ w{k} from=1.25u to=2.5u"
        for k in range(1, 11)
        for wave in ("sin", "cos")
    )
    deck = f"""* the filter
{biquad(design, task.pdk_name)}
.options reltol=1e-6 abstol=1e-15
.control
op
let watts = -1.8*i(vdd)
let off = v(o)-{V_CM}
print watts off
alter vi ac = 1
ac dec 100 50k 500meg
let db = vdb(o)
meas ac first find db at=50k
meas ac corner when db=-3.0103 fall=last
meas ac top max db
meas ac half find db at=2.5meg
meas ac far max db from=49.9meg to=500meg
alter vi ac = 0
alter vdd ac = 1
ac dec 100 50k 5meg
let db = vdb(o)
meas ac supply max db
alter vdd ac = 0
alter vf ac = 1
ac dec 100 5k 5g
let va = v(fb)
let ia = i(vf)
alter vf ac = 0
alter inj ac = 1
ac dec 100 5k 5g
let share = 2*(ac3.ia*v(fb)-ac3.va*i(vf))+ac3.va+i(vf)
let t = 1/(1/share-1)
let distance = mag(1+t)
meas ac nearest min distance
let level = db(t)
let turn = 180/pi*cph(t)
meas ac phase find turn when level=0 fall=1
alter inj ac = 0
noise v(o) vi dec 100 5k 50meg
setplot noise4
let sums = integ(onoise_spectrum^2)
let hiss = sqrt(vecmax(sums))
print hiss
tran 2n 2.5u 0 2n
{harmonics}
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert ours["power"] == pytest.approx(theirs["watts"], rel=2e-3)
    assert ours["offset"] == pytest.approx(theirs["off"], abs=1e-4)
    assert ours["gain"] == pytest.approx(theirs["first"], abs=0.005)
    assert ours["corner"] == pytest.approx(theirs["corner"], rel=0.01)
    assert ours["peaking"] == pytest.approx(theirs["top"] - theirs["first"], abs=0.01)
    assert ours["ripple"] == pytest.approx(
        theirs["top"] - min(theirs["first"], theirs["half"]), abs=0.02
    )
    assert ours["stop"] == pytest.approx(theirs["first"] - theirs["far"], abs=0.1)
    assert ours["psrr"] == pytest.approx(-theirs["supply"], abs=0.1)
    assert ours["noise"] == pytest.approx(theirs["hiss"], rel=0.01)
    assert ours["modulus_margin"] == pytest.approx(theirs["nearest"], abs=0.002)
    assert ours["pm"] == pytest.approx(180 + theirs["phase"], abs=0.3)
    power = np.array([theirs[f"sin{k}"] ** 2 + theirs[f"cos{k}"] ** 2 for k in range(1, 11)])
    thd = 10 * math.log10(power[1:].sum() / power[0])
    assert ours["thd"] == pytest.approx(thd, abs=0.3)


def test_response_of_two_transconductances_and_two_capacitances(
    task: acs_gym.Task, in_process: Simulator, tmp_path: Path
) -> None:
    """gm and output conductance of each transconductor, measured with its output held, make the corner.

    Within 4 %: the capacitances of the devices at x and at the output are taken from their sizes alone.
    """
    design = changed(task, {})
    ours = in_process.run([Job(task.program, design)])[0].metrics
    models, fet = devices(task.pdk_name)
    stages = "\n".join(
        transconductor(design, fet, k, f"p{k}", f"n{k}", f"o{k}", copies)
        + f"\nvp{k} p{k} 0 {V_CM}\nvn{k} n{k} 0 {V_CM}\nvo{k} o{k} 0 {V_CM}"
        for k, copies in (("1", 1), ("2", int(design["k_two"])))
    )
    runs = "\n".join(
        f"""alter v{end}{k} ac = 1
ac lin 1 {hz} {hz}
let {end}{k}{what} = {part}(i(vo{k}))
print {end}{k}{what}
alter v{end}{k} ac = 0"""
        for k in "12"
        for end, what, part, hz in (
            ("p", "gm", "real", "1k"), ("o", "go", "-real", "1k"), ("o", "co", "-imag", "1meg"),
        )
    )  # fmt: skip
    deck = f"""* each transconductor alone, its output held
{models}
ibias vdd nb {design["i_bias"]}
{fet("ref", "nfet", "nb nb 0 0", design["w_tail"], design["l_tail"])}
{stages}
vdd vdd 0 1.8
.options reltol=1e-6
.control
{runs}
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    f = np.geomspace(50e3, 500e6, 4001)
    s = 2j * math.pi * f
    parasitic = {k: theirs[f"o{k}co"] / (2 * math.pi * 1e6) for k in "12"}
    y1 = theirs["o1go"] + s * (design["c_one"] + parasitic["1"])
    y2 = theirs["o2go"] + s * (design["c_two"] + C_LOAD + parasitic["2"])
    gm1, gm2 = theirs["p1gm"], theirs["p2gm"]
    response = gm1 * gm2 / (y1 * y2 + gm2 * y1 + gm1 * gm2)
    db = 20 * np.log10(np.abs(response))
    corner = f[np.flatnonzero(db > -3.0103)[-1]]
    assert ours["corner"] == pytest.approx(corner, rel=0.06)
    assert ours["gain"] == pytest.approx(db[0], abs=0.1)
