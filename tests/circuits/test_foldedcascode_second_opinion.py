"""The folded-cascode OTA's metrics against a second, independent way of measuring them.

As for the telescopic OTA, whose decks are used here around another amplifier; the slew rate comes from
a transient with small fixed steps and is bounded by what the tail can deliver.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

import acs_gym
from acs_gym.simulation.pool import Job, Simulator
from tests.circuits.test_telescopic_second_opinion import (
    ELEMENT,
    PDKS,
    devices,
    follower_noise,
    input_load,
    open_loop,
    output_range,
    saturation_deck,
)
from tests.conftest import needs_ngspice_program
from tests.integration.test_classic_bench import measured

pytestmark = needs_ngspice_program
C_LOAD = 2e-12


def folded_cascode(d: dict[str, float], fet: Callable[..., str]) -> str:
    bias = d["w_bias"], d["l_bias"]
    source = d["w_src"], d["l_src"]
    load = d["w_load"], d["l_load"]
    m_src = int(d["m_src"])
    return "\n".join(
        [
            f"ibias vdd nb {d['i_bias']}",
            fet("bias", "nfet", "nb nb 0 0", *bias),
            fet("sink1", "nfet", "pb nb 0 0", *bias),
            fet("sink2", "nfet", "gp nb 0 0", *bias),
            fet("tail", "nfet", "tail nb 0 0", *bias, copies=int(d["m_tail"])),
            fet("ref", "pfet", "pb pb vdd vdd", *source),
            fet("feed", "pfet", "gn pb vdd vdd", *source),
            fet("shn", "nfet", "gn gn 0 0", 1e-6, d["l_nshift"]),
            fet("shp", "pfet", "gp gp vdd vdd", 1e-6, d["l_pshift"]),
            fet("pp", "nfet", "s1 inp tail 0", d["w_pair"], d["l_pair"]),
            fet("pn", "nfet", "s2 inn tail 0", d["w_pair"], d["l_pair"]),
            fet("src1", "pfet", "s1 pb vdd vdd", *source, copies=m_src),
            fet("src2", "pfet", "s2 pb vdd vdd", *source, copies=m_src),
            fet("pc1", "pfet", "mir gp s1 vdd", d["w_pcas"], d["l_cas"]),
            fet("pc2", "pfet", "out gp s2 vdd", d["w_pcas"], d["l_cas"]),
            fet("nc1", "nfet", "mir gn s3 0", d["w_ncas"], d["l_cas"]),
            fet("nc2", "nfet", "out gn s4 0", d["w_ncas"], d["l_cas"]),
            fet("ld1", "nfet", "s3 mir 0 0", *load),
            fet("ld2", "nfet", "s4 mir 0 0", *load),
            f"cl out 0 {C_LOAD}",
            "vdd vdd 0 1.8",
        ]
    )


@pytest.fixture(params=PDKS)
def process(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(process: str) -> acs_gym.Task:
    return acs_gym.make_task("foldedcascode", pdk=process)


@pytest.fixture
def ours(task: acs_gym.Task, in_process: Simulator) -> dict[str, float]:
    assert task.reference
    return in_process.run([Job(task.program, task.reference)])[0].metrics


def test_open_loop_metrics_and_hand_formulas(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    d = task.reference or {}
    models, fet = devices(task.pdk_name)
    names = {"pn": "nfet", "src2": "pfet", "pc2": "pfet", "nc2": "nfet", "ld2": "nfet"}
    wanted = {
        f"{attribute}_{name}": f"@{ELEMENT[task.pdk_name].format(name, kind)}[{attribute}]"
        for name, kind in names.items()
        for attribute in ("gm", "gmbs", "gds")
    }
    extra = "\n".join(f"let {k} = {v}\nprint {k}" for k, v in wanted.items())
    c_in = input_load(folded_cascode(d, fet), models, tmp_path)
    theirs = measured(open_loop(folded_cascode(d, fet), models, c_in, extra), tmp_path)

    assert ours["gain"] == pytest.approx(theirs["gain"], abs=0.05)
    assert ours["ugbw"] == pytest.approx(theirs["fu"], rel=0.01)
    assert ours["pm"] == pytest.approx(180 + theirs["phase"], abs=1.0)
    assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-4)
    assert ours["cmrr"] == pytest.approx(theirs["gain100"] - theirs["common"], abs=0.3)

    def cascoded(cascode: str, below: float) -> float:
        """Conductance of `below` under a cascode."""
        gds = theirs[f"gds_{cascode}"]
        gm = theirs[f"gm_{cascode}"] + theirs[f"gmbs_{cascode}"]
        return gds * below / (gm + gds + below)

    # The library's subcircuit has parallel devices one by one; the bundled card counts them.
    copies = d["m_src"] if task.pdk_name == "sky130" else 1
    fold = theirs["gds_pn"] + copies * theirs["gds_src2"]
    by_hand = theirs["gm_pn"] / (cascoded("pc2", fold) + cascoded("nc2", theirs["gds_ld2"]))
    # A few per cent of the signal current stay in the sources, and the tail's node moves a little.
    assert ours["gain"] == pytest.approx(20 * math.log10(by_hand), abs=1.0)
    # gm/C: the output's own capacitance and the folding node's pole lower it.
    ideal = theirs["gm_pn"] / (2 * math.pi * (C_LOAD + c_in))
    assert ours["ugbw"] == pytest.approx(ideal, rel=0.12)


def test_swing_is_what_the_open_amplifier_does_within_one_millivolt(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    body = folded_cascode(task.reference or {}, fet)
    ends = measured(output_range(body, models, 1e-3), tmp_path)
    # The bench sweeps the target, which is the output less the input-referred error.
    assert ours["swing"] == pytest.approx(ends["high"] - ends["low"] + 2e-3, abs=8e-3)


def test_integrated_noise_of_ngspice_itself(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    theirs = measured(follower_noise(folded_cascode(task.reference or {}, fet), models), tmp_path)
    assert ours["noise"] == pytest.approx(theirs["inoise_total"], rel=0.02)


def test_slew_rate_of_a_fine_grained_transient(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    d = task.reference or {}
    models, fet = devices(task.pdk_name)
    deck = f"""* unity-gain follower, 0.4 ns steps at most
{models}
{folded_cascode(d, fet)}
vip inp 0 pulse(0.9 1.2 5n 0.1n 0.1n 29.9n 1)
vshort inn out 0
.nodeset v(out)=0.9 v(inn)=0.9 v(mir)=0.65
.options reltol=1e-5
.control
tran 0.2n 65n 0 0.4n
meas tran rise trig v(out) val=0.96 rise=1 targ v(out) val=1.14 rise=1
meas tran fall trig v(out) val=1.14 fall=1 targ v(out) val=0.96 fall=1
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    assert ours["slew_rise"] == pytest.approx(0.18 / theirs["rise"], rel=0.04)
    assert ours["slew_fall"] == pytest.approx(0.18 / theirs["fall"], rel=0.04)
    # No edge is faster than the whole tail into CL.
    tail = d["m_tail"] * d["i_bias"] / C_LOAD
    assert 0.5 * tail < ours["slew_rate"] < tail


def test_every_device_is_saturated_at_the_reference(task: acs_gym.Task, tmp_path: Path) -> None:
    models, fet = devices(task.pdk_name)
    body = folded_cascode(task.reference or {}, fet)
    beyond = measured(saturation_deck(task.pdk_name, body, models), tmp_path)
    assert {"tail", "pp", "pn", "src2", "pc2", "nc2", "ld2"} <= set(beyond)
    assert min(beyond.values()) > 0.05
