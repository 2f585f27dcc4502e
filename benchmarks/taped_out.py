"""An op-amp that was taped out, at the sizes it publishes, on the testbenches of ACS-OpAmp-v0.

    python benchmarks/taped_out.py        # benchmarks/results/taped_out.json, shown on the page

github.com/PravinduG/sky130_op_amp (P. Goonetilleke, N. Warushavithana, Apache-2.0) is a two-stage
Miller op-amp on SKY130, on the shuttle SKY25b of Tiny Tapeout in the tile `tt_um_se_opamps`. Its sizes
are those of `netlist/schematic/`, here in this project's notation. What it reached is published after
the extraction of its layout, by CACE, run by run in `runs/`; before it, in the names of the pictures in
`images/schematic_level_sims/`; and as a table in NilaknaW/NilaknaW.github.io, `nilaknaw/assets/
markdown/opamp.md`. After a change of the testbenches, run it and `python -m docs.circuit_pages opamp`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from analoggym import fet, program, row, write

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator, WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged

RESULT = Path(__file__).parent / "results" / "taped_out.json"
# W and L in um, parallel devices; every finger is 1 um wide.
PAIR, LOAD, DRIVER = (4, 1, 4), (4, 1, 2), (4, 1, 7)
BIAS, TAIL, SINK = (4, 1, 1), (5, 1, 8), (5, 1, 12)
ON_BIAS, ON_TAIL, ON_SINK = (4, 1, 6), (4, 1, 6), (4, 1, 11)
# Fingers at the ends of its rows, which are off: their junctions load the nets they are on.
OFF = {"n1": 2, "n2": 2, "tail": 8, "nb": 2, "st": 16, "so": 20}
I_BIAS, M_TAIL, M_OUT = 5e-6, 10, 15
CONDITIONS = {"vdd": 1.8, "v_cm": 0.9, "c_load": 25e-12, "v_step": 0.2, "t_edge": 2e-6}
EDGE = 5e-9  # when the testbench's step rises
# Its nulling resistor, and what the PDK's formulas make of that at 25 °C.
RESISTOR = "n2 nz vss sky130_fd_pr__res_xhigh_po_1p41 l=11e-6"
KEPT = "n2 nz ideal_res r=16.297e3"
# Corner, supply and temperature of the least and the largest gain and frequency of its 45 runs.
CORNERS = {
    "sf": (1.7, 50.0), "fs": (1.9, 20.0), "ss": (1.7, 50.0), "ff": (1.9, 20.0),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    metric: str
    unit: str
    published: float | None


ROWS = {
    # runs/RUN_2025-10-22_16-40-42/parameters/dc_params/run_16
    "gain_1k": Row("loop gain of the follower at 1 kHz", "dB", 71.4436),
    "f_1db": Row("frequency where the loop gain is 1 dB", "Hz", 10.2997e6),
    "pm_1db": Row("phase of the loop gain there, above -180°", "°", 82.034),
    # runs/RUN_2025-10-21_19-17-39/parameters/dc_params/run_16
    "ugbw": Row("unity-gain frequency of the loop gain", "Hz", 11.57e6),
    "pm": Row("phase margin", "°", 80.012),
    # images/schematic_level_sims
    "gain": Row("loop gain at 10 Hz; published: of the schematic, at low frequency", "dB", 72.38),
    "ugbw_drawn": Row("unity-gain frequency; published: of the schematic", "Hz", 12.234e6),
    "pm_drawn": Row("phase margin; published: of the schematic", "°", 82.0),
    "steepest_rise": Row("steepest slope of a rising step; published: of the schematic", "V/s", 8.66e6),
    "steepest_fall": Row("steepest slope of a falling step; published: of the schematic", "V/s", 2.59e6),
    # nilaknaw/assets/markdown/opamp.md
    "slew_fall": Row("slope of the falling edge, 20 % to 80 %; published: slew rate", "V/s", 1.2e6),
    "current": Row("current from the supply, without the 5 µA into the bias", "A", 109e-6),
    "offset": Row("input-referred offset without mismatch", "V", 26.5e-6),
    # runs/RUN_2025-10-22_16-23-39/parameters/dc_params, the least and the largest
    "gain_1k@sf": Row("loop gain at 1 kHz, sf, 1.7 V, 50 °C", "dB", 65.616),
    "gain_1k@fs": Row("loop gain at 1 kHz, fs, 1.9 V, 20 °C", "dB", 73.096),
    "f_1db@ss": Row("frequency where the loop gain is 1 dB, ss, 1.7 V, 50 °C", "Hz", 8.471e6),
    "f_1db@ss kept": Row("the same, the nulling resistor as at 25 °C", "Hz", 8.471e6),
    "f_1db@ff": Row("frequency where the loop gain is 1 dB, ff, 1.9 V, 20 °C", "Hz", 11.57e6),
    "f_1db@ff kept": Row("the same, the nulling resistor as at 25 °C", "Hz", 11.57e6),
    "saturation": Row("Vds/Vdsat of the devices that must saturate, the least", "", None),
}  # fmt: skip
REMARKS = (
    "All of it is simulated: its authors had no chip yet when they wrote. Where a row does not say "
    "otherwise, published is of the extracted layout; here is always of the schematic, without wires.",
    "Its bench in CACE reads the DC gain at 1 kHz, near the first pole: here 10 Hz gives {lost:.1f} dB "
    "more.",
    "That bench looks for the crossing of 1 in a gain that is in dB, so that its unity-gain frequency "
    "and phase margin are read at 1 dB; a run of the day before had the gain in V/V and read them at "
    "0 dB.",
    "The layout costs phase: extracted, it has {layout:.1f}° less margin at 0 dB than here; its "
    "schematic has as much as here.",
    "The testbench of its schematic takes the PDK's binned models, its extracted runs the continuous "
    "ones, which are those used here.",
    "ngspice drops the temperature coefficients of the nulling resistor when it reads the PDK's library; "
    "here they count. With a resistor that does not change either, the frequency is as near at the "
    "corners as at the typical one.",
    "Its bench has no feedback, so that the offset moves the output. At sf it would rest at {rest:.2f} V "
    "here, where the gain is {open:.1f} dB less than at 0.9 V; the rest of that difference is not "
    "explained.",
    "How the 1.2 V/µs of its table were read is not said; here the falling edge is the slower one, of "
    "{sink:.0f} µA that discharge the load and the Miller capacitor.",
    "The 10.0 MHz, 71.4 dB and 82.3° of its table are the middle values of its 45 runs, not the typical "
    "ones.",
    "Its disable current, 194.5 pA, is not measured: the reference current here is ideal and cannot "
    "stop.",
)


def netlist(resistor: str = RESISTOR) -> str:
    """Its amplifier, enabled, with the names that the testbenches' gates and saturation ask for."""

    def folded(name: str, nodes: str, kind: str, size: tuple[float, float, int]) -> str:
        return f"{fet(name, nodes, kind, size)} nf={size[0]}"

    return "\n".join(
        [
            "* two-stage Miller op-amp with enable switches below its mirror, at published sizes",
            ".subckt opamp inp inn out vdd vss",
            f"Xib vdd nb ibias i={I_BIAS}",
            folded("bias", "nb nb sb vss", "nfet", BIAS),
            folded("tail", "tail nb st vss", "nfet", TAIL),
            folded("sink", "out nb so vss", "nfet", SINK),
            folded("on_bias", "sb vdd vss vss", "nfet", ON_BIAS),
            folded("on_tail", "st vdd vss vss", "nfet", ON_TAIL),
            folded("on_sink", "so vdd vss vss", "nfet", ON_SINK),
            folded("pair_n", "n1 inn tail vss", "nfet", PAIR),
            folded("pair_p", "n2 inp tail vss", "nfet", PAIR),
            folded("load_n", "n1 n1 vdd vdd", "pfet", LOAD),
            folded("load_p", "n2 n1 vdd vdd", "pfet", LOAD),
            folded("driver", "out n2 vdd vdd", "pfet", DRIVER),
            *(fet(f"off_{n}", f"{n} vss vss vss", "nfet", (1, 1, m)) for n, m in OFF.items()),
            f"Xrz {resistor}",
            "Xcc nz out sky130_fd_pr__cap_mim_m3_1 w=75e-6 l=35e-6",
            ".ends opamp",
        ]
    )


def small_signals(loop: Mapping[str, np.ndarray]) -> dict[str, float]:
    """What its bench reads, of the loop gain of the follower."""
    decades = np.log10(np.real(loop["sweep"]))
    db = 20 * np.log10(np.abs(loop["loop(vfb)"]))
    phase = np.degrees(np.unwrap(np.angle(loop["loop(vfb)"])))
    # The loop gain only falls; np.interp wants what it looks in to rise.
    crossing = float(np.interp(-1.0, -db, decades))
    return {
        "gain_1k": float(np.interp(3.0, decades, db)),
        "f_1db": 10**crossing,
        "pm_1db": 180 + float(np.interp(crossing, decades, phase)),
    }


def slopes(step: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The steepest slopes (V/s), once the source's own edge has passed."""
    time, out = step["sweep"], step["v(out)"]
    falls = EDGE + CONDITIONS["t_edge"]
    slope, after = np.diff(out) / np.diff(time), time[:-1]
    up, down = ((after > at + 1e-9) & (after < at + CONDITIONS["t_edge"]) for at in (EDGE, falls))
    return {"steepest_rise": float(slope[up].max()), "steepest_fall": -float(slope[down].min())}


def resting(transfer: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Where the output rests with both inputs alike, and its gain there (dB)."""
    out, error = transfer["sweep"], transfer["v(inn)"] - CONDITIONS["v_cm"]
    slope = np.gradient(error, out)
    rest = float(np.interp(0.0, -error, out))  # the error falls as the output rises
    return {"rest": rest, "open": -20 * math.log10(abs(float(np.interp(rest, out, slope))))}


def measure(simulator: Simulator, corners: bool = True) -> dict[str, float]:
    """Every row of ROWS by its name; those of the corners only if asked for."""
    task = acs_gym.make_task("ACS-OpAmp-v0", pdk="sky130")
    assert task.reference is not None
    design = dict(task.reference) | {"i_bias": I_BIAS, "m_tail": M_TAIL, "m_out": M_OUT}

    def job(corner: str, resistor: str = RESISTOR, **conditions: float) -> Job:
        bench = program(task, netlist(resistor), CONDITIONS, corner)
        return Job(bench, design, waveforms=True, conditions=conditions)

    jobs = {"": job("tt")}
    for corner, (vdd, temperature) in CORNERS.items() if corners else ():
        there = {"vdd": vdd, "temperature": temperature}
        jobs[f"@{corner}"] = job(corner, **there)
        jobs[f"@{corner} kept"] = job(corner, KEPT, **there)
    outcomes = simulate_uncharged(list(jobs.values()), simulator)
    return {
        f"{name}{where}": value
        for where, outcome in zip(jobs, outcomes, strict=True)
        for name, value in _found(outcome).items()
    }


def _found(outcome: Outcome) -> dict[str, float]:
    assert outcome.status is Status.OK, outcome.message
    m, waves = outcome.metrics, outcome.waveforms
    drawn = {f"{name}_drawn": m[name] for name in ("ugbw", "pm")}
    found = small_signals(waves["loop"]) | slopes(waves["step"]) | resting(waves["transfer"])
    return dict(m) | drawn | found | {"current": -float(waves["op"]["i(vdd)"][0]) - I_BIAS}


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with WorkerPool(1) as pool:
        here = measure(pool)
    margin = ROWS["pm"].published
    assert margin is not None
    said = {
        "lost": here["gain"] - here["gain_1k"],
        "layout": here["pm"] - margin,
        "sink": M_OUT / (M_TAIL + M_OUT) * here["current"] * 1e6,
        "rest": here["rest@sf"],
        "open": here["gain@sf"] - here["open@sf"],
    }
    write(
        RESULT,
        {
            "command": "python benchmarks/taped_out.py",
            "conditions": "sky130, tt, 1.8 V, 27 °C, 25 pF, the inputs at 0.9 V, a step of 0.2 V",
            "rows": [
                row(known.metric, known.unit, known.published, here[name])
                for name, known in ROWS.items()
            ],
            "remarks": [remark.format(**said) for remark in REMARKS],
        },
    )


if __name__ == "__main__":
    main()
