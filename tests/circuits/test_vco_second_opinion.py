"""The oscillator's metrics against second, independent ways of measuring them.

A netlist of its own with the PDK's subcircuits, a control that stands still, a kick to start with, steps
of at most 10 ps and `.meas` in the ngspice program; windows twice as long; and the ring itself instead of
its output.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.design import Design
from acs_gym.simulation.pool import Job, Simulator
from tests.circuits.proofs import changed, variant, winners
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, library, measured

pytestmark = needs_sky130


FACTORS: dict[str, dict[str, float]] = {
    "reference": {},
    "fast": {"r_gain": 0.7, "l_starve": 0.8, "w_nbuf": 2, "w_pbuf": 0.5},
}
NAMES = (*FACTORS, "winner 0")


def design_of(task: acs_gym.Task, name: str) -> Design:
    if name in FACTORS:
        return changed(task, FACTORS[name])
    return winners(task)[int(name.split()[1])]


def ring(d: Design) -> str:
    stage = []
    for k, before in ((1, 3), (2, 1), (3, 2)):
        stage += [
            fet(f"ps{k}", "pfet", f"u{k} pb vdd vdd", d["w_pstarve"], d["l_starve"]),
            fet(f"p{k}", "pfet", f"q{k} q{before} u{k} vdd", d["w_pinv"], 0.15e-6),
            fet(f"n{k}", "nfet", f"q{k} q{before} l{k} 0", d["w_ninv"], 0.15e-6),
            fet(f"ns{k}", "nfet", f"l{k} nb 0 0", d["w_nstarve"], d["l_starve"]),
        ]
    return "\n".join(
        [
            fet("f", "nfet", "pb ctl s 0", d["w_follow"], d["l_starve"]),
            f"rg s 0 {d['r_gain']}\nrf pb 0 {d['r_floor']}",
            fet("d", "pfet", "pb pb vdd vdd", d["w_pstarve"], d["l_starve"]),
            fet("c", "pfet", "nb pb vdd vdd", d["w_pstarve"], d["l_starve"]),
            fet("m", "nfet", "nb nb 0 0", d["w_nstarve"], d["l_starve"]),
            *stage,
            fet("bp", "pfet", "o q3 vdd vdd", d["w_pbuf"], 0.15e-6),
            fet("bn", "nfet", "o q3 0 0", d["w_nbuf"], 0.15e-6),
        ]
    )


@needs_ngspice_program
@pytest.mark.parametrize("name", NAMES)
def test_frequencies_power_swing_and_duty_of_a_plain_deck(
    name: str, in_process: Simulator, tmp_path: Path
) -> None:
    """Ideal resistors instead of poly ones: the capacitance of those is on nodes that stand still."""
    task = acs_gym.make_task("ACS-VCO-v0", pdk="sky130")
    design = design_of(task, name)
    ours = in_process.run([Job(task.program, design)])[0].metrics
    runs = []
    for what, control, supply in (
        ("high", 1.3, 1.8), ("mid", 1.05, 1.8), ("pushed", 1.05, 1.89), ("low", 0.8, 1.8),
    ):  # fmt: skip
        runs.append(f"""alter vc dc = {control}
alter vdd dc = {supply}
tran 10p 15n 0 10p
meas tran first{what} when v(o)={supply / 2} rise=3
meas tran last{what} when v(o)={supply / 2} rise=6
meas tran down{what} when v(o)={supply / 2} fall=1 td=first{what}
meas tran charge{what} integ i(vdd) from=first{what} to=last{what}
meas tran bottom{what} min v(o) from=first{what} to=last{what}
meas tran top{what} max v(o) from=first{what} to=last{what}""")
    deck = f"""* three-stage ring, a kick at one node
{library()}
{ring(design)}
cl o 0 20f
vdd vdd 0 1.8
vc ctl 0 1.3
.ic v(q1)=1.2
.options reltol=1e-5
.control
{chr(10).join(runs)}
.endc
.end
"""
    theirs = measured(deck, tmp_path)

    def period(what: str) -> float:
        return (theirs[f"last{what}"] - theirs[f"first{what}"]) / 3

    for what in ("high", "mid", "pushed", "low"):
        assert ours[f"f_{what}"] == pytest.approx(1 / period(what), rel=0.01), what
    pushing = (1 / period("pushed") - 1 / period("mid")) / 0.09
    assert ours["pushing"] == pytest.approx(pushing, abs=12e6)
    assert ours["power"] == pytest.approx(
        -1.8 * theirs["chargehigh"] / (3 * period("high")), rel=0.01
    )
    assert ours["swing"] == pytest.approx(
        (theirs["tophigh"] - theirs["bottomhigh"]) / 1.8, rel=0.01
    )
    high = (theirs["downmid"] - theirs["firstmid"]) % period("mid")
    assert ours["duty"] == pytest.approx(high / period("mid"), abs=5e-3)


def test_windows_twice_as_long_and_finer_steps_give_the_same(in_process: Simulator) -> None:
    task = acs_gym.make_task("ACS-VCO-v0", pdk="sky130")
    design = changed(task, {})
    longer = {
        "t_high = 8.7e-9": "t_high = 17.4e-9",
        "t_middle = 16e-9": "t_middle = 32e-9",
        "t_push = 22.8e-9": "t_push = 45.6e-9",
        "t_low = 32e-9": "t_low = 64e-9",
        'step_largest = "0 24p"': 'step_largest = "0 10p"',
    }
    other = variant(task, {"circuit.toml": longer})
    a, b = (in_process.run([Job(p.program, design)])[0].metrics for p in (task, other))
    for name in ("f_high", "f_mid", "f_pushed", "f_low", "swing", "power", "k_vco"):
        assert a[name] == pytest.approx(b[name], rel=3e-3 if name == "k_vco" else 2e-3), name
    assert a["pushing"] == pytest.approx(b["pushing"], rel=0.01)
    assert a["duty"] == pytest.approx(b["duty"], abs=2e-3)


def test_the_ring_leaves_the_state_in_between_by_itself(in_process: Simulator) -> None:
    """Its stages rise alike with the supply, then every one swings with the output's frequency."""
    task = acs_gym.make_task("ACS-VCO-v0", pdk="sky130")
    design = changed(task, {})
    nodes = "".join(
        f'[[metric]]\nname = "ring_{k}"\nunit = "Hz"\ndescription = "frequency of stage {k}"\n'
        f'analysis = "run"\nsignal = "v(xdut.n{k})"\nmeasure = "frequency"\n'
        'options = { level = "0.5*vdd", start = "0.3*t_high", stop = "t_high" }\n\n'
        for k in (1, 2, 3)
    )
    seen = variant(task, {"circuit.toml": {"[kit]": f"{nodes}[kit]"}})
    outcome = in_process.run([Job(seen.program, design, True)])[0]
    wave = outcome.waveforms["run"]
    stages = np.array([wave[f"v(xdut.n{k})"] for k in (1, 2, 3)])
    first = wave["sweep"] < 0.3e-9
    assert np.ptp(stages[:, first], axis=0).max() < 0.05
    late = (wave["sweep"] > 4e-9) & (wave["sweep"] < 10e-9)
    assert np.ptp(stages[:, late], axis=1).min() > 0.8 * 1.8
    for k in (1, 2, 3):
        assert outcome.metrics[f"ring_{k}"] == pytest.approx(outcome.metrics["f_high"], rel=3e-3)
