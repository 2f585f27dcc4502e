"""AnalogGym's three-stage amplifier, at the sizes it publishes, on the testbenches of ACS-NMC-v0.

    python benchmarks/analoggym_nmcf.py

AnalogGym (arXiv:2409.08534) has an amplifier with nested Miller compensation and feedforward on
SKY130, and its repository (`RGNN_RL/simulations/`) holds one set of sizes and what its own
testbenches printed for it. Here the amplifier is written in this project's devices and measured as
ACS-NMC-v0 is, with that supply, input and load. Prints both beside each other: with the input at
0.4 of the supply, where its small-signal numbers are from, and at 0.3 V, where it drives its step.

Gain, bandwidth, phase margin, rejection and supply current agree (0.5 dB, 3 %, 0.1 degrees, 0.2 dB,
3 %). Its 38 dB of rejection are a tail in triode (`saturation`), a design that ACS-NMC-v0 does not
accept. Its power file says 261 uW, but 354.7 uA of its log times 1.8 V are 638 uW. Its slew rate is
half the step over the time to the step's middle, which counts the jump at the edge; here it is the
slope between 20 and 80 %, a third of that.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import acs_gym
from acs_gym.circuit_reading import load_circuit
from acs_gym.simulation.deck import build_program
from acs_gym.simulation.pool import Job, WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged

# W and L in um, parallel devices; the MIM capacitors are squares of 30 um, 2 fF/um2 and some fringe.
PMOS, PAIR = (8.40168795, 1.87535508, 19), (1.32225278, 2.62702578, 37)
SECOND, FORWARD = (1.71042647, 1.81543295, 4), (3.57862087, 3.58166180, 347)
NMOS, TURN, DRIVER = (
    (1.46115470, 0.95035148, 4),
    (5.92310868, 1.38737978, 42),
    (1.23417626, 2.38420312, 9),
)
I_BIAS, SQUARES, SQUARE = 5.24510647e-06, (21, 8), 1.85e-12
CONDITIONS = {"vdd": 1.8, "v_cm": 0.72, "c_load": 10e-12, "t_edge": 40e-6}
# From its logs; the slew rate is the time to the middle of a step of 0.2 V, delay and all.
PUBLISHED = {
    "gain": 102.47, "ugbw": 213.8e3, "pm_heavy": 79.96, "cmrr": 38.03, "psrr": 37.72,
    "slew_rise": 0.307e6, "slew_fall": 0.224e6, "power": 354.7e-6 * 1.8,
}  # fmt: skip


def fet(name: str, nodes: str, kind: str, size: tuple[float, float, int], times: int = 1) -> str:
    w, length, copies = size
    return f"X{name} {nodes} {kind} w={w}e-6 l={length}e-6 m={copies * times}"


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


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    task = acs_gym.make_task("ACS-NMC-v0", pdk="sky130")
    assert task.reference is not None
    design = dict(task.reference) | {"i_bias": I_BIAS, "m_tail": 4, "m_second": 1}
    with tempfile.TemporaryDirectory() as folder, WorkerPool(1) as pool:
        copy = Path(shutil.copytree(task.circuit.folder, Path(folder) / "nmc"))
        (copy / "dut.spice").write_text(netlist())
        (copy / "targets.json").unlink(missing_ok=True)
        program = build_program(load_circuit(copy), task.pdk)
        jobs = [Job(program, design, conditions={**CONDITIONS, "v_cm": v}) for v in (0.72, 0.3)]
        outcome, stepped = simulate_uncharged(jobs, pool)
    print(outcome.status, outcome.message)
    print("| metric | published | here | here, input at 0.3 V |\n|---|---|---|---|")
    for metric, value in outcome.metrics.items():
        published = f"{PUBLISHED[metric]:.4g}" if metric in PUBLISHED else ""
        print(f"| {metric} | {published} | {value:.4g} | {stepped.metrics[metric]:.4g} |")


if __name__ == "__main__":
    main()
