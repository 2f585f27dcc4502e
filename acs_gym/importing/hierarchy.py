"""From cards to one flat list: parameters, subcircuits, global nodes, and which is the circuit.

Knows SPICE's structure and no device.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from acs_gym.importing.text import Card, Field, Text, refused
from acs_gym.importing.values import Definition, Scope, evaluate, number
from acs_gym.wording import did_you_mean

_MOST_ELEMENTS = 2_000_000
_DEEPEST = 40
_COPIES = 2
_ANALYSES = (
    ".op", ".ac", ".dc", ".tran", ".noise", ".tf", ".pz", ".sens", ".disto", ".meas", ".measure", ".save",
    ".print", ".plot", ".probe", ".four", ".control", ".step", ".nodeset", ".ic", ".temp", ".options",
    ".option", ".width", ".end", ".csparam", ".title", ".data", ".enddata", ".alter", ".protect",
    ".unprotect",
)  # fmt: skip
_LIBRARIES = (".include", ".inc", ".lib", ".endl")
# What may stand at the top of a file beside the circuit: its sources and loads.
SOURCES = "viefgh"


@dataclass(slots=True)
class Subcircuit:
    """A `.subckt`; `is_top` where xschem commented it out, because it is the schematic itself."""

    name: str
    ports: tuple[str, ...]
    card: Card | None
    is_top: bool = False
    cards: list[Card] = field(default_factory=list)
    params: list[Card] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A line that is no part of the circuit, and why."""

    line: int
    text: str
    reason: str


@dataclass(slots=True)
class Deck:
    """A file's structure; names are in lower case.

    Attributes:
        models: of `.model` cards: name -> type.
        scale: of `.option scale`.
        libraries: what `.lib` and `.include` lines say, in lower case.
    """

    text: Text
    outside: Subcircuit
    subcircuits: dict[str, Subcircuit]
    scope: Scope
    models: dict[str, str]
    global_nodes: set[str]
    scale: float
    libraries: tuple[str, ...]
    dropped: list[Dropped]


@dataclass(frozen=True, slots=True)
class Flat:
    """One element of the circuit, its subcircuits expanded.

    Attributes:
        path: the instances it is in, outermost first, then its own name.
        nodes: as named in the circuit, with the path of the instance that they are inside.
        count: the product of `m` of the instances that it is in.
    """

    path: tuple[str, ...]
    card: Card
    nodes: tuple[str, ...]
    rest: tuple[Field, ...]
    scope: Scope
    count: float


def read_deck(text: Text) -> Deck:
    """Raises CircuitError for a subcircuit that is not closed or is there twice."""
    outside = Subcircuit("", (), None)
    deck = Deck(text, outside, {}, Scope(), {}, set(), 1.0, (), [])
    open_: list[Subcircuit] = []
    libraries: list[str] = []
    for card in text.cards:
        word = card.name.lower()
        where = text.where(card.line)
        if card.stray:
            deck.dropped.append(Dropped(card.line, card.text, "an assignment is no element"))
        elif word == ".subckt":
            open_.append(_subcircuit(card, where, text))
        elif word == ".ends":
            if not open_:
                raise refused(
                    where, ".ends without a .subckt; delete it, or add the line that is missing"
                )
            closed = open_.pop()
            if closed.name in deck.subcircuits:
                raise refused(where, f"a second .subckt {closed.name}; delete one of the two")
            deck.subcircuits[closed.name] = closed
        elif word in (".param", ".params", ".parameter"):
            (open_[-1] if open_ else outside).params.append(card)
        elif word == ".global":
            deck.global_nodes |= {f.text.lower() for f in card.words[1:]}
        elif word == ".model":
            if (model := re.match(r"\S+\s+(\S+)\s+([a-z]+)", card.text, re.I)) is not None:
                deck.models[model[1].lower()] = model[2].lower()
            deck.dropped.append(Dropped(card.line, card.text, "models are the PDK's"))
        elif word in _LIBRARIES:
            libraries.append(card.text.lower())
            deck.dropped.append(
                Dropped(card.line, card.text, "models are the PDK's; no file is read")
            )
        elif word in _ANALYSES:
            if word in (".option", ".options") and "scale" in card.values:
                deck.scale = evaluate(card.values["scale"], deck.scope, where)
            if word != ".end":
                reason = "analyses, options and starting points are the testbench's"
                deck.dropped.append(Dropped(card.line, card.text, reason))
        elif word.startswith("."):
            near = did_you_mean(word, (".subckt", ".ends", ".param", *_LIBRARIES, *_ANALYSES))
            raise refused(
                where,
                f"unknown directive {card.name}; {near}comment the line out if it is not needed",
            )
        elif not (card.letter.isalpha()):
            raise refused(
                where,
                f"{card.text[:60]!r} begins with no element's letter; comment it out with a *",
            )
        else:
            (open_[-1] if open_ else outside).cards.append(card)
    if open_:
        lost = open_[-1]
        line = lost.card.line if lost.card else 1
        raise refused(
            text.where(line), f".subckt {lost.name} has no .ends; add one behind its last element"
        )
    deck.scope = Scope(_definitions(outside.params, Scope(), text))
    deck.libraries = tuple(libraries)
    return deck


def _subcircuit(card: Card, where: str, text: Text) -> Subcircuit:
    names = [f.text.lower() for f in card.words[1:] if f.text.lower() != "params:"]
    if not names:
        raise refused(where, "a .subckt without a name; write .subckt NAME PORT ...")
    start = card.words[0].pieces[0]
    commented = text.lines[start[0]][: start[1]].lstrip("\ufeff \t").startswith("*")
    return Subcircuit(names[0], tuple(names[1:]), card, is_top=commented)


def _definitions(cards: Iterable[Card], scope: Scope, text: Text) -> dict[str, Definition]:
    """Of `.param` lines, read in the scope that they make."""
    made = scope.names
    for card in cards:
        for name, value in card.values.items():
            made[name] = Definition(name, value, scope, text.where(card.line))
    return made


def choose_top(deck: Deck, wanted: str | None) -> Subcircuit:
    """The circuit: the one that was asked for, or what the file is about.

    That is its outermost level where devices stand there, else the one subcircuit that no other uses,
    through a test bench that uses it. Raises CircuitError listing what there is.
    """
    known = deck.subcircuits
    if wanted is not None:
        if wanted.lower() in known:
            return known[wanted.lower()]
        near = did_you_mean(wanted.lower(), known)
        names = ", ".join(known) or "none"
        raise refused(
            deck.text.name, f"no subcircuit {wanted!r}; {near}--top takes one of: {names}"
        )
    candidates = [s for s in known.values() if s.is_top]
    if not candidates and deck.outside.cards and not _is_bench(deck, deck.outside):
        return deck.outside
    if not candidates and deck.outside.cards:
        candidates = [deck.outside]
    if not candidates:
        used = {name for s in known.values() for name in _used(deck, s)}
        candidates = [s for s in known.values() if s.name not in used]
    while len(candidates) == 1 and _is_bench(deck, candidates[0]):
        inner = list(dict.fromkeys(_used(deck, candidates[0])))
        if len(inner) > 1:
            # A test bench beside a bias cell or two: the circuit is the one that does the most.
            sizes = {name: _size(deck, known[name]) for name in inner}
            best = max(sizes.values())
            inner = [name for name in inner if sizes[name] == best]
        if not inner:
            break
        candidates = [known[name] for name in inner]
    candidates = [c for c in candidates if c.cards]
    if len(candidates) == 1:
        return candidates[0]
    if not known and not deck.outside.cards:
        raise refused(
            deck.text.name,
            "no element and no .subckt; name a netlist as a schematic or layout tool writes it",
        )
    names = ", ".join(c.name for c in candidates or known.values() if c.name)
    raise refused(
        deck.text.name, f"several circuits, none in the others; say which: --top one of {names}"
    )


def _used(deck: Deck, subcircuit: Subcircuit) -> Iterator[str]:
    for card in subcircuit.cards:
        if card.letter == "x" and (name := _called(card)) in deck.subcircuits:
            yield name


def _called(card: Card) -> str:
    words = [f.text.lower() for f in card.words if f.text.lower() != "params:"]
    return words[-1]


def _is_bench(deck: Deck, subcircuit: Subcircuit) -> bool:
    """Sources and loads around instances of subcircuits: nothing here would be on the chip."""
    own = [c for c in subcircuit.cards if c.letter not in SOURCES + "rclb"]
    inside = [c for c in own if c.letter == "x" and _called(c) in deck.subcircuits]
    driven = any(c.letter in "vi" for c in subcircuit.cards)
    copies = Counter(map(_called, inside))
    # A circuit is looked at once or twice; of a cell that stands there more often it is built.
    return bool(inside) and len(inside) == len(own) and driven and max(copies.values()) <= _COPIES


def _size(deck: Deck, subcircuit: Subcircuit, depth: int = 0) -> int:
    if depth > _DEEPEST:
        return 0
    inner = sum(_size(deck, deck.subcircuits[n], depth + 1) for n in _used(deck, subcircuit))
    return inner + sum(c.letter not in SOURCES for c in subcircuit.cards)


def flatten(deck: Deck, top: Subcircuit) -> list[Flat]:
    """Every element of the circuit. Raises CircuitError for an instance that does not fit."""
    found: list[Flat] = []
    scope = deck.scope if not top.name else _inner_scope(deck, top, None, deck.scope)
    nodes = {port: port for port in top.ports}
    _expand(deck, top, (), nodes, scope, 1.0, found)
    return found


def _expand(
    deck: Deck,
    subcircuit: Subcircuit,
    path: tuple[str, ...],
    nodes: dict[str, str],
    scope: Scope,
    count: float,
    found: list[Flat],
) -> None:
    prefix = ".".join(path)

    def outer(name: str) -> str:
        name = name.lower()
        if name in nodes:
            return nodes[name]
        if name in ("0", "gnd"):  # SPICE has one node of the two.
            return "0"
        if name in deck.global_nodes:
            return name
        return f"{prefix}.{name}" if prefix else name

    for card in subcircuit.cards:
        where = deck.text.where(card.line)
        count_of_nodes = _node_count(card, deck, where)
        words = [f for f in card.words[1:] if f.text.lower() != "params:"]
        own = tuple(outer(f.text) for f in words[:count_of_nodes])
        rest = tuple(words[count_of_nodes:])
        name = card.name.lower()
        called = _called(card) if card.letter == "x" else ""
        if called not in deck.subcircuits:
            found.append(Flat((*path, name), card, own, rest, scope, count))
            if len(found) > _MOST_ELEMENTS:
                raise refused(
                    where, f"more than {_MOST_ELEMENTS} elements; import a part with --top"
                )
            continue
        inner = deck.subcircuits[called]
        if len(own) != len(inner.ports):
            raise refused(
                where,
                f"{card.name}: {called} has {len(inner.ports)} ports ({' '.join(inner.ports)}), got "
                f"{len(own)} nodes; connect each of them",
            )
        if len(path) >= _DEEPEST:
            raise refused(
                where, f"{called} is in itself, or more than {_DEEPEST} deep; take it out"
            )
        times = count
        if "m" in card.values and "m" not in _parameters(inner):
            times *= evaluate(card.values["m"], scope, where)
        _expand(
            deck, inner, (*path, name), dict(zip(inner.ports, own, strict=True)),
            _inner_scope(deck, inner, card, scope), times, found,
        )  # fmt: skip


def _parameters(subcircuit: Subcircuit) -> set[str]:
    own = set() if subcircuit.card is None else set(subcircuit.card.values)
    return own.union(*(c.values for c in subcircuit.params))


def _inner_scope(deck: Deck, inner: Subcircuit, card: Card | None, caller: Scope) -> Scope:
    """The subcircuit's parameters: its own lines, those of its head, and over them the instance's."""
    scope = Scope(parent=deck.scope)
    if inner.card is not None:
        _definitions([inner.card], scope, deck.text)
    _definitions(inner.params, scope, deck.text)
    if card is not None:
        for name, value in card.values.items():
            scope.names[name] = Definition(name, value, caller, deck.text.where(card.line))
    return scope


_NODES = {
    "m": 4,
    "r": 2,
    "c": 2,
    "l": 2,
    "v": 2,
    "i": 2,
    "d": 2,
    "e": 4,
    "g": 4,
    "f": 2,
    "h": 2,
    "j": 3,
}


def _node_count(card: Card, deck: Deck, where: str) -> int:
    """How many of a card's words are nodes."""
    words = [f for f in card.words[1:] if f.text.lower() != "params:"]
    if card.letter in "xq":
        # The last plain word is the device; a Q may have an area behind it.
        count = len(words) - 1
        if card.letter == "q":
            count = 4 if len(words) > 4 and not words[4].text[0].isdigit() else 3
    elif card.letter in "rc" and len(words) == 4 and all(number(f.bare) is None for f in words[2:]):
        count = 3  # A resistor of a layout with its well: three nodes, then the device.
    else:
        count = _NODES.get(card.letter, len(words) - 1)
    if len(words) < count + (card.letter in "xqmd") or count < 1:
        raise refused(
            where,
            f"{card.text[:60]!r}: an element {card.letter.upper()} has {count} nodes and then what it is",
        )
    return count


def connections(flat: Iterable[Flat]) -> Counter[str]:
    return Counter(node for element in flat for node in element.nodes)
