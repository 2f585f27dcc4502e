"""One thing that does not hold, and the comparison of JSON values that finds it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Judging is arithmetic on the same numbers; only the last digits of a logarithm may differ.
JUDGE_RTOL, _JUDGE_ATOL = 1e-9, 1e-12
_WORDS = 160


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold.

    Attributes:
        check: files, key, task, trace, budget, judgement, design, duplicate, winner, verified,
            score, status, simulation or robust.
        where: the file, or the field in it.
    """

    check: str
    where: str
    found: str
    expected: str

    @property
    def text(self) -> str:
        return f"{self.check}: {self.where}: found {self.found}, expected {self.expected}"


def same(check: str, where: str, found: object, expected: object) -> Iterator[Finding]:
    if found != expected:
        yield Finding(check, where, short(found), short(expected))


def differences(
    check: str, where: str, found: Any, expected_data: Any, *, rtol: float = 0.0, expected: str = ""
) -> Iterator[Finding]:
    """One finding a leaf of two JSON values that differ."""
    atol = _JUDGE_ATOL if rtol else 0.0
    for path, one, two in apart(found, expected_data, rtol, atol):
        wanted = f"{short(two)} ({expected})" if expected else short(two)
        yield Finding(check, f"{where}{path}", short(one), wanted)


def apart(
    found: Any, expected: Any, rtol: float, atol: float, path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for name in {**expected, **found}:
            one, two = found.get(name, _ABSENT), expected.get(name, _ABSENT)
            yield from apart(one, two, rtol, atol, f"{path}.{name}")
    elif isinstance(found, Sequence) and isinstance(expected, Sequence) and _lists(found, expected):
        for k, (one, two) in enumerate(zip(found, expected, strict=True)):
            yield from apart(one, two, rtol, atol, f"{path}.{k}")
    elif _number(found) and _number(expected):
        if not math.isclose(found, expected, rel_tol=rtol, abs_tol=atol):
            yield path, found, expected
    elif found != expected:
        yield path, found, expected


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT = _Absent()


def _lists(one: Sequence[Any], two: Sequence[Any]) -> bool:
    return not isinstance(one, str) and not isinstance(two, str) and len(one) == len(two)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def short(value: object) -> str:
    """A value on one line; text from a file may hold anything, and is shown as its repr."""
    if isinstance(value, Exception):
        return " ".join(str(value).split())[:_WORDS]
    return (f"{value!r}" if not isinstance(value, str) or not value.isprintable() else value)[
        :_WORDS
    ]
