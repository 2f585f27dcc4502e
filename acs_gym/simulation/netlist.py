"""Reads the SPICE of a circuit folder into records.

A deliberately small dialect: elements, one `.subckt` for the DUT, `.nodeset`. There is no
`.control`, `.include`, `.lib`, `.param` or shell escape to forbid one by one: whatever is not
listed here is refused with file and line, so a circuit folder from a stranger cannot run or read
anything. Transistors, resistors and capacitors of the DUT are PDK-neutral primitives
(`Xname d g s b nfet w={..} l={..}`); which device they become is the PDK's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from acs_gym.expressions import Expression, ExpressionError

# Nodes and parameters of each primitive a PDK (or, for `ibias`, the deck) realises.
PRIMITIVES: dict[str, tuple[int, tuple[str, ...], tuple[str, ...]]] = {
    # name: (nodes, required parameters, optional parameters)
    "nfet": (4, ("w", "l"), ("m",)),
    "pfet": (4, ("w", "l"), ("m",)),
    "res": (2, ("r",), ()),
    "cap": (2, ("c",), ()),
    "ibias": (2, ("i",), ()),
}
_ELEMENT_NODES = {"v": 2, "i": 2, "r": 2, "c": 2, "l": 2, "e": 4, "g": 4, "f": 2, "h": 2}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NODE = re.compile(r"[A-Za-z0-9_]+")
_LONGEST_FILE = 200_000


class NetlistError(ValueError):
    """A netlist this dialect refuses; the message starts with file and line."""


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
class Bench:
    """A testbench: elements around exactly one instance of the DUT, and starting voltages."""

    elements: tuple[Element, ...]
    instance: str
    connections: tuple[str, ...]
    nodeset: dict[str, str]


def read_dut(path: Path) -> Dut:
    """The DUT of `dut.spice`. Raises NetlistError (file:line: what and what is allowed)."""
    lines = _logical_lines(path)
    if not lines:
        raise NetlistError(f"{path}: empty; expected one .subckt")
    where, first = lines[0]
    head = first.split()
    if head[0].lower() != ".subckt" or len(head) < 3:
        raise NetlistError(f"{where}: expected '.subckt NAME PORT...', got {first!r}")
    name, ports = head[1].lower(), tuple(p.lower() for p in head[2:])
    _check_nodes(ports, where)
    if lines[-1][1].split()[0].lower() != ".ends":
        raise NetlistError(f"{lines[-1][0]}: expected '.ends' as the last line")
    primitives: list[Primitive] = []
    elements: list[Element] = []
    for where, line in lines[1:-1]:
        if line[0] in "xX":
            primitives.append(_primitive(line, where))
        else:
            elements.append(_element(line, where))
    _check_unique([(p.name, p.where) for p in primitives] + [(e.name, e.where) for e in elements])
    return Dut(name, ports, tuple(primitives), tuple(elements))


def read_bench(path: Path, dut: Dut) -> Bench:
    """One `bench_*.spice`. Raises NetlistError (file:line: what and what is allowed)."""
    elements: list[Element] = []
    instance: tuple[str, tuple[str, ...]] | None = None
    nodeset: dict[str, str] = {}
    for where, line in _logical_lines(path):
        if line.lower().startswith(".nodeset"):
            for node, value in re.findall(r"v\((\w+)\)\s*=\s*(\{[^}]*\}|\S+)", line[8:], re.I):
                nodeset[node.lower()] = value
        elif line[0] in "xX":
            words = line.lower().split()
            if words[-1] != dut.name or instance is not None:
                raise NetlistError(f"{where}: a bench has one X line, an instance of {dut.name!r}")
            if len(words) - 2 != len(dut.ports):
                raise NetlistError(
                    f"{where}: {dut.name} has {len(dut.ports)} ports ({' '.join(dut.ports)}), "
                    f"got {len(words) - 2} nodes"
                )
            _check_nodes(tuple(words[1:-1]), where)
            instance = words[0], tuple(words[1:-1])
        else:
            elements.append(_element(line, where))
    if instance is None:
        raise NetlistError(
            f"{path}: no instance of the DUT; add 'Xdut {' '.join(dut.ports)} {dut.name}'"
        )
    _check_unique([(e.name, e.where) for e in elements])
    return Bench(tuple(elements), instance[0], instance[1], nodeset)


def expressions_in(text: str) -> list[Expression]:
    """The `{...}` expressions of an element's value, in order."""
    return [Expression(body) for body in re.findall(r"\{([^}]*)\}", text)]


def _logical_lines(path: Path) -> list[tuple[str, str]]:
    """(file:line, text) with comments dropped and `+` continuations joined."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NetlistError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NetlistError(f"{path}: not UTF-8 text") from None
    if len(text) > _LONGEST_FILE:
        raise NetlistError(f"{path}: longer than {_LONGEST_FILE} characters")
    lines: list[tuple[str, str]] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.split(r"[;$]", raw, maxsplit=1)[0].strip()
        where = f"{path.name}:{number}"
        if not line or line.startswith("*"):
            continue
        if line.startswith("+"):
            if not lines:
                raise NetlistError(f"{where}: a continuation line continues nothing")
            lines[-1] = (lines[-1][0], f"{lines[-1][1]} {line[1:].strip()}")
        else:
            lines.append((where, line))
    return lines


def _primitive(line: str, where: str) -> Primitive:
    # Braces may hold spaces; glue them so that splitting on blanks is enough.
    glued = re.sub(r"\{[^}]*\}", lambda m: re.sub(r"\s+", "", m[0]), line)
    glued = re.sub(r"\s*=\s*", "=", glued)
    words = glued.split()
    positional = [w for w in words if "=" not in w]
    kind = positional[-1].lower()
    if kind not in PRIMITIVES or len(positional) < 3:
        raise NetlistError(
            f"{where}: {kind!r} is not a primitive; use one of: {', '.join(PRIMITIVES)}"
        )
    count, required, optional = PRIMITIVES[kind]
    nodes = tuple(n.lower() for n in positional[1:-1])
    if len(nodes) != count:
        raise NetlistError(f"{where}: {kind} has {count} nodes, got {len(nodes)}")
    _check_nodes(nodes, where)
    parameters: dict[str, Expression] = {}
    for key, _, value in (w.partition("=") for w in words if "=" in w):
        if key.lower() not in (*required, *optional):
            allowed = ", ".join((*required, *optional))
            raise NetlistError(f"{where}: {kind} has no parameter {key!r}; it takes: {allowed}")
        parameters[key.lower()] = _value_expression(value, where)
    if missing := [p for p in required if p not in parameters]:
        raise NetlistError(f"{where}: {kind} needs {', '.join(missing)}")
    return Primitive(_label(positional[0][1:], where), kind, nodes, parameters, where)


def _element(line: str, where: str) -> Element:
    words = line.split()
    kind = line[0].lower()
    if kind not in _ELEMENT_NODES:
        allowed = " ".join(k.upper() for k in _ELEMENT_NODES)
        raise NetlistError(
            f"{where}: {words[0]!r} is not allowed here; elements are {allowed}, "
            "transistors are X lines, and the only directive is .nodeset in a bench"
        )
    count = _ELEMENT_NODES[kind]
    if len(words) < count + 2:
        raise NetlistError(f"{where}: {words[0]} needs {count} nodes and a value")
    nodes = tuple(n.lower() for n in words[1 : count + 1])
    _check_nodes(nodes, where)
    value = " ".join(words[count + 1 :])
    try:
        expressions_in(value)
    except ExpressionError as error:
        raise NetlistError(f"{where}: {error}") from None
    if "`" in value or '"' in value or "'" in value:
        raise NetlistError(f"{where}: quotes are not allowed; write expressions in braces")
    return Element(_label(words[0], where), nodes, value, where)


def _value_expression(value: str, where: str) -> Expression:
    body = value[1:-1] if value.startswith("{") and value.endswith("}") else value
    try:
        return Expression(body)
    except ExpressionError as error:
        raise NetlistError(f"{where}: {error}") from None


def _label(name: str, where: str) -> str:
    if not _NAME.fullmatch(name):
        raise NetlistError(
            f"{where}: {name!r} is not a device name (a letter, then letters, digits, _)"
        )
    return name.lower()


def _check_nodes(nodes: tuple[str, ...], where: str) -> None:
    for node in nodes:
        if not _NODE.fullmatch(node):
            raise NetlistError(f"{where}: {node!r} is not a node name (letters, digits, _)")


def _check_unique(named: list[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, where in named:
        if name in seen:
            raise NetlistError(f"{where}: {name!r} is already used at {seen[name]}")
        seen[name] = where
