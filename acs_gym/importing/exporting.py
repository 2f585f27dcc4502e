"""A sizing in the owner's own netlist: the same file and units, other numbers, nothing else changed.

Works on the text and on `import.json` alone, which say what each word is worth.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from acs_gym.circuit import CircuitError
from acs_gym.importing.devices import diffusions
from acs_gym.importing.folder import MAP, ORIGINAL
from acs_gym.importing.sizing import written
from acs_gym.importing.text import Field, physical_lines
from acs_gym.wording import did_you_mean, first_problem


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Word(_Record):
    """A word of the owner's file; `scale` is the parameter's SI value where the word says 1."""

    text: str
    at: tuple[tuple[int, int, int], ...]
    scale: float

    @property
    def field(self) -> Field:
        return Field(self.text, tuple((line - 1, first, last) for line, first, last in self.at))


class Sized(_Record):
    """A parameter: its devices, as `M1.w` -> factor, and where its numbers stand."""

    unit: str
    value: float
    devices: dict[str, float]
    words: tuple[Word, ...]


class Follower(Word):
    """An area, perimeter or count of squares that follows the width of a device."""

    device: str
    what: str
    parameter: str
    factor: float
    nf: int
    strip: float


class WayBack(_Record):
    """`import.json`."""

    version: Literal[1]
    file: str
    original: str
    sha256: str
    parameters: dict[str, Sized]
    follow: tuple[Follower, ...]


def read_way_back(folder: Path) -> tuple[WayBack, bytes]:
    """(the map, the owner's file). Raises CircuitError for a folder that `acs-gym import` did not write,
    or whose copy of the file was changed."""
    path = folder / MAP
    try:
        way = WayBack.model_validate_json(path.read_bytes())
    except OSError:
        raise CircuitError(
            f"{folder} has no {MAP}: it was not written by acs-gym import, so there is no netlist to put "
            "numbers back into"
        ) from None
    except ValidationError as error:
        raise CircuitError(f"{path}: {first_problem(error)}; import the netlist again") from None
    try:
        raw = (folder / ORIGINAL).read_bytes()
    except OSError as error:
        raise CircuitError(
            f"{folder / ORIGINAL}, the owner's file, cannot be read: {error.strerror}; import the "
            "netlist again"
        ) from None
    if hashlib.sha256(raw).hexdigest() != way.sha256:
        raise CircuitError(
            f"{folder / ORIGINAL} is not the file that {MAP} is about; import the netlist again"
        )
    return way, raw


def exported(way: WayBack, raw: bytes, design: Mapping[str, float]) -> bytes:
    """The owner's file with the numbers of `design` (SI); parameters that it leaves out stay.

    Raises CircuitError for a parameter that the netlist has not.
    """
    values = _checked(way, design)
    said: dict[Field, set[str]] = defaultdict(set)
    for name, value in values.items():
        for word in way.parameters[name].words:
            said[word.field].add(written(word.field, value / word.scale))
    for word in way.follow:
        if word.parameter in values:
            usual = diffusions(values[word.parameter] * word.factor, word.nf, word.strip)
            said[word.field].add(written(word.field, usual[word.what] / word.scale))
    encoding = "utf-8"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        encoding = "latin-1"
        text = raw.decode(encoding)
    lines = list(physical_lines(text))
    replaced: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for field, new in said.items():
        _check_place(field, lines)
        if len(new) > 1:
            continue  # An area that several instances share, of different widths: no number is right.
        pieces = [*new] + [""] * (len(field.pieces) - 1)
        for (line, first, last), piece in zip(field.pieces, pieces, strict=True):
            replaced[line].append((first, last, piece))
    for number, changes in replaced.items():
        line_text = lines[number]
        for first, last, piece in sorted(changes, reverse=True):
            line_text = line_text[:first] + piece + line_text[last:]
        lines[number] = line_text
    return "".join(lines).encode(encoding)


def _check_place(field: Field, lines: list[str]) -> None:
    """Raises CircuitError where the word does not stand where the map has it."""
    inside = all(0 <= line < len(lines) for line, _, _ in field.pieces)
    there = [lines[line][first:last] for line, first, last in field.pieces] if inside else []
    if not field.pieces or " ".join(there) != field.text:
        raise CircuitError(
            f"{MAP}: {field.text[:40]!r} does not stand where it says; import the netlist again"
        )


def _checked(way: WayBack, design: Mapping[str, float]) -> dict[str, float]:
    for name in design:
        if name not in way.parameters:
            near = did_you_mean(name, way.parameters)
            known = ", ".join(way.parameters)
            raise CircuitError(f"no parameter {name!r} in {MAP}; {near}there is: {known}")
    # What is as it was stays as it was written, whatever its digits.
    return {n: v for n, v in design.items() if abs(v - way.parameters[n].value) > 1e-9 * abs(v)}


def as_csv(way: WayBack, design: Mapping[str, float]) -> str:
    """A row for each number that a designer would type in: device, size, value before and after (SI)."""
    _checked(way, design)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("parameter", "device", "size", "unit", "was", "is"))
    for name, sized in way.parameters.items():
        new = design.get(name, sized.value)
        for device, factor in sized.devices.items():
            instance, _, size = device.rpartition(".")
            table.writerow(
                (
                    name,
                    instance,
                    size,
                    sized.unit,
                    *(f"{factor * x:.9g}" for x in (sized.value, new)),
                )
            )
    return out.getvalue()
