"""A distributed subcircuit as the parts of a device: every parameter a number or a formula.

The library's own corner parameters become numbers, its mismatch draws become names, and what is left
are formulas of the device's parameters. So nothing of a library is written down here: a value follows
the distributed file, and a file that this cannot read is refused, not approximated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from acs_gym.expressions import Expression, ExpressionError
from acs_gym.pdks.base import Part, PdkError
from acs_gym.pdks.spice_library import Card, Library, Subckt, split_line
from acs_gym.units import parse

# A draw with a standard deviation of one, behind the switch that turns mismatch on.
_AGAUSS = re.compile(r"(?:mismatch_factor\*)?mc_mm_switch\*agauss\(0,1\.0,1\)")
_NAME = re.compile(r"(?<![\w.])[a-z_]\w*\b(?!\s*\()")
_NODE_OR_NAME = re.compile(rf"(?<![\w.])v\((?P<nodes>[^()]+)\)|{_NAME.pattern}")
_FUNCTIONS = {"floor": "int"}
# What a resistor's card says of temperature; its sheet resistance goes into the value.
_TEMPERATURE = ("tc1", "tc2", "tnom", "tref")
_ONE = "1"
_NO_RESISTANCE = 1e-6


def number(text: str) -> float | None:
    """A plain SPICE number, or None."""
    try:
        return parse(text)
    except ValueError:
        return None


# What a parameter is while it is being computed; told by identity.
_PENDING = float("nan")


class Numbers:
    """Library parameters as numbers, each computed when it is first asked for."""

    def __init__(self, texts: Mapping[str, str], fixed: Mapping[str, float]) -> None:
        self._texts, self._known = texts, dict(fixed)

    def get(self, name: str) -> float | None:
        """The parameter's value; None where the library has none of that name."""
        if name not in self._known:
            if name not in self._texts:
                return None
            self._known[name] = _PENDING
            self._known[name] = self.value(self._texts[name])
        if self._known[name] is _PENDING:
            raise PdkError(f"cannot resolve {name}, which is defined by itself")
        return self._known[name]

    def value(self, text: str) -> float:
        """A formula of library parameters alone, as a number. Raises PdkError where it is more."""
        formula = self.formula(text, {})
        if formula.names:
            raise PdkError(f"cannot resolve {', '.join(formula.names)} in {text!r}")
        return float(formula({}))

    def formula(self, text: str, meanings: Mapping[str, str]) -> Expression:
        """`text` with names replaced by what they mean, or by their number in the library."""

        def known(match: re.Match[str]) -> str:
            name = match[0]
            if name in meanings:
                return f"({meanings[name]})"
            value = self.get(name)
            return name if value is None else f"({value!r})"

        plain = number(text)
        if plain is not None:
            return Expression(repr(plain))
        for function, ours in _FUNCTIONS.items():
            text = re.sub(rf"\b{function}\s*\(", f"{ours}(", text)
        try:
            formula = Expression(_NAME.sub(known, text))
            return formula if formula.names else Expression(repr(float(formula({}))))
        except ExpressionError as error:
            raise PdkError(f"cannot read {text!r}: {error}") from None


@dataclass(slots=True)
class Flat:
    """What a subcircuit consists of, and the draws of its mismatch."""

    parts: list[Part] = field(default_factory=list)
    cards: dict[str, str] = field(default_factory=dict)
    draws: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a subcircuit's elements stand: what its ports and parameters are there."""

    subckt: Subckt
    nodes: Mapping[str, str]
    meanings: Mapping[str, str]
    multiple: str
    prefix: str = ""


def flatten(
    library: Library,
    name: str,
    numbers: Numbers,
    given: Mapping[str, str],
    nodes: Mapping[str, str] | None = None,
) -> Flat:
    """The parts of subcircuit `name`.

    Args:
        given: what its parameters are, as formulas of the device's parameters in SI units, of which
            `m` is how many of it are in parallel.
        nodes: port -> node of the device; by default the ports' own names.

    Raises PdkError for a subcircuit that is missing or of another shape than expected.
    """
    flat = Flat()
    subckt = library.subckts.get(name)
    if subckt is None:
        raise PdkError(f"the library has no subcircuit {name}")
    try:
        nodes = nodes or {port: port for port in subckt.ports}
        if missing := [port for port in subckt.ports if port not in nodes]:
            raise PdkError(f"its port {missing[0]} is not expected")
        _elements(library, flat, numbers, _place(subckt, nodes, given, "m", "", flat, numbers))
    except PdkError as error:
        raise PdkError(f"{name} does not look as expected: {error}") from None
    return flat


def _place(
    subckt: Subckt,
    nodes: Mapping[str, str],
    given: Mapping[str, str],
    multiple: str,
    prefix: str,
    flat: Flat,
    numbers: Numbers,
) -> _Place:
    """Resolve a subcircuit's parameters, in their order, over what is given."""
    meanings: dict[str, str] = {"mult": multiple, **given}
    for key, text in subckt.parameters.items():
        if key not in meanings:
            meanings[key] = numbers.formula(drawn(text, flat), meanings).text
    return _Place(subckt, nodes, meanings, multiple, prefix)


def drawn(text: str, flat: Flat) -> str:
    """`text` with each random term as the name of a draw."""

    def draw(_: re.Match[str]) -> str:
        flat.draws.append(f"z{len(flat.draws) or ''}")
        return flat.draws[-1]

    return _AGAUSS.sub(draw, text.replace(" ", ""))


def _elements(library: Library, flat: Flat, numbers: Numbers, place: _Place) -> None:
    cards = {card.name: card for card in place.subckt.cards}
    for line in place.subckt.elements:
        words, values = split_line(line)

        def formula(text: str) -> str:
            return numbers.formula(drawn(text, flat), place.meanings).text

        if words[0][0] == "x":
            inner = library.subckts.get(words[-1])
            if inner is None:
                raise PdkError(f"no subcircuit {words[-1]}")
            count = formula(values.pop("m", _ONE))
            nodes = dict(zip(inner.ports, (_node(w, place) for w in words[1:-1]), strict=True))
            given = {key: formula(text) for key, text in values.items()}
            multiple = f"({place.multiple})*({count})"
            prefix = f"{place.prefix}{words[0]}_"
            inside = _place(inner, nodes, given, multiple, prefix, flat, numbers)
            _elements(library, flat, numbers, inside)
            continue
        make = _MAKERS.get(words[0][0])
        if make is None:
            raise PdkError(f"cannot read the element {line!r}")
        flat.parts += make(words, values, place, library.cards | cards, flat, formula)


def _node(name: str, place: _Place) -> str:
    return place.nodes.get(name) or (name if name == "0" else f"{place.prefix}{name}")


_Formula = Callable[[str], str]


def _resistor(
    words: list[str],
    values: dict[str, str],
    place: _Place,
    cards: Mapping[str, Card],
    flat: Flat,
    formula: _Formula,
) -> list[Part]:
    """R NODE NODE [MODEL] [r=] [w= l=] [tc1= tc2=]: its value, and a card for its temperature."""
    nodes = (_node(words[1], place), _node(words[2], place))
    label = place.prefix + words[0]
    given: dict[str, str] = {k: formula(values[k]) for k in ("tc1", "tc2") if k in values}
    card = cards.get(words[3]) if len(words) == 4 else None
    if len(words) == 4 and (card is None or card.kind != "r"):
        raise PdkError(f"no resistor card {words[3]}")
    if card is not None:
        given |= {k: formula(card.values[k]) for k in _TEMPERATURE if k in card.values}
    if "v(" in values.get("r", ""):
        return _voltage_dependent(values["r"], nodes, label, place, formula, given)
    if "r" in values:
        value = formula(values["r"])
    elif card is not None and "dw" not in card.values:
        sheet, length, width = (formula(t) for t in (card.values["rsh"], values["l"], values["w"]))
        value = f"({sheet})*({length})/({width})"
    else:
        raise PdkError(f"resistor {words[0]} has neither a value nor a sheet resistance")
    attributes = {"resistance": Expression(f"({value})/({place.multiple})")}
    if card is None:
        attributes |= {k: Expression(v) for k, v in given.items()}
        return [Part("R", nodes, attributes, label)]
    return [Part("R", nodes, attributes, label, _shared_card(flat, place, card.name, "r", given))]


class _Law:
    """The law of a B source in the making, which `alter` cannot reach.

    So each parameter in it that follows the design is the voltage of a node inside the device, which
    a source holds. A parameter that follows the temperature as well stands in the law by its formula.
    """

    def __init__(self, label: str, place: _Place, formula: _Formula) -> None:
        self.sources: list[Part] = []
        self._label, self._place, self._formula = label, place, formula

    def text(self, law: str) -> str:
        """`law` with parameters as numbers or held voltages, and nodes in angle brackets."""
        return _NODE_OR_NAME.sub(self._word, law.replace(" ", ""))

    def held(self, name: str, value: Expression) -> str:
        """The voltage that is this value."""
        node = f"{self._label}_{name}"
        if not any(source.label == node for source in self.sources):
            self.sources.append(Part("V", (node, "0"), {"dc": value}, node))
        return f"v(<{node}>)"

    def _word(self, match: re.Match[str]) -> str:
        if match["nodes"]:
            names = [_node(name, self._place) for name in match["nodes"].split(",")]
            return f"v({','.join(f'<{name}>' for name in names)})"
        value = Expression(self._formula(match[0]))
        if "temper" in value.names:
            return f"({_NAME.sub(self._of_the_device, value.text)})"
        return self.held(match[0], value) if value.names else f"({value.text})"

    def _of_the_device(self, match: re.Match[str]) -> str:
        name = match[0]
        return name if name == "temper" else self.held(f"own_{name}", Expression(name))


def _voltage_dependent(
    law: str,
    nodes: tuple[str, ...],
    label: str,
    place: _Place,
    formula: _Formula,
    temperature: Mapping[str, str],
) -> list[Part]:
    """A resistance that depends on voltages, as a B source.

    ngspice drops the temperature coefficients of the card of such a resistor when it reads the
    library; here they stand in the law.
    """
    written = _Law(label, place, formula)
    text = written.text(law)
    across = f"v(<{nodes[0]}>,<{nodes[1]}>)"
    factor = ""
    if temperature:
        heat = {k: float(Expression(v)({})) for k, v in temperature.items()}
        reference = heat.get("tref", heat.get("tnom", 27.0))
        warmer = f"(temper-{reference!r})"
        tc1, tc2 = heat.get("tc1", 0.0), heat.get("tc2", 0.0)
        factor = f"*(1+{tc1!r}*{warmer}+{tc2!r}*{warmer}*{warmer})"
    multiple = written.held("m", Expression(place.multiple))
    body = f"i = {multiple}*{across}/(({text}){factor})"
    return [Part("B", nodes, label=label, law=body), *written.sources]


def _charge(
    law: str, nodes: tuple[str, ...], label: str, place: _Place, formula: _Formula
) -> list[Part]:
    """A charge that depends on voltages: as the current through an inductor its change is a voltage,
    and that one a current between the nodes. ngspice does the same to such a line, in coulombs; in
    picocoulombs the charge is not below the tolerances of its step control."""
    written = _Law(label, place, formula)
    change = f"{label}_change"
    return [
        Part("G", (*nodes, change, "0"), {"gain": Expression(f"1e-12*{place.multiple}")}, label),
        Part("L", (change, "0"), {"inductance": Expression("1")}, f"{label}_l"),
        Part("B", ("0", change), label=f"{label}_q", law=f"i = 1e12*({written.text(law)})"),
        *written.sources,
    ]


def _capacitor(
    words: list[str],
    values: dict[str, str],
    place: _Place,
    cards: Mapping[str, Card],
    flat: Flat,
    formula: _Formula,
) -> list[Part]:
    """C NODE NODE [MODEL] [c= or q=] [w= l=]: its value, and a card for its temperature.

    Other words repeat a node and say nothing.
    """
    nodes = (_node(words[1], place), _node(words[2], place))
    label = place.prefix + words[0]
    card = cards.get(words[3]) if len(words) == 4 else None
    if "q" in values:
        return _charge(values["q"], nodes, label, place, formula)
    if "c" in values:
        value = formula(values["c"])
    elif card is not None and "cox" in card.values:
        oxide, length, width = (formula(t) for t in (card.values["cox"], values["l"], values["w"]))
        value = f"({oxide})*({length})*({width})"
    else:
        raise PdkError(f"capacitor {words[0]} has neither a value nor an oxide")
    attributes = {"capacitance": Expression(f"({value})*({place.multiple})")}
    if card is not None and "tc1" in card.values:
        # An element has coefficients of its own, from the 27 °C that ngspice starts at.
        tc1, tc2, tnom = (
            float(Expression(formula(card.values.get(key, default)))({}))
            for key, default in (("tc1", "0"), ("tc2", "0"), ("tnom", "27"))
        )
        warmer = 27.0 - tnom
        factor = 1.0 + tc1 * warmer + tc2 * warmer**2
        attributes = {
            "capacitance": Expression(f"({value})*({place.multiple})*{factor!r}"),
            "tc1": Expression(repr((tc1 + 2.0 * tc2 * warmer) / factor)),
            "tc2": Expression(repr(tc2 / factor)),
        }
    return [Part("C", nodes, attributes, label)]


def _bipolar(
    words: list[str],
    values: dict[str, str],
    place: _Place,
    cards: Mapping[str, Card],
    flat: Flat,
    formula: _Formula,
) -> list[Part]:
    """Q C B E [S] MODEL; what mismatch moves of the card is the element's own."""
    nodes = tuple(_node(word, place) for word in words[1:-1])
    card = cards.get(words[-1])
    if card is None or card.kind not in ("npn", "pnp"):
        raise PdkError(f"no bipolar card {words[-1]}")
    texts = {k: formula(v) for k, v in card.values.items()}
    own = {k: Expression(v) for k, v in texts.items() if Expression(v).names}
    fixed = {k: v for k, v in texts.items() if k not in own}
    model = _shared_card(flat, place, card.name, card.kind, fixed)
    attributes = {"m": Expression(place.multiple)}
    return [Part("Q", nodes, attributes, place.prefix + words[0], model, own)]


def _diode(
    words: list[str],
    values: dict[str, str],
    place: _Place,
    cards: Mapping[str, Card],
    flat: Flat,
    formula: _Formula,
) -> list[Part]:
    """D ANODE CATHODE MODEL area= pj=.

    A series resistance of less than a microohm is left out: nothing flows that it would matter to,
    but its conductance costs ngspice the last digits of the current, half a microampere of them.
    """
    nodes = (_node(words[1], place), _node(words[2], place))
    card = cards.get(words[3])
    if card is None or card.kind != "d":
        raise PdkError(f"no diode card {words[3]}")
    texts = {k: formula(v) for k, v in card.values.items()}
    series = Expression(texts.get("rs", "0"))
    if not series.names and float(series({})) < _NO_RESISTANCE:
        texts.pop("rs", None)
    model = _shared_card(flat, place, card.name, "d", texts)
    attributes = {k: Expression(formula(v)) for k, v in values.items()}
    attributes["m"] = Expression(place.multiple)
    return [Part("D", nodes, attributes, place.prefix + words[0], model)]


def _shared_card(flat: Flat, place: _Place, name: str, kind: str, values: Mapping[str, str]) -> str:
    """Keep a card whose parameters are numbers; returns its name, unique by its subcircuit."""
    unresolved = {n for text in values.values() for n in Expression(text).names}
    if unresolved:
        raise PdkError(f"card {name}: cannot resolve {', '.join(sorted(unresolved))}")
    full = name if name.startswith(place.subckt.name) else f"{place.subckt.name}__{name}"
    body = " ".join(f"{k}={v}" for k, v in values.items())
    flat.cards[full] = f".model {full} {kind} {body}"
    return full


_MAKERS = {"r": _resistor, "c": _capacitor, "q": _bipolar, "d": _diode}
