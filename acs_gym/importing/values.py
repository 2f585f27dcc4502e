"""What a value of a netlist is as a number, and which number in the text decides it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from acs_gym.expressions import Expression, ExpressionError
from acs_gym.importing.text import Field, refused
from acs_gym.wording import did_you_mean

_POWERS = {
    "t": 12, "g": 9, "meg": 6, "k": 3, "m": -3, "u": -6, "µ": -6, "μ": -6, "n": -9, "p": -12, "f": -15,
    "a": -18,
}  # fmt: skip
_SUFFIX = "meg|mil|[tgkmuµμnpfa]"
NUMBER = re.compile(
    rf"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)({_SUFFIX})?([a-zµμΩ]*)", re.IGNORECASE
)
_IN_FORMULA = re.compile(
    rf"(?<![\w.])((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)({_SUFFIX})?([a-z]*)(?![\w.])", re.IGNORECASE
)
_NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(\s*\()?")
_FUNCTIONS = {"ln": "log", "floor": "int"}
_DEEPEST = 50


def number(text: str) -> float | None:
    """As SPICE reads it (`M` is milli, letters behind a suffix say nothing); None for what is none."""
    found = NUMBER.fullmatch(text)
    if found is None:
        return None
    return _scaled(found[1], found[2])


def _scaled(digits: str, suffix: str | None) -> float:
    # Through decimal text, so that 1.5u is the same float as the literal 1.5e-6.
    mantissa, _, exponent = digits.lower().partition("e")
    suffix = (suffix or "").lower()
    if suffix == "mil":
        return float(digits) * 25.4e-6
    try:
        return float(f"{mantissa}e{int(exponent or 0) + _POWERS.get(suffix, 0)}")
    except (ValueError, OverflowError):
        return math.inf


@dataclass(slots=True, eq=False)
class Definition:
    """A parameter: its value, the scope that value is read in, and whether a formula needs it.

    `in_formulas` are the uses beyond naming it alone: who writes another number here changes those.
    """

    name: str
    field: Field
    scope: Scope
    where: str
    in_formulas: bool = False


@dataclass(slots=True, eq=False)
class Scope:
    """Names a value may use: those of its subcircuit, then the file's."""

    names: dict[str, Definition] = field(default_factory=dict)
    parent: Scope | None = None

    def find(self, name: str) -> Definition | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def known(self) -> Iterator[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names
            scope = scope.parent


def evaluate(
    value: Field, scope: Scope, where: str, *, derived: bool = False, depth: int = 0
) -> float:
    """The number that a value is. Raises CircuitError with the place.

    `derived` values (areas and perimeters of diffusions) follow the size and bind no parameter to them.
    """
    text = value.bare
    plain = number(text)
    if plain is not None:
        return plain
    if depth > _DEEPEST:
        raise refused(where, f"{text[:60]!r} refers to itself; give the parameter a number")
    alone = re.fullmatch(r"[A-Za-z_]\w*", text) is not None

    def meaning(name: str) -> float:
        found = scope.find(name.lower())
        if found is None:
            meant = did_you_mean(name.lower(), sorted(set(scope.known())))
            raise refused(
                where,
                f"no parameter {name!r}; {meant}write a .param line with its "
                "value (no .include is read), or the number",
            )
        if not alone and not derived:
            found.in_formulas = True
        return evaluate(found.field, found.scope, found.where, derived=derived, depth=depth + 1)

    if alone:
        return meaning(text)
    names: dict[str, float] = {}

    def renamed(match: re.Match[str]) -> str:
        word = match[1].lower()
        if match[2]:
            return _FUNCTIONS.get(word, word) + "("
        names.setdefault(f"p_{word}", meaning(word))
        return f"p_{word}"

    plain_numbers = _IN_FORMULA.sub(lambda m: repr(_scaled(m[1], m[2])), text)
    try:
        found = float(Expression(_NAME.sub(renamed, plain_numbers))(names))
    except ExpressionError as error:
        raise refused(where, f"cannot work out {text[:80]!r}: {error}; write the number") from None
    if not math.isfinite(found):
        raise refused(where, f"{text[:80]!r} is {found}; write the number that was meant")
    return found


def origin(value: Field, scope: Scope) -> Field:
    """The number that decides this value: the definition's where it only names a parameter.

    Not a definition that formulas use as well: writing another number there would change those.
    """
    current, within = value, scope
    for _ in range(_DEEPEST):
        definition = within.find(current.bare.lower()) if current.bare.isidentifier() else None
        if definition is None or definition.in_formulas:
            return current
        current, within = definition.field, definition.scope
    return current
