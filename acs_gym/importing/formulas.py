"""Netlist formulas beyond arithmetic: functions of the file (`.func`), `pow`, comparisons, `a ? b : c`.

Works from the innermost parentheses outwards, each a number once it is worked out; what is left without
them is choices of comparisons of arithmetic, and arithmetic is `acs_gym.expressions`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Arithmetic and its names -> a number.
Arithmetic = Callable[[str, Mapping[str, float]], float]
_BEYOND = re.compile(r"[?<>!&|]|==|\b(?:pow|pwr)\s*\(", re.I)
_INNERMOST = re.compile(r"((?<![\w.])[A-Za-z_]\w*)?\s*\(([^()]*)\)")
_COMPARISON = re.compile(r"(<=|>=|==|!=|<|>)")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Function:
    """`.func name(arguments) {body}`."""

    arguments: tuple[str, ...]
    body: str


class BadFormula(ValueError):
    """A formula that cannot be worked out; the message says what of it."""


def read_function(text: str) -> tuple[str, Function] | None:
    """(name, function) of a `.func` line; None where it is none."""
    found = re.fullmatch(r"\.func\s+(\w+)\s*\(([^()]*)\)\s*=?\s*(.+)", text.strip(), re.I | re.S)
    if found is None:
        return None
    body = found[3].strip()
    if body[0] in "'\"{" and len(body) > 1:
        body = body[1:-1]
    arguments = tuple(a.strip().lower() for a in found[2].split(",") if a.strip())
    return found[1].lower(), Function(arguments, body.lower())


def is_beyond(text: str, functions: Mapping[str, Function]) -> bool:
    """Whether a formula has anything that plain arithmetic has not."""
    return _BEYOND.search(text) is not None or any(
        re.search(rf"\b{name}\s*\(", text, re.I) for name in functions
    )


def solved(
    text: str, arithmetic: Arithmetic, functions: Mapping[str, Function], depth: int = 0
) -> float:
    """The number of a formula. Raises BadFormula, and what `arithmetic` raises."""
    if depth > _DEEPEST:
        raise BadFormula("a function calls itself")
    known: dict[str, float] = {}

    def kept(value: float) -> str:
        # A name, since a negative number would not bind as the parentheses around it do.
        known[f"_{len(known)}"] = value
        return f" _{len(known) - 1} "

    def worked_out(part: str) -> float:
        return _choice(part, lambda t: arithmetic(t, known))

    while (group := _INNERMOST.search(text)) is not None:
        name = (group[1] or "").lower()
        values = [worked_out(part) for part in group[2].split(",")] if group[2].strip() else []
        if not name:
            if len(values) != 1:
                raise BadFormula(f"({group[2]}) is no number")
            value = values[0]
        elif name in functions:
            value = _called(name, functions, values, arithmetic, depth)
        elif name in ("pow", "pwr"):
            value = _power(name, values)
        else:
            names = ",".join(kept(v) for v in values)
            value = arithmetic(f"{name}({names})", known)
        text = f"{text[: group.start()]}{kept(value)}{text[group.end() :]}"
    return worked_out(text)


def _called(
    name: str,
    functions: Mapping[str, Function],
    values: list[float],
    arithmetic: Arithmetic,
    depth: int,
) -> float:
    function = functions[name]
    if len(values) != len(function.arguments):
        raise BadFormula(f"{name} takes {len(function.arguments)} numbers, got {len(values)}")
    given = dict(zip(function.arguments, values, strict=True))

    def inside(text: str, known: Mapping[str, float]) -> float:
        # Its arguments go before names of the file.
        own = {f"_a{k}": value for k, value in enumerate(given.values())}
        places = {argument: f"_a{k}" for k, argument in enumerate(given)}
        named = _NAME.sub(lambda m: places.get(m[0].lower(), m[0]), text)
        return arithmetic(named, {**known, **own})

    return solved(function.body, inside, functions, depth + 1)


def _power(name: str, values: list[float]) -> float:
    if len(values) != 2:
        raise BadFormula(f"{name} takes two numbers, got {len(values)}")
    base, exponent = values
    try:
        # Of a negative base, `pwr` has the sign in front; `pow` is a number for whole exponents alone.
        return (
            math.copysign(abs(base) ** exponent, base)
            if name == "pwr"
            else math.pow(base, exponent)
        )
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise BadFormula(f"{name}({base:g}, {exponent:g}): {error}") from None


def _choice(text: str, arithmetic: Callable[[str], float]) -> float:
    """`condition ? this : that` or what binds closer; the side that is not taken is not worked out."""
    condition, asked, rest = text.partition("?")
    if not asked:
        return _either(text, arithmetic)
    open_ = 0
    for k, letter in enumerate(rest):
        open_ += letter == "?"
        if letter == ":":
            if open_ == 0:
                taken = rest[:k] if _either(condition, arithmetic) else rest[k + 1 :]
                return _choice(taken, arithmetic)
            open_ -= 1
    raise BadFormula("a ? without its :")


def _either(text: str, arithmetic: Callable[[str], float]) -> float:
    if "||" in text:
        return float(any(_both(part, arithmetic) for part in text.split("||")))
    return _both(text, arithmetic)


def _both(text: str, arithmetic: Callable[[str], float]) -> float:
    if "&&" in text:
        return float(all(_compared(part, arithmetic) for part in text.split("&&")))
    return _compared(text, arithmetic)


def _compared(text: str, arithmetic: Callable[[str], float]) -> float:
    bare = text.strip()
    if bare.startswith("!") and not bare.startswith("!="):
        return float(not _compared(bare[1:], arithmetic))
    parts = _COMPARISON.split(bare)
    if len(parts) == 1:
        return arithmetic(bare)
    if len(parts) > 3:
        raise BadFormula(f"{bare!r} compares twice; put parentheses")
    a, b = arithmetic(parts[0]), arithmetic(parts[2])
    return float(
        {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b, "==": a == b, "!=": a != b}[parts[1]]
    )
