"""A sizing in an xschem schematic: properties of instances are other numbers, every other byte stays.

An instance is `C {symbol} x y rotation flip {name=M1 ...}`; a property is `key=value`, the value one word
or in double quotes. Braces and quotes inside are escaped with a backslash.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from acs_gym.circuit import CircuitError
from acs_gym.importing.exporting import WayBack, changed_values
from acs_gym.importing.sizing import written
from acs_gym.importing.text import Field
from acs_gym.importing.values import number
from acs_gym.wording import did_you_mean

# Up to the properties: the symbol's braces, then four numbers.
_INSTANCE = re.compile(r"^C \{(?:\\.|[^\\{}])*\}(?:[ \t]+\S+){4}[ \t]+\{", re.M)
_PROPERTY = re.compile(r'([^\s={}"]+)[ \t]*=[ \t]*("(?:\\.|[^"\\])*"|(?:\\.|[^\s{}\\])+)', re.S)
_WORD = re.compile(r"(?:\\.|[^\s{}\\])+", re.S)
# What a size is called in a symbol; of several that stand there, the first.
_CALLED = {"w": ("w",), "l": ("l", "value"), "m": ("mult", "m", "mf"), "nf": ("nf",)}
_VALUE = ("value",)
# Properties are in SI units or, as SKY130's, in microns.
_SCALES = (1.0, 1e-6)


@dataclass(frozen=True, slots=True)
class _Property:
    """A value and where it stands: characters of the file."""

    text: str
    start: int
    end: int


def resized(text: str, way: WayBack, design: Mapping[str, float], name: str) -> str:
    """The schematic with the numbers of `design` (SI); parameters that it leaves out stay.

    The schematic may be of the whole circuit or of one of its cells: it is of the instances that it has.

    Raises CircuitError where it is of none, where a property is no number, where it says otherwise than
    the netlist that was imported did, or where instances of one cell ask for two numbers. `name` is the
    file's, for messages.
    """
    instances = _instances(text)
    values = changed_values(way, design)
    wanted: dict[_Property, tuple[str, str]] = {}
    for parent, sizes in _cells(way, instances, name).items():
        for device, size, parameter, factor in sizes:
            if parameter not in values:
                continue
            found = _property(instances[_instance_of(device, instances)], size)
            where = f"{name}: {size} of {device}"
            if found is None:
                raise CircuitError(
                    f"{where} is not a property of its instance; write it there once"
                )
            new = _renumbered(found.text, where, way.parameters[parameter].value * factor,
                              values[parameter] * factor)  # fmt: skip
            before = wanted.setdefault(found, (new, parent))
            if before[0] != new:
                raise CircuitError(
                    f"{where}: {before[1] or 'the top'} asks for {before[0]}, {parent} for {new}, "
                    "and they are one cell; tie them (one .param), or give each a cell of its own"
                )
    for place, (new, _) in sorted(wanted.items(), key=lambda item: -item[0].start):
        text = text[: place.start] + new + text[place.end :]
    return text


def _instances(text: str) -> dict[str, dict[str, _Property]]:
    """Name -> its properties, all in lower case. Of copies of a name the first, as xschem would not."""
    found: dict[str, dict[str, _Property]] = {}
    for head in _INSTANCE.finditer(text):
        properties: dict[str, _Property] = {}
        place = head.end()
        while place < len(text):
            blank = re.compile(r"\s*").match(text, place)
            assert blank is not None
            place = blank.end()
            one = _PROPERTY.match(text, place)
            if one is None:
                word = _WORD.match(text, place)
                if word is None:
                    break
                place = word.end()
                continue
            key = one[1].lower()
            properties.setdefault(key, _Property(one[2], one.start(2), one.end(2)))
            place = one.end()
        if "name" in properties:
            found.setdefault(properties["name"].text.strip('"').lower(), properties)
    return found


def _cells(
    way: WayBack, instances: Mapping[str, object], name: str
) -> dict[str, list[tuple[str, str, str, float]]]:
    """Path of a cell -> (device, size, parameter, factor) of it, for cells that the schematic is of."""
    cells: dict[str, list[tuple[str, str, str, float]]] = defaultdict(list)
    for parameter, sized in way.parameters.items():
        for place, factor in sized.devices.items():
            path, _, size = place.rpartition(".")
            parent, _, device = path.rpartition(".")
            cells[parent].append((device, size, parameter, factor))
    whole = {
        parent: sizes
        for parent, sizes in cells.items()
        if all(_instance_of(device, instances) for device, *_ in sizes)
    }
    if not whole:
        devices = sorted({device for sizes in cells.values() for device, *_ in sizes})
        known = ", ".join(list(instances)[:20]) or "none"
        meant = did_you_mean(devices[0].removeprefix("x"), list(instances))
        raise CircuitError(
            f"{name} is no schematic of this circuit or of a cell of it: the netlist has "
            f"{', '.join(devices[:20])}; {meant}instances there: {known}"
        )
    # Another cell may have some of the same names; the schematic is of the one that has most, and of the
    # other instances of that cell.
    names = {parent: frozenset(device for device, *_ in sizes) for parent, sizes in whole.items()}
    most = max(names.values(), key=len)
    return {parent: sizes for parent, sizes in whole.items() if names[parent] == most}


def _instance_of(device: str, instances: Mapping[str, object]) -> str:
    """A netlist's device as the schematic calls it (`xm1` is `M1` with a prefix X); empty for none."""
    names = (device, device.removeprefix("x"))
    return next((name for name in names if name in instances), "")


def _property(properties: Mapping[str, _Property], size: str) -> _Property | None:
    keys = _CALLED.get(size, _VALUE)
    return next((properties[key] for key in keys if key in properties), None)


def _renumbered(text: str, where: str, was: float, new: float) -> str:
    """The property with another number in it, in its own unit."""
    said = number(text.strip("\"'"))
    if said is None:
        raise CircuitError(f"{where} is {text[:40]}, no number; write the number, and import again")
    scale = next((s for s in _SCALES if abs(said * s - was) <= 1e-6 * abs(was)), None)
    if scale is None:
        raise CircuitError(
            f"{where} is {text}, where the imported netlist has {was:g}; netlist the schematic again and "
            "import that"
        )
    return written(Field(text, ()), new / scale)
