"""What a model wrote, as designs of a task: any text in, designs inside the space or a complaint out.

An answer is JSON, in a code fence or bare, with prose around it or not: a list of designs, one design,
or one or several under a name. Where a reply holds more than one, the last counts, since models
draft before they answer; single designs in a row count together. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acs_gym.design import Design, InvalidDesign
from acs_gym.task import Task
from acs_gym.tools.reading import read_design, read_json, readings_of

_FENCE = re.compile(r"```\w*\s*(.*?)(?:```|\Z)", re.DOTALL)
_OPENING = re.compile(r"[\[{]")
# Brackets of prose that are tried in vain before a text is given up.
_MOST_STARTS = 200
_MOST_DESIGNS = 64
_MOST_PROBLEMS = 5
_LONGEST_COMPLAINT = 2000
_NESTED = ("parameters", "design")
_QUOTED = 'write engineering notation in quotes: "20u"'

Key = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Proposals:
    """Designs of an answer.

    Attributes:
        designs: canonical, new and distinct; may be fewer than asked for.
        complaint: what was wrong with the answer, for the model; never empty without designs.
        readings: what in them was taken otherwise than it was written, in words.
    """

    designs: tuple[Design, ...] = ()
    complaint: str = ""
    readings: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        return bool(self.designs)


def read_proposals(
    task: Task, text: str, wanted: int, known: Collection[Key] = frozenset()
) -> Proposals:
    """The designs that a text proposes, and what is wrong with the others.

    Args:
        wanted: the most designs to take, >= 1.
        known: `space.key` of designs that must not come again.
    """
    values, why = find_json(text)
    if not values:
        return Proposals(complaint=why)
    candidates = _designs_of(values)
    if not candidates:
        return Proposals(complaint="the JSON holds no design")
    designs: dict[Key, Design] = {}
    problems: list[str] = []
    readings: list[str] = []
    for number, candidate in enumerate(candidates[:_MOST_DESIGNS], start=1):
        where = f"design {number} of {len(candidates)}"
        try:
            design = read_design(task, candidate)
        except InvalidDesign as error:
            problems.append(f"{where}: {error}")
            continue
        key = task.space.key(design)
        if key in known:
            problems.append(f"{where} was simulated before; propose another")
        elif key in designs:
            problems.append(f"{where} repeats an earlier one of the answer")
        else:
            designs[key] = design
            readings += (f"{where}: {said}" for said in readings_of(task, candidate))
    taken = list(designs.values())[:wanted]
    if len(designs) > wanted:
        problems.append(f"only {wanted} of your {len(designs)} designs could be simulated")
    return Proposals(tuple(taken), join_problems(problems), tuple(readings))


def find_json(text: str) -> tuple[list[Any], str]:
    """The JSON objects, and lists that hold objects, of a text, in order; and why there are none.

    Those in code fences, or where these hold none, those anywhere.
    """
    problems: list[str] = []
    values: list[Any] = []
    for match in _FENCE.finditer(text):
        values += _scan(match[1], problems)
    values = values or _scan(text, problems)
    if values:
        return values, ""
    if not problems:
        return [], "it holds no JSON object or list"
    return [], f"its JSON cannot be read: {plain(problems[0])}; {_QUOTED}"


def join_problems(problems: Sequence[str]) -> str:
    """Problems as one sentence, the first few of many."""
    shown = list(problems[:_MOST_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return plain("; ".join(shown))[:_LONGEST_COMPLAINT]


def plain(text: str) -> str:
    """Without lone surrogates, which a reply may hold and no request can."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _scan(text: str, problems: list[str]) -> list[Any]:
    """The values that start at some bracket of the text. Adds what failed to `problems`."""
    decoder = json.JSONDecoder()
    values: list[Any] = []
    position = failures = 0
    while failures < _MOST_STARTS and (opening := _OPENING.search(text, position)):
        start = opening.start()
        try:
            _, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            problems.append(f"{error.msg} at {text[error.pos : error.pos + 30]!r}")
            position, failures = start + 1, failures + 1
            continue
        except (ValueError, RecursionError):  # A number or a nesting beyond all measure.
            problems.append("it is nested too deeply or holds a number that is too long")
            position, failures = start + 1, failures + 1
            continue
        position = end
        value = read_json(text[start:end])
        if value is None:
            problems.append("a name stands twice in an object, or a number is NaN or infinite")
        elif isinstance(value, dict) or any(isinstance(v, dict) for v in value):
            values.append(value)
    return values


def _designs_of(values: Sequence[Any]) -> list[Any]:
    """The designs that the last value holds, or the single ones in a row that the last is one of."""
    row: list[Any] = []
    for value in reversed(values):
        several = _several(value)
        if several is None:
            row.insert(0, _bare(value))
        elif not row:
            return [_bare(v) for v in several]
        else:
            break
    return row


def _several(value: Any) -> list[Any] | None:
    """The elements of a list of designs, written in any of the usual ways; None for one design."""
    if isinstance(value, list):
        return value
    inside = value.get("designs")
    if isinstance(inside, list):
        return inside
    parts = inside if isinstance(inside, Mapping) else value
    if len(parts) > 1 and all(isinstance(v, Mapping) for v in parts.values()):
        return list(parts.values())
    return [inside] if isinstance(inside, Mapping) else None


def _bare(value: Any) -> Any:
    """A design without what some models write around it, as its rows in a prompt have."""
    if isinstance(value, Mapping):
        for name in _NESTED:
            if isinstance(value.get(name), Mapping):
                return value[name]
    return value
