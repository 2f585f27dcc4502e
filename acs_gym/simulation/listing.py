"""What was simulated as a file for plain ngspice: a testbench's deck, and the commands sent to it.

The text of a deck holds the sizes of a design in the middle of the space; what a simulation is of is sent
with `alter` afterwards, so that is what the file does too.
"""

from __future__ import annotations

from collections.abc import Mapping

from acs_gym.simulation.engine import TEMPERATURE
from acs_gym.simulation.program import (
    Deck,
    Program,
    initial_values,
    model_names,
    netlist,
    setting_values,
)


def listing(program: Program, deck: Deck, design: Mapping[str, float]) -> str:
    """One testbench at the program's conditions, without mismatch. Raises NoCard.

    `ngspice -b` runs it, and prints what its operating points yield.
    """
    scope = {**program.conditions, **design, **{d.name: 0.0 for d in deck.draws}}
    *lines, end = netlist(deck, model_names(deck, scope), initial_values(deck, scope))
    number = iter(setting_values(deck, scope))
    commands = [f"option temp={scope[TEMPERATURE]!r}"]
    commands += [
        f"{s.command} @{s.target} = [ {' '.join(repr(next(number)) for _ in s.values)} ]"
        for s in deck.settings
    ]
    for analysis in deck.analyses:
        commands += [f"* {analysis.name}", analysis.options]
        probe = analysis.probe
        # A loop gain is measured with a voltage in the wire, and with a current into it.
        excited = [analysis.excite] if probe is None else [(probe.voltage,), (probe.current,)]
        for sources in excited:
            commands += [
                f"alter @{source}[acmag] = [ {int(source in sources)} ]"
                for source in deck.excitable
            ]
            commands.append(analysis.command)
            if analysis.kind == "op":
                commands += [f"print {vector}" for vector in analysis.vectors]
    # Without `quit`, ngspice -b looks for .print lines and ends with an error for want of them.
    return "\n".join([*lines, ".control", *commands, "quit", ".endc", end]) + "\n"
