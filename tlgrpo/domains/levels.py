"""Numbers as words: a bounded quantity as one of a few levels, for policies with a vocabulary of
their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def level_words(prefix: str, count: int) -> tuple[str, ...]:
    """`=0`, `=1`, ...: the words of `count` levels."""
    return tuple(f"{prefix}{k}" for k in range(count))


def to_level(unit: float, count: int) -> int:
    """The level of a number in [0, 1]."""
    return min(count - 1, max(0, int(unit * count)))


def from_level(level: int, count: int) -> float:
    """The middle of a level, in [0, 1]."""
    return (level + 0.5) / count


def signed_level(value: float, scale: float, count: int) -> int:
    """A level in -count..count of a signed number, finest at 0; NaN is -count.

    Zero and whatever is above it are told apart exactly: level 0 and up is >= 0.
    """
    if math.isnan(value):
        return -count
    size = count * (1.0 - math.exp(-abs(value) / scale))
    if value >= 0:
        return min(count, int(size))
    return -max(1, min(count, math.ceil(size)))


def read_assignments(
    text: str, names: Sequence[str], count: int, prefix: str = "="
) -> dict[str, int] | None:
    """`{"w": 12}` of `w =12 ...`: every name once, in any order, with a level; None for anything else."""
    words = text.split()
    if len(words) != 2 * len(names):
        return None
    found: dict[str, int] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        digits = value.removeprefix(prefix)
        if name not in names or name in found or not value.startswith(prefix):
            return None
        if not (digits.isascii() and digits.isdigit()) or int(digits) >= count:
            return None
        found[name] = int(digits)
    return found


def write_assignments(levels: dict[str, int], prefix: str = "=") -> str:
    return " ".join(f"{name} {prefix}{level}" for name, level in levels.items())


def nudge(level: int, count: int, rng: np.random.Generator, *, step: float) -> int:
    """A level near by."""
    return int(min(count - 1, max(0, round(level + rng.normal(0.0, step * count)))))
