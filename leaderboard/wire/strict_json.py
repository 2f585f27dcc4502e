"""One line to one JSON value, as RFC 8259 has it, and nothing that only looks like it.

Python's own reader takes NaN, 1e400, duplicate keys and integers of any size. What two readers may
understand differently is refused here, with the reason.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 16
MAX_DIGITS = 18  # of an integer: it fits into 64 bits everywhere
_QUOTED = 60


class NotStrictJson(ValueError):
    """A line that is not one strict JSON value; the message says why, and what is allowed."""


def parse(line: bytes) -> Any:
    """The value of one line. Raises NotStrictJson."""
    try:
        value = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"not valid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise NotStrictJson(_TOO_DEEP) from None
    _check(value)
    return value


def encode(value: Any) -> bytes:
    """A value as one line of ASCII, with its newline. Raises ValueError on NaN and infinities."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def quote(text: str) -> str:
    """The beginning of a foreign text, safe to print on one line."""
    return ascii(text[:_QUOTED]) + ("..." if len(text) > _QUOTED else "")


def _no_constant(token: str) -> float:
    raise NotStrictJson(f"{token} is not a JSON number; write null for what has no value")


def _float(token: str) -> float:
    value = float(token)
    if not math.isfinite(value):
        raise NotStrictJson(f"the number {quote(token)} is too large for 64 bits")
    return value


def _integer(token: str) -> int:
    if len(token.lstrip("-")) > MAX_DIGITS:
        raise NotStrictJson(
            f"the integer {quote(token)} has {len(token.lstrip('-'))} digits; "
            f"at most {MAX_DIGITS} are allowed"
        )
    return int(token)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotStrictJson(f"the key {quote(twice)} is there twice in one object")
    return found


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_float,
    parse_int=_integer,
    parse_constant=_no_constant,
)


def _check(value: Any, depth: int = 0) -> None:
    """Depth, and strings that no UTF-8 can hold (half of a surrogate pair)."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise NotStrictJson("a string holds half of a surrogate pair, which is no character")
        return
    if not isinstance(value, dict | list):
        return
    if depth >= MAX_DEPTH:
        raise NotStrictJson(_TOO_DEEP)
    for item in value:
        _check(item, depth + 1)
    if isinstance(value, dict):
        for item in value.values():
            _check(item, depth + 1)
