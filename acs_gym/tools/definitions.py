"""The tools: their names, what a model is told of each, and their strict JSON schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acs_gym.pdks.registry import signatures
from acs_gym.task import Task

SIMULATE, OPERATING_POINT, HISTORY, FINISH = "simulate", "operating_point", "history", "finish"
GM_ID = "gm_id"
READ_ONLY = (OPERATING_POINT, GM_ID, HISTORY)


def definitions(task: Task) -> list[dict[str, Any]]:
    """The tools for this task, as the OpenAI chat format has them, with strict schemas."""
    names = ", ".join(p.name for p in task.space)
    return [
        _function(
            SIMULATE,
            f"Simulate one or several designs; each costs {_cost(task)} of the budget. "
            "Answers with every metric, the score, and the specs that are missed.",
            {"designs": {"type": "array", "items": design_schema(task), "minItems": 1,
                         "description": f"Designs, each with all of: {names}."}},
        ),
        _function(
            OPERATING_POINT,
            "DC operating point of every transistor of a design that was simulated: id, gm, gm/id, "
            "vgs, vds, vdsat, the margin to the triode region. Free.",
            {"design": {"type": ["integer", "null"],
                        "description": "Its number; null for the last one simulated."}},
        ),
        _function(
            GM_ID,
            "gm/Id table of a transistor of this process, of the models that are simulated: Id/W in "
            "uA/um, gm/gds, fT, vgs, vdsat, Cgg/W. W = Id / (Id/W). Voltages are magnitudes. Free.",
            {
                "device": {"type": "string", "enum": list(transistors(task))},
                "l": {"type": ["number", "string"], "description": "Its length."},
                "gm_id": {"type": ["number", "null"],
                          "description": "1/V; null for a row for each of several."},
                "vds": {"type": ["number", "null"],
                        "description": "Drain-source voltage; null for half the supply."},
                "vsb": {"type": ["number", "null"],
                        "description": "Source-bulk voltage; null for 0."},
                "corner": {"type": ["string", "null"], "enum": [*task.pdk.corners, None],
                           "description": "Process corner; null for typical."},
            },
        ),
        _function(HISTORY, "Every design simulated so far, with its score and metrics. Free.", {}),
        _function(
            FINISH,
            "End the work. The best design simulated counts; what is left of the budget is lost.",
            {"summary": {"type": "string", "description": "What was achieved, in a sentence."}},
        ),
    ]  # fmt: skip


def transistors(task: Task) -> tuple[str, ...]:
    """The kinds of transistors that the circuit is made of, as its X lines name them."""
    known = signatures()
    kinds = dict.fromkeys(p.kind for p in task.circuit.dut.primitives)
    return tuple(kind for kind in kinds if kind in known and known[kind].is_fet)


def design_schema(task: Task) -> dict[str, Any]:
    """The strict JSON schema of one design."""
    properties = {
        p.name: {
            "type": ["number", "string"],
            "description": f"{p.description or p.name}; {p.range_text()}"
            + (", an integer" if p.integer else ""),
        }
        for p in task.space
    }
    return _object(properties)


def _function(name: str, description: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "strict": True,
            "parameters": _object(properties),
        },
    }


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _cost(task: Task) -> str:
    return "one simulation" if task.cost == 1 else f"{task.cost} simulations"
