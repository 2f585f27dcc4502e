"""The bandgap's metrics against a second, independent way of measuring them.

The netlist is written out here around the PDK's own subcircuits (or plain instances of the bundled
cards, and plain resistors with their temperature coefficients), and all of it runs in the ngspice
program: the supply is swept downwards, its rejection is a difference of two operating points, the loop
is opened by an inductor and a capacitor, the starts have fine steps.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Status
from acs_gym.pdks.generic_cards import PASSIVES, PNP, model_cards
from acs_gym.pdks.sky130 import find_sky130
from acs_gym.simulation.pool import Job, Simulator
from tests.circuits.proofs import winners
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, library, measured

pytestmark = needs_ngspice_program
PDKS = [pytest.param("sky130", marks=needs_sky130), "generic"]
PNP_CARD = f".model pnp_generic pnp is={PASSIVES.pnp_is} bf={PASSIVES.pnp_bf} {PNP}"
OWN = ("models_bjt", "models_resistors", "models_capacitors")
ALIVE = "v(out)=1.2 v(va)=0.7 v(vb)=0.7 v(e)=0.65 v(gate)=0.7 v(nb)=0.7 v(st)=0"
DEAD = "v(out)=0 v(va)=0 v(vb)=0 v(e)=0 v(gate)=1.8 v(nd)=1.8 v(nb)=0 v(tail)=0 v(st)=0"


def plain_fet(name: str, kind: str, nodes: str, w: float, l: float, copies: int = 1) -> str:  # noqa: E741
    """The bundled cards, with diffusions and squares of an unfolded layout."""
    strip = 0.29e-6
    sides = f"ad={w * strip} as={w * strip} pd={2 * (w + strip)} ps={2 * (w + strip)}"
    squares = f"nrd={strip / w} nrs={strip / w}"
    return f"m{name} {nodes} {kind[0]}mos_generic w={w} l={l} m={copies} {sides} {squares}"


def models(pdk: str) -> str:
    if pdk == "generic":
        return f"{model_cards('tt')}\n{PNP_CARD}"
    own = [f".include {find_sky130() / name}.spice" for name in OWN]
    return "\n".join([library(), *own])


@cache
def strip() -> tuple[float, float]:
    """Ω of the heads of a strip 0.35 µm wide of SKY130's poly, and Ω of a µm of its body."""
    deck = f"""* two strips
{models("sky130")}
xs a 0 0 sky130_fd_pr__res_high_po w=0.35 l=100
xl b 0 0 sky130_fd_pr__res_high_po w=0.35 l=300
ia 0 a 1u
ib 0 b 1u
.control
op
let short = v(a)/1u
let long = v(b)/1u
print short long
.endc
.end
"""
    with TemporaryDirectory() as folder:
        found = measured(deck, Path(folder))
    body = (found["long"] - found["short"]) / 200
    return found["short"] - 100 * body, body


def strips(pdk: str, name: str, nodes: str, ohms: float, count: int) -> str:
    """As many strips in parallel as make up a resistor."""
    if pdk == "generic":
        return f"r{name} {nodes} {ohms} tc1={PASSIVES.poly_tc1} tc2={PASSIVES.poly_tc2}"
    heads, body = strip()
    size = f"w=0.35 l={(count * ohms - heads) / body}"
    one = f"{nodes} 0 sky130_fd_pr__res_high_po {size}"
    return "\n".join(f"xr{name}{k} {one}" for k in range(count))


def pnps(pdk: str, name: str, nodes: str, count: int) -> str:
    if pdk == "generic":
        return f"q{name} {nodes} pnp_generic m={count}"
    return "\n".join(f"x{name}{k} {nodes} sky130_fd_pr__pnp_05v5_W3p40L3p40" for k in range(count))


def bandgap(pdk: str, d: Design, start_up: bool = True) -> str:
    """All but supply and load. `drive` is joined to `gate` by what is simulated."""
    transistor = fet if pdk == "sky130" else plain_fet
    unit, tail = (d["w_load"], d["l_load"]), (d["w_tail"], d["l_tail"])
    pair = d["w_pair"] / 4, d["l_pair"]
    start = transistor("start", "nfet", "drive st 0 0", 1e-6, 0.5e-6)
    return "\n".join(
        [
            strips(pdk, "a", "out va", d["k_top"] * d["r_ptat"], 2),
            strips(pdk, "b", "out vb", d["k_top"] * d["r_ptat"], 2),
            strips(pdk, "c", "vb e", d["r_ptat"], 4),
            pnps(pdk, "one", "0 0 va", 1),
            pnps(pdk, "many", "0 0 e", int(d["n_pnp"])),
            transistor("pa", "nfet", "drive va tail 0", *pair, copies=4),
            transistor("pb", "nfet", "nd vb tail 0", *pair, copies=4),
            transistor("la", "pfet", "drive nd vdd vdd", *unit),
            transistor("lb", "pfet", "nd nd vdd vdd", *unit),
            transistor("pass", "pfet", "out gate vdd vdd", *unit, copies=int(d["m_pass"])),
            transistor("copy", "pfet", "nb gate vdd vdd", *unit),
            transistor("bias", "nfet", "nb nb 0 0", *tail),
            transistor("tail", "nfet", "tail nb 0 0", *tail, copies=2),
            f"cc drive vdd {d['c_comp']}",
            f"co out 0 {d['c_out']}",
            "cl out 0 2p",
            transistor("pull", "pfet", "st 0 vdd vdd", 0.5e-6, d["l_pull"]),
            transistor("sense", "nfet", "st out 0 0", 1e-6, d["l_sense"]),
            start if start_up else "",
        ]
    )


def at_work(pdk: str, d: Design) -> str:
    """Operating point, supply swept downwards, temperature, noise and rejection of the closed loop."""
    return f"""* closed loop
{models(pdk)}
{bandgap(pdk, d)}
vdd vdd 0 dc 1.8 ac 1
vjoin gate drive 0
.nodeset {ALIVE}
.options reltol=1e-6
.control
op
let watts = -1.8*i(vdd)
let vref = v(out)
print watts vref
dc vdd 1.81 1.79 -0.01
let step = (v(out)[0]-v(out)[2])/0.02
print step
dc vdd 1.98 1.62 -0.01
meas dc line pp v(out)
dc temp -40 125 5
let heat = vecmax(v(out))-vecmin(v(out))
print heat
ac dec 20 10 1meg
meas ac worst max vdb(out)
noise v(out) vdd dec 20 1 1meg
print onoise_total
setplot previous
wrdata spectrum onoise_spectrum
.endc
.end
"""


@pytest.fixture(params=PDKS)
def process(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(process: str) -> acs_gym.Task:
    return acs_gym.make_task("bandgap", pdk=process)


def some_designs(task: acs_gym.Task) -> list[Design]:
    """The reference, what optimisers ended on, and random designs about the reference."""
    rng = np.random.default_rng(9)
    reference = task.reference or {}
    near = task.space.to_unit(reference) + rng.normal(0, 0.04, (2, len(task.space)))
    return [reference, *winners(task), *(task.space.from_unit(u) for u in near.clip(0, 1))]


def test_what_the_reference_does_at_work_at_winners_and_random_designs(
    task: acs_gym.Task, process: str, in_process: Simulator, tmp_path: Path
) -> None:
    compared = 0
    for design in some_designs(task):
        [outcome] = in_process.run([Job(task.program, design)])
        if outcome.status is not Status.OK:
            continue
        ours, theirs = outcome.metrics, measured(at_work(process, design), tmp_path)
        vref = theirs["vref"]
        assert ours["vref"] == pytest.approx(vref, abs=0.5e-3)
        assert ours["power"] == pytest.approx(theirs["watts"], rel=5e-3)
        tc = 1e6 * theirs["heat"] / vref / 165
        assert ours["tc"] == pytest.approx(tc, abs=0.5)
        assert ours["line_regulation"] == pytest.approx(theirs["line"] / 0.36, rel=0.03, abs=3e-5)
        assert ours["psrr"] == pytest.approx(-20 * math.log10(abs(theirs["step"])), abs=0.5)
        assert ours["psrr_worst"] == pytest.approx(-theirs["worst"], abs=0.2)
        assert ours["noise"] == pytest.approx(theirs["onoise_total"], rel=0.03)
        at, density = np.loadtxt(tmp_path / "spectrum", usecols=(0, 1), unpack=True)
        low, high = (float(np.interp(f, at, density)) for f in (1e3, 1e5))
        assert ours["noise_1k"] == pytest.approx(low, rel=0.02)
        assert ours["noise_100k"] == pytest.approx(high, rel=0.02)
        if design == task.reference:
            # Where the density is root two above that at 100 kHz; a slow loop filters that already.
            corner = at[np.flatnonzero(density > math.sqrt(2) * high)[-1]]
            assert ours["noise_corner"] == pytest.approx(corner, rel=0.35)
        compared += 1
    assert compared >= 2


def test_the_voltage_is_that_of_the_textbook(
    task: acs_gym.Task, process: str, in_process: Simulator, tmp_path: Path
) -> None:
    """An emitter's voltage at the current VT·ln n / r_ptat, and k_top times the difference of two."""
    d = task.reference or {}
    [outcome] = in_process.run([Job(task.program, d)])
    difference = 1.380649e-23 * 300.15 / 1.602177e-19 * math.log(d["n_pnp"])
    deck = f"""* one PNP
{models(process)}
{pnps(process, "one", "0 0 va", 1)}
i1 0 va {difference / d["r_ptat"]}
.control
op
let veb = v(va)
print veb
.endc
.end
"""
    by_hand = measured(deck, tmp_path)["veb"] + d["k_top"] * difference
    assert outcome.metrics["vref"] == pytest.approx(by_hand, rel=0.01)


def test_the_loop_opened_by_an_inductor_and_a_capacitor(
    task: acs_gym.Task, process: str, in_process: Simulator, tmp_path: Path
) -> None:
    """At the gates of the pass device and of the copy, which load it little beside c_comp."""
    d = task.reference or {}
    [outcome] = in_process.run([Job(task.program, d)])
    deck = f"""* the gates fed by 1 F, closed at DC by 1 GH
{models(process)}
{bandgap(process, d)}
vdd vdd 0 1.8
vin src 0 dc 0 ac -1
lservo drive gate 1g
cservo gate src 1
.nodeset {ALIVE} v(drive)=0.7
.options reltol=1e-6
.control
ac dec 50 10 1g
let nearness = mag(1+v(drive))
let db = vdb(drive)
meas ac gain find db at=10
meas ac nearest min nearness
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert outcome.metrics["gain"] == pytest.approx(theirs["gain"], abs=0.2)
    assert outcome.metrics["modulus_margin"] == pytest.approx(theirs["nearest"], rel=0.03)


def start(pdk: str, d: Design, supply: str, stop: float, extra: str = "", **options: bool) -> str:
    """How a start ends, and when the output comes within 1 % of that for the first time."""
    return f"""* {supply}
{models(pdk)}
{bandgap(pdk, d, **options)}
vdd vdd 0 {supply}
vjoin gate drive 0
{extra}
.options reltol=1e-5
.control
tran {stop / 500} {stop} 0 {stop / 500}
meas tran ends find v(out) at={0.999 * stop}
let low = 0.99*ends
let high = 1.01*ends
meas tran up when v(out)=low rise=1
meas tran peak max v(out)
.endc
.end
"""


@pytest.mark.parametrize("celsius", [-40, 27, 125])
def test_nothing_but_the_start_up_takes_it_out_of_its_second_state(
    task: acs_gym.Task, process: str, celsius: int, tmp_path: Path
) -> None:
    """Held there, let go for a millisecond, without the capacitor of the task's bench; hot and cold."""
    d = task.reference or {}
    held = f".ic {DEAD} v(drive)=1.8\n.temp {celsius}"
    ends = {
        with_it: measured(start(process, d, "1.8", 1e-3, held, start_up=with_it), tmp_path)["ends"]
        for with_it in (True, False)
    }
    assert ends[True] == pytest.approx(1.22, abs=0.03)
    assert ends[False] < 0.2


def test_it_starts_from_ramps_between_and_beyond_those_asked(
    task: acs_gym.Task, process: str, in_process: Simulator, tmp_path: Path
) -> None:
    d = task.reference or {}
    ours = in_process.run([Job(task.program, d)])[0].metrics
    for ramp in (1e-9, 1e-6, 30e-6, 10e-3):
        supply = f"pwl(0 0 1u 0 {1e-6 + ramp} 1.8 1 1.8)"
        theirs = measured(start(process, d, supply, 50e-6 + 1.2 * ramp), tmp_path)
        assert theirs["ends"] == pytest.approx(ours["vref"], abs=1e-3)
        if ramp == 1e-6 and theirs["peak"] < 1.01 * theirs["ends"]:
            assert ours["start_time"] == pytest.approx(theirs["up"] - 1e-6, rel=0.05)


def test_the_spread_over_mismatch_is_what_offsets_of_pair_and_load_make(
    in_process: Simulator, tmp_path: Path
) -> None:
    """By a millivolt in series with a gate of each, and the Pelgrom constants of docs/devices.md."""
    task = acs_gym.make_task("bandgap", pdk="generic", tier="mc")
    d = task.reference or {}
    outcomes = in_process.run([task.job(d, draw) for draw in range(task.cost)])
    voltages = [o.metrics["vref"] for o in outcomes]
    pair = 2.47e-9 / math.sqrt(d["w_pair"] * d["l_pair"])
    load = 3.54e-9 / math.sqrt(d["w_load"] * d["l_load"])
    body = bandgap("generic", d)
    moved = {
        "pair": body.replace("mpa drive va", "mpa drive gp") + "\nvoff va gp {off}",
        "load": body.replace("mla drive nd", "mla drive gl") + "\nvoff nd gl {off}",
    }
    slopes = {}
    for name, text in moved.items():
        deck = f"""* offset of the {name}
{models("generic")}
{text.format(off=0)}
vdd vdd 0 1.8
vjoin gate drive 0
.nodeset {ALIVE}
.options reltol=1e-6
.control
dc voff -1m 1m 2m
let slope = (v(out)[1]-v(out)[0])/2m
print slope
.endc
.end
"""
        slopes[name] = measured(deck, tmp_path)["slope"]
    of_two = math.sqrt(2)  # Both devices of a pair differ from what they should be.
    by_hand = of_two * math.hypot(slopes["pair"] * pair, slopes["load"] * load)
    # Resistors, PNPs and the tail add a little; 32 draws know their own sigma to an eighth.
    assert np.std(voltages) == pytest.approx(by_hand, rel=0.25)
    assert abs(slopes["pair"]) > d["k_top"]
