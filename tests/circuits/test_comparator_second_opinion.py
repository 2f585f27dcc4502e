"""The comparator's metrics against second, independent ways of measuring them.

Speed, reset, kickback and power: a netlist of its own with the PDK's subcircuits, fine time steps,
several cycles from a plain start, and `.meas` in the ngspice program. Offset: bisection of the input
until the latch changes its mind, and the threshold difference that was put in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.pdks.generic_cards import MISMATCH
from acs_gym.simulation.pool import Job, Simulator
from tests.circuits.proofs import changed, variant
from tests.conftest import needs_ngspice_program, needs_sky130
from tests.integration.test_classic_bench import fet, library, measured

ON_PDKS = [pytest.param("sky130", marks=needs_sky130), "generic"]


def strong_arm(d: dict[str, float]) -> str:
    ncross, pcross = (d["w_ncross"], d["l_cross"]), (d["w_pcross"], d["l_cross"])
    reset, l_min = (d["w_reset"], 0.15e-6), 0.15e-6
    return "\n".join(
        [
            fet("tail", "nfet", "t ck 0 0", d["w_tail"], l_min),
            fet("a", "nfet", "da ga t 0", d["w_pair"], d["l_pair"]),
            fet("b", "nfet", "db gb t 0", d["w_pair"], d["l_pair"]),
            # The output above the positive input's drain is the negative one.
            fet("na", "nfet", "qn qp da 0", *ncross),
            fet("nb", "nfet", "qp qn db 0", *ncross),
            fet("pa", "pfet", "qn qp vdd vdd", *pcross),
            fet("pb", "pfet", "qp qn vdd vdd", *pcross),
            *(fet(f"r{q}", "pfet", f"{q} ck vdd vdd", *reset) for q in ("qn", "qp", "da", "db")),
        ]
    )


@needs_sky130
@needs_ngspice_program
def test_speed_reset_kickback_and_power_of_a_fine_grained_transient(
    in_process: Simulator, tmp_path: Path
) -> None:
    task = acs_gym.make_task("ACS-Comparator-v0", pdk="sky130")
    reference = changed(task, {})
    ours = in_process.run([Job(task.program, reference)])[0].metrics
    # Three cycles of 10 ns that start reset; the last two are measured, as is the charge they take.
    deck = f"""* StrongARM, 100 MHz, +-20 mV through 1 kOhm, 10 fF
{library()}
{strong_arm(reference)}
cn qn 0 10f
cp qp 0 10f
vdd vdd 0 1.8
vck ck 0 pulse(0 1.8 5n 50p 50p 4.95n 10n)
vd d 0 pulse(10m -10m 12n 50p 50p 9.95n 20n)
bpos sa 0 v=0.9+v(d)
bneg sb 0 v=0.9-v(d)
ra sa ga 1k
rb sb gb 1k
.options reltol=1e-5
.control
tran 5p 30.6n 0 8p
let apart = abs(v(qp)-v(qn))
let lower = 0.5*(v(qp)+v(qn)-apart)
let bumpa = abs(v(ga)-v(sa))
let bumpb = abs(v(gb)-v(sb))
meas tran second trig v(ck) val=0.9 rise=2 targ apart val=1.44 rise=2
meas tran third trig v(ck) val=0.9 rise=3 targ apart val=1.44 rise=3
meas tran again trig v(ck) val=0.9 fall=2 targ lower val=1.71 rise=2
meas tran kicka max bumpa from=10.2n to=30.2n
meas tran kickb max bumpb from=10.2n to=30.2n
meas tran supply integ i(vdd) from=10.5n to=30.5n
meas tran clock integ i(vck) from=14.9n to=19.9n
.endc
.end
"""
    theirs = measured(deck, tmp_path)
    slower = max(theirs["second"], theirs["third"])
    assert ours["decision_time"] == pytest.approx(slower, rel=0.01)
    assert ours["reset_time"] == pytest.approx(theirs["again"], rel=0.02)
    assert ours["kickback"] == pytest.approx(max(theirs["kicka"], theirs["kickb"]), rel=0.03)
    joules = -1.8 * (theirs["supply"] / 2 + theirs["clock"])
    assert ours["power"] == pytest.approx(joules / 10e-9, rel=0.01)


@pytest.mark.parametrize("pdk", ON_PDKS)
def test_offset_is_where_bisection_finds_the_latch_undecided(
    pdk: str, in_process: Simulator
) -> None:
    """An undecided latch takes so long that its PMOS have a say, which decisions at 20 mV cut short:
    some draws differ by half a millivolt, the three-sigma value by less than 6 %.
    """
    task = acs_gym.make_task("ACS-Comparator-v0", pdk=pdk, tier="mc")
    reference = changed(task, {})
    # The same bench with a settable voltage in series with an input, and nothing else applied.
    settable = variant(
        task,
        {
            "bench_clocked.spice": {
                "rsp  sp  inp {r_source}": "rsp sq inp {r_source}\nvos sq sp {v_os}"
            },
            "circuit.toml": {"v_in = 20e-3": "v_in = 20e-3\nv_os = 0.0"},
        },
    )

    def decides_high(v_os: float, mismatch: Mapping[str, float]) -> bool:
        applied = {"v_in": 1e-6, "v_os": v_os}
        job = Job(settable.program, reference, True, applied, mismatch)
        wave = in_process.run([job])[0].waveforms["cycles"]
        end = int(wave["sweep"].searchsorted(10.05e-9))  # Of the first decision.
        return bool(wave["v(outp)"][end] > wave["v(outn)"][end])

    ours, bisected = [], []
    for draw in range(10):
        job = task.job(reference, draw)
        ours.append(in_process.run([job])[0].metrics["offset"])
        low, high = -32e-3, 32e-3
        while high - low > 50e-6:
            middle = 0.5 * (low + high)
            if decides_high(middle, job.mismatch):
                high = middle
            else:
                low = middle
        bisected.append(0.5 * (low + high))
    difference = np.subtract(ours, bisected)
    assert np.sqrt(np.mean(difference**2)) < 0.12 * np.sqrt(np.mean(np.square(bisected)))
    assert abs(np.mean(difference)) < 0.15 * np.std(bisected, ddof=1)
    assert np.std(ours, ddof=1) == pytest.approx(np.std(bisected, ddof=1), rel=0.06)


@pytest.mark.parametrize("kind", ["pair", "ncross"])
def test_offset_of_one_shifted_threshold(kind: str, in_process: Simulator) -> None:
    """By hand: the pair's own threshold difference is the offset, the latch's comes in divided by
    the gain in front of it."""
    task = acs_gym.make_task("ACS-Comparator-v0", pdk="generic")
    d = changed(task, {})
    length = d["l_pair"] if kind == "pair" else d["l_cross"]
    shift = MISMATCH["n"].a_vt / math.sqrt(2 * d[f"w_{kind}"] * length)
    draw = {f"m.xdut.m{kind}_p": 1.0}
    offset = in_process.run([Job(task.program, d, False, {}, draw)])[0].metrics["offset"]
    if kind == "pair":
        assert offset == pytest.approx(shift, rel=0.1)
    else:
        assert 0.05 * shift < offset < 0.8 * shift
