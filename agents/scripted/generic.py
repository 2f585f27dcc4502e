"""A plan for a circuit that nobody has written one for, from its netlist.

Nothing is known of the branch currents, so nothing is sized by gm/Id: it starts in the middle of the
ranges (the geometric one, on a log scale), every parameter is a knob, and what a kind of parameter does
to a well-known metric is a guess that the simulations correct.
"""

from __future__ import annotations

from collections.abc import Mapping

from acs_gym.task import Task
from agents.scripted.plans import Plan

# Effects of what a parameter is in the netlist: a current, a width, a length, a capacitance.
_USUAL: Mapping[str, Mapping[str, float]] = {
    "gain": {"i": -0.3, "l": 0.2, "w": 0.1},
    "ugbw": {"i": 0.7, "w": 0.05, "l": -0.1, "c": -0.7},
    "pm": {"l": -5.0, "c": 5.0},
    "slew_rate": {"i": 0.9, "c": -0.8},
    "settling_time": {"i": -0.6, "c": 0.5},
    "cmrr": {"i": -0.2, "l": 0.2},
    "psrr": {"i": -0.2, "l": 0.2},
    "noise": {"i": -0.4, "w": -0.1, "l": -0.1},
    "power": {"i": 0.9, "m": 0.3},
    "i_q": {"i": 0.9, "m": 0.3},
}


def plan_from_netlist(task: Task) -> Plan:
    """A plan whose knobs are the task's parameters themselves."""
    kinds: dict[str, str] = {}
    for primitive in task.circuit.dut.primitives:
        for quantity, formula in primitive.parameters.items():
            for name in formula.names:
                kinds.setdefault(name, quantity)
    middle = task.space.from_unit([0.5] * len(task.space))
    effects = {
        metric: {name: _USUAL.get(metric, {}).get(kinds.get(name, ""), 0.0) for name in middle}
        for metric in task.specs.metrics
    }
    return Plan(start={name: repr(value) for name, value in middle.items()}, effects=effects)
