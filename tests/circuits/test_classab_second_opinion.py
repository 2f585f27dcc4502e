"""The class-AB op-amp's metrics against a second, independent way of measuring them.

The netlist is written out here, the devices are the PDK's own subcircuits (or plain instances of the
bundled cards), the loop is open with an inductor and capacitor servo, a resistor and a current source
stand for the load, ngspice's own `fourier` gives the distortion, and all of it runs in the ngspice
program: at the reference, at designs around it and at what optimisers end on.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Status
from acs_gym.simulation.pool import Job, Simulator
from tests.circuits.proofs import WINNERS, winners
from tests.circuits.test_telescopic_second_opinion import ELEMENT, devices
from tests.conftest import needs, needs_ngspice_program
from tests.integration.test_classic_bench import measured

pytestmark = needs_ngspice_program
V_CM, LOW, HIGH, R_LOAD = 0.9, 0.2, 1.6, 10e3
LEVELS = {"mid": V_CM, "low": LOW, "high": HIGH}
# What optimisers ended on is known for SKY130 (winners.json).
_KNOWN = json.loads(WINNERS.read_text()).get("ACS-ClassAB-v0", {}).get("sky130", [])
ENDS = tuple(f"winner {k}" for k, _ in enumerate(_KNOWN))
WHERE = [
    pytest.param(pdk, where, id=f"{pdk}-{where}", marks=needs(pdk))
    for pdk in ("sky130", "generic")
    for where in ("reference", *(ENDS if pdk == "sky130" else ()), "near 0")
]


def class_ab(d: dict[str, float], fet: Callable[..., str]) -> str:
    tail, units = int(d["m_tail"]), int(d["m_out"])
    nbias, pbias = (d["w_nbias"], d["l_bias"]), (d["w_pbias"], d["l_bias"])
    nout, pout = (d["w_nout"], d["l_out"]), (d["w_pout"], d["l_out"])
    nfloat, pfloat = (d["w_nfloat"], d["l_out"]), (d["w_pfloat"], d["l_out"])
    lines = [
        f"ibias vdd bn {d['i_bias']}",
        fet("b1", "nfet", "bn bn 0 0", *nbias),
        fet("b2", "nfet", "bp bn 0 0", *nbias),
        fet("b3", "nfet", "cp bn 0 0", *nbias),
        fet("b4", "nfet", "fp bn 0 0", *nbias),
        fet("tn", "nfet", "sn bn 0 0", *nbias, copies=tail),
        fet("b5", "pfet", "bp bp vdd vdd", *pbias),
        fet("b6", "pfet", "cn bp vdd vdd", *pbias),
        fet("b7", "pfet", "fn bp vdd vdd", *pbias),
        fet("tp", "pfet", "sp bp vdd vdd", *pbias, copies=tail),
        fet("shn", "nfet", "cn cn 0 0", 1e-6, d["l_nshift"]),
        fet("shp", "pfet", "cp cp vdd vdd", 1e-6, d["l_pshift"]),
        fet("k1", "nfet", "kn kn 0 0", *nout),
        fet("k2", "nfet", "fn fn kn 0", *nfloat),
        fet("k3", "pfet", "kp kp vdd vdd", *pout),
        fet("k4", "pfet", "fp fp kp kp", *pfloat),
        fet("on", "nfet", "out on 0 0", *nout, copies=units),
        fet("op", "pfet", "out op vdd vdd", *pout, copies=units),
        f"c1 on out {d['c_m']}",
        f"c2 op out {d['c_m']}",
        "cl out 0 10p",
        "vdd vdd 0 1.8 ac 0",
    ]
    # An input's PMOS enters below, its NMOS above, on the side whose gates of output devices it moves.
    for k, (side, (n, p)) in enumerate({"inn": ("n1", "p1"), "inp": ("on", "op")}.items()):
        lines += [
            fet(f"gn{k}", "nfet", f"u{k} {side} sn 0", d["w_npair"], d["l_pair"]),
            fet(f"gp{k}", "pfet", f"d{k} {side} sp sp", d["w_ppair"], d["l_pair"]),
            fet(f"mp{k}", "pfet", f"u{k} p1 vdd vdd", d["w_pmir"], d["l_mir"]),
            fet(f"mn{k}", "nfet", f"d{k} n1 0 0", d["w_nmir"], d["l_mir"]),
            fet(f"cp{k}", "pfet", f"{p} cp u{k} vdd", d["w_pcas"], d["l_cas"]),
            fet(f"cn{k}", "nfet", f"{n} cn d{k} 0", d["w_ncas"], d["l_cas"]),
            fet(f"fn{k}", "nfet", f"{p} fn {n} 0", *nfloat),
            fet(f"fp{k}", "pfet", f"{n} fp {p} {p}", *pfloat),
        ]
    return "\n".join(lines)


def start(level: float) -> str:
    """A guess of the operating point; without one the program's stepping takes seconds."""
    return (
        f".nodeset v(out)={level} v(inn)={level} v(bn)=0.65 v(bp)=0.85 v(cn)=0.9 v(cp)=0.5 v(kn)=0.65 "
        "v(kp)=1.05 v(fn)=1.4 v(fp)=0.35 v(n1)=0.65 v(p1)=0.85 v(on)=0.67 v(op)=1.03 v(d0)=0.25 "
        "v(d1)=0.25 v(u0)=1.45 v(u1)=1.45"
    )


def open_loop(body: str, models: str, level: float, c_in: float, extra: str = "") -> str:
    """Gain, bandwidth and phase with input and output at `level`; closed at DC by a servo."""
    return f"""* open loop
{models}
{body}
rl out 0 {R_LOAD}
il 0 out {V_CM / R_LOAD}
cin out 0 {c_in}
vip inp 0 dc {level} ac 0
vin src 0 dc 0 ac -1
lservo out inn 1g
cservo inn src 1
{start(level)}
.options reltol=1e-6 keepopinfo
.control
op
{extra}
ac lin 1 10 10
let gain = vdb(out)
print gain
ac dec 50 10k 1g
let db = vdb(out)
let deg = 180/pi*cph(out)
meas ac fu when db=0 fall=1
meas ac phase find deg when db=0 fall=1
.endc
.end
"""


REJECTIONS = """let watts = -1.8*i(vdd)
print watts
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
alter @vin[acmag] = -1"""


def input_load(body: str, models: str, level: float, folder: Path) -> float:
    """The capacitance (F) that the inverting input adds to the load, with the output held."""
    deck = f"""* what the inverting input draws at 10 MHz
{models}
{body}
rl out 0 {R_LOAD}
il 0 out {V_CM / R_LOAD}
vip inp 0 dc {level}
vin src 0 dc 0 ac 1
lservo out inn 1g
cservo inn src 1
chold out 0 1
{start(level)}
.options reltol=1e-6
.control
ac lin 1 10meg 10meg
let c = -imag(i(vin))/(2*pi*10meg)
print c
.endc
.end
"""
    return measured(deck, folder)["c"]


def design_of(task: acs_gym.Task, where: str) -> Design:
    reference = task.reference or {}
    kind, _, k = where.partition(" ")
    if kind == "winner":
        return winners(task)[int(k)]
    if kind == "near":
        rng = np.random.default_rng(int(k))
        near = task.space.to_unit(reference) + rng.normal(0, 0.04, len(task.space))
        return task.space.from_unit(near.clip(0, 1))
    return reference


Case = tuple[str, str, Callable[..., str], dict[str, float]]


@pytest.fixture
def case(pdk: str, where: str, in_process: Simulator) -> Case:
    """The circuit's text, the models, what writes a transistor, and what the task measures."""
    task = acs_gym.make_task("classab", pdk=pdk)
    design = design_of(task, where)
    [outcome] = in_process.run([Job(task.program, design)])
    assert outcome.status is Status.OK, outcome.message
    models, fet = devices(pdk)
    return class_ab(dict(design), fet), models, fet, outcome.metrics


@pytest.mark.parametrize(("pdk", "where"), WHERE)
def test_the_loop_at_three_levels(case: Case, tmp_path: Path) -> None:
    body, models, _, ours = case
    for name, level in LEVELS.items():
        c_in = input_load(body, models, level, tmp_path)
        extra = REJECTIONS if name == "mid" else ""
        theirs = measured(open_loop(body, models, level, c_in, extra), tmp_path)
        assert ours[f"gain_{name}"] == pytest.approx(theirs["gain"], abs=0.1), name
        assert ours[f"ugbw_{name}"] == pytest.approx(theirs["fu"], rel=0.01), name
        assert ours[f"pm_{name}"] == pytest.approx(180 + theirs["phase"], abs=1.0), name
        if name == "mid":
            assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-4)
            difference = theirs["differential"]
            assert ours["cmrr"] == pytest.approx(difference - theirs["common"], abs=0.5)
            assert ours["psrr"] == pytest.approx(difference - theirs["of_supply"], abs=0.5)


@pytest.mark.parametrize(("pdk", "where"), WHERE[::2])
def test_steps_and_distortion_of_a_fine_grained_transient(case: Case, tmp_path: Path) -> None:
    """Steps of at most 1 ns, and of 1/250 of the sine's period, whose last one is analysed."""
    body, models, _, ours = case
    deck = f"""* unity-gain follower
{models}
{body}
rl out 0 {R_LOAD}
il 0 out {V_CM / R_LOAD}
vip inp 0 dc {V_CM} pulse(0.9 1.4 20n 5n 5n 245n 1)
vshort inn out 0
{start(V_CM)}
.options reltol=1e-5
.control
tran 1n 520n 0 1n
meas tran rise trig v(out) val=1.0 rise=1 targ v(out) val=1.3 rise=1
meas tran fall trig v(out) val=1.3 fall=1 targ v(out) val=1.0 fall=1
meas tran top max v(out) from=20n to=270n
meas tran bottom min v(out) from=270n to=520n
meas tran high find v(out) at=269.9n
meas tran low find v(out) at=519.9n
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert ours["slew_rise"] == pytest.approx(0.3 / theirs["rise"], rel=0.03)
    assert ours["slew_fall"] == pytest.approx(0.3 / theirs["fall"], rel=0.03)
    assert ours["over_rise"] == pytest.approx((theirs["top"] - theirs["high"]) / 0.5, abs=5e-3)
    assert ours["over_fall"] == pytest.approx((theirs["low"] - theirs["bottom"]) / 0.5, abs=5e-3)
    sine = deck.replace("pulse(0.9 1.4 20n 5n 5n 245n 1)", "sin(0.9 0.7 50k)")
    sine = re.sub(
        r"tran 1n.*?\.endc", "tran 80n 25u 0 80n\nfourier 50k v(out)\n.endc", sine, flags=re.S
    )
    assert ours["thd"] == pytest.approx(fourier(sine, tmp_path), abs=0.5)


def fourier(deck: str, folder: Path) -> float:
    """ngspice's own total harmonic distortion in dB; of the 2nd to the 9th harmonic, as it has them."""
    (folder / "fourier.cir").write_text(deck)
    done = subprocess.run(
        ["ngspice", "-b", "fourier.cir"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    found = re.search(r"THD: *([\d.eE+-]+) *%", done.stdout)
    assert found, done.stdout + done.stderr
    return float(20 * np.log10(float(found[1]) / 100))


@pytest.mark.parametrize(("pdk", "where"), WHERE)
def test_the_output_device_that_rests_swing_and_input_range(
    case: Case, pdk: str, tmp_path: Path
) -> None:
    body, models, _, ours = case
    n, p = (ELEMENT[pdk].format(name, kind) for name, kind in (("on", "nfet"), ("op", "pfet")))
    # The library's subcircuit has parallel devices one by one; the bundled card counts them.
    units = len(re.findall(r"^xon\d", body, re.M)) or 1
    levels = "\n".join(
        f"alter vip dc = {level}\nop\nlet n_{name} = @{n}[id]\nlet p_{name} = abs(@{p}[id])\n"
        f"print n_{name}\nprint p_{name}"
        for name, level in LEVELS.items()
    )
    load = f"rl out 0 {R_LOAD}\nil 0 out {V_CM / R_LOAD}\nvip inp 0 dc {V_CM}"
    follower = f"""* the follower at three levels
{models}
{body}
{load}
vshort inn out 0
{start(V_CM)}
.control
{levels}
.endc
.end
"""
    theirs = measured(follower, tmp_path)
    assert ours["i_quiescent"] == pytest.approx(units * theirs["n_mid"], rel=0.01)
    assert ours["i_idle_p"] == pytest.approx(units * theirs["p_low"], rel=0.01)
    assert ours["i_idle_n"] == pytest.approx(units * theirs["n_high"], rel=0.01)

    opened = f"""* open, no servo: the output when the input is 2 mV off, either way
{models}
{body}
{load}
vin inn 0 dc {V_CM}
{start(V_CM)}
.options reltol=1e-6
.control
dc vin {V_CM - 2.4e-3} {V_CM + 2.41e-3} 0.05m
meas dc high find v(out) at={V_CM - 2e-3 + ours["offset"]}
meas dc low find v(out) at={V_CM + 2e-3 + ours["offset"]}
.endc
.end
"""
    ends = measured(opened, tmp_path)
    # The bench sweeps the target, which is the output less what is amiss, and stops 20 mV from the rails.
    swing = min(ends["high"] + 2e-3, 1.78) - max(ends["low"] - 2e-3, 0.02)
    assert ours["swing"] == pytest.approx(swing, abs=15e-3)

    travelling = f"""* the common mode travels: a source of gain 100 holds the output
{models}
{body}
{load}
vto to 0 dc {V_CM}
efb inn inp out to 100
{start(V_CM)}
.options reltol=1e-5
.control
dc vip -0.2 2.0 0.01
let amiss = v(inn) - v(inp)
meas dc middle find amiss at={V_CM}
let beyond = abs(amiss - middle) - 5m
let outside = beyond gt 0
let share = mean(outside)
print share
.endc
.end
"""
    outside = measured(travelling, tmp_path)["share"]
    assert ours["input_range"] == pytest.approx(2.2 * (1 - outside), abs=0.06)
