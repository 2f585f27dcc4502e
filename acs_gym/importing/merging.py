"""What a layout's extraction writes many times, once: fingers of one transistor, parallel parasitics.

Exact: the merged element is the parallel connection of those that it stands for. Time is linear in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from acs_gym.importing.devices import DERIVED, Mapped, Size


def merged(devices: Iterable[Mapped]) -> tuple[list[Mapped], int, int]:
    """(the devices in the order of each one's first part, how many went into others, how many had both
    ends on one node)."""
    groups: dict[object, list[Mapped]] = {}
    shorted = 0
    for k, device in enumerate(devices):
        if device.kind in "rc" and device.nodes[0] == device.nodes[1]:
            shorted += 1
            continue
        groups.setdefault(_same(device, k), []).append(device)
    gone = sum(len(parts) - 1 for parts in groups.values())
    return [p[0] if len(p) == 1 else _parallel(p) for p in groups.values()], gone, shorted


def _same(device: Mapped, place: int) -> object:
    if device.kind in ("r", "c"):
        return device.kind, frozenset(device.nodes)
    if device.is_fet and device.flat.count == 1:
        d, g, s, b = device.nodes
        sizes = tuple((n, x.value) for n, x in sorted(device.sizes.items()) if n != "m")
        return device.kind, frozenset((d, s)), g, b, sizes, device.fixed.get("nf", 1.0)
    return place


def _parallel(parts: list[Mapped]) -> Mapped:
    first = parts[0]
    note = (*first.notes, f"{len(parts)} in parallel are one")
    if first.kind == "c":
        total = sum(p.sizes["c"].value for p in parts)
        return replace(first, sizes={"c": Size(total, 1.0, ())}, notes=note)
    if first.kind == "r":
        total = 1.0 / sum(1.0 / p.sizes["r"].value for p in parts)
        return replace(first, sizes={"r": Size(total, 1.0, ())}, notes=note)
    counts = [p.size("m") for p in parts]
    together = sum(counts)
    sizes = {
        name: Size(size.value, size.scale, tuple(f for p in parts for f in p.sizes[name].fields))
        for name, size in first.sizes.items()
        if name != "m"
    }
    sizes["m"] = Size(together, 1.0, ())
    fixed = {k: v for k, v in first.fixed.items() if k not in DERIVED}
    for key in DERIVED:
        if all(key in p.fixed for p in parts):
            # A finger may have been extracted with its drain where another has its source.
            said = [
                p.fixed[_turned(key, p, first)] for p in parts if _turned(key, p, first) in p.fixed
            ]
            if len(said) == len(parts):
                fixed[key] = sum(m * x for m, x in zip(counts, said, strict=True)) / together
    derived = tuple(d for p in parts for d in p.derived)
    return replace(first, sizes=sizes, fixed=fixed, derived=derived, notes=note)


_OTHER = {"ad": "as", "as": "ad", "pd": "ps", "ps": "pd", "nrd": "nrs", "nrs": "nrd"}


def _turned(key: str, part: Mapped, first: Mapped) -> str:
    return key if part.nodes[0] == first.nodes[0] else _OTHER[key]
