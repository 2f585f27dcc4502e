"""What is told of a task before the first turn. Pure, and the same in training.

States the circuit, its netlist with named devices, the parameters with ranges and units, the specs,
the budget and how to answer. It gives no hint at a solution.
"""

from __future__ import annotations

import math
from typing import Any

from acs_gym.task import Task

# A program is given its seed below that, because many a language has no larger exact integer or seed.
SEEDS = 1 << 32

_ROLE = (
    "You size analog circuits: you choose device dimensions and currents so that every spec is met."
)
_SCORE = (
    "The score of a design is the weighted mean satisfaction of its specs, 1 when all are met; the "
    "best design simulated counts."
)
_NUMBERS = (
    'Write a number in SI units (2e-05) or in engineering notation as a string ("20u", "1.5 pF"). '
    "Sizes are rounded to their grid."
)


def statement(task: Task, budget: float) -> str:
    """The task in words.

    Args:
        budget: simulations of designs that are left; inf for no limit.
    """
    parts = (
        _ROLE,
        circuit_text(task),
        parameters_text(task),
        specs_text(task),
        _work(budget),
    )
    return "\n\n".join(parts)


def circuit_text(task: Task) -> str:
    """What is sized: description, conditions, netlist."""
    conditions = ", ".join(f"{k} = {v:g}" for k, v in task.program.conditions.items())
    netlist = (task.circuit.folder / "dut.spice").read_text(encoding="utf-8").strip()
    tier = {
        "tt": "typical corner",
        "pvt": "every corner, supply and temperature; each metric is that of its worst condition",
        "mc": "mismatch draws; each metric is its mean with three sigma in the direction that hurts",
    }[task.conditions.kind]
    return (
        f"# Circuit: {task.title}\n{task.description}\n\n"
        f"Process: {task.pdk.title} ({tier}). "
        f"Conditions in SI units, temperature in °C: {conditions}.\n\n"
        f"```spice\n{netlist}\n```"
    )


def parameters_text(task: Task) -> str:
    """One line a parameter: name, range, scale, what it is."""
    lines = []
    for p in task.space:
        grid = "integer" if p.integer else f"{p.scale} scale"
        lines.append(
            f"- {p.name}: {p.range_text()}, {grid}"
            + (f"; {p.description}" if p.description else "")
        )
    return "# Parameters\n" + "\n".join(lines)


def specs_text(task: Task) -> str:
    """One line a spec, then what else is measured."""
    described = {m.name: m.description for m in task.circuit.file.metric}
    weighted = len({s.weight for s in task.specs}) > 1
    lines = [
        f"- {s.metric} {s.text()}"
        + (f", weight {s.weight:g}" if weighted else "")
        + (f"; {described[s.metric]}" if s.metric in described else "")
        for s in task.specs
    ]
    others = [m for m in task.metric_units if m not in task.specs.metrics]
    return "# Specs\n" + "\n".join(lines) + f"\nAlso measured: {', '.join(others)}."


def task_record(task: Task) -> dict[str, Any]:
    """The same for a program: bounds, grids, targets and units, all values in SI units."""
    return {
        "id": task.id,
        "title": task.title,
        "description": task.description,
        "pdk": task.pdk_name,
        "tier": task.tier,
        "parameters": [
            {
                "name": p.name, "low": p.low, "high": p.high, "scale": p.scale, "step": p.grid,
                "integer": p.integer, "unit": p.unit, "description": p.description,
            }
            for p in task.space
        ],
        "specs": [
            {
                "metric": s.metric, "direction": s.direction, "target": s.target,
                "tolerance": s.tolerance, "weight": s.weight, "unit": s.unit,
            }
            for s in task.specs
        ],
        "metrics": task.metric_units,
        "conditions": [c.name for c in task.conditions.conditions],
    }  # fmt: skip


def _work(budget: float) -> str:
    amount = "any number of designs" if math.isinf(budget) else f"{int(budget)} designs"
    return (
        f"# Work\nYou may simulate {amount}; failed ones and repetitions count. {_SCORE} Work from the "
        f"equations of the circuit, look at the metrics and the operating point, and adjust. {_NUMBERS} "
        "Stop when every spec is met or the budget is used up."
    )
