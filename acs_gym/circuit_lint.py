"""What a circuit designer would want to know of a circuit folder that loads: likely oversights.

Warnings are suspicions, not errors: each has innocent exceptions. Pure; simulates nothing. What is
simply wrong (a node that does not exist) is an error here too where loading the folder does not say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from acs_gym.circuit import Circuit
from acs_gym.circuit_files import Level, Location, Problem, TomlFile
from acs_gym.circuit_kit import expand
from acs_gym.expressions import Expression
from acs_gym.pdks import signatures
from acs_gym.pdks.base import NO_SIZE
from acs_gym.simulation.measures import MEASURES, options_of
from acs_gym.simulation.netlist import INSIDE, Bench, Dut, Element, Primitive, expressions_in

# What the simulator or a tier reads, whether or not a netlist does.
_USED_ANYWAY = {"temperature", "vdd"}
_GROUND = "0"
_CURRENTS = "vleh"  # Elements that define a voltage; their current is a vector.


def suspicions(circuit: Circuit) -> list[Problem]:
    """Everything worth a look in a valid folder, in the order of its files."""
    lint = _Lint(circuit)
    return [
        *lint.unused_names(),
        *lint.sizes(),
        *lint.metrics(),
        *lint.signals(),
        *lint.gates(),
        *lint.matching(),
        *lint.nodes(),
        *lint.references(),
        *lint.files(),
        *lint.anchors(),
    ]


class _Lint:
    def __init__(self, circuit: Circuit) -> None:
        self.circuit, self.file = circuit, circuit.file
        expanded, _ = expand(TomlFile.read(circuit.folder / "circuit.toml"), circuit.dut)
        assert expanded is not None  # It was, when the circuit was read.
        self.toml = expanded.toml
        self.sizings = TomlFile.read(circuit.folder / "reference.toml")

    def _say(self, *location: str | int, message: str, level: Level = "warning") -> Problem:
        return self.toml.problem(*location, message=message, level=level)

    def unused_names(self) -> Iterator[Problem]:
        in_netlists = set(self._names_in_netlists())
        elsewhere = set(self._names_elsewhere())
        for k, parameter in enumerate(self.file.parameter):
            if parameter.name not in in_netlists:
                only = ", only in measures" if parameter.name in elsewhere else ""
                message = f"parameter {parameter.name} is not used in any netlist{only}"
                yield self._say("parameter", k, message=message)
        used = in_netlists | elsewhere | _USED_ANYWAY
        for name in self.file.conditions:
            if name not in used:
                yield self._say("conditions", name, message=f"condition {name} is not used")
        for pdk, entry in self.file.pdk.items():
            for name in entry.conditions:
                if name not in self.file.conditions and name not in used:
                    message = f"condition {name} is not used and [conditions] has no such name"
                    yield self._say("pdk", pdk, "conditions", name, message=message)

    def sizes(self) -> Iterator[Problem]:
        """Lengths that nothing on a chip has: microns in a field of metres, as netlists have them."""
        for k, parameter in enumerate(self.file.parameter):
            if parameter.unit == "m" and parameter.high >= NO_SIZE:
                message = (
                    f"{parameter.name} goes up to {parameter.high:g} m: microns? "
                    f"write {parameter.low:g}e-6 to {parameter.high:g}e-6"
                )
                yield self._say("parameter", k, "high", message=message)

    def metrics(self) -> Iterator[Problem]:
        asked = {s.metric for s in self.file.spec} | {self.file.figure_of_merit}
        formulas = [Expression(m.formula) for m in self.file.metric if m.formula]
        used = asked.union(*(f.names for f in formulas))
        for k, metric in enumerate(self.file.metric):
            # A kit measures what it measures; that little of it is asked for is no oversight.
            if metric.name not in used and not self.toml.note("metric", k):
                message = f"metric {metric.name} is measured, but no spec or formula uses it"
                yield self._say("metric", k, message=message, level="info")

    def signals(self) -> Iterator[Problem]:
        """Vectors that the simulator will not have; without them no design has a result."""
        places = {
            a.name: (bench, a.command.split()[0])
            for entry, bench in zip(self.file.bench, self.circuit.benches, strict=True)
            for a in entry.analysis
        }
        read: list[tuple[Location, str | None, str]] = []
        for k, metric in enumerate(self.file.metric):
            read.append((("metric", k, "signal"), metric.analysis, metric.signal))
            for option in options_of(MEASURES[metric.measure]):
                if option.kind == "signal":
                    given = str(metric.options[option.name])
                    read.append((("metric", k, "options", option.name), metric.analysis, given))
        read += [
            (("gate", k, "signal"), g.analysis, g.signal) for k, g in enumerate(self.file.gate)
        ]
        for location, analysis, signal in read:
            if analysis is None or not signal:
                continue
            bench, kind = places[analysis]
            for vector in Expression(signal).vectors:
                if why := self._missing(vector, bench, kind):
                    message = f"no {vector} in analysis {analysis}: {why}"
                    yield self._say(*location, message=message, level="error")

    def _missing(self, vector: str, bench: Bench, kind: str) -> str:
        """Why a testbench has no such vector; empty when it has, or when that cannot be told."""
        dut, instance = self.circuit.dut, bench.instance
        if kind == "noise":
            spectra = ("v(inoise_spectrum)", "v(onoise_spectrum)")
            return "" if vector in spectra else f"a noise analysis has {' and '.join(spectra)}"
        inner = {f"{instance}.{n}" for n in _inner_nodes(self.circuit)}
        nodes = {n for e in bench.elements for n in e.nodes} | {*bench.connections, *inner}
        if vector.startswith("v("):
            node = vector[2:-1]
            if node == _GROUND:
                return "node 0 is ground"
            return "" if node in nodes else "no such node"
        if vector.startswith("i("):
            own = {e.name for e in bench.elements if e.name[0] in _CURRENTS}
            own |= {f"{e.name[0]}.{instance}.{e.name}" for e in dut.elements}
            return "" if vector[2:-1] in own else "no such voltage source"
        if vector.startswith("loop("):
            return ""  # The program's builder holds it to the probe of its analysis.
        device = vector[1:].partition("[")[0]
        if INSIDE in device:
            return ""  # Inside a device, where every PDK has other parts.
        known = {
            f"{letter}.{instance}.{letter}{p.name}"
            for p in dut.primitives
            for letter in ["m" if signatures()[p.kind].is_fet else p.kind[0]]
        }
        known |= {f"{e.name[0]}.{instance}.{e.name}" for e in dut.elements}
        known |= {e.name for e in bench.elements}
        return "" if device in known else f"no such device (one is called {min(known)})"

    def gates(self) -> Iterator[Problem]:
        if not self.file.gate:
            yield Problem(
                self.toml.name,
                "no gate at all: a dead circuit may score; say what a live one has, e.g. an output "
                'within its swing, with kills = "all"',
                level="warning",
            )
            return
        if any(g.kills == "all" for g in self.file.gate):
            return
        killed = {name for g in self.file.gate for name in g.kills}
        for k, spec in enumerate(self.file.spec):
            if spec.metric not in killed and spec.metric != "area":
                message = f"no gate kills {spec.metric}: a dead circuit may score on it"
                yield self._say("spec", k, message=message)

    def matching(self) -> Iterator[Problem]:
        """Devices whose mismatch in size would be systematic: nobody sizes half a pair."""
        fets = [p for p in self.circuit.dut.primitives if p.kind in ("nfet", "pfet")]
        families: dict[str, list[Primitive]] = {}
        for fet in fets:
            families.setdefault(fet.name.split("_")[0], []).append(fet)
        said: set[tuple[str, str]] = set()
        for family, members in families.items():
            yield from _untied(members, ("w", "l"), f"named {family}_*", said)
        for members in _grouped(fets, lambda f: (f.kind, f.nodes[1], f.nodes[2])):
            if any(f.nodes[0] == f.nodes[1] for f in members):
                yield from _untied(members, ("l",), "of one mirror", said)
        ports = {*self.circuit.dut.ports, _GROUND}
        for members in _grouped(fets, lambda f: (f.kind, f.nodes[2])):
            source = members[0].nodes[2]
            others = [f for f in fets if source in f.nodes[:1]]
            if len(members) == 2 and source not in ports and others:
                yield from _untied(members, ("w", "l"), "of one pair", said)

    def nodes(self) -> Iterator[Problem]:
        dut = self.circuit.dut
        inside = Counter(n for part in _parts(dut) for n in part.nodes)
        places = {n: part.where for part in _parts(dut) for n in part.nodes}
        for node, count in inside.items():
            if count == 1 and node not in dut.ports and node != _GROUND:
                yield Problem(places[node], f"node {node} has a single connection", "", "warning")
        for port in dut.ports:
            if not inside[port]:
                yield Problem("dut.spice", f"port {port} is connected to nothing", "", "warning")
        for entry, bench in zip(self.file.bench, self.circuit.benches, strict=True):
            total = Counter(n for e in bench.elements for n in e.nodes)
            for port, node in zip(dut.ports, bench.connections, strict=True):
                total[node] += inside[port]
            at = {n: e for e in bench.elements for n in e.nodes}
            for node, count in total.items():
                # One that a voltage source defines is there to be read: a marker, an ideal clock.
                defined = node in at and at[node].name[0] in _CURRENTS
                if count == 1 and node != _GROUND and not defined:
                    place = at[node].where if node in at else entry.netlist
                    yield Problem(place, f"node {node} has a single connection", "", "warning")

    def references(self) -> Iterator[Problem]:
        lengths = {
            name
            for p in self.circuit.dut.primitives
            if "l" in p.parameters
            for name in p.parameters["l"].names
        }
        for pdk in self.file.pdk:
            for tier in self.circuit.tiers:
                if self.circuit.reference(pdk, tier) is None:
                    # Many a circuit is proved on a further PDK at nominal alone, and says so.
                    level: Level = "warning" if tier == "tt" else "info"
                    message = f"no [{pdk}.{tier}]: nothing shows that the specs can be met there"
                    yield Problem(self.sizings.name, message, "", level)
            for tier, design in self.circuit.references.get(pdk, {}).items():
                for parameter in self.circuit.space(pdk):
                    name, value = parameter.name, parameter.snap(design[parameter.name])
                    if value not in (parameter.low, parameter.high):
                        continue
                    # One device and the shortest channel are nature's bounds, not the author's.
                    natural = value == parameter.low and (
                        name in lengths or (parameter.integer and value == 1.0)
                    )
                    if not natural:
                        message = (
                            f"{name} sits on a bound of its range ({parameter.range_text()}): the "
                            "best sizing may lie beyond it"
                        )
                        yield self.sizings.problem(
                            pdk, tier, name, message=message, level="warning"
                        )

    def files(self) -> Iterator[Problem]:
        used = {b.netlist for b in self.file.bench}
        for path in sorted(self.circuit.folder.glob("bench_*.spice")):
            if path.name not in used:
                yield Problem(path.name, "no [[bench]] names this testbench", "", "warning")

    def anchors(self) -> Iterator[Problem]:
        """All of `targets.json`, of which loading a folder looks at the outside only."""
        for pdk, table in self.circuit.anchors.items():
            try:
                table.check(self.circuit.space(pdk), self.circuit.specs(pdk))
            except ValueError as error:
                yield Problem("targets.json", f"{pdk}.{error}")

    def _names_in_netlists(self) -> Iterator[str]:
        for primitive in self.circuit.dut.primitives:
            for expression in primitive.parameters.values():
                yield from expression.names
        values = [e.value for e in self.circuit.dut.elements]
        for bench in self.circuit.benches:
            values += [e.value for e in bench.elements]
            values += [v.value for v in (*bench.nodeset, *bench.ic)]
        for value in values:
            for expression in expressions_in(value):
                yield from expression.names

    def _names_elsewhere(self) -> Iterator[str]:
        texts: list[object] = []
        for bench in self.file.bench:
            for analysis in bench.analysis:
                texts += re.findall(r"\{([^}]*)\}", analysis.command)
        for metric in self.file.metric:
            words = [o.name for o in options_of(MEASURES[metric.measure]) if o.kind == "word"]
            texts += [metric.signal, metric.formula]
            texts += [value for name, value in metric.options.items() if name not in words]
        for gate in self.file.gate:
            texts += [gate.signal, gate.low, gate.high]
        for text in texts:
            if isinstance(text, str) and text:
                yield from Expression(text).names


def _inner_nodes(circuit: Circuit) -> set[str]:
    nodes = {n for part in _parts(circuit.dut) for n in part.nodes}
    return nodes - {*circuit.dut.ports, _GROUND}


def _parts(dut: Dut) -> Iterator[Primitive | Element]:
    yield from dut.primitives
    yield from dut.elements


def _grouped(fets: list[Primitive], key: Callable[[Primitive], object]) -> list[list[Primitive]]:
    groups: dict[object, list[Primitive]] = {}
    for fet in fets:
        groups.setdefault(key(fet), []).append(fet)
    return [members for members in groups.values() if len(members) > 1]


def _untied(
    members: list[Primitive], attributes: tuple[str, ...], what: str, said: set[tuple[str, str]]
) -> Iterator[Problem]:
    """Where devices that should match have different formulas for a size."""
    first = members[0]
    for other in members[1:]:
        for attribute in attributes:
            texts = [_plain(f.parameters[attribute]) for f in (first, other)]
            if texts[0] != texts[1] and (other.name, attribute) not in said:
                said.add((other.name, attribute))
                message = (
                    f"{first.name} and {other.name} are {what} and should match, but their "
                    f"{attribute} is {{{texts[0]}}} and {{{texts[1]}}}"
                )
                yield Problem(other.where, message, "", "warning")


def _plain(expression: Expression) -> str:
    text = expression.text.replace(" ", "")
    try:
        return repr(float(text))
    except ValueError:
        return text
