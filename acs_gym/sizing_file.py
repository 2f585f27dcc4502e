"""A designer's own sizing, from a file.

A sizing is a table of a value for each parameter, in SI units or with a unit's prefix (`"12u"`), in TOML
or JSON; or a JSON document that has one as its `design`, which `acs-gym simulate --json` prints, or as
the `design` of its `best`, which is the `result.json` of a leaderboard's cell.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from acs_gym.design import InvalidDesign
from acs_gym.units import parse

# What `acs-gym size` and a cell of a leaderboard leave in their folders.
_SIZED, _RESULT = "sizing.toml", "result.json"


class InvalidSizing(InvalidDesign):
    """The file holds no sizing, or not one of this circuit; the message says what is wrong."""


def read_sizing(path: Path) -> dict[str, float]:
    """Parameter -> value. Raises InvalidSizing naming what cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        data: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise InvalidSizing(f"{path}: {error.strerror or error}") from None
    except ValueError as error:  # Of either format, and of bytes that are no text.
        raise InvalidSizing(f"{path} is no TOML or JSON: {error}") from None
    for key in ("best", "design"):
        if isinstance(data, Mapping) and isinstance(data.get(key), Mapping):
            data = data[key]
    if not isinstance(data, Mapping) or not data:
        raise InvalidSizing(f'{path} holds no sizing: write a line a parameter, w_pair = "12u"')
    return {str(name): _value(path, str(name), value) for name, value in data.items()}


def _value(path: Path, name: str, value: object) -> float:
    if isinstance(value, str):
        try:
            return parse(value)
        except ValueError as error:
            raise InvalidSizing(f"{path}: {name}: {error}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSizing(f'{path}: {name} is no number; write {name} = "12u" or {name} = 12e-6')
    return float(value)


def best_of_run(folder: Path, names: Collection[str]) -> dict[str, float]:
    """The best sizing of these parameters below a folder of `acs-gym size` or `acs-gym run`.

    Raises InvalidSizing where there is none.
    """
    sized = folder / _SIZED
    if sized.is_file() and set(found := read_sizing(sized)) == set(names):
        return found
    best: tuple[float, dict[str, float]] | None = None
    for path in sorted(folder.rglob(_RESULT)):
        try:
            score = float(json.loads(path.read_bytes())["best"]["score"])
            found = read_sizing(path)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # Of a cell that measured nothing, or no result of ours.
        if set(found) == set(names) and (best is None or score > best[0]):
            best = (score, found)
    if best is None:
        raise InvalidSizing(
            f"{folder} holds no sizing of {', '.join(names)}: neither {_SIZED} of acs-gym size nor a "
            f"{_RESULT} of acs-gym run"
        )
    return best[1]
