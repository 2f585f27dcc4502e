"""A bench kit in a circuit folder: one line of `circuit.toml` that stands for benches and metrics.

A kit is a folder of `acs_gym/kits/`: `kit.toml` (ports, conditions, values, benches, metrics, gates)
and its `bench_*.spice`, both with places `<value>` where what the circuit's owner says belongs. `expand`
makes of a `circuit.toml` that names a kit the one that stands without it. Everything after that reads
the expanded texts alone, so a task cannot tell whether its folder has a kit. Pure but for reading kits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acs_gym.circuit_files import Location, Problem, TomlFile
from acs_gym.kits import SPEC_KEYS, Kit, get_kit, kit_names
from acs_gym.kits.filling import Filling, lines_for
from acs_gym.simulation.netlist import Dut
from acs_gym.wording import did_you_mean

_MEANT = ", did you mean {}?"
# What `[kit]` may say whatever the kit; the rest are the kit's own values.
_OWN = ("name", "ports", "metrics", "analyses", "lines", "nodeset")
# What a kit says of its entries that `circuit.toml` does not.
_KIT_KEYS = ("needs", *SPEC_KEYS)
_AREA_SPEC = {"direction": "<="}
_WORD = re.compile(r"[A-Za-z_]\w*")
_LONGEST_VALUE = 1000


@dataclass(frozen=True)
class Expanded:
    """A `circuit.toml` without its kit, the kit's name, and the netlists that the kit brings."""

    toml: TomlFile
    kit: str = ""
    netlists: Mapping[str, str] = field(default_factory=dict)


def expand(toml: TomlFile, dut: Dut | None) -> tuple[Expanded | None, list[Problem]]:
    """`circuit.toml` as it is without its kit, or None and what is wrong with its `kit`.

    A file that names no kit keeps what it says; its `[spec]` table becomes `[[spec]]` entries.
    Without a DUT (it could not be read) nothing is connected.
    """
    data = toml.data
    if "kit" not in data:
        expansion = _Expansion(toml, None, {}, dut)
        return Expanded(expansion.file({}, {}, {})), expansion.problems
    given = data["kit"]
    table = {"name": given} if isinstance(given, str) else given
    name = table.get("name") if isinstance(table, Mapping) else None
    if name not in kit_names():
        said = f"no kit {name!r}" if isinstance(name, str) else "a kit has a name"
        meant = did_you_mean(name, kit_names(), _MEANT) if isinstance(name, str) else ""
        message = f'{said}{meant}; write kit = "NAME" with one of: {", ".join(kit_names())}'
        return None, [toml.problem("kit", message=message)]
    expansion = _Expansion(toml, get_kit(name), table, dut)
    expanded = expansion.all()
    return (None if expansion.problems else expanded), expansion.problems


class _Expansion:
    """One folder's use of a kit; `problems` are what it finds on the way."""

    def __init__(
        self, toml: TomlFile, kit: Kit | None, table: Mapping[str, Any], dut: Dut | None
    ) -> None:
        self.toml, self.kit, self.table, self.dut = toml, kit, table, dut
        self.problems: list[Problem] = []
        # Where each entry of the expanded file stands in the one that was given; None: in the kit.
        self.moved: dict[Location, Location | None] = {}

    def all(self) -> Expanded:
        kit = self.kit
        assert kit is not None
        self._check_table(kit)
        self.values = self._values(kit)
        self.conditions = self._known_conditions(kit)
        connected = self._connections(kit)
        if self.problems:
            return Expanded(self.toml, kit.name)
        metrics = self._metrics(kit)
        benches = self._benches(kit, metrics)
        there = {a["name"] for _, a, _ in benches}
        gates: list[tuple[Mapping[str, Any], Location | None]] = [
            (g, None) for g in kit.gate if g["analysis"] in there and self._has(g)
        ]
        gates += [(g, ("gate", k)) for k, g in enumerate(self._own("gate"))]
        netlists = self._netlists(kit, benches, connected)
        entries = {
            "bench": self._grouped(benches),
            "metric": self._placed("metric", metrics),
            "gate": self._placed("gate", gates),
        }
        conditions = self._conditions(kit, entries, netlists)
        if self.problems:
            return Expanded(self.toml, kit.name)
        # Words such as "a 0.3 V step" need the defaults as well.
        filling = Filling(self.values, {**conditions, **self.conditions})
        filled = {
            array: [self._filled(filling, e, (array, k)) for k, e in enumerate(found)]
            for array, found in entries.items()
        }
        asked = {m["name"]: {k: m[k] for k in SPEC_KEYS if k in m} for m in kit.metric}
        return Expanded(self.file(filled, conditions, asked), kit.name, netlists)

    # What was given

    def _problem(self, *location: str | int, message: str) -> None:
        prefix = "" if self.kit is None else f"kit {self.kit.name}: "
        self.problems.append(self.toml.problem(*location, message=prefix + message))

    def _own(self, array: str) -> list[dict[str, Any]]:
        """The folder's own entries; what is no list of tables is refused when its form is checked."""
        found = self.toml.data.get(array, [])
        if not isinstance(found, list) or not all(isinstance(e, dict) for e in found):
            return []
        return found

    def _check_table(self, kit: Kit) -> None:
        known = (*_OWN, *kit.values)
        for key in self.table:
            if key not in known:
                meant = did_you_mean(key, known, _MEANT)
                self._problem(
                    "kit", key, message=f"no value {key!r}{meant}; it takes: {', '.join(known)}"
                )
        there = {
            "metrics": {
                *(m["name"] for m in kit.metric),
                *(str(m.get("name")) for m in self._own("metric")),
            },
            "analyses": {*kit.analyses, *(a["name"] for _, a, _ in self._own_analyses())},
        }
        for key, names in there.items():
            value = self.table.get(key, [])
            if not isinstance(value, list):
                self._problem("kit", key, message=f'write {key} = ["NAME", ...]')
                continue
            for name in value:
                if str(name) not in names:
                    meant = did_you_mean(name, names, _MEANT)
                    message = f"there is no {name!r}{meant}; there is: {', '.join(sorted(names))}"
                    self._problem("kit", key, message=message)
        for key in ("lines", "nodeset"):
            given = self.table.get(key)
            for bench in given if isinstance(given, dict) else ():
                benches = [n.removesuffix(".spice") for n in kit.netlists]
                if bench not in benches:
                    meant = did_you_mean(bench, benches, _MEANT)
                    message = f"it has no bench {bench}{meant}; it has: {', '.join(benches)}"
                    self._problem("kit", key, bench, message=message)

    def _values(self, kit: Kit) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, about in kit.values.items():
            value = self.table.get(name, about.get("default"))
            if value is None:
                continue
            if about.get("list"):
                found[name] = value
                if not isinstance(value, list):
                    self._problem("kit", name, message=f'write {name} = ["NAME", ...]')
            elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
                self._problem(
                    "kit", name, message=f"{name} is a number or a text: {about['description']}"
                )
            elif len(text := value if isinstance(value, str) else f"{value:.12g}") > _LONGEST_VALUE:
                self._problem(
                    "kit", name, message=f"{name} has more than {_LONGEST_VALUE} characters"
                )
            elif re.search(r"[<>;\n]", text):
                self._problem(
                    "kit", name, message=f"{name} = {text[:60]!r}: < > ; belong into no value"
                )
            else:
                found[name] = text
        return found

    def _known_conditions(self, kit: Kit) -> dict[str, float]:
        """What the folder itself gives, at least on its first PDK."""
        found: dict[str, float] = {}
        pdks = self.toml.data.get("pdk", {})
        tables = (
            [t.get("conditions") for t in pdks.values() if isinstance(t, dict)]
            if isinstance(pdks, dict)
            else []
        )
        everywhere = [t for t in tables if isinstance(t, dict)]
        if tables and len(everywhere) == len(tables):
            shared = set.intersection(*(set(t) for t in everywhere))
            found |= {k: v for k, v in everywhere[0].items() if k in shared}
        own = self.toml.data.get("conditions", {})
        found |= own if isinstance(own, dict) else {}
        return {k: float(v) for k, v in found.items() if isinstance(v, (int, float))}

    def _connections(self, kit: Kit) -> dict[str, str]:
        """Each port of the circuit -> the node of the bench, by name or as `ports` says."""
        if self.dut is None:
            return {}
        given = self.table.get("ports", {})
        if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
            self._problem("kit", "ports", message='write ports = { PORT_OF_DUT = "NODE" }')
            return {}
        to = {k.lower(): v.lower() for k, v in given.items()}
        nodes = ", ".join(kit.ports)
        for port in to:
            if port not in self.dut.ports:
                message = (
                    f"dut.spice has no port {port!r}; its ports are: {' '.join(self.dut.ports)}"
                )
                self._problem("kit", "ports", port, message=message)
        connected = {p: to.get(p, p) for p in self.dut.ports}
        for port, node in connected.items():
            if port not in to and node not in kit.ports:
                self._problem(
                    "kit", "ports",
                    message=f"port {port} of dut.spice is none of its own ({nodes}); write "
                    f'ports = {{ {port} = "NODE" }} with one of those, or {port} = "{port}" for a node '
                    "beside them, whose source goes into lines = [...]",
                )  # fmt: skip
        for node, about in kit.ports.items():
            if node not in connected.values():
                self._problem(
                    "kit", "ports",
                    message=f"no port of dut.spice is its port {node} ({about}); write "
                    f'ports = {{ PORT = "{node}" }} with one of: {" ".join(self.dut.ports)}',
                )  # fmt: skip
        return connected

    # What is measured

    def _has(self, entry: Mapping[str, Any]) -> bool:
        return all(n in self.values for n in entry.get("needs", ()))

    def _metrics(self, kit: Kit) -> list[tuple[Mapping[str, Any], Location | None]]:
        """The metrics and where each stands: those listed and what their formulas need, or all."""
        kits: dict[str, tuple[Mapping[str, Any], Location | None]] = {
            m["name"]: (m, None) for m in kit.metric
        }
        own: dict[str, tuple[Mapping[str, Any], Location | None]] = {
            str(m.get("name")): (m, ("metric", k)) for k, m in enumerate(self._own("metric"))
        }
        every = {**kits, **own}
        wanted = self.table.get("metrics")
        chosen: dict[str, None] = {}

        def take(name: str) -> None:
            entry = every[name][0]
            named = set(_WORD.findall(str(entry.get("formula", ""))))
            for other in kits:
                if other in named and other != name and other not in chosen:
                    take(other)
            chosen.setdefault(name)

        if wanted is None:
            wanted = [n for n in kits if n in own or self._has(kits[n][0])]
        for name in [*wanted, *own]:
            take(name)
        for name in chosen:
            entry, at = every[name]
            for value in entry.get("needs", ()) if at is None else ():
                if value not in self.values:
                    message = (
                        f"metric {name} needs {value} = ...: {kit.values[value]['description']}"
                    )
                    self._problem("kit", "metrics", message=message)
        return [every[n] for n in chosen]

    def _own_analyses(self) -> Iterator[tuple[str, dict[str, Any], Location]]:
        for b, bench in enumerate(self._own("bench")):
            found = bench.get("analysis", [])
            for a, analysis in enumerate(found if isinstance(found, list) else []):
                if isinstance(analysis, dict) and isinstance(analysis.get("name"), str):
                    yield str(bench.get("netlist")), analysis, ("bench", b, "analysis", a)

    def _benches(
        self, kit: Kit, metrics: Sequence[tuple[Mapping[str, Any], Location | None]]
    ) -> list[tuple[str, Mapping[str, Any], Location | None]]:
        """(bench, analysis, where it stands) in order: those listed, or those that something reads."""
        own = {a["name"]: (netlist, a, at) for netlist, a, at in self._own_analyses()}
        every: dict[str, tuple[str, Mapping[str, Any], Location | None]] = {
            a["name"]: (b["netlist"], a, None) for b in kit.bench for a in b["analysis"]
        }
        for name, entry in own.items():
            if name in every and every[name][0] != entry[0]:
                del every[name]  # Its place is that of the bench it belongs to.
            every[name] = entry
        listed = self.table.get("analyses")
        if listed is None:
            read = {str(m.get("analysis")) for m, _ in metrics}
            read |= {g["analysis"] for g in kit.gate if self._has(g)}
            listed = [n for n in every if n in read or n in own]
        return [every[n] for n in dict.fromkeys([*listed, *own])]

    def _grouped(
        self, found: Sequence[tuple[str, Mapping[str, Any], Location | None]]
    ) -> list[dict[str, Any]]:
        groups: dict[str, list[tuple[Mapping[str, Any], Location | None]]] = {}
        for netlist, analysis, at in found:
            groups.setdefault(netlist, []).append((analysis, at))
        for b, members in enumerate(groups.values()):
            own = next((at for _, at in members if at is not None), None)
            self.moved["bench", b] = None if own is None else own[:2]
            for a, (_, at) in enumerate(members):
                self.moved["bench", b, "analysis", a] = at
        return [
            {"netlist": n, "analysis": [self._plain(a) for a, _ in members]}
            for n, members in groups.items()
        ]

    def _placed(
        self, array: str, found: Sequence[tuple[Mapping[str, Any], Location | None]]
    ) -> list[dict[str, Any]]:
        for k, (_, at) in enumerate(found):
            self.moved[array, k] = at
        return [dict(e) if at is not None else self._plain(e) for e, at in found]

    def _plain(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in entry.items() if k not in _KIT_KEYS}

    # Texts

    def _netlists(
        self,
        kit: Kit,
        benches: Sequence[tuple[str, Mapping[str, Any], Location | None]],
        connected: Mapping[str, str],
    ) -> dict[str, str]:
        """The kit's benches for these analyses, each line with what was said."""
        found: dict[str, str] = {}
        filling, name = Filling(self.values, {}), "" if self.dut is None else self.dut.name
        nodesets = {n: str(self._said_of("nodeset", n) or "") for n in kit.netlists}
        for netlist in dict.fromkeys(n for n, _, _ in benches if n in kit.netlists):
            run = {a["name"] for n, a, _ in benches if n == netlist}
            lines: list[str] = []
            for text in lines_for(kit.netlists[netlist], run):
                if text.strip() == "<lines>":
                    lines += self._lines(netlist)
                else:
                    lines.append(filling.line(text, connected, name, nodesets[netlist]))
            found[netlist] = "\n".join(lines) + "\n"
        return found

    def _said_of(self, key: str, netlist: str) -> Any:
        """What `[kit]` says under a key for one bench: for all of them, or in a table by their names."""
        given = self.table.get(key)
        if not isinstance(given, dict):
            return given
        return given.get(netlist.removesuffix(".spice"))

    def _lines(self, netlist: str) -> list[str]:
        given = self._said_of("lines", netlist) or []
        if isinstance(given, list) and all(isinstance(t, str) and "\n" not in t for t in given):
            return given
        self._problem("kit", "lines", message='write lines = ["vbias vb 0 dc 0.7", ...]')
        return []

    def _filled(self, filling: Filling, entry: dict[str, Any], at: Location) -> dict[str, Any]:
        """An entry with the places of what the kit says filled; what the folder says stays."""
        if len(at) == 2 and at[0] == "bench":
            analyses = [
                self._filled(filling, a, (*at, "analysis", k))
                for k, a in enumerate(entry["analysis"])
            ]
            return {**entry, "analysis": analyses}
        found: dict[str, Any] = filling.entry(entry) if self.moved[at] is None else entry
        return found

    def _conditions(
        self, kit: Kit, entries: Mapping[str, list[dict[str, Any]]], netlists: Mapping[str, str]
    ) -> dict[str, float]:
        """The kit's own for what is used and was not given; a missing one without default is wrong."""
        used = {w for e in [*entries.values(), *netlists.values()] for w in _words(e)}
        used |= {w for v in self.values.values() for w in _words(v)}
        found: dict[str, float] = {}
        for name, about in kit.conditions.items():
            if (name not in used and name != "temperature") or name in self.conditions:
                continue
            if "default" in about:
                found[name] = float(about["default"])
                continue
            self._problem(
                "conditions", name,
                message=f"needs {name} ({about['description']}); write {name} = ... in "
                f"{about['unit'] or 'units'} under [conditions]",
            )  # fmt: skip
        return found

    # The file

    def file(
        self,
        entries: Mapping[str, list[dict[str, Any]]],
        conditions: Mapping[str, float],
        asked: Mapping[str, Mapping[str, Any]],
    ) -> TomlFile:
        """The file with these entries in place of its kit, and with its specs one by one."""
        data = {k: v for k, v in self.toml.data.items() if k != "kit"} | dict(entries)
        if self.kit is not None and isinstance(data.get("conditions", {}), dict):
            data["conditions"] = {**data.get("conditions", {}), **conditions}
        self.moved |= {("conditions", name): None for name in conditions}
        if isinstance(data.get("spec"), dict):
            data["spec"] = self._specs(data["spec"], asked)
        if not self.moved:
            return self.toml
        replaced = {new[0] for new in self.moved} - {"conditions"}
        lines = {at: n for at, n in self.toml.lines.items() if at[0] not in replaced}
        notes: dict[Location, str] = {}
        line = self.toml.lines.get(("kit",), 1)
        for new, old in self.moved.items():
            if old is None:
                lines[new] = line
                notes[new] = "" if self.kit is None else f"kit {self.kit.name}"
            else:
                lines |= {
                    new + at[len(old) :]: n
                    for at, n in self.toml.lines.items()
                    if at[: len(old)] == old
                }
        return TomlFile(self.toml.name, data, lines, notes)

    def _specs(
        self, table: Mapping[str, Any], asked: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """`[spec]`, a line a metric, as `[[spec]]` entries.

        What an entry does not say of direction and tolerance, the kit says.
        """
        found = []
        for k, (metric, said) in enumerate(table.items()):
            self.moved["spec", k] = ("spec", metric)
            own = said if isinstance(said, dict) else {"target": said}
            usual = _AREA_SPEC if metric == "area" else asked.get(metric, {})
            if "direction" not in own and "direction" not in usual:
                message = (
                    f'say whether {metric} is to be large or small: {metric} = {{ direction = ">=", '
                    "target = ... }"
                )
                self._problem("spec", metric, message=message)
            if "direction" in own and own["direction"] != usual.get("direction"):
                usual = {}
            found.append({"metric": metric, **usual, **own})
        return found


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
    elif isinstance(value, str):
        yield from _WORD.findall(value)
