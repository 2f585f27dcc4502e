"""A designer's own sizing, from a file, as what a method starts from.

A sizing is a table of a value for each parameter, in SI units or with a unit's prefix (`"12u"`), in TOML
or JSON; or a JSON document that has one as its `design`, which `acs-gym simulate --json` prints, or as
the `design` of its `best`, which is the `result.json` of a leaderboard's cell.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm, qmc

from acs_gym.design import Design, DesignSpace, InvalidDesign
from acs_gym.units import parse

# Designs about the given one, by normal steps in the unit cube. A model that has seen where the
# specs give way is of use at once; a Sobol sequence over the whole range is not needed to find the place.
_BESIDE, _SIGMA = 5, 0.1


class InvalidStart(ValueError):
    """The file holds no sizing, or not one of this circuit; the message says what is wrong."""


def read_sizing(path: Path) -> dict[str, float]:
    """Parameter -> value. Raises InvalidStart naming what cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        data: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise InvalidStart(f"{path}: {error.strerror or error}") from None
    except ValueError as error:  # Of either format, and of bytes that are no text.
        raise InvalidStart(f"{path} is no TOML or JSON: {error}") from None
    for key in ("best", "design"):
        if isinstance(data, Mapping) and isinstance(data.get(key), Mapping):
            data = data[key]
    if not isinstance(data, Mapping) or not data:
        raise InvalidStart(f'{path} holds no sizing: write a line a parameter, w_pair = "12u"')
    return {str(name): _value(path, str(name), value) for name, value in data.items()}


def _value(path: Path, name: str, value: object) -> float:
    if isinstance(value, str):
        try:
            return parse(value)
        except ValueError as error:
            raise InvalidStart(f"{path}: {name}: {error}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidStart(f'{path}: {name} is no number; write {name} = "12u" or {name} = 12e-6')
    return float(value)


def start_designs(space: DesignSpace, sizing: Mapping[str, float], seed: int) -> list[Design]:
    """The sizing and a few designs about it, canonical: what a method asks for first.

    Raises InvalidStart where the sizing is of other parameters or out of range.
    """
    try:
        given = space.canonicalize(sizing)
    except InvalidDesign as error:
        raise InvalidStart(f"the sizing to start from: {error}") from None
    engine = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    normal = norm.ppf(np.clip(engine.random_base2(3)[:_BESIDE], 1e-9, 1 - 1e-9))
    beside = np.clip(space.to_unit(given) + _SIGMA * normal, 0.0, 1.0)
    return [given, *map(space.from_unit, beside)]
