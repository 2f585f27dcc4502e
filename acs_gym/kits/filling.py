"""The places of a kit's texts, and what is put there. Knows neither kits nor folders.

<noise_low>             a value as it was given
<noise_low:e>           as a formula has it: 5n is 5e-9
<noise_low:number>      as a number; a text with one is a number as a whole
<v_step:g>, <spot:si Hz>    in words; also of a formula of values and conditions
<ports:vss=0>, <dut>, <nodeset>, <lines>    in a bench: the circuit's instance, what is added
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from acs_gym.expressions import Expression, ExpressionError
from acs_gym.units import format_si, parse

_PLACE = re.compile(r"<([A-Za-z0-9_*/+.-]+)(?::([^<>]*))?>")
_CHOICE = re.compile(r"\s*;\s*(with|without) (\w+)\s*$")
_SUFFIX = re.compile(r"([+-]?[\d.]+)(meg|[fpnumkgt])", re.I)
_EXPONENT = {"f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "k": 3, "meg": 6, "g": 9, "t": 12}


def lines_for(bench: str, analyses: set[str]) -> Iterator[str]:
    """The lines of a bench that stand there when these analyses run in it."""
    for line in bench.splitlines():
        choice = _CHOICE.search(line)
        if choice is None or (choice[2] in analyses) == (choice[1] == "with"):
            yield _CHOICE.sub("", line)


@dataclass(frozen=True, slots=True)
class Filling:
    """What goes into places: `values` by name, texts or lists; `conditions` for formulas, in SI units."""

    values: Mapping[str, Any]
    conditions: Mapping[str, float]

    def line(self, text: str, connected: Mapping[str, str], dut: str, nodeset: str) -> str:
        """A line of a bench; `connected` are the circuit's ports and their nodes, in order."""

        def filled(place: re.Match[str]) -> str:
            if place[1] == "ports":
                of = dict(pair.split("=") for pair in (place[2] or "").split())
                return " ".join(of.get(node, node) for node in connected.values())
            return {"dut": dut, "nodeset": nodeset}.get(place[1]) or self._text(place)

        return _PLACE.sub(filled, text).rstrip()

    def entry(self, entry: Any) -> Any:
        """An entry of `kit.toml`: every text in it; one that is a list's place becomes the list."""
        if isinstance(entry, dict):
            return {k: self.entry(v) for k, v in entry.items()}
        if isinstance(entry, list):
            return [self.entry(v) for v in entry]
        if not isinstance(entry, str):
            return entry
        whole = _PLACE.fullmatch(entry)
        if whole and isinstance(found := self.values.get(whole[1]), list):
            return found
        text = _PLACE.sub(self._text, entry).strip()
        if any(place[2] == "number" for place in _PLACE.finditer(entry)):
            with suppress(ValueError):
                return float(text)
        return text

    def _text(self, place: re.Match[str]) -> str:
        name, form = place[1], place[2]
        value = self.values.get(name)
        if form is None:
            return "" if value is None else str(value)
        try:
            if form == "e":
                return _with_exponent(str(value))
            if form == "number":
                return repr(parse(str(value)))
            number = parse(str(value)) if value is not None else self._computed(name)
        except (ValueError, ExpressionError):
            return str(value)
        return f"{number:g}" if form == "g" else format_si(number, form.removeprefix("si "))

    def _computed(self, formula: str) -> float:
        numbers: dict[str, float] = dict(self.conditions)
        for name, value in self.values.items():
            with suppress(ValueError, TypeError, AttributeError):
                numbers[name] = parse(value)
        return float(Expression(formula)(numbers))


def _with_exponent(text: str) -> str:
    """A SPICE number as formulas have it: `5n` as `5e-9`."""
    number = _SUFFIX.fullmatch(text)
    return text if number is None else f"{number[1]}e{_EXPONENT[number[2].lower()]}"
