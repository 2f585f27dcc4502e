"""A schematic drawn from the devices of a netlist, by name, on schemdraw.

A drawing script places devices, wires and ports; the sheet takes the sizes to write beside a device
from the netlist, sets the junction dots, and remembers where every terminal and wire is, so that
`lvs` can say what the drawing connects. Coordinates are in units of half a transistor's height:
its channel is the vertical from (x, y - 1) to (x, y + 1), its gate is at (x ± 1.1, y).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import schemdraw
import schemdraw.elements as elm
from schemdraw.backends import svg
from schemdraw.backends.svgtext import text_approx_size

from acs_gym.expressions import Expression
from acs_gym.simulation.netlist import Dut
from acs_gym.units import format_si

Point = tuple[float, float]
Side = Literal["left", "right", "above", "below"]
Where = str | tuple[float | None, float | None]

_FONT, _NAME_SIZE, _TEXT_SIZE, _LINE = "Arial, Helvetica, sans-serif", 11.0, 10.0, 0.36
_INK, _SIZES, _NETS = "black", "#0072B2", "#9A4F00"
_POINTS_PER_UNIT = 36.0
_WIDER = 1.12  # Room for a reader's font that is wider than Arial.
_FET = 1.2  # schemdraw's transistor is 5/3 high; this makes it 2.
_PNP = 1.2 / 0.836  # And this its bipolar one.
# Which SI unit a primitive's parameter has, for those that are plain numbers.
_UNITS = {"w": "m", "l": "m", "r": "Ω", "c": "F", "i": "A", "m": ""}
_TWO_TERMINAL = {
    "res": elm.Resistor, "cap": elm.Capacitor, "ibias": elm.SourceI,
    "v": elm.SourceV, "i": elm.SourceI, "r": elm.Resistor, "c": elm.Capacitor, "l": elm.Inductor,
}  # fmt: skip


_OUT: dict[Side, Point] = {"left": (-1, 0), "right": (1, 0), "above": (0, 1), "below": (0, -1)}


@dataclass(frozen=True, slots=True)
class Box:
    """Where something is drawn, and what."""

    what: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Placed:
    """A device on the sheet; terminals are d g s (and b where it is drawn), c b e, or a b."""

    kind: str
    terminals: dict[str, Point]


@dataclass(frozen=True, slots=True)
class Wire:
    """A polyline; a rail is a wire whose junctions carry no dots."""

    points: tuple[Point, ...]
    rail: bool = False

    def segments(self) -> Iterator[tuple[Point, Point]]:
        return zip(self.points, self.points[1:], strict=False)


@dataclass
class Sheet:
    """One drawing of the circuit `dut`; bulks not drawn are tied to `supply` and `ground`."""

    dut: Dut
    supply: str = "vdd"
    ground: str = "vss"
    devices: dict[str, Placed] = field(default_factory=dict)
    wires: list[Wire] = field(default_factory=list)
    labels: list[tuple[str, Point]] = field(default_factory=list)
    texts: list[Box] = field(default_factory=list)
    symbols: list[Box] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dots: set[Point] = set()
        self._rails: dict[str, float] = {}
        svg.config.text = "text"
        self._drawing = schemdraw.Drawing(show=False, canvas="svg")
        self._drawing.config(lw=1.4, font=_FONT, fontsize=_NAME_SIZE, bgcolor="white", margin=0.3)

    # --- devices --------------------------------------------------------------------------------

    def nfet(self, name: str, x: float, y: float, gate: Side = "left", **options: object) -> None:
        """An NMOS transistor, drain up; see `_fet`."""
        self._fet("nfet", elm.AnalogNFet, name, x, y, gate, **options)

    def pfet(self, name: str, x: float, y: float, gate: Side = "left", **options: object) -> None:
        """A PMOS transistor, source up; see `_fet`."""
        self._fet("pfet", elm.AnalogPFet, name, x, y, gate, **options)

    def _fet(
        self,
        kind: str,
        element: type[elm.Element],
        name: str,
        x: float,
        y: float,
        gate: Side,
        *,
        bulk: bool = False,
        text: tuple[float, float] | None = None,
    ) -> None:
        """Args:
        gate: the side its gate is on; its sizes stand on the other, or at (x, y) + `text`.
        bulk: draw the bulk terminal, for a device whose bulk is not on the usual rail.
        """
        symbol = element(offset_gate=False, bulk=bulk).scale(_FET).theta(0)
        symbol = symbol.anchor("center").at((x, y))
        placed = self._add(name, symbol.reverse() if gate == "left" else symbol)
        ends = {"d": "drain", "g": "gate", "s": "source"} | ({"b": "bulk"} if bulk else {})
        self.devices[name] = Placed(
            kind, {t: _point(placed.absanchors[end]) for t, end in ends.items()}
        )
        away = 1.0 if gate == "left" else -1.0
        self._write_sizes(name, x, y, text or (0.2 * away, 0.0))

    def pnp(self, name: str, x: float, y: float, base: Side = "left") -> None:
        """A PNP, emitter up, its base on that side; the emitter is at (x, y + 1)."""
        symbol = elm.BjtPnp(circle=False).scale(_PNP).theta(0).anchor("center").at((x, y))
        placed = self._add(name, symbol.reverse() if base == "right" else symbol)
        ends = {"c": "collector", "b": "base", "e": "emitter"}
        self.devices[name] = Placed(
            "pnp", {t: _point(placed.absanchors[end]) for t, end in ends.items()}
        )
        self._write_sizes(name, x, y, (0.2 if base == "left" else -0.2, 0.0))

    def two(
        self,
        kind: str,
        name: str,
        start: Where,
        stop: Where,
        text: tuple[float, float] | None = None,
    ) -> None:
        """A device with two terminals, from its netlist's first node to its second.

        Args:
            kind: res, cap, ibias, or the letter of a plain element.
            text: where its sizes stand, from its middle; beside a vertical device by default.
        """
        a = self.at(start)
        b = self.at(stop, a)
        placed = self._add(name, _TWO_TERMINAL[kind]().endpoints(a, b))
        ends = {"a": placed.absanchors["start"], "b": placed.absanchors["end"]}
        self.devices[name] = Placed(kind, {t: _point(end) for t, end in ends.items()})
        x, y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
        self._write_sizes(name, x, y, text or ((0.6, 0.0) if a[0] == b[0] else (0.0, 0.68)))

    def _add(self, name: str, symbol: elm.Element) -> elm.Element:
        placed = self._drawing.add(symbol)
        box = placed.get_bbox(transform=True, includetext=False)
        self.symbols.append(Box(name, *map(float, (box.xmin, box.ymin, box.xmax, box.ymax))))
        return placed

    # --- wires ----------------------------------------------------------------------------------

    def at(self, where: Where, previous: Point = (0.0, 0.0)) -> Point:
        """The point of `device.terminal`, or (x, y) with None for what `previous` has."""
        if isinstance(where, str):
            device, _, terminal = where.partition(".")
            return self.devices[device].terminals[terminal]
        x, y = where
        return _point((previous[0] if x is None else x, previous[1] if y is None else y))

    def wire(self, *through: Where, bend: Literal["-|", "|-"] = "-|", rail: bool = False) -> None:
        """A wire through these points; where two are not in line it bends, `-|` sideways first."""
        points = [self.at(through[0])]
        for where in through[1:]:
            last, point = points[-1], self.at(where, points[-1])
            if last[0] != point[0] and last[1] != point[1]:
                points.append((point[0], last[1]) if bend == "-|" else (last[0], point[1]))
            points.append(point)
        self.wires.append(Wire(tuple(points), rail))
        for a, b in self.wires[-1].segments():
            self._drawing.add(elm.Line(lw=2.6 if rail else 1.4).at(a).to(b))

    def rails(self, top: float, left: float, right: float, bottom: float = 0.0) -> None:
        """Supply and ground as thick lines with their names at the left end."""
        for net, y in ((self.supply, top), (self.ground, bottom)):
            self.wire((left, y), (right, y), rail=True)
            self.net(net, (left, y), "left")
        self._rails = {"pfet": top, "nfet": bottom}

    def to_rail(self, *devices: str) -> None:
        """The sources of these transistors, straight to the rail of their kind."""
        for name in devices:
            self.wire(f"{name}.s", (None, self._rails[self.devices[name].kind]))

    def port(self, net: str, where: Where, side: Side, length: float) -> None:
        """A wire of that length out of the circuit to an open circle with the port's name."""
        dx, dy = _OUT[side]
        x, y = self.at(where)
        end = _point((x + dx * length, y + dy * length))
        self.wire((x, y), end)
        self._drawing.add(elm.Dot(open=True, radius=0.09).at(end))
        self.net(net, end, side)

    def net(self, name: str, where: Where, side: Side) -> None:
        """A net's name beside a point of it; points with the same name are connected."""
        point = self.at(where)
        self.labels.append((name, point))
        dx, dy = _OUT[side]
        align = {"left": "right", "right": "left"}.get(side, "center")
        low = 0.0 if dy else 0.08  # Letters without descenders sit high on a line.
        self._write(name, point[0] + 0.3 * dx, point[1] + 0.3 * dy - low, align, _NETS, _NAME_SIZE)

    # --- text -----------------------------------------------------------------------------------

    def _write_sizes(self, name: str, x: float, y: float, offset: tuple[float, float]) -> None:
        """The device's name, and below it the sizes that the netlist gives it."""
        lines = self._sizes(name)
        align = "left" if offset[0] > 0 else "right" if offset[0] < 0 else "center"
        top = y + offset[1] + _LINE * len(lines) / 2
        self._write(name, x + offset[0], top, align, _INK, _NAME_SIZE)
        for row, line in enumerate(lines, start=1):
            self._write(line, x + offset[0], top - _LINE * row, align, _SIZES, _TEXT_SIZE)

    def _sizes(self, name: str) -> list[str]:
        for device in self.dut.primitives:
            if device.name == name:
                values = {k: _value(v, _UNITS[k]) for k, v in device.parameters.items()}
                times = values.pop("m", "1")
                sizes = "/".join(values.values())
                return [*([sizes] if sizes else []), *([f"× {times}"] if times != "1" else [])]
        return [e.value.strip("{}") for e in self.dut.elements if e.name == name]

    def _write(self, text: str, x: float, y: float, align: str, colour: str, size: float) -> None:
        label = elm.Label().at((x, y)).theta(0)
        self._drawing.add(
            label.label(
                text, ofst=(0, 0), halign=align, valign="center", color=colour, fontsize=size
            )
        )
        width, _, _ = text_approx_size(text, font="Arial", size=size)
        width *= _WIDER / _POINTS_PER_UNIT
        x0 = x - {"left": 0.0, "center": width / 2, "right": width}[align]
        half = 0.4 * size / _POINTS_PER_UNIT
        self.texts.append(Box(text, x0, y - half, x0 + width, y + half))

    # --- the picture ----------------------------------------------------------------------------

    def junctions(self) -> list[Point]:
        """Where three or more wires and terminals meet off the rails."""
        ends = [p for placed in self.devices.values() for p in placed.terminals.values()]
        rails = [s for w in self.wires if w.rail for s in w.segments()]
        wires = [s for w in self.wires if not w.rail for s in w.segments()]
        found = []
        for point in dict.fromkeys([*ends, *(p for s in wires for p in s)]):
            if any(on_segment(point, s) for s in rails):
                continue
            through = [end for s in wires if on_segment(point, s) for end in s if end != point]
            arms = len({_direction(point, end) for end in through}) + ends.count(point)
            if arms > 2:
                found.append(point)
        return found

    def to_svg(self) -> bytes:
        """The drawing with its junction dots, the same bytes every time."""
        for point in self.junctions():
            if point not in self._dots:
                self._drawing.add(elm.Dot(radius=0.07).at(point))
                self._dots.add(point)
        return bytes(self._drawing.get_imagedata("svg")) + b"\n"


def on_segment(point: Point, segment: tuple[Point, Point]) -> bool:
    """Whether a point lies on a horizontal or vertical segment, ends included."""
    (x0, y0), (x1, y1) = segment
    x, y = point
    return min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1)


def _direction(origin: Point, end: Point) -> tuple[float, float]:
    dx, dy = end[0] - origin[0], end[1] - origin[1]
    return math.copysign(1, dx) if dx else 0.0, math.copysign(1, dy) if dy else 0.0


def _point(xy: tuple[float, float]) -> Point:
    """On a grid of a thousandth, so that points that coincide are equal."""
    return round(float(xy[0]), 3), round(float(xy[1]), 3)


def _value(expression: Expression, unit: str) -> str:
    """A number with its unit, anything else as it is written."""
    if expression.names:
        return expression.text
    return format_si(float(expression({})), unit, 3).replace(" u", " µ")
