"""Reads the SPICE of a circuit folder into records.

A deliberately small dialect: elements, one `.subckt` for the DUT, `.nodeset`, `.ic`. There is no
`.control`, `.include`, `.lib`, `.param` or shell escape to forbid one by one: whatever is not
listed here is refused with file and line, so a circuit folder from a stranger cannot run or read
anything. Transistors, resistors and capacitors of the DUT are PDK-neutral primitives
(`Xname d g s b nfet w={..} l={..}`); which device they become is the PDK's business.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from acs_gym.circuit_files import Problem, Unreadable, read_text, unreadable
from acs_gym.expressions import Expression, ExpressionError
from acs_gym.pdks import Signature, signatures
from acs_gym.pdks.base import NEUTRAL, NO_SIZE
from acs_gym.simulation.element_values import KINDS, NO_CONTROL_NODES, checked_value
from acs_gym.units import parse
from acs_gym.wording import did_you_mean

_ELEMENT_NODES = {kind: 4 if kind in "eg" else 2 for kind in KINDS}
# ngspice ties every node called gnd to node 0. In a bench that is what SPICE says it is; inside a
# circuit it may be a port with a potential of its own, and gets a name that ngspice leaves alone.
_GROUND, _OWN_GROUND = "gnd", "gnd__dut"
# Between a device's name and that of what is inside it, so not in a name here.
INSIDE = "__"
_SIZES = ("w", "l", "area")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NODE = re.compile(r"[A-Za-z0-9_]+")
_QUOTES = re.compile(r"(?<==)\s*(?:'([^'{}]*)'|\"([^\"{}]*)\")")
_BRACES = re.compile(r"\{([^{}]*)\}")
_VOLTAGE = re.compile(r"v\(([a-z0-9_.]+)\)\s*=\s*(\{[^{}]*\}|[a-z0-9.+-]+)", re.I)
# A shell's substitutions; `$` followed by a blank begins a comment, anything else is refused.
_SUBSTITUTION = re.compile(r"`|\$(?=\S)")
# Of a line with its continuations, and of the problems of one file; beyond it nobody wrote them by hand.
_LONGEST_LINE, _MOST_PROBLEMS = 20_000, 100
# A schematic has some kilobytes; the parasitics that a layout adds have megabytes.
_LONGEST_NETLIST = 5_000_000
_COMMENTED_COMMAND = re.compile(r";\s*(shell|system|exec)\b", re.I)

# Why the best known of what is not in the dialect is not. Only the message depends on this list.
_RUNS = "it runs simulator commands, and through them programs"
_READS = "it reads other files"
_ANALYSES = "analyses and metrics are those of circuit.toml"
_PDK_DEVICES = "device models belong to the PDK; use the primitives"
_REASONS = {
    ".control": _RUNS, ".endc": _RUNS, ".exec": _RUNS,
    ".csparam": "it sets variables of command scripts, and there are none",
    ".include": _READS, ".inc": _READS, ".lib": _READS, ".endl": _READS,
    ".param": "name it under [conditions] or [[parameter]] of circuit.toml",
    ".func": "write the arithmetic out, in braces",
    ".model": _PDK_DEVICES,
    ".subckt": "only the DUT is a subcircuit; write its elements out",
    ".global": "connect the node through a port of the DUT",
    ".options": "every circuit is simulated with the same options",
    ".option": "every circuit is simulated with the same options",
    ".temp": "the temperature is a condition of circuit.toml",
    **dict.fromkeys((".op", ".ac", ".dc", ".tran", ".noise", ".tf", ".pz", ".meas", ".measure",
                     ".save", ".print", ".plot", ".probe", ".four"), _ANALYSES),
    "a": "an XSPICE device is compiled code, and some read files",
    "b": "a behavioural source may compute anything; use E, G, F or H",
    **dict.fromkeys("dmqjz", _PDK_DEVICES),
}  # fmt: skip


class NetlistError(ValueError):
    """A netlist this dialect refuses; `problems` are all there are, each with file and line."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Primitive:
    """One PDK-neutral device of the DUT, e.g. `Xm1 out in 0 0 nfet w={w1} l={l1} m=2`."""

    name: str
    kind: str
    nodes: tuple[str, ...]
    parameters: dict[str, Expression]
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Element:
    """A plain SPICE element; `value` is the rest of its line, expressions still in braces."""

    name: str
    nodes: tuple[str, ...]
    value: str
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Dut:
    """The circuit: one subcircuit of primitives and plain elements."""

    name: str
    ports: tuple[str, ...]
    primitives: tuple[Primitive, ...]
    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class NodeVoltage:
    """What a bench says of one node's voltage; `value` is a number or an expression in braces.

    `node` is the simulator's name: `out` of the bench's own, `xdut.tail` of one inside the DUT.
    """

    node: str
    value: str
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Bench:
    """A testbench: elements around exactly one instance of the DUT, and starting voltages.

    `nodeset` is where the search for an operating point begins; `ic` is what a transient starts from.
    """

    elements: tuple[Element, ...]
    instance: str
    connections: tuple[str, ...]
    nodeset: tuple[NodeVoltage, ...]
    ic: tuple[NodeVoltage, ...] = ()

    @property
    def excitable(self) -> tuple[str, ...]:
        """The sources with an `ac` value, which an analysis may excite."""
        return tuple(e.name for e in self.elements if re.search(r"\bac\b", e.value, re.I))


def read_dut(path: Path) -> Dut:
    """The DUT of `dut.spice`. Raises NetlistError with every problem of the file."""
    found = _Problems()
    lines = _logical_lines(path.name, _text(path), found)
    if not lines:
        found.add(path.name, "empty; expected one .subckt")
        found.stop()
    where, first = lines[0]
    head = first.split()
    name, ports = "", tuple(p.lower() for p in head[2:])
    if head[0].lower() != ".subckt" or len(head) < 3:
        found.add(where, f"expected '.subckt NAME PORT...', got {first!r}")
    else:
        name = head[1].lower()
        with found:
            _check_nodes(ports, where)
    if len(lines) < 2 or lines[-1][1].split()[0].lower() != ".ends":
        found.add(lines[-1][0], "expected '.ends' as the last line")
    primitives: list[Primitive] = []
    elements: list[Element] = []
    body = [
        line for line in lines[1:] if line[1].split()[0].lower() != ".ends" or line != lines[-1]
    ]
    for where, line in _without_blocks(body, found):
        with found:
            if line[0] in "xX":
                primitives.append(_primitive(line, where))
            else:
                elements.append(_element(line, where))
    named = [(p.name, p.where) for p in primitives] + [(e.name, e.where) for e in elements]
    _check_unique(named, found)
    found.stop()
    return Dut(
        name,
        _renamed(ports, _OWN_GROUND),
        tuple(replace(p, nodes=_renamed(p.nodes, _OWN_GROUND)) for p in primitives),
        tuple(replace(e, nodes=_renamed(e.nodes, _OWN_GROUND)) for e in elements),
    )


def _renamed(nodes: tuple[str, ...], ground: str) -> tuple[str, ...]:
    return tuple(ground if node == _GROUND else node for node in nodes)


def bench_text(path: Path) -> str:
    """The text of a `bench_*.spice`. Raises NetlistError."""
    return _text(path)


def read_bench(name: str, text: str, dut: Dut | None) -> Bench:
    """One `bench_*.spice`. Raises NetlistError with every problem of the text.

    Without a DUT (it could not be read) its instance is not compared with it.

    Args:
        name: what problems call the text, its file for instance.
    """
    found = _Problems()
    elements: list[Element] = []
    _check_title(name, text, found)
    instance: tuple[str, tuple[str, ...]] | None = None
    voltages: dict[str, list[NodeVoltage]] = {".nodeset": [], ".ic": []}
    for where, line in _without_blocks(_logical_lines(name, text, found), found):
        with found:
            word = line.split()[0].lower()
            if word in voltages:
                voltages[word] += _voltages(word, line, where)
            elif line[0] in "xX":
                if instance is not None:
                    raise _refused(where, "a bench has one X line, the instance of the DUT")
                instance = _instance(line, where, dut)
            else:
                elements.append(_element(line, where))
    elements = [replace(e, nodes=_renamed(e.nodes, "0")) for e in elements]
    if instance is None:
        ports = "PORTS NAME" if dut is None else f"{' '.join(dut.ports)} {dut.name}"
        found.add(name, f"no instance of the DUT; add 'Xdut {ports}'")
        instance = "", ()
    _check_unique([(e.name, e.where) for e in elements], found)
    for directive, given in voltages.items():
        _check_unique([(f"{directive} v({v.node})", v.where) for v in given], found)
    if dut is not None and instance[0]:
        for voltage in (*voltages[".nodeset"], *voltages[".ic"]):
            _check_voltage(voltage, elements, instance, dut, found)
    _check_not_driven(voltages[".ic"], elements, found)
    found.stop()
    nodeset, ic = map(tuple, voltages.values())
    return Bench(tuple(elements), instance[0], instance[1], nodeset, ic)


def _check_title(name: str, text: str, found: _Problems) -> None:
    """SPICE takes a file's first line for its title, whatever it says: here it says nothing else."""
    first = text.partition("\n")[0].strip()
    if first and not first.startswith("*"):
        found.add(
            f"{name}:1",
            f"SPICE takes the first line, {first[:60]!r}, for a title and drops it; begin the "
            "file with a comment: * what this bench measures",
        )


def expressions_in(text: str) -> list[Expression]:
    """The `{...}` expressions of an element's value, in order."""
    return [Expression(body) for body in _BRACES.findall(text)]


class _Problems:
    """What the lines of a file are refused for, up to a limit; `with` goes on after a refusal."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, where: str, message: str) -> None:
        self._found.append(Problem(where, message))
        if len(self._found) >= _MOST_PROBLEMS:
            self.stop()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, NetlistError):
            for problem in error.problems:
                self.add(problem.where, problem.message)
            return True
        return False

    def stop(self) -> None:
        if self._found:
            raise NetlistError(*self._found)


def _refused(where: str, message: str) -> NetlistError:
    return NetlistError(Problem(where, message))


def _text(path: Path) -> str:
    try:
        return read_text(path, _LONGEST_NETLIST)
    except Unreadable as error:
        raise NetlistError(unreadable(path.name, error)) from None


def _logical_lines(name: str, text: str, found: _Problems) -> list[tuple[str, str]]:
    """(file:line, text) with comments dropped and `+` continuations joined."""
    lines: list[tuple[str, str]] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        where = f"{name}:{number}"
        stripped = raw.strip()
        if stripped.startswith("*#"):
            found.add(where, f"'*#' is refused: {_RUNS}")
        if not stripped or stripped.startswith("*"):
            continue
        # What stands in a comment never reaches the simulator; that it is there is bad enough.
        if command := _COMMENTED_COMMAND.search(raw):
            found.add(where, f"'; {command[1]}' is refused: a circuit runs no programs")
        if _SUBSTITUTION.search(re.sub(r";.*", "", raw)):
            found.add(where, "'`' and '$(' are refused: a circuit runs no programs")
            continue
        line = " ".join(re.split(r"[;$]", raw, maxsplit=1)[0].split())
        if line.startswith("+"):
            if not lines:
                found.add(where, "a continuation line continues nothing")
                continue
            where, before = lines.pop()
            line = f"{before} {line[1:].strip()}"
        if len(line) > _LONGEST_LINE:
            found.add(where, f"a line of {len(line)} characters; at most {_LONGEST_LINE} are read")
            found.stop()
        if line:
            lines.append((where, line))
    return lines


def _without_blocks(lines: list[tuple[str, str]], found: _Problems) -> Iterator[tuple[str, str]]:
    """The lines outside `.control` blocks and subcircuits, which are one problem each."""
    closing = ""
    for where, line in lines:
        word = line.split()[0].lower()
        if closing:
            closing = "" if word == closing else closing
        elif word in (".control", ".subckt"):
            closing = {".control": ".endc", ".subckt": ".ends"}[word]
            with found:
                _element(line, where)
        else:
            yield where, line


def _voltages(directive: str, line: str, where: str) -> Iterator[NodeVoltage]:
    """The pairs of a `.nodeset` or `.ic` line."""
    text = line[len(directive) :]
    pairs = _VOLTAGE.findall(text)
    if not pairs or _VOLTAGE.sub("", text).strip():
        raise _refused(where, f"expected '{directive} v(NODE)=VALUE ...', got {line[:80]!r}")
    for node, value in pairs:
        try:
            _value_expression(value, where) if value.startswith("{") else parse(value)
        except ValueError as error:
            raise (
                error if isinstance(error, NetlistError) else _refused(where, str(error))
            ) from None
        name = re.sub(rf"\.{_GROUND}$", f".{_OWN_GROUND}", node.lower())
        yield NodeVoltage(name, value, where)


def _check_voltage(
    voltage: NodeVoltage,
    elements: list[Element],
    instance: tuple[str, tuple[str, ...]],
    dut: Dut,
    found: _Problems,
) -> None:
    """The node is one of the bench or, by the instance's name and a dot, one inside the DUT."""
    name, connections = instance
    inside = {n for p in dut.primitives for n in p.nodes} | {
        n for e in dut.elements for n in e.nodes
    }
    inner = {f"{name}.{n}" for n in inside - {*dut.ports, "0"}}
    outer = {*connections, *(n for e in elements for n in e.nodes)} - {"0"}
    node = voltage.node
    if node in inner | outer:
        return
    port = node.removeprefix(f"{name}.")
    if port != node and port in dut.ports and len(connections) == len(dut.ports):
        advice = f"{port} is a port of {dut.name}; write v({connections[dut.ports.index(port)]})"
    elif node == "0":
        advice = "node 0 is ground"
    elif f"{name}.{node}" in inner:
        advice = (
            f"no node {node!r} in the bench; for the one inside {dut.name} write v({name}.{node})"
        )
    else:
        meant = did_you_mean(node, sorted(inner | outer), ", did you mean v({})?")
        advice = f"no node {node!r}{meant}; there is: {', '.join(sorted(outer) + sorted(inner))}"
    found.add(voltage.where, f"v({node}): {advice}")


def _check_not_driven(
    initial: list[NodeVoltage], elements: list[Element], found: _Problems
) -> None:
    """A node that a voltage source holds against ground has no initial condition of its own."""
    driven = {n: e.name for e in elements if e.name[0] == "v" and "0" in e.nodes for n in e.nodes}
    for voltage in initial:
        if voltage.node in driven and voltage.node != "0":
            found.add(
                voltage.where,
                f".ic v({voltage.node}): {driven[voltage.node]} holds that node; give its waveform "
                "another start, or leave the node out",
            )


def _instance(line: str, where: str, dut: Dut | None) -> tuple[str, tuple[str, ...]]:
    words = line.lower().split()
    nodes = tuple(words[1:-1])
    if dut is not None:
        if words[-1] != dut.name:
            raise _refused(where, f"a bench has one X line, an instance of {dut.name!r}")
        if len(nodes) != len(dut.ports):
            ports = " ".join(dut.ports)
            raise _refused(
                where, f"{dut.name} has {len(dut.ports)} ports ({ports}), got {len(nodes)} nodes"
            )
    _check_nodes(nodes, where)
    return _label(words[0], where), _renamed(nodes, "0")


def _primitive(line: str, where: str) -> Primitive:
    # Quotes say the same as braces. Both may hold spaces; glued, splitting on blanks is enough.
    braced = _QUOTES.sub(lambda m: f"{{{m[1] or m[2]}}}", line)
    glued = _BRACES.sub(lambda m: re.sub(r"\s+", "", m[0]), braced)
    glued = re.sub(r"\s*=\s*", "=", glued)
    words = glued.split()
    positional = [w for w in words if "=" not in w]
    kind = positional[-1].lower()
    signature = _signature(kind, where)
    nodes = tuple(n.lower() for n in positional[1:-1])
    if len(nodes) != len(signature.nodes):
        named = " ".join(signature.nodes)
        raise _refused(
            where, f"{kind} has {len(signature.nodes)} nodes ({named}), got {len(nodes)}"
        )
    _check_nodes(nodes, where)
    allowed = (*signature.required, *signature.optional)
    values: dict[str, str] = {}
    for key, _, value in (w.partition("=") for w in words if "=" in w):
        if key.lower() not in allowed:
            raise _refused(
                where, f"{kind} has no parameter {key!r}; it takes: {', '.join(allowed)}"
            )
        values[key.lower()] = value
    if missing := [p for p in signature.required if p not in values]:
        raise _refused(where, f"{kind} needs {', '.join(missing)}")
    given = _of_their_own_line({k: _parameter(v, where) for k, v in values.items()})
    parameters = _in_si(given, signature)
    # `as` is a word of the language that formulas are evaluated in.
    parameters = {"as_" if k == "as" else k: e for k, e in parameters.items()}
    return Primitive(_label(positional[0][1:], where), kind, nodes, parameters, where)


def _signature(kind: str, where: str) -> Signature:
    known = signatures()
    if kind in known:
        return known[kind]
    close = difflib.get_close_matches(kind, known, n=3, cutoff=0.7)
    use = f"did you mean {' or '.join(close)}?" if close else f"use one of: {', '.join(NEUTRAL)}"
    raise _refused(where, f"{kind!r} is no device that any PDK has; {use}")


def _parameter(value: str, where: str) -> Expression:
    """`{...}`, a bare formula, or a number with a SPICE suffix."""
    try:
        return Expression(repr(parse(value)))
    except ValueError:
        return _value_expression(value, where)


def _of_their_own_line(values: dict[str, Expression]) -> dict[str, Expression]:
    """Formulas over sizes of the same line, such as `ad='int((nf+1)/2)*W/nf*0.29'`, as numbers."""
    bare = {k: float(e({})) for k, e in values.items() if not (e.names or e.vectors)}
    found = dict(values)
    for key, formula in values.items():
        own = {name: bare[name.lower()] for name in formula.names if name.lower() in bare}
        if own and len(own) == len(formula.names) and not formula.vectors:
            found[key] = Expression(repr(float(formula(own))))
    return found


def _in_si(values: dict[str, Expression], signature: Signature) -> dict[str, Expression]:
    """The parameters in SI units, where a line's bare sizes show that it is written in the PDK's.

    No transistor is a millimetre long and none a nanometre, so which of the two a number means is
    never in doubt.
    """
    plain = {k: e for k, e in values.items() if not (e.names or e.vectors)}
    bare = {k: float(e({})) for k, e in plain.items() if k in signature.scales}
    if not any(k in _SIZES and size >= NO_SIZE for k, size in bare.items()):
        return values
    # Fifteen digits: 0.15 microns are 1.5e-07, and nothing after it.
    scaled = {k: float(f"{size * signature.scales[k]:.15g}") for k, size in bare.items()}
    return values | {k: Expression(repr(size)) for k, size in scaled.items()}


def _element(line: str, where: str) -> Element:
    words = line.split()
    kind = line[0].lower()
    if kind not in _ELEMENT_NODES:
        allowed = " ".join(k.upper() for k in _ELEMENT_NODES)
        reason = _REASONS.get(words[0].lower() if kind == "." else kind, "")
        raise _refused(
            where,
            f"{words[0]!r} is not allowed here{': ' if reason else ''}{reason}; elements are "
            f"{allowed}, transistors are X lines, and the only directives are .nodeset and .ic, in a "
            "bench",
        )
    count = _ELEMENT_NODES[kind]
    if len(words) < count + 2:
        raise _refused(where, f"{words[0]} needs {count} nodes and a value")
    nodes = tuple(n.lower() for n in words[1 : count + 1])
    _check_nodes(nodes, where)
    value = " ".join(words[count + 1 :])
    try:
        expressions_in(value)
    except ExpressionError as error:
        raise _refused(where, str(error)) from None
    plain = _BRACES.sub("", value)
    if '"' in plain or "'" in plain:
        raise _refused(where, "quotes are not allowed; write expressions in braces")
    if kind in "eg" and (word := next((n for n in nodes if n in NO_CONTROL_NODES), "")):
        raise _refused(
            where, f"a node of {words[0]} called {word!r}: ngspice would read a formula; rename it"
        )
    try:
        value = checked_value(kind, value)
    except ValueError as error:
        raise _refused(where, str(error)) from None
    return Element(_label(words[0], where), nodes, value, where)


def _value_expression(value: str, where: str) -> Expression:
    body = value[1:-1] if value.startswith("{") and value.endswith("}") else value
    try:
        return Expression(body)
    except ExpressionError as error:
        raise _refused(where, str(error)) from None


def _label(name: str, where: str) -> str:
    if not _NAME.fullmatch(name) or INSIDE in name:
        raise _refused(
            where, f"{name!r} is not a device name (a letter, then letters, digits, single _)"
        )
    return name.lower()


def _check_nodes(nodes: tuple[str, ...], where: str) -> None:
    for node in nodes:
        if not _NODE.fullmatch(node) or INSIDE in node:
            raise _refused(where, f"{node!r} is not a node name (letters, digits, single _)")


def _check_unique(named: list[tuple[str, str]], found: _Problems) -> None:
    seen: dict[str, str] = {}
    for name, where in named:
        if name in seen:
            found.add(where, f"{name!r} is already used at {seen[name]}")
        seen.setdefault(name, where)
