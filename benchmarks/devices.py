"""What the process's own devices cost: evaluations with real passives, and loading every family.

    python benchmarks/devices.py [--json benchmarks/results/devices.json]

For each circuit with resistors or capacitors: the time of an evaluation of its reference, as it is and
with `res` and `cap` replaced by ideal elements, in turns, as the ratio of the medians. And the time in
which ngspice loads a netlist with one device of every kind that SKY130 and GF180 have, all model cards
of theirs included that a size needs, as the median of ten loads.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from acs_gym.circuit_reading import load_circuit
from acs_gym.expressions import Expression
from acs_gym.pdks import get_pdk
from acs_gym.simulation.driver_choice import open_driver
from acs_gym.simulation.netlist import Primitive
from acs_gym.simulation.placement import Placed
from acs_gym.simulation.pool import InProcessSimulator
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task, make_task, task_ids, task_of

ROUNDS = 40
SIZES = {"w": 2e-6, "l": 2e-6, "r_width": 2e-6, "r_length": 10e-6, "c_width": 10e-6, "c_length": 10e-6,
         "r": 1e4, "c": 1e-12, "area": 4e-12, "perim": 8e-6, "pj": 8e-6}  # fmt: skip


def ideal(task: Task, folder: Path) -> Task:
    """The task with ideal resistors and capacitors in its circuit."""
    copy = folder / task.circuit.folder.name
    copy.mkdir()
    for path in task.circuit.folder.iterdir():
        if path.suffix in (".spice", ".toml"):
            text = path.read_text(encoding="utf-8")
            if path.name == "dut.spice":
                text = re.sub(r"\b(res|cap) (?=[rc]=)", r"ideal_\1 ", text)
            (copy / path.name).write_text(text, encoding="utf-8")
    return task_of(load_circuit(copy), task.pdk_name)


def cost_of_passives(name: str, pdk: str) -> dict[str, float | str] | None:
    real = make_task(name, pdk=pdk)
    if not real.passive_corners:
        return None
    design = real.reference
    assert design is not None
    times: dict[str, list[float]] = {"real": [], "ideal": []}
    with tempfile.TemporaryDirectory() as folder, InProcessSimulator() as simulator:
        jobs = {"real": real.job(design), "ideal": ideal(real, Path(folder)).job(design)}
        for _ in range(ROUNDS):
            for which, job in jobs.items():
                begun = time.process_time()
                simulate_uncharged([job], simulator)
                times[which].append(time.process_time() - begun)
    medians = {which: statistics.median(found[4:]) for which, found in times.items()}
    return {
        "task": name, "pdk": pdk, "real_ms": round(1e3 * medians["real"], 2),
        "ideal_ms": round(1e3 * medians["ideal"], 2),
        "ratio": round(medians["real"] / medians["ideal"], 3),
    }  # fmt: skip


def every_family(pdk_name: str) -> list[str]:
    """A netlist with one of each of the PDK's devices, all between three nodes."""
    pdk = get_pdk(pdk_name)
    lines: list[str] = []
    cards: dict[str, str] = {}
    for k, (kind, signature) in enumerate(pdk.signatures.items()):
        device = pdk.devices("tt")[kind]
        sizes = dict(SIZES)
        if device.is_transistor:  # In the middle of its first card.
            card = device.bins[0]
            sizes |= {"w": (card.wmin + card.wmax) / 2, "l": (card.lmin + card.lmax) / 2}
        given = {name: Expression(repr(sizes[name])) for name in signature.required}
        nodes = tuple(f"n{j}" for j in range(len(signature.nodes)))
        placed = Placed(Primitive(f"x{k}", kind, nodes, given), device, "xdut", 0, {})
        wanted = [part.model for part in device.parts if part.model]
        if device.is_transistor:
            wanted.append(device.model(sizes["w"], sizes["l"]))
            lines += [re.sub(r"\{[^}]*\}", wanted[-1], line) for line in placed.lines]
        else:
            lines += placed.lines
        lines += placed.cards
        cards |= {name: device.cards[name] for name in wanted}
    return ["every family", *cards.values(), *lines, *(f"v{j} n{j} 0 0" for j in range(5)), ".end"]


def load_time(pdk: str) -> dict[str, float | str | int]:
    deck = every_family(pdk)
    driver = open_driver("ctypes")
    times = []
    for _ in range(10):
        begun = time.perf_counter()
        number = driver.load(deck)
        times.append(time.perf_counter() - begun)
        driver.remove(number)
    return {
        "pdk": pdk, "devices": len(get_pdk(pdk).signatures), "lines": len(deck),
        "load_ms": round(1e3 * statistics.median(times), 2),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    formatter = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    costs = [
        row
        for name in task_ids()
        for pdk in ("sky130", "generic")
        if (row := cost_of_passives(name, pdk)) is not None
    ]
    loads = [load_time(pdk) for pdk in ("sky130", "gf180mcu")]
    for row in (*costs, *loads):
        print(*(f"{key} {value}" for key, value in row.items()))
    if chosen.json:
        command = f"python benchmarks/devices.py --json {chosen.json}"
        text = json.dumps({"command": command, "passives": costs, "loading": loads}, indent=1)
        chosen.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
