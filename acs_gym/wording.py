"""How errors are worded: the name that was meant, and what is wrong with data from outside."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

# What is longer than any name, and may come from anybody, is not compared in full.
_LONGEST = 80


def closest(given: object, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant; None when none is near."""
    found = difflib.get_close_matches(str(given)[:_LONGEST], list(known), n=1)
    return found[0] if found else None


def did_you_mean(given: object, known: Iterable[str], form: str = "did you mean {}? ") -> str:
    """A question with the name that was most likely meant in the place of `{}`; empty for none."""
    name = closest(given, known)
    return "" if name is None else form.format(name)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field; as text, in a line.

    Attributes:
        place: the field, with dots between its parts.
        kind: as pydantic names it (`missing`, `extra_forbidden`, ...).
    """

    place: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


def first_problem(error: ValidationError, whole: str = "") -> FieldProblem:
    """The first thing that pydantic found wrong; `whole` is the place of what is wrong as a whole."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return FieldProblem(".".join(map(str, first["loc"])) or whole, first["type"], first["msg"])
