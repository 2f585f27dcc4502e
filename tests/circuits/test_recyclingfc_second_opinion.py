"""The recycling OTA's metrics against a second, independent way of measuring them.

The decks of the telescopic OTA's around another amplifier: open loop with a servo, `meas`, the PDK's own
subcircuits, the ngspice program. Beyond the reference they run where optimisers end and at random
designs near the reference. The loop margins are held to an opened loop in `test_loop.py`.
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
from tests.circuits.proofs import winners
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


def recycling(d: dict[str, float], fet: Callable[..., str]) -> str:
    bias = d["w_bias"], d["l_bias"]
    mirror = d["w_fold"], d["l_fold"]
    pair = d["w_pair"], d["l_pair"]
    cascode = d["w_pcas"], d["l_cas"]
    k = int(d["k_fold"])
    halves = [
        "\n".join(
            [
                # `own` folds here; `other` is the input whose copy drives this side's mirror.
                fet(f"pm{side}", "nfet", f"f{side} {own} tail 0", *pair),
                fet(f"pr{side}", "nfet", f"g{side} {other} tail 0", *pair),
                fet(f"mi{side}", "pfet", f"i{side} g{side} vdd vdd", *mirror),
                fet(f"mo{side}", "pfet", f"f{side} g{side} vdd vdd", *mirror, copies=k),
                fet(f"ci{side}", "pfet", f"g{side} gp i{side} vdd", *cascode),
                fet(f"co{side}", "pfet", f"{end} gp f{side} vdd", *cascode, copies=k - 1),
                fet(f"nc{side}", "nfet", f"{end} gn s{side} 0", d["w_ncas"], d["l_cas"]),
                fet(f"ld{side}", "nfet", f"s{side} mir 0 0", d["w_load"], d["l_load"]),
            ]
        )
        for side, own, other, end in (("l", "inp", "inn", "mir"), ("r", "inn", "inp", "out"))
    ]
    return "\n".join(
        [
            f"ibias vdd nb {d['i_bias']}",
            fet("bias", "nfet", "nb nb 0 0", *bias),
            fet("sink1", "nfet", "pb nb 0 0", *bias),
            fet("sink2", "nfet", "gp nb 0 0", *bias),
            fet("tail", "nfet", "tail nb 0 0", *bias, copies=int(d["m_tail"])),
            fet("ref", "pfet", "pb pb vdd vdd", *mirror),
            fet("feed", "pfet", "gn pb vdd vdd", *mirror),
            fet("shn", "nfet", "gn gn 0 0", 1e-6, d["l_nshift"]),
            fet("shp", "pfet", "gp gp vdd vdd", 1e-6, d["l_pshift"]),
            *halves,
            f"cl out 0 {C_LOAD}",
            "vdd vdd 0 1.8",
        ]
    )


@pytest.fixture(params=PDKS)
def process(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(process: str) -> acs_gym.Task:
    return acs_gym.make_task("recyclingfc", pdk=process)


@pytest.fixture
def ours(task: acs_gym.Task, in_process: Simulator) -> dict[str, float]:
    assert task.reference
    return in_process.run([Job(task.program, task.reference)])[0].metrics


def test_hand_formulas(task: acs_gym.Task, ours: dict[str, float], tmp_path: Path) -> None:
    d = task.reference or {}
    models, fet = devices(task.pdk_name)
    names = {
        "pmr": "nfet",
        "prr": "nfet",
        "mor": "pfet",
        "cor": "pfet",
        "ncr": "nfet",
        "ldr": "nfet",
    }
    wanted = {
        f"{attribute}_{name}": f"@{ELEMENT[task.pdk_name].format(name, kind)}[{attribute}]"
        for name, kind in names.items()
        for attribute in ("gm", "gmbs", "gds")
    }
    extra = "\n".join(f"let {k} = {v}\nprint {k}" for k, v in wanted.items())
    c_in = input_load(recycling(d, fet), models, tmp_path)
    theirs = measured(open_loop(recycling(d, fet), models, c_in, extra), tmp_path)

    def cascoded(cascode: str, below: float, copies: float) -> float:
        """Conductance of `below` under a cascode."""
        gds = copies * theirs[f"gds_{cascode}"]
        gm = copies * (theirs[f"gm_{cascode}"] + theirs[f"gmbs_{cascode}"])
        return gds * below / (gm + gds + below)

    # The library's subcircuit has parallel devices one by one; the bundled card counts them.
    ones = task.pdk_name == "sky130"
    k, k_less = (d["k_fold"], d["k_fold"] - 1) if ones else (1, 1)
    fold = theirs["gds_pmr"] + k * theirs["gds_mor"]
    rout = 1 / (cascoded("cor", fold, k_less) + cascoded("ncr", theirs["gds_ldr"], 1))
    # What the topology is about: a quarter of the pair works directly and one through 1:k. The two
    # differ in a short pair, since the one that drives the mirror has the lower drain.
    gm = theirs["gm_pmr"] + d["k_fold"] * theirs["gm_prr"]
    assert ours["gain"] == pytest.approx(20 * math.log10(gm * rout), abs=1.5)
    # The output's own capacitance and the pole of the mirrors lower it.
    assert 0.7 < ours["ugbw"] / (gm / (2 * math.pi * (C_LOAD + c_in))) < 1.05


def some_designs(task: acs_gym.Task) -> list[Design]:
    """The reference, what optimisers ended on, and random designs about the reference."""
    rng = np.random.default_rng(14)
    reference = task.reference or {}
    near = task.space.to_unit(reference) + rng.normal(0, 0.06, (3, len(task.space)))
    return [reference, *winners(task), *(task.space.from_unit(u) for u in near.clip(0, 1))]


def test_every_small_signal_metric_at_winners_and_random_designs(
    task: acs_gym.Task, in_process: Simulator, tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    compared = 0
    for design in some_designs(task):
        [outcome] = in_process.run([Job(task.program, design)])
        if outcome.status is not Status.OK:
            continue
        ours, body = outcome.metrics, recycling(design, fet)
        theirs = measured(open_loop(body, models, input_load(body, models, tmp_path)), tmp_path)
        assert ours["gain"] == pytest.approx(theirs["gain"], abs=0.05)
        assert ours["ugbw"] == pytest.approx(theirs["fu"], rel=0.01)
        assert ours["pm"] == pytest.approx(180 + theirs["phase"], abs=1.0)
        assert ours["power"] == pytest.approx(theirs["watts"], rel=1e-4)
        assert ours["cmrr"] == pytest.approx(theirs["gain100"] - theirs["common"], abs=0.5)
        supply = open_loop(body.replace("vdd vdd 0 1.8", "vdd vdd 0 1.8 ac 1"), models, 1e-18)
        # Only the supply moves: nothing enters the loop, which the servo leaves open at 100 Hz.
        rejected = supply.replace("vin src 0 dc 0 ac -1", "vin src 0 dc 0").replace(
            "alter vip ac = 1\nalter vin ac = 1\n", ""
        )
        from_supply = measured(rejected, tmp_path)["common"]
        assert ours["psrr"] == pytest.approx(theirs["gain100"] - from_supply, abs=0.5)
        noise = measured(follower_noise(body, models), tmp_path)["inoise_total"]
        assert ours["noise"] == pytest.approx(noise, rel=0.02)
        compared += 1
    assert compared >= 3


def test_swing_is_what_the_open_amplifier_does_within_one_millivolt(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    body = recycling(task.reference or {}, fet)
    ends = measured(output_range(body, models, 1e-3), tmp_path)
    # The bench sweeps the target, which is the output less the input-referred error, in steps of 50 mV.
    assert ours["swing"] == pytest.approx(ends["high"] - ends["low"] + 2e-3, abs=15e-3)


def test_slew_settling_and_overshoot_of_a_fine_grained_transient(
    task: acs_gym.Task, in_process: Simulator, tmp_path: Path
) -> None:
    models, fet = devices(task.pdk_name)
    compared = 0
    for design in some_designs(task)[:4]:
        [outcome] = in_process.run([Job(task.program, design)])
        if outcome.status is not Status.OK:
            continue
        ours = outcome.metrics
        deck = f"""* unity-gain follower, 0.1 ns steps at most
{models}
{recycling(design, fet)}
vip inp 0 pulse(0.9 1.2 5n 0.1n 0.1n 49.9n 1)
vshort inn out 0
.nodeset v(out)=0.9 v(inn)=0.9 v(mir)=0.65
.options reltol=1e-5
.control
tran 0.1n 105n 0 0.1n
meas tran rise trig v(out) val=0.96 rise=1 targ v(out) val=1.14 rise=1
meas tran fall trig v(out) val=1.14 fall=1 targ v(out) val=0.96 fall=1
meas tran top max v(out) from=5n to=55n
meas tran bottom min v(out) from=55n to=105n
meas tran high find v(out) at=54.9n
meas tran low find v(out) at=104.9n
meas tran in_band when v(out)=1.197 rise=1
.endc
.end
"""
        theirs = measured(deck, tmp_path)
        assert ours["slew_rise"] == pytest.approx(0.18 / theirs["rise"], rel=0.03)
        assert ours["slew_fall"] == pytest.approx(0.18 / theirs["fall"], rel=0.03)
        assert ours["over_rise"] == pytest.approx((theirs["top"] - theirs["high"]) / 0.3, abs=3e-3)
        assert ours["over_fall"] == pytest.approx(
            (theirs["low"] - theirs["bottom"]) / 0.3, abs=3e-3
        )
        if theirs["top"] < 1.203:  # It enters the band once and stays.
            assert ours["settle_rise"] == pytest.approx(theirs["in_band"] - 5e-9, rel=0.03)
        compared += 1
    assert compared >= 3


def test_input_range_is_where_the_follower_follows_from_either_side(
    task: acs_gym.Task, ours: dict[str, float], tmp_path: Path
) -> None:
    """Above it the recycling quarters leave saturation, and a second state may hold the output."""
    models, fet = devices(task.pdk_name)
    deck = f"""* unity-gain follower, swept downwards
{models}
{recycling(task.reference or {}, fet)}
vip inp 0 dc 0.9
vshort inn out 0
.nodeset v(mir)=0.65
.options reltol=1e-5
.control
dc vip 1.71 0.35 -0.01
let moved = v(out) - v(inp)
meas dc middle find moved at=0.9
let beyond = abs(moved - middle) - 5m
meas dc high when beyond=0 fall=1
meas dc low when beyond=0 rise=1
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    # Our sweep has steps of 90 mV, between which it is interpolated.
    high, low = theirs.get("high", 1.71), theirs.get("low", 0.36)
    assert ours["input_range"] == pytest.approx(high - low, abs=0.06)


def test_every_device_is_saturated_at_the_reference(task: acs_gym.Task, tmp_path: Path) -> None:
    models, fet = devices(task.pdk_name)
    body = recycling(task.reference or {}, fet)
    beyond = measured(saturation_deck(task.pdk_name, body, models), tmp_path)
    assert {"tail", "pml", "prr", "mil", "mor", "cor", "cil", "ncr", "ldr"} <= set(beyond)
    assert min(beyond.values()) > 0.03
