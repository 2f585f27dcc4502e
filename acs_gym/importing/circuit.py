"""A netlist as a circuit to size: all that `acs-gym import` finds out before anything is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from acs_gym.importing.devices import Mapped, find_pdk, map_device
from acs_gym.importing.hierarchy import Dropped, Flat, choose_top, flatten, read_deck
from acs_gym.importing.merging import merged
from acs_gym.importing.sizing import Sizing, sized
from acs_gym.importing.testbench import (
    Pins,
    Surroundings,
    is_ground,
    is_output,
    recognise,
    surroundings,
)
from acs_gym.importing.text import Text, refused
from acs_gym.importing.wishes import wishes
from acs_gym.simulation.element_values import NO_CONTROL_NODES

# What a testbench's conditions are called; no parameter is.
_CONDITIONS = {"vdd", "temperature", "v_cm", "c_load", "r_load"}
_MOST_PARAMETERS = 200
_MANY_PLAIN = 60  # A schematic has fewer resistors and capacitors; a file with more is a layout's.


@dataclass(frozen=True, slots=True)
class Imported:
    """A circuit that was read.

    Attributes:
        ports: names as the folder has them, in the order of the owner's.
        nodes: node of the owner's file -> name in the folder.
        parameters_of: device by place -> size -> (parameter, factor).
        merged: elements that went into a parallel one.
    """

    text: Text
    name: str
    pdk: str
    pdk_because: str
    ports: tuple[str, ...]
    nodes: Mapping[str, str]
    devices: tuple[Mapped, ...]
    sizing: Sizing
    pins: Pins
    around: Surroundings
    dropped: tuple[Dropped, ...]
    merged: int
    notes: tuple[str, ...]

    @property
    def parameters_of(self) -> dict[int, dict[str, tuple[str, float]]]:
        found: dict[int, dict[str, tuple[str, float]]] = {}
        for parameter in self.sizing.parameters:
            for (k, size), factor in parameter.members.items():
                found.setdefault(k, {})[size] = parameter.name, factor
        return found


def import_text(
    text: Text,
    *,
    top: str | None = None,
    pdk: str | None = None,
    size: Sequence[str] = (),
    fix: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> Imported:
    """Read, flatten, map, group. Raises CircuitError with file and line for what cannot be."""
    deck = read_deck(text)
    chosen = choose_top(deck, top)
    flat = flatten(deck, chosen)
    around = surroundings(deck, chosen)
    dropped = list(deck.dropped)
    ports = list(chosen.ports)
    if not chosen.name:
        flat, ports = _without_bench(flat, dropped, around)
    pdk, because = find_pdk(deck, flat, pdk)
    devices = [map_device(f, deck, pdk, renamed or {}) for f in flat]
    for device in [d for d in devices if _ties_grounds(d)]:
        devices.remove(device)
        card = device.flat.card
        dropped.append(Dropped(card.line, card.text, "a testbench grounds both of its ends"))
    plain = sum(d.kind in "rc" for d in devices)
    extracted = text.extracted or plain > _MANY_PLAIN
    gone = shorted = 0
    if extracted:
        devices, gone, shorted = merged(devices)
    if not any(len(d.kind) > 1 for d in devices):
        raise refused(
            text.name,
            "no transistor or other device in the circuit; is it in another file? See --top",
        )
    used = {n for d in devices for n in d.nodes}
    ports += sorted(n for n in deck.global_nodes & used - {"0"} if n not in ports)
    notes = []
    if unused := [p for p in ports if p not in used]:
        notes.append(f"ports that nothing in the circuit is connected to: {', '.join(unused)}")
    if shorted:
        notes.append(
            f"{shorted} resistors and capacitors have both ends on one node and are left out"
        )
    names = _node_names([*ports, *(n for d in devices for n in d.nodes)])
    wanted = wishes(text.marks, size, fix, text.name)
    conditions = {f"{letter}_{names[port]}" for letter in "vi" for port in ports} | _CONDITIONS
    sizing = sized(devices, pdk, wanted, extracted=extracted, ports=ports, reserved=conditions)
    if len(sizing.parameters) > _MOST_PARAMETERS:
        raise refused(
            text.name,
            f"{len(sizing.parameters)} sizes that are not tied to others; a circuit has at most "
            f"{_MOST_PARAMETERS} parameters: say what is sized, '*@ size M1' in the netlist or --size M1",
        )
    if not sizing.parameters:
        raise refused(
            text.name,
            "nothing is left to size; mark a device in the netlist, '*@ size M1.w 1u..50u', or say "
            "--size M1.w=1u..50u",
        )
    pins = recognise(ports, devices, around)
    dropped.sort(key=lambda d: d.line)
    return Imported(
        text, chosen.name or "circuit", pdk, because, tuple(names[p] for p in ports), names,
        tuple(devices), sizing, pins, around, tuple(dropped), gone, (*notes, *sizing.notes),
    )  # fmt: skip


def _without_bench(
    flat: list[Flat], dropped: list[Dropped], around: Surroundings
) -> tuple[list[Flat], list[str]]:
    """A circuit whose testbench stands among its elements: (without it, the ports that it leaves).

    Voltage and controlled sources are the testbench; a current source feeds a bias and is not, nor is any
    resistor or capacitor that does not load an output to ground.
    """
    kept: list[Flat] = []
    ports: dict[str, None] = {}
    for element in flat:
        letter = element.card.letter
        inner = len(element.path) > 1
        if not inner and letter in "vefgh":
            ports |= dict.fromkeys(n for n in element.nodes[:2] if n != "0")
            dropped.append(
                Dropped(element.card.line, element.card.text, "a source of the testbench")
            )
        elif not inner and letter in "rc" and _is_load(element):
            ports |= dict.fromkeys(n for n in element.nodes if n != "0")
            dropped.append(Dropped(element.card.line, element.card.text, "a load of the testbench"))
        elif not inner and letter == "i" and around.drives.get(_hot(element)) is None:
            ports |= dict.fromkeys(n for n in element.nodes if n != "0")
            dropped.append(
                Dropped(element.card.line, element.card.text, "a source of the testbench")
            )
        else:
            kept.append(element)
    used = [n for e in kept for n in e.nodes]
    ports |= dict.fromkeys(n for n in used if is_output(n))
    there = set(used)
    found = [p for p in ports if p in there]
    if "0" in there:
        # On a chip there is no node 0: its ground is a pin.
        ground = next(n for n in ("vss", "gnd", "vgnd", "ground_pin") if n not in there)
        kept = [replace(e, nodes=tuple(ground if n == "0" else n for n in e.nodes)) for e in kept]
        found.append(ground)
    return kept, found


def _ties_grounds(device: Mapped) -> bool:
    """A source of no voltage from a ground pin to node 0."""
    return device.kind == "v" and device.plain == "dc 0.0" and all(map(is_ground, device.nodes))


def _hot(element: Flat) -> str:
    return next((n for n in element.nodes if n != "0"), "0")


def _is_load(element: Flat) -> bool:
    if "0" not in element.nodes:
        return False
    other = _hot(element)
    return is_output(other) or re.match(r"[rc]_?(l|load)\w*$", element.path[-1]) is not None


def _node_names(nodes: Sequence[str]) -> dict[str, str]:
    """Names of letters, digits and single _, as near to the owner's as can be; no two alike."""
    found: dict[str, str] = {}
    taken: Counter[str] = Counter(["0"])
    reserved = set(NO_CONTROL_NODES)
    for node in dict.fromkeys(nodes):
        if node == "0":
            found[node] = "0"
            continue
        text = node.replace("+", "p")
        text = re.sub(r"-$", "n", text)
        text = re.sub(r"[<>\[\]!]", "", text.replace("!", ""))
        text = re.sub(r"_+", "_", re.sub(r"[^a-z0-9_]", "_", text)).strip("_") or "n"
        if text in reserved or text == "0":
            text = f"{text}_n"
        if text[0].isdigit() and not text.isdigit():
            text = f"n{text}"
        name = text
        while taken[name]:
            taken[text] += 1
            name = f"{text}_{taken[text]}"
        taken[name] += 1
        found[node] = name
    return found
