"""Layout versus schematic, for drawings: what a sheet connects, held against its netlist.

Points that coincide or lie on a wire are connected, and so are nets of the same name; two wires that
cross without an end at the crossing are not. A bulk that is not drawn is on the rail of its kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from itertools import combinations

from acs_gym.simulation.netlist import Dut
from docs.circuit_pages.sheet import Box, Point, Sheet, on_segment

Terminal = tuple[str, str]  # device, terminal; ("port", name) for a port
_TERMINALS = {2: ("a", "b"), 3: ("c", "b", "e"), 4: ("d", "g", "s", "b")}  # By how many there are.
_MARGIN = 0.04


class _Groups:
    """Disjoint sets that grow together."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def root(self, item: Hashable) -> Hashable:
        while (parent := self._parent.setdefault(item, item)) != item:
            item = parent
        return item

    def join(self, a: Hashable, b: Hashable) -> None:
        self._parent[self.root(a)] = self.root(b)


def netlist_nets(dut: Dut) -> dict[str, frozenset[Terminal]]:
    """Net -> its terminals, ports included."""
    nets: dict[str, set[Terminal]] = defaultdict(set)
    for port in dut.ports:
        nets[port].add(("port", port))
    for device in (*dut.primitives, *dut.elements):
        for terminal, node in zip(_TERMINALS[len(device.nodes)], device.nodes, strict=True):
            nets[node].add((device.name, terminal))
    return {net: frozenset(terminals) for net, terminals in nets.items()}


def drawn_nets(sheet: Sheet) -> list[tuple[frozenset[Terminal], frozenset[str]]]:
    """(terminals, names) of every net of the drawing."""
    groups = _Groups()
    points = [p for d in sheet.devices.values() for p in d.terminals.values()]
    points += [p for _, p in sheet.labels] + [p for w in sheet.wires for p in w.points]
    columns: dict[float, set[Point]] = defaultdict(set)
    rows: dict[float, set[Point]] = defaultdict(set)
    for x, y in points:
        columns[x].add((x, y))
        rows[y].add((x, y))
    for wire in sheet.wires:
        for segment in wire.segments():
            (x, y), (other, _) = segment
            for point in columns[x] if x == other else rows[y]:
                if on_segment(point, segment):
                    groups.join(point, segment[0])
    for name, point in sheet.labels:
        groups.join(("net", name), point)
    terminals: dict[Hashable, set[Terminal]] = defaultdict(set)
    for name, placed in sheet.devices.items():
        for terminal, point in placed.terminals.items():
            terminals[groups.root(point)].add((name, terminal))
        if placed.kind in ("nfet", "pfet") and "b" not in placed.terminals:
            rail = sheet.ground if placed.kind == "nfet" else sheet.supply
            terminals[groups.root(("net", rail))].add((name, "b"))
    names: dict[Hashable, set[str]] = defaultdict(set)
    for name, _ in sheet.labels:
        names[groups.root(("net", name))].add(name)
        if name in sheet.dut.ports:
            terminals[groups.root(("net", name))].add(("port", name))
    return [(frozenset(found), frozenset(names[root])) for root, found in terminals.items()]


def differences(sheet: Sheet) -> list[str]:
    """Every way in which the drawing is not the netlist; empty when it is."""
    dut = sheet.dut
    kinds = {p.name: p.kind for p in dut.primitives} | {e.name: e.name[0] for e in dut.elements}
    drawn_kinds = {name: placed.kind for name, placed in sheet.devices.items()}
    wrong = [f"{name} is not drawn" for name in kinds if name not in drawn_kinds]
    for name, kind in drawn_kinds.items():
        if kinds.get(name) != kind:
            wrong.append(
                f"{name} is drawn as {kind}, it is {kinds.get(name, 'not in the netlist')}"
            )
    netlist, drawn = netlist_nets(dut), drawn_nets(sheet)
    by_terminals = dict(drawn)
    for net, terminals in netlist.items():
        if terminals not in by_terminals:
            pieces = [_text(piece) for piece, _ in drawn if piece & terminals]
            wrong.append(f"{net} should join {_text(terminals)}; drawn: {' | '.join(pieces)}")
        elif extra := by_terminals[terminals] - {net}:
            wrong.append(f"{net} is also called {', '.join(sorted(extra))}")
    return wrong


def overlaps(sheet: Sheet) -> list[str]:
    """Texts and symbols that overlap each other or a wire."""
    boxes = [*sheet.texts, *sheet.symbols]
    found = [f"{a.what} on {b.what}" for a, b in combinations(boxes, 2) if _meet(a, b)]
    lines = [Box("wire", *_ordered(a, b)) for w in sheet.wires for a, b in w.segments()]
    return found + [
        f"wire ({line.x0:g}, {line.y0:g}) to ({line.x1:g}, {line.y1:g}) on {box.what}"
        for box in boxes
        for line in lines
        if _meet(box, line)
    ]


def _meet(a: Box, b: Box) -> bool:
    return (
        a.x0 + _MARGIN < b.x1 and b.x0 + _MARGIN < a.x1
        and a.y0 + _MARGIN < b.y1 and b.y0 + _MARGIN < a.y1
    )  # fmt: skip


def _ordered(a: tuple[float, float], b: tuple[float, float]) -> Iterator[float]:
    yield from (min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))


def _text(terminals: frozenset[Terminal]) -> str:
    return " ".join(sorted(f"{device}.{terminal}" for device, terminal in terminals))
