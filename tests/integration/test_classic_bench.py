"""The op-amp's metrics against a second, independent way of measuring them.

Nothing is shared with the package but the sizing: the netlist is written out here, the devices are
the PDK's own subcircuits with its library's text, the loop is opened with the classic inductor and
capacitor servo, the numbers come from `.meas`, and all of it runs in the ngspice program.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import acs_gym
from acs_gym.pdks.sky130 import find_sky130
from acs_gym.simulation.pool import Job, Simulator
from tests.conftest import needs_ngspice_program, needs_sky130

pytestmark = [needs_sky130, needs_ngspice_program]


def library() -> str:
    """The two transistors and the corner they need, as the PDK has them."""
    folder = find_sky130()
    text = (folder / "models_fet.spice").read_text(errors="replace")
    cut = []
    for name in ("sky130_fd_pr__nfet_01v8", "sky130_fd_pr__pfet_01v8"):
        match = re.search(rf"^\.subckt\s+{name}\s.*?^\.ends\s+{name}", text, re.M | re.S)
        assert match
        cut.append(match[0])
    includes = [
        f".include {folder / name}"
        for name in (
            "parameters_fet_tt.spice", "parameters_res_nom.spice",
            "parameters_cap_nom.spice", "models_global.spice",
        )
    ]  # fmt: skip
    switches = ".param MC_MM_SWITCH=0 MC_PR_SWITCH=0 corner_factor=1 process_mc_factor=1"
    return "\n".join([switches, ".param mismatch_factor=1", *includes, *cut])


def fet(name: str, kind: str, nodes: str, w: float, l: float, copies: int = 1) -> str:  # noqa: E741
    """`copies` parallel devices with diffusions and squares of an unfolded layout, in the PDK's um."""
    w_um, l_um = w * 1e6, l * 1e6
    strip = f"ad={w_um * 0.29} as={w_um * 0.29} pd={2 * (w_um + 0.29)} ps={2 * (w_um + 0.29)}"
    size = f"w={w_um} l={l_um} {strip} nrd={0.29 / w_um} nrs={0.29 / w_um}"
    return "\n".join(f"x{name}{k} {nodes} sky130_fd_pr__{kind}_01v8 {size}" for k in range(copies))


def op_amp(d: dict[str, float]) -> str:
    bias = d["w_bias"], d["l_bias"]
    return "\n".join(
        [
            f"ibias vdd nb {d['i_bias']}",
            fet("bias", "nfet", "nb nb 0 0", *bias),
            fet("tail", "nfet", "tail nb 0 0", *bias, copies=int(d["m_tail"])),
            fet("sink", "nfet", "out nb 0 0", *bias, copies=int(d["m_out"])),
            fet("pn", "nfet", "a inn tail 0", d["w_pair"], d["l_pair"]),
            fet("pp", "nfet", "b inp tail 0", d["w_pair"], d["l_pair"]),
            fet("ln", "pfet", "a a vdd vdd", d["w_load"], d["l_load"]),
            fet("lp", "pfet", "b a vdd vdd", d["w_load"], d["l_load"]),
            fet("drv", "pfet", "out b vdd vdd", d["w_driver"], d["l_load"]),
            f"rz b z {d['r_zero']}",
            f"cc z out {d['c_comp']}",
            "cl out 0 5p",
            "vdd vdd 0 1.8",
        ]
    )


def input_capacitance(circuit: str, folder: Path) -> float:
    """What the inverting input draws at 10 MHz, as a capacitance (F), while the output stands still.

    In use the feedback wire puts it beside the load; an opened loop leaves it out.
    """
    deck = f"""* closed at DC by a servo of 1 GH, the output held by 1 F
{circuit}
vin src 0 dc 0 ac 1
lservo out inn 1g
cservo inn src 1
chold out 0 1
.options reltol=1e-6
.control
ac lin 1 10meg 10meg
let c = -imag(i(vin))/(2*pi*10meg)
print c
.endc
.end
"""
    return measured(deck, folder)["c"]


def run_program(deck: str, folder: Path) -> str:
    """What the ngspice program prints for a deck, run in `folder`."""
    (folder / "classic.sp").write_text(deck)
    # With a thread a core, each step of so small a circuit waits for the slowest of them.
    (folder / ".spiceinit").write_text("set num_threads=1\n")
    done = subprocess.run(
        ["ngspice", "-b", "classic.sp"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr[-1500:]
    return done.stdout


def measured(deck: str, folder: Path) -> dict[str, float]:
    """The numbers that a deck prints, by name."""
    said = run_program(deck, folder)
    found = re.findall(r"^(\w+)\s*=\s*([-+\d.eE]+)", said, re.MULTILINE)
    values = {name: float(value) for name, value in found}
    assert values, said[-1500:]
    return values


@pytest.fixture(scope="module")
def reference() -> dict[str, float]:
    return acs_gym.make_task("ACS-OpAmp-v0", pdk="sky130").reference or {}


@pytest.fixture(scope="module")
def ours(reference: dict[str, float], in_process: Simulator) -> dict[str, float]:
    task = acs_gym.make_task("ACS-OpAmp-v0", pdk="sky130")
    return in_process.run([Job(task.program, reference)])[0].metrics


def test_open_loop_gain_bandwidth_phase_margin_and_power(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* open loop, closed at DC by a servo of 1 GH and 1 F
{library()}
{op_amp(reference)}
vip inp 0 dc 0.9
* the loop is entered where it is closed: at the inverting input
vin src 0 dc 0 ac -1
lservo out inn 1g
cservo inn src 1
.nodeset v(out)=0.9 v(inn)=0.9
.options reltol=1e-6
.control
op
let watts = -1.8*i(vdd)
print watts
ac dec 50 10 1g
let db = vdb(out)
let deg = 180/pi*cph(out)
meas ac gain find db at=10
meas ac fu when db=0 fall=1
meas ac phase find deg when db=0 fall=1
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert ours["gain"] == pytest.approx(theirs["gain"], abs=0.05)
    assert ours["ugbw"] == pytest.approx(theirs["fu"], rel=0.01)
    assert ours["pm"] == pytest.approx(180 + theirs["phase"], abs=1.0)
    assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-4)


def test_slew_rate_of_a_fine_grained_transient(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* unity-gain follower, 0.1 ns steps at most
{library()}
{op_amp(reference)}
vip inp 0 pulse(0.9 1.2 5n 0.1n 0.1n 299.9n 1)
vshort inn out 0
.nodeset v(out)=0.9 v(inn)=0.9
.options reltol=1e-5
.control
tran 0.1n 605n 0 0.1n
meas tran rise trig v(out) val=0.96 rise=1 targ v(out) val=1.14 rise=1
meas tran fall trig v(out) val=1.14 fall=1 targ v(out) val=0.96 fall=1
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert ours["slew_rise"] == pytest.approx(0.18 / theirs["rise"], rel=0.03)
    assert ours["slew_fall"] == pytest.approx(0.18 / theirs["fall"], rel=0.03)


def test_rejection_by_the_textbook_definition(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    """CMRR and PSRR as differential gain over common-mode and supply gain, open loop."""
    servo = "lservo out inn 1g\ncservo inn src 1\n.nodeset v(out)=0.9 v(inn)=0.9"
    gains: dict[str, float] = {}
    for name, sources in {
        "differential": "vip inp 0 dc 0.9 ac 0.5\nvin src 0 ac -0.5",
        "common": "vip inp 0 dc 0.9 ac 1\nvin src 0 ac 1",
        "supply": "vip inp 0 dc 0.9\nvin src 0 0",
    }.items():
        body = op_amp(reference)
        if name == "supply":
            body = body.replace("vdd vdd 0 1.8", "vdd vdd 0 1.8 ac 1")
        deck = (
            f"* {name}\n{library()}\n{body}\n{sources}\n{servo}\n.options reltol=1e-6\n.control\n"
            "ac lin 1 100 100\nlet db = vdb(out)\nprint db\n.endc\n.end\n"
        )
        gains[name] = measured(deck, tmp_path)["db"]
    assert ours["cmrr"] == pytest.approx(gains["differential"] - gains["common"], abs=0.3)
    assert ours["psrr"] == pytest.approx(gains["differential"] - gains["supply"], abs=0.3)


def test_integrated_noise_of_ngspice_itself(
    reference: dict[str, float], ours: dict[str, float], tmp_path: Path
) -> None:
    deck = f"""* input-referred noise of the follower, 100 points a decade
{library()}
{op_amp(reference)}
vip inp 0 dc 0.9 ac 1
vshort inn out 0
.nodeset v(out)=0.9 v(inn)=0.9
.control
noise v(out) vip dec 100 100 1meg
print inoise_total
.endc
.end
"""
    assert ours["noise"] == pytest.approx(measured(deck, tmp_path)["inoise_total"], rel=0.02)
