"""What folding a transistor does: its drain current and the capacitance at its drain.

    python benchmarks/fingers.py

One NMOS of SKY130, 20 um wide in all and 0.15 um long, as one finger, as ten fingers, and as ten
devices of 2 um that share nothing, at 0.9 V on the drain.
"""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from pathlib import Path

from acs_gym.expressions import Expression
from acs_gym.pdks import get_pdk
from acs_gym.simulation.netlist import Primitive
from acs_gym.simulation.placement import Placed

WIDTH, LENGTH = 20e-6, 0.15e-6
LAYOUTS = {"one finger": (1, 1), "nf=10": (10, 1), "m=10, w=2u": (1, 10)}
GATE_VOLTAGES = (0.6, 0.75, 0.9)
FREQUENCY = 1e6


def main() -> None:
    print(f"{'layout':12} {'Vgs (V)':>8} {'Id (uA)':>9} {'C drain (fF)':>13}")
    for gate in GATE_VOLTAGES:
        for name, (fingers, devices) in LAYOUTS.items():
            current, capacitance = measured(fingers, devices, gate)
            print(f"{name:12} {gate:8.2f} {1e6 * current:9.1f} {1e15 * capacitance:13.1f}")


def measured(fingers: int, devices: int, gate: float) -> tuple[float, float]:
    """(drain current, capacitance at the drain) in A and F, the gate and source at AC ground."""
    device = get_pdk("sky130").devices("tt")["nfet"]
    size = {"w": WIDTH / devices, "l": LENGTH, "nf": fingers, "m": devices}
    given = {name: Expression(repr(float(value))) for name, value in size.items()}
    placed = Placed(Primitive("dut", "nfet", ("d", "g", "0", "0"), given), device, "x", 0, {})
    assert placed.transistor is not None
    model = device.model(size["w"] / fingers, LENGTH)
    lines = [line.replace(f"{{{placed.transistor.element}}}", model) for line in placed.lines]
    deck = [
        "fingers", *lines, device.cards[model], "vd d 0 dc 0.9 ac 1", f"vg g 0 {gate}", ".control",
        "op", "print i(vd)", f"ac lin 1 {FREQUENCY} {FREQUENCY}", "print imag(i(vd))", ".endc", ".end",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "deck.sp"
        file.write_text("\n".join(deck) + "\n")
        done = subprocess.run(["ngspice", "-b", file], capture_output=True, text=True, check=False)
    found = re.findall(r"i\(vd\)\)? = (\S+)$", done.stdout, re.M)
    if len(found) != 2:
        raise SystemExit(done.stdout + done.stderr)
    current, susceptance = map(float, found)
    return abs(current), abs(susceptance) / (2 * math.pi * FREQUENCY)


if __name__ == "__main__":
    main()
