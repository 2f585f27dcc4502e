"""AnalogGym's three-stage amplifier, at the sizes it publishes, on the testbenches of ACS-NMC-v0.

    python benchmarks/analoggym.py        # benchmarks/results/analoggym_nmc.json, shown on the page

AnalogGym (arXiv:2409.08534) has an amplifier with nested Miller compensation and feedforward on
SKY130, and its repository (`RGNN_RL/simulations/`) holds one set of sizes and what its own
testbenches printed for it. Here the amplifier is written in this project's devices and measured as
ACS-NMC-v0 is, with that supply, input and load: small signals with the input at 0.4 of the supply,
the step from 0.3 V, as there. After a change of the testbenches, run it and `python -m
docs.circuit_pages nmc`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import acs_gym
from acs_gym.circuit_reading import load_circuit
from acs_gym.evaluation import Status
from acs_gym.simulation.deck import build_program
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator, WorkerPool
from acs_gym.simulation.program import Program
from acs_gym.simulation.uncharged import simulate_uncharged

RESULT = Path(__file__).parent / "results" / "analoggym_nmc.json"
# W and L in um, parallel devices; the MIM capacitors are squares of 30 um, 2 fF/um2 and some fringe.
PMOS, PAIR = (8.40168795, 1.87535508, 19), (1.32225278, 2.62702578, 37)
SECOND, FORWARD = (1.71042647, 1.81543295, 4), (3.57862087, 3.58166180, 347)
NMOS, TURN, DRIVER = (
    (1.46115470, 0.95035148, 4),
    (5.92310868, 1.38737978, 42),
    (1.23417626, 2.38420312, 9),
)
I_BIAS, SQUARES, SQUARE = 5.24510647e-06, (21, 8), 1.85e-12
C_LOAD, T_EDGE, V_CM, V_STEP_FROM = 10e-12, 40e-6, 0.72, 0.3
# From its logs; the power is the supply current of its operating point times 1.8 V.
PUBLISHED = {
    "gain": 102.47, "ugbw": 213.8e3, "pm": 79.96, "cmrr": 38.03, "psrr": 37.72,
    "half_rise": 0.307e6, "half_fall": 0.224e6, "power": 354.7e-6 * 1.8,
}  # fmt: skip
HALF = "half the step over the time from the edge to its middle, {} edge"
REMARKS = (
    "Its 38 dB of rejection are a tail in triode: with the input at 0.72 V the least Vds/Vdsat "
    "(`saturation`) is far below 1, which this task does not accept.",
    "Its slew rate is of other sizes: the operating point printed in its transient log draws 203 µA "
    "and has the output driver's gate at 0.68 V, where the published sizes draw {current:.0f} µA and "
    "have it at {gate:.2f} V.",
    "Its power file says 261 µW; 354.7 µA in the log of its small signals, times 1.8 V, are 638 µW.",
)


def fet(name: str, nodes: str, kind: str, size: tuple[float, float, int], times: int = 1) -> str:
    w, length, copies = size
    return f"X{name} {nodes} {kind} w={w}e-6 l={length}e-6 m={copies * times}"


def program(
    task: acs_gym.Task, dut: str, conditions: Mapping[str, float], corner: str = "tt"
) -> Program:
    """The task's testbenches around another netlist, at other conditions than the folder's."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(task.circuit.folder, Path(folder) / task.circuit.name))
        (copy / "dut.spice").write_text(dut)
        for made in ("targets.json", "difficulty.json"):
            (copy / made).unlink(missing_ok=True)
        text = (copy / "circuit.toml").read_text()
        for name, value in conditions.items():
            text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, count=1, flags=re.M)
        (copy / "circuit.toml").write_text(text)
        return build_program(load_circuit(copy), task.pdk, corner)


def row(metric: str, unit: str, published: float | None, here: float) -> dict[str, Any]:
    """A line of the table, with as many digits as do not depend on the machine."""
    return {"metric": metric, "unit": unit, "published": published, "here": float(f"{here:.4g}")}


def write(path: Path, result: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(path.read_text())


def netlist() -> str:
    """Its amplifier, with the names that the testbenches' gates and saturation ask for."""
    outer, inner = (n * SQUARE for n in SQUARES)
    return "\n".join(
        [
            "* nested Miller compensation with feedforward, at published sizes",
            ".subckt nmc inp inn out vdd vss",
            f"Xib pb vss ibias i={I_BIAS}",
            fet("bias", "pb pb vdd vdd", "pfet", PMOS),
            fet("bias_a", "vcn pb vdd vdd", "pfet", PMOS),
            fet("bias_b", "nb pb vdd vdd", "pfet", PMOS),
            fet("bias_c", "nd pb vdd vdd", "pfet", PMOS),
            fet("tail", "tail pb vdd vdd", "pfet", PMOS, 4),
            fet("pull", "n3 pb vdd vdd", "pfet", PMOS),
            fet("nshift", "vcn vcn vss vss", "nfet", NMOS),
            fet("ncas_r", "nb vcn nr vss", "nfet", NMOS, 4),
            fet("sink_r", "nr nb vss vss", "nfet", NMOS, 4),
            fet("ncas_d", "nd vcn ne vss", "nfet", NMOS, 4),
            fet("sink_d", "ne nb vss vss", "nfet", NMOS, 4),
            fet("pair_n", "fn inn tail tail", "pfet", PAIR),
            fet("pair_p", "fp inp tail tail", "pfet", PAIR),
            fet("sink_n", "fn nb vss vss", "nfet", NMOS, 8),
            fet("sink_p", "fp nb vss vss", "nfet", NMOS, 8),
            fet("ncas_n", "n1 vcn fn vss", "nfet", NMOS, 4),
            fet("ncas_p", "n2 vcn fp vss", "nfet", NMOS, 4),
            fet("load_n", "n1 n1 vdd vdd", "pfet", PMOS),
            fet("load_p", "n2 n1 vdd vdd", "pfet", PMOS),
            fet("second", "nm n2 vdd vdd", "pfet", SECOND),
            fet("turn_r", "nm nm vss vss", "nfet", TURN),
            fet("turn_o", "n3 nm vss vss", "nfet", TURN),
            fet("driver", "out n3 vss vss", "nfet", DRIVER),
            fet("forward", "out n2 vdd vdd", "pfet", FORWARD),
            f"Xcm1 n2 out ideal_cap c={outer}",
            f"Xcm2 n3 out ideal_cap c={inner}",
            ".ends nmc",
        ]
    )


def half_slope(step: Mapping[str, np.ndarray], edge: float, to: float) -> float:
    """Half the step of 0.2 V over the time (s) from the edge to the crossing of the middle."""
    time, out = step["sweep"], step["v(out)"]
    middle = V_STEP_FROM + 0.1
    inside = (time >= edge) & (time <= to)
    t, v = time[inside], out[inside] - middle
    at = int(np.flatnonzero(v[:-1] * v[1:] <= 0)[0])
    crossing = t[at] - v[at] * (t[at + 1] - t[at]) / (v[at + 1] - v[at])
    return 0.1 / float(crossing - edge)


def measure(simulator: Simulator) -> tuple[acs_gym.Task, Outcome, Outcome]:
    """The amplifier where its small signals are measured, and where its step begins."""
    task = acs_gym.make_task("ACS-NMC-v0", pdk="sky130")
    assert task.reference is not None
    design = dict(task.reference) | {"i_bias": I_BIAS, "m_tail": 4, "m_second": 1}
    bench = program(task, netlist(), {"c_load": C_LOAD, "t_edge": T_EDGE})
    jobs = [Job(bench, design, waveforms=True, conditions={"v_cm": v}) for v in (V_CM, V_STEP_FROM)]
    still, stepped = simulate_uncharged(jobs, simulator)
    assert stepped.status is Status.OK, stepped.message
    return task, still, stepped


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with WorkerPool(1) as pool:
        task, still, stepped = measure(pool)
    step = stepped.waveforms["step"]
    up, down = 50e-9, 50e-9 + T_EDGE
    here = dict(still.metrics) | {
        "half_rise": half_slope(step, up, down),
        "half_fall": half_slope(step, down, down + T_EDGE),
        "slew_rise": stepped.metrics["slew_rise"],
        "slew_fall": stepped.metrics["slew_fall"],
    }
    known = {m.name: (m.unit, m.description) for m in task.circuit.file.metric} | {
        "half_rise": ("V/s", HALF.format("rising")),
        "half_fall": ("V/s", HALF.format("falling")),
    }
    rows = [
        row(known[name][1], known[name][0], PUBLISHED.get(name), here[name])
        for name in (*PUBLISHED, "slew_rise", "slew_fall", "saturation")
    ]
    devices = stepped.waveforms["op"]
    gate = 1.8 - float(devices["@m.xdut.mpull[vds]"][0])
    remarks = [r.format(current=stepped.metrics["power"] / 1.8 * 1e6, gate=gate) for r in REMARKS]
    result = {
        "command": "python benchmarks/analoggym.py",
        "conditions": "sky130, 1.8 V, 27 °C, 10 pF, the input at 0.72 V, the step from 0.3 to 0.5 V",
        "rows": rows,
        "remarks": remarks,
    }
    write(RESULT, result)


if __name__ == "__main__":
    main()
