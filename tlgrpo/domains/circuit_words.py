"""A circuit folder in a fixed vocabulary, so that one policy reads any of them.

No name of a circuit, a parameter or a metric is told. A parameter is what it does in the netlist
(read from how the devices are connected), its quantity, polarity and range; a spec is its
direction, the kind of its quantity (by unit, then by a word of its name) and its target. What the
rules do not know is `other`: the circuit is still described, only less well.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acs_gym.circuit import Circuit
from acs_gym.design import Parameter
from acs_gym.importing.matching import rail, relations
from acs_gym.specs import Spec
from acs_gym.task import Task

_ROLES = (
    "pair", "cross", "tail", "bias", "output", "mirror", "load", "cascode", "driver", "switch",
    "reference", "compensation", "feedback", "other",
)  # fmt: skip
_QUANTITIES = ("w", "l", "m", "r", "c", "i", "v")
_POLARITIES = ("n", "p", "-")
_MOST_ALIKE = 8
# (unit, words of the name, kind): the first that fits. No word fits every name.
_KINDS = (
    ("dB", "psrr", "supply-rejection"),
    ("dB", "cmrr", "common-mode-rejection"),
    ("dB", "gain_margin gm_", "gain-margin"),
    ("dB", "peak", "peaking"),
    ("dB", "", "gain"),
    ("Hz", "", "bandwidth"),
    ("°", "", "phase-margin"),
    ("V/s", "", "slew-rate"),
    ("s", "settl", "settling-time"),
    ("s", "reset", "reset-time"),
    ("s", "", "delay"),
    ("W", "", "power"),
    ("A", "", "current"),
    ("m^2", "pair input", "device-area"),
    ("m^2", "", "area"),
    ("F", "", "capacitance"),
    ("V", "noise", "noise"),
    ("V", "offset error", "offset"),
    ("V", "input_range", "input-range"),
    ("V", "swing", "swing"),
    ("V", "regulation", "regulation"),
    ("V", "dropout", "dropout"),
    ("V", "shoot", "overshoot"),
    ("V", "kick", "kickback"),
    ("V", "", "voltage"),
    ("", "modulus mm_", "modulus-margin"),
    ("", "shoot over_", "overshoot"),
    ("", "sat", "saturation"),
)
_ABOUT = {"Hz": 1e6, "V/s": 1e6, "s": 1e-8, "W": 1e-4, "A": 1e-5, "m^2": 1e-10, "F": 1e-13,
          "V": 1e-2, "Ohm": 1e3, "m": 1e-6}  # fmt: skip
_WHERE = (("low", "low light min"), ("middle", "mid middle"), ("high", "high full max"))
_COARSE, _FINE = 32, 64
_PDKS = ("sky130", "gf180mcu", "generic", "other")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A device of a circuit folder as the matching rules take it.

    Every parameter has a size of its own, so that devices are alike where they share parameters.
    """

    kind: str
    nodes: tuple[str, ...]
    sizes: dict[str, float]

    @property
    def is_fet(self) -> bool:
        return "fet" in self.kind

    @property
    def polarity(self) -> str:
        return "p" if "pfet" in self.kind else "n"

    def size(self, name: str) -> float:
        return self.sizes.get(name, 1.0)


def parameter_words(task: Task) -> tuple[tuple[str, ...], ...]:
    """The words of each parameter, in the order of the task's space; no two are the same."""
    uses = _uses(task.circuit)
    found, alike = [], Counter[tuple[str, ...]]()
    for parameter in task.space:
        role, quantity, polarity = uses.get(parameter.name, ("other", _by_unit(parameter), "-"))
        what = (f"role:{role}", f"{quantity}:{polarity}")
        number = min(alike[what], _MOST_ALIKE - 1)
        alike[what] += 1
        ends = (_range_word(x, parameter.unit) for x in (parameter.low, parameter.high))
        found.append((*what, f"#{number}", *ends))
    return tuple(found)


def spec_words(spec: Spec) -> tuple[str, ...]:
    """Direction, kind, at what load or side, and the target, coarse and fine (1/64).

    A target is counted in tolerances, or in factors of e of a size that is usual for its unit.
    """
    if spec.tolerance is not None:
        size = spec.target / spec.tolerance
    else:
        size = math.log(max(spec.target, 1e-30) / _ABOUT.get(spec.unit, 1.0))
    size = min(max(size, -_COARSE), _COARSE - 1e-6)
    coarse = math.floor(size)
    fine = min(_FINE - 1, int((size - coarse) * _FINE))
    parts = re.split(r"[_\d]+", spec.metric)
    where = next((w for w, words in _WHERE if {*words.split()} & {*parts}), "any")
    return (spec.direction, f"kind:{kind_of(spec)}", f"at:{where}", f"~{coarse}", f".{fine}")


def kind_of(spec: Spec) -> str:
    """`gain`, `power`, ...; `other` where no rule fits."""
    for unit, words, kind in _KINDS:
        if spec.unit == unit and (not words or any(w in spec.metric for w in words.split())):
            return kind
    return "other"


def condition_words(pdk_name: str, given: Mapping[str, float]) -> tuple[str, ...]:
    """PDK, supply (tenths of a factor of e), load capacitance (half factors of e), largest current.

    `given`: the named conditions, in SI units.
    """
    pdk = pdk_name if pdk_name in _PDKS else "other"
    volts = given.get("vdd", 0.0)
    # A tenth of a factor of e, so that the corners of a supply differ.
    supply = f"~{_clipped(10 * math.log(volts))}" if volts > 0 else "-"
    loads = [v for k, v in given.items() if k.startswith("c_") and v > 0]
    load = _range_word(max(loads), "F") if loads else "-"
    currents = [v for k, v in given.items() if k.startswith("i_") and v > 0]
    current = _range_word(max(currents), "A") if currents else "-"
    return (f"pdk:{pdk}", supply, load, current)


def vocabulary() -> tuple[str, ...]:
    """Every word of a description; it depends on no circuit."""
    kinds = dict.fromkeys([*(k for _, _, k in _KINDS), "other"])
    return (
        "-", ">=", "<=", "within",
        *(f"role:{r}" for r in _ROLES),
        *(f"{q}:{p}" for q in _QUANTITIES for p in _POLARITIES),
        *(f"#{k}" for k in range(_MOST_ALIKE)),
        *(f"kind:{k}" for k in kinds),
        *(f"at:{w}" for w in ("any", *(w for w, _ in _WHERE))),
        *(f"~{k}" for k in range(-_COARSE, _COARSE)),
        *(f".{k}" for k in range(_FINE)),
        *(f"pdk:{p}" for p in _PDKS),
    )  # fmt: skip


def _range_word(value: float, unit: str) -> str:
    """Half factors of e of a usual size; zero and less is the least word."""
    if value <= 0:
        return f"~{-_COARSE}"
    return f"~{_clipped(2 * math.log(value / _ABOUT.get(unit, 1.0)))}"


def _clipped(size: float) -> int:
    return min(max(round(size), -_COARSE), _COARSE - 1)


def _by_unit(parameter: Parameter) -> str:
    units = {"m": "w", "Ohm": "r", "F": "c", "A": "i", "V": "v"}
    return units.get(parameter.unit, "m")


def _uses(circuit: Circuit) -> dict[str, tuple[str, str, str]]:
    """(role, quantity, polarity) of each parameter that a device uses: of most of them."""
    sizes: dict[str, float] = {}
    devices = []
    for primitive in circuit.dut.primitives:
        own = {}
        for name, expression in primitive.parameters.items():
            try:
                own[name] = float(expression.text)
            except ValueError:
                # No two are in a whole ratio, which would look like a mirror.
                own[name] = sizes.setdefault(expression.text, 1e-6 * (1 + 0.0137 * len(sizes)))
        devices.append(_Placed(primitive.kind, primitive.nodes, own))
    roles = _device_roles(devices, circuit.dut.ports)
    votes: dict[str, Counter[tuple[str, str, str]]] = {}
    for device, role, primitive in zip(devices, roles, circuit.dut.primitives, strict=True):
        for quantity, expression in primitive.parameters.items():
            if quantity not in _QUANTITIES:
                continue
            polarity = device.polarity if device.is_fet else "-"
            told = role
            if quantity == "m" and role in ("bias", "mirror", "load", "tail"):
                told = _branch(device, devices, circuit.dut.ports, role)
            for name in expression.names:
                votes.setdefault(name, Counter())[told, quantity, polarity] += 1
    return {name: counted.most_common(1)[0][0] for name, counted in votes.items()}


def _branch(device: _Placed, devices: Sequence[_Placed], ports: Sequence[str], role: str) -> str:
    """Where a mirror's copy goes: to the tail of a pair, to an output, or where the mirror is."""
    drain = device.nodes[0]
    above = [
        d for d in devices if d.is_fet and d.nodes[2] == drain and d.polarity == device.polarity
    ]
    if len(above) > 1 and len({d.nodes[1] for d in above}) > 1:
        return "tail"
    return "output" if drain in ports and not rail(drain) else role


def _device_roles(devices: Sequence[_Placed], ports: Sequence[str]) -> list[str]:
    found = ["other"] * len(devices)
    for relation in reversed(relations(devices, ports)):
        role = "cascode" if relation.role.startswith("casc") else relation.role
        for k in relation.members:
            found[k] = role if role in _ROLES else "other"
    capacitors = {n for d in devices if "cap" in d.kind for n in d.nodes[:2] if not rail(n)}
    for k, device in enumerate(devices):
        nodes = device.nodes
        if device.is_fet and found[k] == "other" and nodes[1] in ports and not rail(nodes[1]):
            found[k] = "switch" if rail(nodes[2]) and nodes[1].startswith("c") else "driver"
        elif device.is_fet and found[k] == "other":
            found[k] = "bias" if nodes[0] == nodes[1] else "driver" if rail(nodes[2]) else "other"
        elif device.kind == "ibias":
            found[k] = "reference"
        elif "cap" in device.kind:
            found[k] = "load" if any(rail(n) for n in nodes[:2]) else "compensation"
        elif "res" in device.kind:
            inner = {*nodes[:2]} & capacitors - {*ports}
            found[k] = "compensation" if inner else "feedback"
    return found
