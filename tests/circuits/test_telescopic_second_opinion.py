"""The telescopic OTA's metrics against a second, independent way of measuring them.

The netlist is written out here, the devices are the PDK's own subcircuits (or plain instances of the
bundled cards), the loop is open with an inductor and capacitor servo, the numbers come from ngspice's
own `meas` and integrated noise, and all of it runs in the ngspice program.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import acs_gym
from acs_gym.pdks.generic_cards import model_cards
from acs_gym.simulation.pool import Job, Simulator
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, input_capacitance, library, measured

pytestmark = needs_ngspice_program
V_CM = 0.9
PDKS = [pytest.param("sky130", marks=needs_sky130), "generic"]
# Element name of a single device, for operating-point values.
ELEMENT = {"sky130": "m.x{0}0.msky130_fd_pr__{1}_01v8", "generic": "m{0}"}


def plain_fet(name: str, kind: str, nodes: str, w: float, l: float, copies: int = 1) -> str:  # noqa: E741
    """The bundled cards, with diffusions and squares of an unfolded layout."""
    strip = 0.29e-6
    sides = f"ad={w * strip} as={w * strip} pd={2 * (w + strip)} ps={2 * (w + strip)}"
    squares = f"nrd={strip / w} nrs={strip / w}"
    return f"m{name} {nodes} {kind[0]}mos_generic w={w} l={l} m={copies} {sides} {squares}"


def devices(pdk: str) -> tuple[str, Callable[..., str]]:
    """The text of the models, and what writes one transistor."""
    return (library(), fet) if pdk == "sky130" else (model_cards("tt"), plain_fet)


def telescopic(d: dict[str, float], fet: Callable[..., str]) -> str:
    bias = d["w_bias"], d["l_bias"]
    load = d["w_load"], d["l_load"]
    return "\n".join(
        [
            f"ibias vdd nb {d['i_bias']}",
            fet("bias", "nfet", "nb nb 0 0", *bias),
            fet("sink1", "nfet", "pb nb 0 0", *bias),
            fet("sink2", "nfet", "gp nb 0 0", *bias),
            fet("tail", "nfet", "tail nb 0 0", *bias, copies=int(d["m_tail"])),
            fet("feed1", "pfet", "pb pb vdd vdd", *load),
            fet("feed2", "pfet", "gn pb vdd vdd", *load),
            fet("shn", "nfet", "gn gn tail 0", 1e-6, d["l_nshift"]),
            fet("shp", "pfet", "gp gp vdd vdd", 1e-6, d["l_pshift"]),
            fet("pp", "nfet", "s1 inp tail 0", d["w_pair"], d["l_pair"]),
            fet("pn", "nfet", "s2 inn tail 0", d["w_pair"], d["l_pair"]),
            fet("nc1", "nfet", "mir gn s1 0", d["w_ncas"], d["l_ncas"]),
            fet("nc2", "nfet", "out gn s2 0", d["w_ncas"], d["l_ncas"]),
            fet("pc1", "pfet", "mir gp s3 vdd", d["w_pcas"], d["l_pcas"]),
            fet("pc2", "pfet", "out gp s4 vdd", d["w_pcas"], d["l_pcas"]),
            fet("ld1", "pfet", "s3 mir vdd vdd", *load),
            fet("ld2", "pfet", "s4 mir vdd vdd", *load),
            "cl out 0 1p",
            "vdd vdd 0 1.8",
        ]
    )


def input_load(body: str, models: str, folder: Path) -> float:
    """The capacitance (F) that the amplifier's own inverting input adds to its load."""
    start = f".nodeset v(out)={V_CM} v(inn)={V_CM} v(mir)=0.7"
    return input_capacitance(f"{models}\n{body}\nvip inp 0 dc {V_CM}\n{start}", folder)


def open_loop(body: str, models: str, c_in: float, extra: str = "") -> str:
    """Gain, bandwidth, phase, rejection and power; closed at DC by a servo of 1 GH and 1 F."""
    return f"""* open loop
{models}
{body}
cin out 0 {c_in}
vip inp 0 dc {V_CM} ac 0
* the loop is entered where it is closed: at the inverting input
vin src 0 dc 0 ac -1
lservo out inn 1g
cservo inn src 1
.nodeset v(out)={V_CM} v(inn)={V_CM} v(mir)=0.7
.options reltol=1e-6 keepopinfo
.control
op
let watts = -1.8*i(vdd)
print watts
{extra}
ac dec 50 10 1g
let db = vdb(out)
let deg = 180/pi*cph(out)
meas ac gain find db at=10
meas ac gain100 find db at=100
meas ac fu when db=0 fall=1
meas ac phase find deg when db=0 fall=1
* both inputs alike
alter vip ac = 1
alter vin ac = 1
ac lin 1 100 100
let common = vdb(out)
print common
.endc
.end
"""


def saturation_deck(pdk: str, body: str, models: str) -> str:
    """How far beyond saturation each transistor is, drain to source; NMOS and PMOS alike."""
    pattern = r"^x(\w+)0 .*__([np])fet" if pdk == "sky130" else r"^m(\w+) .* ([np])mos_generic"
    found = re.findall(pattern, body, re.MULTILINE)
    elements = {name: ELEMENT[pdk].format(name, f"{kind}fet") for name, kind in found}
    printed = "\n".join(
        f"let {name} = abs(@{e}[vds]) - abs(@{e}[vdsat])\nprint {name}"
        for name, e in elements.items()
    )
    return f"""* operating point of the follower
{models}
{body}
vip inp 0 dc {V_CM}
vshort inn out 0
.nodeset v(out)={V_CM} v(inn)={V_CM} v(mir)=0.7
.control
op
{printed}
.endc
.end
"""


def follower_noise(body: str, models: str) -> str:
    """Integrated by ngspice.

    On grids much finer than this its integral over one device's tiny share may be NaN.
    """
    return f"""* unity-gain follower
{models}
{body}
vip inp 0 dc {V_CM} ac 1
vshort inn out 0
.nodeset v(out)={V_CM} v(inn)={V_CM} v(mir)=0.7
.control
noise v(out) vip dec 20 1k 10meg
print inoise_total
.endc
.end
"""


def output_range(body: str, models: str, error: float) -> str:
    """Where the output of the open amplifier lies when its input is `error` off, either way."""
    return f"""* open loop, no servo: the output at two input voltages
{models}
{body}
vip inp 0 dc {V_CM}
vin inn 0 dc {V_CM}
.nodeset v(out)={V_CM} v(mir)=0.7
.options reltol=1e-6
.control
dc vin {V_CM - 1.2 * error} {V_CM + 1.21 * error} {error / 20}
meas dc high find v(out) at={V_CM - error}
meas dc low find v(out) at={V_CM + error}
.endc
.end
"""


@pytest.fixture(params=PDKS)
def process(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(process: str) -> acs_gym.Task:
    return acs_gym.make_task("telescopic", pdk=process)


@pytest.fixture
def ours(task: acs_gym.Task, in_process: Simulator) -> dict[str, float]:
    assert task.reference
    return in_process.run([Job(task.program, task.reference)])[0].metrics


def test_open_loop_metrics_and_hand_formulas(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    d = task.reference or {}
    models, fet = devices(task.pdk_name)
    wanted = {
        f"{attribute}_{name}": f"@{ELEMENT[task.pdk_name].format(name, kind)}[{attribute}]"
        for name, kind in {"pn": "nfet", "nc2": "nfet", "pc2": "pfet", "ld2": "pfet"}.items()
        for attribute in ("gm", "gmbs", "gds")
    }
    extra = "\n".join(f"let {k} = {v}\nprint {k}" for k, v in wanted.items())
    c_in = input_load(telescopic(d, fet), models, tmp_path)
    theirs = measured(open_loop(telescopic(d, fet), models, c_in, extra), tmp_path)

    assert ours["gain"] == pytest.approx(theirs["gain"], abs=0.05)
    assert ours["ugbw"] == pytest.approx(theirs["fu"], rel=0.01)
    assert ours["pm"] == pytest.approx(180 + theirs["phase"], abs=1.0)
    assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-4)
    assert ours["cmrr"] == pytest.approx(theirs["gain100"] - theirs["common"], abs=0.3)

    def cascoded(cascode: str, source: str) -> float:
        """Conductance of a device under its cascode."""
        gds, gds_below = theirs[f"gds_{cascode}"], theirs[f"gds_{source}"]
        gm = theirs[f"gm_{cascode}"] + theirs[f"gmbs_{cascode}"]
        return gds * gds_below / (gm + gds + gds_below)

    # gm·Rout leaves out only the feedback through the common source of the pair.
    by_hand = theirs["gm_pn"] / (cascoded("nc2", "pn") + cascoded("pc2", "ld2"))
    assert ours["gain"] == pytest.approx(20 * math.log10(by_hand), abs=1.0)
    # gm/C: the output's own capacitance lowers it, the peaking of the cascode mirror raises it.
    assert ours["ugbw"] == pytest.approx(theirs["gm_pn"] / (2 * math.pi * (1e-12 + c_in)), rel=0.12)


def test_swing_is_what_the_open_amplifier_does_within_one_millivolt(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    ends = measured(output_range(telescopic(task.reference or {}, fet), models, 1e-3), tmp_path)
    # The bench sweeps the target, which is the output less the input-referred error.
    assert ours["swing"] == pytest.approx(ends["high"] - ends["low"] + 2e-3, abs=8e-3)


def test_integrated_noise_of_ngspice_itself(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    theirs = measured(follower_noise(telescopic(task.reference or {}, fet), models), tmp_path)
    assert ours["noise"] == pytest.approx(theirs["inoise_total"], rel=0.02)


def test_every_device_is_saturated_at_the_reference(task: acs_gym.Task, tmp_path: Path) -> None:
    models, fet = devices(task.pdk_name)
    body = telescopic(task.reference or {}, fet)
    beyond = measured(saturation_deck(task.pdk_name, body, models), tmp_path)
    assert {"tail", "pp", "pn", "nc2", "pc2", "ld2"} <= set(beyond)
    assert min(beyond.values()) > 0.05
