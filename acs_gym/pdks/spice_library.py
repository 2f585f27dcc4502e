"""Text of a distributed SPICE library as records: parameters, subcircuits, model cards.

No more of the language than the libraries of open PDKs use. Everything is in lower case, as SPICE is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# A value in braces or quotes, or a bare word.
_ASSIGNMENT = re.compile(r"([a-z_]\w*)\s*=\s*(\{[^}]*\}|'[^']*'|\"[^\"]*\"|[^\s=]+)")
_COMMENT = re.compile(r"(;|\s\$\s).*$")


@dataclass(frozen=True, slots=True)
class Card:
    """A model card: its type (`nmos`, `r`, `npn` ...) and its parameters as text."""

    name: str
    kind: str
    values: Mapping[str, str]


@dataclass(slots=True)
class Subckt:
    """A subcircuit: ports, parameters (defaults and `.param` lines, as text), elements, cards."""

    name: str
    ports: tuple[str, ...]
    parameters: dict[str, str] = field(default_factory=dict)
    elements: list[str] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)


@dataclass(slots=True)
class Library:
    """What stands in some files, one after the other; a later definition wins."""

    parameters: dict[str, str] = field(default_factory=dict)
    subckts: dict[str, Subckt] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=dict)

    def read(self, lines: Iterable[str]) -> None:
        """Take in the logical lines of a file."""
        inside: Subckt | None = None
        for line in lines:
            word = line.split(maxsplit=1)[0]
            if word == ".subckt":
                words, values = split_line(line)
                inside = Subckt(words[1], tuple(words[2:]), values)
            elif word == ".ends" and inside is not None:
                self.subckts[inside.name] = inside
                inside = None
            elif word == ".param":
                (self if inside is None else inside).parameters.update(split_line(line)[1])
            elif word == ".model":
                words, values = split_line(line)
                card = Card(words[1], words[2], values)
                if inside is None:
                    self.cards[card.name] = card
                else:
                    inside.cards.append(card)
            elif word[0].isalpha() and inside is not None:
                inside.elements.append(line)


def logical_lines(text: str) -> list[str]:
    """Lines in lower case with continuations joined; neither comments nor empty lines."""
    joined: list[list[str]] = []
    for raw in text.lower().splitlines():
        line = _COMMENT.sub("", raw).strip()
        if not line or line.startswith("*"):
            continue
        if line.startswith("+") and joined:
            joined[-1].append(line[1:])
        else:
            joined.append([line])
    return [" ".join(parts) for parts in joined]


def split_line(line: str) -> tuple[list[str], dict[str, str]]:
    """(plain words, assignments) of a line; values without their braces or quotes."""
    values = {name: value.strip("{}'\"") for name, value in _ASSIGNMENT.findall(line)}
    return _ASSIGNMENT.sub(" ", line).split(), values
