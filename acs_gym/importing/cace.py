"""A circuit folder's specs as a CACE datasheet (format 5.2): https://cace.readthedocs.io."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from acs_gym.importing.cace_templates import template_name
from acs_gym.task import Task

FORMAT = 5.2
_VARIANTS = {"sky130": "sky130A", "gf180mcu": "gf180mcuD"}
_ANY = {"value": "any"}
# Units of the conditions that CACE itself knows; the circuit's file says what the others are.
_UNITS = {"temperature": "°C", "vdd": "V"}


def datasheet(task: Task, design: Mapping[str, float]) -> str:
    """The datasheet as YAML; the sizing is in a comment at its head.

    Each parameter's template is `cace/templates/METRIC.sch`, which `cace_templates` writes.
    """
    sizes = ", ".join(f"{name} = {value:.6g}" for name, value in design.items())
    content: dict[str, Any] = {
        "name": task.circuit.name,
        "description": task.description,
        "PDK": _VARIANTS.get(task.pdk_name, task.pdk_name),
        "cace_format": FORMAT,
        "authorship": {"designer": "", "company": "", "license": ""},
        "paths": {
            "root": ".", "schematic": "xschem", "netlist": "netlist", "documentation": "docs",
            "templates": "cace/templates", "scripts": "cace/scripts", "runs": "runs",
        },
        "pins": {
            pin: {"description": "", "type": _pin_type(pin), "direction": "inout"}
            for pin in task.circuit.dut.ports
        },
        "default_conditions": {
            name: _condition(task, name, value) for name, value in task.program.conditions.items()
        },
        "parameters": {spec.metric: _parameter(task, spec.metric) for spec in task.specs},
    }  # fmt: skip
    return f"# Sized, in SI units: {sizes}\n" + "\n".join(_yaml(content)) + "\n"


def _pin_type(pin: str) -> str:
    name = pin.lower()
    if name.startswith(("vss", "gnd", "avss", "vee")):
        return "ground"
    return "power" if name.startswith(("vdd", "avdd", "vcc")) else "signal"


def _condition(task: Task, name: str, value: float) -> dict[str, Any]:
    """Its value, and where the tier pvt takes it."""
    from acs_gym.tiers import get_tier

    conditions = get_tier("pvt", task.passive_corners).conditions
    held = task.program.conditions
    # Through decimal text: 1.1 times a supply is no sum of rounding errors.
    reached = {float(f"{c.overrides(held).get(name, value):.9g}") for c in conditions}
    found: dict[str, Any] = {
        "description": name, "display": name, "unit": _UNITS.get(name, ""),
    }  # fmt: skip
    if len(reached) > 1:
        found["minimum"] = min(reached)
    found["typical"] = value
    if len(reached) > 1:
        found["maximum"] = max(reached)
    return found


def _parameter(task: Task, metric: str) -> dict[str, Any]:
    spec = next(s for s in task.specs if s.metric == metric)
    entry = next((m for m in task.circuit.file.metric if m.name == metric), None)
    described = metric if entry is None else entry.description
    least = {"value": spec.target} if spec.direction == ">=" else dict(_ANY)
    most = dict(_ANY) if spec.direction == ">=" else {"value": spec.target}
    if spec.direction == "within":
        least = {"value": -spec.target}
    return {
        "description": described,
        "display": metric,
        "spec": {
            metric: {
                "display": metric, "description": described, "unit": spec.unit,
                "minimum": least, "typical": dict(_ANY), "maximum": most,
            }
        },
        "tool": {
            "ngspice": {
                "template": template_name(metric), "format": "ascii", "variables": [metric],
            }
        },
    }  # fmt: skip


def _yaml(content: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Mappings of mappings and scalars; a scalar as JSON has it, which YAML reads alike."""
    for key, value in content.items():
        name = key if key.replace("_", "a").isalnum() and not key[0].isdigit() else json.dumps(key)
        if isinstance(value, Mapping):
            yield f"{indent}{name}:"
            yield from _yaml(value, indent + "  ")
        else:
            yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}"
