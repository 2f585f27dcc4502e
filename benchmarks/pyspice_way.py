"""PySpice as its manual shows it: a `Circuit`, a simulator, an analysis object. For simulation.py.

A process of its own, since libngspice can be started once per process: one JSON object a line on
stdin, `{"lines": netlist, "commands": ngspice analyses}`, one line of JSON back, the number of analyses
that raised. Elements reach the Circuit as text, which spares PySpice the cost of its element objects.
"""

from __future__ import annotations

import json
import logging
import sys

from PySpice.Spice.Netlist import Circuit
from PySpice.Spice.NgSpice.Shared import NgSpiceShared

from acs_gym.simulation.driver import find_library
from acs_gym.units import parse


def analyse(simulator: object, command: str) -> object:
    """The analysis object of one ngspice command."""
    kind, *words = command.split()
    match kind:
        case "op":
            return simulator.operating_point()  # type: ignore[attr-defined]
        case "ac":
            variation, points, start, stop = words
            return simulator.ac(  # type: ignore[attr-defined]
                start_frequency=parse(start),
                stop_frequency=parse(stop),
                number_of_points=int(points),
                variation=variation,
            )
        case "noise":
            output, source, variation, points, start, stop = words
            return simulator.noise(  # type: ignore[attr-defined]
                output.removeprefix("v(").removesuffix(")"),
                "0",
                source,
                variation,
                int(points),
                parse(start),
                parse(stop),
            )
        case "tran":
            step, stop = words
            return simulator.transient(  # type: ignore[attr-defined]
                step_time=parse(step), end_time=parse(stop)
            )
    raise ValueError(f"no PySpice call for {command!r}")


def main() -> None:
    logging.disable(logging.CRITICAL)
    NgSpiceShared.LIBRARY_PATH = find_library()
    shared = NgSpiceShared.new_instance()
    shared.exec_command("set num_threads=1")
    for line in sys.stdin:
        request = json.loads(line)
        raised = 0
        for command in request["commands"]:
            circuit = Circuit("benchmark")
            circuit.raw_spice = "\n".join(request["lines"]) + "\n"
            simulator = circuit.simulator(
                temperature=27, nominal_temperature=27, simulator="ngspice-shared"
            )
            try:
                analyse(simulator, command)
            except Exception:  # noqa: BLE001 - it takes a note on stderr for an error
                raised += 1
        print(json.dumps(raised), flush=True)


if __name__ == "__main__":
    main()
