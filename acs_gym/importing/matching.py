"""Which devices of a circuit belong together, and what they do: read from how they are connected.

Differential and cross-coupled pairs, mirrors, cascodes, tails, loads, drivers, dummies, and passives that
are one array. Works on nodes, kinds and sizes alone; what is not recognised keeps its own name.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

_RAIL = re.compile(
    r"0|[ad]?v(dd|ss|cc|ee)[adhio]?\d*|[adps]?gnd\w?|ground|vpwr|vgnd|vnb|vpb|v?sub[s]?|avdd\w*|dvdd\w*|"
    r"avss\w*|dvss\w*|vdd\w*|vss\w*|vcc\w*"
)
# Two mirrors' widths are tied where one is a whole multiple of the other.
_CLOSE = 1e-3
_MOST_TIMES = 64
_PLAIN = ("r", "c", "l")
# Plain elements in such numbers are a layout's parasitics.
_MOST_PLAIN = 40


class Device(Protocol):
    """What is asked of a device: an imported one, or one of a circuit folder."""

    @property
    def kind(self) -> str: ...

    @property
    def nodes(self) -> tuple[str, ...]:
        """Of a FET: drain, gate, source, bulk."""

    @property
    def is_fet(self) -> bool: ...

    @property
    def polarity(self) -> str:
        """n or p of a FET."""

    @property
    def sizes(self) -> Mapping[str, object]:
        """By name, in any form; `size` has the number of one."""

    def size(self, name: str) -> float: ...


@dataclass(frozen=True, slots=True)
class Relation:
    """Devices that match: `what` they are to each other, the role they are named by.

    `widths` says whether they share W beside L; in a mirror W may be in a whole ratio.
    """

    what: str
    role: str
    members: tuple[int, ...]
    widths: bool = True


def rail(name: str) -> bool:
    return _RAIL.fullmatch(name.rpartition(".")[2].strip("!")) is not None


def relations(devices: Sequence[Device], ports: Sequence[str] = ()) -> list[Relation]:
    """Every relation found, members by their place in `devices`; the more telling come first.

    `ports` are the circuit's: what is outside may feed a pair.
    """
    fets, dummies = list[int](), list[int]()
    for k, device in enumerate(devices):
        if device.is_fet:
            (dummies if len({*device.nodes[:3]}) == 1 else fets).append(k)
    at = _Nodes(devices, fets)
    pairs = list(_pairs(at, {*ports, *_fed(devices)}))
    mirrors = list(_mirrors(at))
    cascodes = list(_cascodes(at))
    named = _roles(at, pairs, mirrors, cascodes)
    found = [*named, *_drivers(at, named), *_arrays(devices, ports, pairs)]
    if dummies:
        found.append(Relation("dummies", "dummy", tuple(dummies), widths=False))
    return found


def _fed(devices: Sequence[Device]) -> Iterable[str]:
    """Nodes that a current source or resistor leads to, as the tail of a pair may."""
    for device in devices:
        if device.kind in ("ibias", "r", "i") or "res" in device.kind:
            yield from device.nodes


class _Nodes:
    """The FETs by what their terminals are connected to."""

    def __init__(self, devices: Sequence[Device], fets: Sequence[int]) -> None:
        self.devices, self.fets = devices, fets
        self.drains: dict[str, list[int]] = defaultdict(list)
        self.sources: dict[str, list[int]] = defaultdict(list)
        self.gates: dict[str, list[int]] = defaultdict(list)
        for k in fets:
            d, g, s, _ = devices[k].nodes
            self.drains[d].append(k)
            self.gates[g].append(k)
            self.sources[s].append(k)

    def nodes(self, k: int) -> tuple[str, str, str]:
        d, g, s, _ = self.devices[k].nodes
        return d, g, s

    def alike(self, a: int, b: int) -> bool:
        one, two = self.devices[a], self.devices[b]
        return one.kind == two.kind and all(
            close(one.size(n), two.size(n)) for n in ("w", "l", "m", "nf")
        )

    def alike_in_polarity(self, a: int, b: int) -> bool:
        return self.devices[a].polarity == self.devices[b].polarity

    def grouped(self, key: Callable[[int], object]) -> list[list[int]]:
        found: dict[object, list[int]] = defaultdict(list)
        for k in self.fets:
            found[key(k)].append(k)
        return [members for members in found.values() if len(members) > 1]


def close(a: float, b: float) -> bool:
    return abs(a - b) <= _CLOSE * max(abs(a), abs(b))


def _pairs(at: _Nodes, fed_nodes: set[str]) -> Iterable[Relation]:
    """Two alike devices whose sources meet in a node that some other device feeds."""
    for members in at.grouped(lambda k: (at.devices[k].kind, at.nodes(k)[2])):
        source = at.nodes(members[0])[2]
        # A latch on a rail is crossed all the same; nothing else there is a pair.
        for i, a in enumerate(members[:40]):
            for b in members[i + 1 : 40]:
                (da, ga, _), (db, gb, _) = at.nodes(a), at.nodes(b)
                if not at.alike(a, b) or da == db:
                    continue
                if ga == db and gb == da:
                    yield Relation("cross-coupled pair", "cross", (a, b))
                    continue
                fed = (
                    not rail(source)
                    and len(members) <= 4
                    and (bool(at.drains.get(source)) or source in fed_nodes)
                )
                # One of the two may be its own load: a follower.
                if fed and ga != gb and (da != ga or db != gb) and not (rail(ga) or rail(gb)):
                    yield Relation("differential pair", "pair", (a, b))


def _mirrors(at: _Nodes) -> Iterable[Relation]:
    """Devices of one length with gate and source in common."""
    for members in at.grouped(
        lambda k: (at.devices[k].kind, *at.nodes(k)[1:], round(at.devices[k].size("l") * 1e12))
    ):
        gate = at.nodes(members[0])[1]
        if rail(gate):
            continue
        diode = any(at.nodes(k)[0] == gate for k in members)
        # Of inverters in parallel nobody would say that they mirror; of sources on one bias, all do.
        driven = any(not at.alike_in_polarity(k, members[0]) for k in at.gates[gate])
        if driven and not diode:
            continue
        yield Relation(
            "mirror" if diode else "current sources", "mirror", tuple(members), widths=False
        )


def _cascodes(at: _Nodes) -> Iterable[Relation]:
    """Alike devices with a gate in common, each standing on the drain of another one."""
    for members in at.grouped(
        lambda k: (
            at.devices[k].kind,
            at.nodes(k)[1],
            *(round(at.devices[k].size(n) * 1e12) for n in "wlm"),
        )
    ):
        standing = [
            k
            for k in members
            if not rail(at.nodes(k)[2])
            and any(at.alike_in_polarity(d, k) for d in at.drains.get(at.nodes(k)[2], ()))
        ]
        gate = at.nodes(members[0])[1]
        driven = any(not at.alike_in_polarity(k, members[0]) for k in at.gates[gate])
        if len(standing) > 1 and len({at.nodes(k)[2] for k in standing}) > 1 and not driven:
            yield Relation("cascodes", "casc", tuple(standing))


def _roles(
    at: _Nodes, pairs: Sequence[Relation], mirrors: Sequence[Relation], cascodes: Sequence[Relation]
) -> list[Relation]:
    """The relations under the name of what they do beside the pair, most telling first."""
    tails = {at.nodes(p.members[0])[2] for p in pairs if p.role == "pair"}
    outputs = {at.nodes(k)[0] for p in pairs if p.role == "pair" for k in p.members}
    above = {at.nodes(k)[0] for c in cascodes for k in c.members}
    below = {at.nodes(k)[2] for c in cascodes for k in c.members}
    found = list(pairs)
    for mirror in mirrors:
        drains = {at.nodes(k)[0] for k in mirror.members}
        if drains & tails:
            role = "bias" if len(mirror.members) > 2 else "tail"
        elif drains & outputs or len(drains & above) > 1 or len(drains & below) > 1:
            role = "load"
        else:
            role = "mirror"
        found.append(Relation(mirror.what, role, mirror.members, mirror.widths))
    found += [
        Relation(c.what, f"casc_{at.devices[c.members[0]].polarity}", c.members) for c in cascodes
    ]
    in_mirror = {k for m in mirrors for k in m.members}
    for node in tails:
        alone = [k for k in at.drains[node] if k not in in_mirror and at.nodes(k)[2] != node]
        found += [Relation("tail", "tail", (k,)) for k in alone]
    return found


def _drivers(at: _Nodes, known: Sequence[Relation]) -> Iterable[Relation]:
    """A single device on a rail that amplifies what a pair or a load puts out."""
    taken = {k for r in known for k in r.members}
    stage = {
        at.nodes(k)[0]
        for r in known
        if r.role in ("pair", "load") or r.role[:4] == "casc"
        for k in r.members
    }
    for k in at.fets:
        drain, gate, source = at.nodes(k)
        if (
            k not in taken
            and gate in stage
            and rail(source)
            and drain != gate
            and drain not in stage
        ):
            yield Relation("driver", "driver", (k,))


def _arrays(
    devices: Sequence[Device], ports: Sequence[str], pairs: Sequence[Relation]
) -> Iterable[Relation]:
    """Passives of one kind and size that are one to a designer: strings, in parallel, legs of a pair.

    A string's inner nodes lead nowhere else. Legs stand on the same terminals of a pair's two devices.
    """
    plain = sum(d.kind in _PLAIN for d in devices)
    alike: dict[object, list[int]] = defaultdict(list)
    for k, d in enumerate(devices):
        if _passive(d.kind) and not (d.kind in _PLAIN and plain > _MOST_PLAIN):
            alike[d.kind, *((n, f"{d.size(n):.9g}") for n in sorted(d.sizes))].append(k)
    terminals = Counter(n for d in devices for n in d.nodes) + Counter(ports)
    for members in alike.values():
        if len(members) == 1:
            continue
        together = _Together(members)
        at: dict[str, list[int]] = defaultdict(list)
        same: dict[frozenset[str], int] = {}
        for k in members:
            ends = frozenset(devices[k].nodes[:2])
            together.join(k, same.setdefault(ends, k))
            for node in ends:
                at[node].append(k)
        for node, there in at.items():
            if len(there) == 2 == terminals[node] and not rail(node):
                together.join(*there)
        for pair in pairs:
            for one, other in zip(*(devices[k].nodes[:3] for k in pair.members), strict=True):
                for a in at.get(one, ())[:40] if one != other else ():
                    for b in at.get(other, ())[:40]:
                        if {*devices[a].nodes[:2]} - {one} == {*devices[b].nodes[:2]} - {other}:
                            together.join(a, b)
        yield from (Relation("one array", "array", g) for g in together.groups() if len(g) > 1)


def _passive(kind: str) -> bool:
    return kind in _PLAIN or "res" in kind or "cap" in kind or kind.startswith(("ppoly", "npoly"))


class _Together:
    """Members that are joined, in groups."""

    def __init__(self, members: Iterable[int]) -> None:
        self._up = {k: k for k in members}

    def join(self, a: int, b: int) -> None:
        self._up[self._top(a)] = self._top(b)

    def groups(self) -> Iterable[tuple[int, ...]]:
        found: dict[int, list[int]] = defaultdict(list)
        for k in self._up:
            found[self._top(k)].append(k)
        return (tuple(g) for g in found.values())

    def _top(self, k: int) -> int:
        while (up := self._up[k]) != k:
            self._up[k] = k = self._up[up]
        return k


def times(a: float, b: float) -> bool:
    """Whether one is a whole multiple of the other."""
    ratio = max(a, b) / min(a, b)
    return ratio <= _MOST_TIMES and close(ratio, round(ratio))
