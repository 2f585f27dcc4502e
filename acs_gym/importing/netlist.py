"""`dut.spice` of an imported circuit."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from acs_gym.importing.circuit import Imported
from acs_gym.importing.devices import DERIVED, Mapped
from acs_gym.importing.sizing import word

_ORDER = ("w", "l", "c_width", "c_length", "r_width", "r_length", "area", "perim", "pj", "nf", "m")


def dut_text(circuit: Imported, name: str) -> str:
    """One `.subckt` of all devices, each with the line of the owner's file where no name tells."""
    lines = [
        f"* {circuit.name} of {circuit.text.name}, on {circuit.pdk}. Written by acs-gym import.",
        f".subckt {name} {' '.join(circuit.ports)}",
    ]
    labels = labels_of(circuit)
    paths = {".".join(d.path): label for d, label in zip(circuit.devices, labels, strict=True)}
    values = circuit.parameters_of
    for k, device in enumerate(circuit.devices):
        lines.append(_line(device, labels[k], values.get(k, {}), circuit.nodes, paths))
    return "\n".join([*lines, f".ends {name}"]) + "\n"


def _line(
    device: Mapped,
    label: str,
    values: Mapping[str, tuple[str, float]],
    nodes: Mapping[str, str],
    paths: Mapping[str, str],
) -> str:
    connected = " ".join(nodes[n] for n in device.nodes)
    if len(device.kind) == 1:
        if device.plain:
            value = re.sub(r"\{([^}]*)\}", lambda m: paths.get(m[1], m[1]), device.plain)
        else:
            value = _value(device, device.kind, values)
        return f"{label} {connected} {value}"
    said = {name: _value(device, name, values) for name in device.sizes}
    if said.get("m") == "1":
        del said["m"]
    follows = "w" in values  # Areas and squares of another width would be wrong.
    for name, number in device.fixed.items():
        if not (follows and name in DERIVED):
            said[name] = _number(number)
    ordered = sorted(said, key=lambda n: _ORDER.index(n) if n in _ORDER else len(_ORDER))
    return f"X{label} {connected} {device.kind} " + " ".join(f"{n}={said[n]}" for n in ordered)


def _value(device: Mapped, size: str, values: Mapping[str, tuple[str, float]]) -> str:
    if size not in values:
        return _number(device.sizes[size].value)
    parameter, factor = values[size]
    # What a plain element's line multiplies its number by, parallel instances for example.
    return f"{{{parameter}}}" if factor == 1.0 else f"{{{factor:.12g}*{parameter}}}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e6 else repr(value)


def labels_of(circuit: Imported) -> list[str]:
    """Names in `dut.spice`: role and instance. Names alike up to the first `_` share W and L."""
    made: list[str] = []
    for k, device in enumerate(circuit.devices):
        own = word(device.path)
        role = circuit.sizing.roles.get(k, "").replace("_", "")
        if len(device.kind) == 1:
            label = own if own[0] == device.kind else f"{device.kind}{own}"
        elif role:
            label = f"{role}_{own}"
        else:
            label = own if own[0].isalpha() else f"x{own}"
        made.append(label)
    made = _unalike(circuit, made)
    return _unique(made)


def _unalike(circuit: Imported, labels: Sequence[str]) -> list[str]:
    """Without the `_` where names are alike up to it and sizes are not."""
    families: dict[str, set[tuple[object, ...]]] = defaultdict(set)
    values = circuit.parameters_of
    said = {
        k: tuple(values.get(k, {}).get(n, (d.size(n), 1.0)) for n in ("w", "l"))
        for k, d in enumerate(circuit.devices)
        if d.is_fet
    }
    for k, sizes in said.items():
        families[labels[k].split("_")[0]].add(sizes)
    return [
        label.replace("_", "") if k in said and len(families[label.split("_")[0]]) > 1 else label
        for k, label in enumerate(labels)
    ]


def _unique(labels: Sequence[str]) -> list[str]:
    taken: Counter[str] = Counter()
    found = []
    for label in labels:
        name = label
        while taken[name]:
            taken[label] += 1
            name = f"{label}_{taken[label]}" if "_" in label else f"{label}n{taken[label]}"
        taken[name] += 1
        found.append(name)
    return found
