"""What of a circuit is sized: parameters with names and ranges, and which numbers of the text each is.

A parameter is a class of numbers: those that the owner's text writes once, and those of matched devices.
Every member is the parameter's value times its factor.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from acs_gym.importing.devices import Mapped, Size
from acs_gym.importing.matching import Relation, relations, times
from acs_gym.importing.text import Field, refused
from acs_gym.importing.values import NUMBER, number, origin
from acs_gym.importing.wishes import Wish
from acs_gym.wording import did_you_mean

_Key = tuple[int, str]  # A device by its place, and one of its sizes.
_GRID = 5e-9
# How far a range goes beyond what the owner chose.
_AROUND = {"w": 10.0, "l": 8.0, "r": 10.0, "c": 10.0, "i": 10.0, "m": 4.0}
# (smallest W, smallest L) that may be drawn, m; of all other transistors those of the core ones.
_SMALLEST: Mapping[str, tuple[float, float]] = {
    "sky130": (0.42e-6, 0.15e-6),
    "gf180mcu": (0.22e-6, 0.28e-6),
    "sky130_fd_pr__pfet_01v8_lvt": (0.42e-6, 0.35e-6),
    **dict.fromkeys(
        (
            "sky130_fd_pr__nfet_g5v0d10v5",
            "sky130_fd_pr__pfet_g5v0d10v5",
            "sky130_fd_pr__nfet_03v3_nvt",
        ),
        (0.42e-6, 0.5e-6),
    ),
    "sky130_fd_pr__nfet_05v0_nvt": (0.42e-6, 0.9e-6),
    "nfet_06v0": (0.3e-6, 0.6e-6),
    "pfet_06v0": (0.3e-6, 0.5e-6),
    "nfet_06v0_nvt": (0.8e-6, 1.8e-6),
}
_LARGEST = (100e-6, 20e-6)
# Relations from the most telling, for the name of what several of them share.
_ROLES = (
    "pair", "cross", "tail", "load", "casc_n", "casc_p", "driver", "bias", "mirror", "dummy",
)  # fmt: skip
_UNITS = {"r": "Ohm", "c": "F", "i": "A", "m": "", "l": "m", "w": "m"}
# Of layout parasitics nobody sizes one; a schematic has few passives, and no tiny ones.
_FEW, _TINY = 40, 20e-15


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number to be sized.

    Attributes:
        members: (device, size) -> factor to this parameter's value.
        fields: the words of the owner's text -> SI value of the number 1 there, over this parameter's.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    step: float | None
    integer: bool
    description: str
    members: Mapping[_Key, float]
    fields: Mapping[Field, float]


@dataclass(frozen=True, slots=True)
class Sizing:
    """What is sized and what is not.

    Attributes:
        roles: of devices by place, e.g. `pair`.
        matched: what was recognised, as a person says it.
        notes: about marks and classes that could not be sized.
    """

    parameters: tuple[Parameter, ...]
    roles: Mapping[int, str]
    matched: tuple[Relation, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Classes:
    """Union-find over numbers."""

    parent: dict[_Key, _Key] = field(default_factory=dict)

    def root(self, key: _Key) -> _Key:
        path = []
        while (up := self.parent.setdefault(key, key)) != key:
            path.append(key)
            key = up
        for passed in path:
            self.parent[passed] = key
        return key

    def tie(self, a: _Key, b: _Key) -> None:
        self.parent[self.root(a)] = self.root(b)


def sized(
    devices: Sequence[Mapped],
    pdk: str,
    wanted: Sequence[Wish],
    *,
    extracted: bool,
    ports: Sequence[str] = (),
    reserved: Set[str] = frozenset(),
) -> Sizing:
    """The parameters of a circuit, called otherwise than what is `reserved`.

    Raises CircuitError for a wish about a device that is not there.
    """
    found = relations(devices, ports)
    roles: dict[int, str] = {}
    for relation in sorted(
        (r for r in found if r.role in _ROLES), key=lambda r: _ROLES.index(r.role)
    ):
        for k in relation.members:
            roles.setdefault(k, relation.role)
    classes = _Classes()
    keys = {(k, name): size for k, d in enumerate(devices) for name, size in _sizable(d)}
    origins = {key: _origins(devices[key[0]], size) for key, size in keys.items()}
    by_field: dict[Field, list[_Key]] = defaultdict(list)
    for key, fields in origins.items():
        classes.root(key)
        for field_ in fields:
            by_field[field_].append(key)
    for same in by_field.values():
        for key in same[1:]:
            classes.tie(same[0], key)
    dummies = {k for r in found if r.role == "dummy" for k in r.members}
    for relation in found:
        if relation.role != "dummy":
            _tie(relation, devices, keys, classes)
    members: dict[_Key, list[_Key]] = defaultdict(list)
    for key in keys:
        members[classes.root(key)].append(key)
    chosen, notes = _chosen(members, devices, keys, origins, wanted, dummies, extracted)
    parameters: list[Parameter] = []
    names = set(reserved)
    for of_class, wish in chosen:
        name = _name(of_class, devices, roles, names)
        names.add(name)
        parameters.append(_parameter(name, of_class, devices, keys, origins, roles, pdk, wish))
    return Sizing(tuple(parameters), roles, tuple(found), tuple(notes))


def _sizable(device: Mapped) -> list[tuple[str, Size]]:
    return [
        (name, size)
        for name, size in device.sizes.items()
        if size.fields
        and not (name == "r_width" or (name == "w" and "res_" in device.kind))
        and not (name == "m" and device.flat.count != 1)
    ]


def _origins(device: Mapped, size: Size) -> tuple[Field, ...]:
    return tuple(dict.fromkeys(origin(f, device.flat.scope) for f in size.fields))


def _tie(
    relation: Relation, devices: Sequence[Mapped], keys: Mapping[_Key, Size], classes: _Classes
) -> None:
    first, *others = relation.members
    for other in others:
        # Members of an array are alike in all that they have.
        names = devices[first].sizes if relation.role == "array" else ("w", "l", "m")
        for name in names:
            a, b = (first, name), (other, name)
            if a not in keys or b not in keys:
                continue
            if name == "m" and not relation.widths and not _same_count(relation, keys[a], keys[b]):
                continue
            if name == "w" and not times(keys[a].value, keys[b].value):
                continue
            classes.tie(a, b)


def _same_count(relation: Relation, a: Size, b: Size) -> bool:
    """Of a load both sides are the same; the outputs of a bias each have a count of their own."""
    return relation.role == "load" and a.value == b.value


_Class = list[_Key]


def _chosen(
    members: Mapping[_Key, _Class],
    devices: Sequence[Mapped],
    keys: Mapping[_Key, Size],
    origins: Mapping[_Key, tuple[Field, ...]],
    wanted: Sequence[Wish],
    dummies: Set[int],
    extracted: bool,
) -> tuple[list[tuple[_Class, Wish | None]], list[str]]:
    """The classes that are sized, in the order of the circuit, each with what the owner said of it."""
    notes: list[str] = []
    fixed: set[_Key] = set()
    asked: dict[_Key, Wish] = {}
    roots = {key: root for root, of_class in members.items() for key in of_class}
    for wish in wanted:
        meant = _meant(wish, devices, keys)
        for key in meant:
            if wish.fixed:
                fixed.add(roots[key])
            else:
                asked[roots[key]] = wish
    only = any(not wish.fixed for wish in wanted)
    few = sum(d.kind in "rcl" for d in devices) <= _FEW
    chosen: list[tuple[_Class, Wish | None]] = []
    for root, of_class in members.items():
        names = ", ".join(".".join(devices[k].path) + f".{n}" for k, n in of_class[:4])
        if root in fixed:
            if root in asked:
                raise refused(
                    asked[root].where,
                    f"{names} are one number, and one of them is fixed; drop one of the two",
                )
            continue
        if root not in asked and (only or all(k in dummies for k, _ in of_class)):
            continue
        if root not in asked and not _by_default(of_class, devices, keys, few and not extracted):
            continue
        if not _consistent(of_class, keys, origins):
            notes.append(f"{names}: one number of the text, but not one value; left as it is")
            continue
        chosen.append((of_class, asked.get(root)))
    return chosen, notes


def _meant(wish: Wish, devices: Sequence[Mapped], keys: Mapping[_Key, Size]) -> list[_Key]:
    def called(device: Mapped) -> tuple[str, ...]:
        whole = ".".join(device.path)
        last = device.path[-1]
        return whole, last, whole.removeprefix("x"), last.removeprefix("x")

    places = {k for k, d in enumerate(devices) if wish.device in called(d)}
    if not places:
        known = sorted({".".join(d.path) for d in devices})
        near = did_you_mean(wish.device, known)
        raise refused(
            wish.where, f"no device {wish.device!r}; {near}there is: {', '.join(known[:12])}"
        )
    meant = [key for key in keys if key[0] in places and wish.key in ("", key[1])]
    if not meant and not wish.fixed:
        sizes = sorted({n for k, n in keys if k in places})
        raise refused(
            wish.where, f"{wish.device} has no {wish.key or 'size'} of its own to change; it has: "
            f"{', '.join(sizes) or 'none, or its line leaves it to a default: write it there'}"
        )  # fmt: skip
    return meant


def _by_default(
    of_class: _Class, devices: Sequence[Mapped], keys: Mapping[_Key, Size], schematic: bool
) -> bool:
    """Whether a class is sized when nobody says: what a designer chooses, not what a layout adds."""
    device, name = devices[of_class[0][0]], of_class[0][1]
    if name == "m":
        return any(keys[key].value > 1 for key in of_class) and device.kind != "pnp"
    if device.kind in ("r", "c", "l"):
        return schematic and not (device.kind == "c" and keys[of_class[0]].value < _TINY)
    return True


def _consistent(
    of_class: _Class, keys: Mapping[_Key, Size], origins: Mapping[_Key, tuple[Field, ...]]
) -> bool:
    """Whether every word of the class says one value."""
    said: dict[Field, float] = {}
    for key in of_class:
        for field_ in origins[key]:
            value = keys[key].value / keys[key].scale
            if abs(said.setdefault(field_, value) - value) > 1e-9 * abs(value):
                return False
    return True


def _name(
    of_class: _Class, devices: Sequence[Mapped], roles: Mapping[int, str], taken: set[str]
) -> str:
    key = {"c_width": "w", "c_length": "l", "r_length": "l"}.get(of_class[0][1], of_class[0][1])
    places = [k for k, _ in of_class]
    found = sorted({roles[k] for k in places if k in roles}, key=_ROLES.index)
    own = [devices[k].path for k in places]
    bare = word(own[0])
    if key == "i":
        base = "i_bias" if len(own) == 1 else f"i_{bare}"
    elif key == "m" and not (found and (found[0] in ("pair", "cross") or len(set(own)) > 1)):
        base = f"m_{found[0]}" if found and found[0] in ("tail", "driver") else f"m_{bare}"
    elif found and devices[places[0]].kind not in ("r", "c", "l"):
        base = f"{key}_{found[0]}"
    else:
        base = f"{key}_{bare.removeprefix(key) if bare[:1] == key and len(bare) > 1 else bare}"
    base = base[:34]
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}_{bare}"[:38] if count == 2 else f"{base}_{count}"
    return name


def word(path: Sequence[str]) -> str:
    """The name of an instance in its subcircuits, as letters, digits and single _."""
    text = "_".join(p[1:] if p[0] == "x" and len(p) > 1 and p[1].isalpha() else p for p in path)
    return re.sub(r"_+", "_", re.sub(r"\W", "_", text, flags=re.ASCII)).strip("_") or "x"


def _parameter(
    name: str,
    of_class: _Class,
    devices: Sequence[Mapped],
    keys: Mapping[_Key, Size],
    origins: Mapping[_Key, tuple[Field, ...]],
    roles: Mapping[int, str],
    pdk: str,
    wish: Wish | None,
) -> Parameter:
    key = {"c_width": "w", "c_length": "l", "r_length": "l"}.get(of_class[0][1], of_class[0][1])
    value = min(keys[k].value for k in of_class)
    factors = {k: _factor(keys[k].value / value) for k in of_class}
    fields: dict[Field, float] = {}
    for k in of_class:
        for field_ in origins[k]:
            fields[field_] = keys[k].scale / factors[k]
    integer = key == "m"
    low, high = _range(key, value, factors, devices, pdk)
    if wish is not None and wish.low is not None and wish.high is not None:
        low, high = wish.low, wish.high
        if not low <= value <= high:
            raise refused(
                wish.where,
                f"{name} is {value:g} in the netlist, outside {low:g}..{high:g} (SI units); widen it",
            )
    step = None
    if key in "wl" and all(_on_grid(x) for x in (value, low, high)):
        step = _GRID
    who = ", ".join(dict.fromkeys(".".join(devices[k].path) for k, _ in of_class))
    what = {"w": "width", "l": "length", "m": "devices in parallel", "r": "resistance",
            "c": "capacitance", "i": "current"}[key]  # fmt: skip
    role = next((r for r in _ROLES if any(roles.get(k) == r for k, _ in of_class)), "")
    description = f"{what} of {who}"[:160] + (f" ({role.replace('_', ' ')})" if role else "")
    return Parameter(
        name, _UNITS[key], value, low, high, step, integer, description, factors, fields
    )


def _factor(ratio: float) -> float:
    nearest = round(ratio)
    return float(nearest) if abs(ratio - nearest) < 1e-3 * ratio else ratio


def _on_grid(value: float) -> bool:
    return abs(value / _GRID - round(value / _GRID)) < 1e-6


def _range(
    key: str, value: float, factors: Mapping[_Key, float], devices: Sequence[Mapped], pdk: str
) -> tuple[float, float]:
    if key == "m":
        return 1.0, max(float(round(_AROUND["m"] * value)), 8.0)
    low, high = value / _AROUND[key], value * _AROUND[key]
    if key in "wl":
        for (k, _), factor in factors.items():
            smallest, largest = _limits(devices[k], pdk)
            fold = devices[k].size("nf") if key == "w" else 1.0
            place = "wl".index(key)
            low = max(low, smallest[place] * fold / factor)
            high = min(high, largest[place] * fold / factor)
        # On the grid of the layout, and never so tight that what the owner chose is outside.
        low, high = min(_rounded(low, up=True), value), max(_rounded(high, up=False), value)
        return low, high
    return float(f"{low:.3g}"), float(f"{high:.3g}")


def _rounded(value: float, *, up: bool) -> float:
    steps = value / _GRID
    whole = round(steps)
    if abs(steps - whole) > 1e-6:
        whole = int(steps) + (1 if up else 0)
    return float(f"{whole * _GRID:.12g}")


def _limits(device: Mapped, pdk: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """((smallest w, l), (largest w, l)) of a finger; of other devices what its layout could be."""
    if not device.is_fet:
        return (0.3e-6, 0.3e-6), (500e-6, 2e-3)
    return _SMALLEST.get(device.kind, _SMALLEST.get(pdk, _SMALLEST["sky130"])), _LARGEST


def written(field_: Field, value: float) -> str:
    """The word with another number in it: its suffix, quotes and braces stay as the owner has them."""
    text = field_.text
    opened, _, closed = text.partition(field_.bare)
    found = NUMBER.fullmatch(field_.bare)
    tail = "" if found is None else (found[2] or "") + found[3]
    one = number(f"1{tail}") or 1.0
    digits = value / one
    text = f"{digits:.6g}"
    if digits == round(digits) and abs(digits) < 1e6:
        text = str(round(digits))
    return f"{opened}{text}{tail}{closed}"
