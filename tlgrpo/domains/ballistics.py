"""A domain that is no circuit: aim a throw at a target behind a wall.

An action chooses angle and speed; what is observed is by how much the throw misses and clears.
Gravity and the target are the problem's. Closed form, so it costs nothing; it shows that training
is tied to no simulator, and how little a domain has to be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tlgrpo.domain import Problem, Reaction, Split, State
from tlgrpo.domains.levels import (
    from_level,
    level_words,
    nudge,
    read_assignments,
    signed_level,
    to_level,
    write_assignments,
)

_LEVELS, _SIGNED = 32, 12
_NAMES = ("angle", "speed")
_SEEDS = {"train": 1, "held-out": 2}


class Ballistics:
    """See the module."""

    name = "ballistics"

    def problem(self, seed: int, split: Split) -> Problem:
        rng = np.random.default_rng((_SEEDS[split], seed))
        distance, height, near = (int(k) for k in rng.integers(_LEVELS, size=3))
        key = f"{split} {distance} {height} {near}"
        return Problem(key, f"target at{distance} wall at{height} at{near} :")

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        return [self._throw(state.problem, text) for state, text in tries]

    def grammar(self) -> tuple[str, ...]:
        signed = tuple(f"{k:+d}" for k in range(-_SIGNED, _SIGNED + 1))
        words = ("target", "wall", ":", "miss", "clear", "bad", *_NAMES)
        return (*words, *level_words("at", _LEVELS), *level_words("=", _LEVELS), *signed)

    def random_action(self, problem: Problem, rng: np.random.Generator) -> str:
        return write_assignments({n: int(rng.integers(_LEVELS)) for n in _NAMES})

    def vary(self, problem: Problem, action: str, rng: np.random.Generator) -> str:
        levels = read_assignments(action, _NAMES, _LEVELS) or {}
        return write_assignments({n: nudge(k, _LEVELS, rng, step=0.1) for n, k in levels.items()})

    def _throw(self, problem: Problem, text: str) -> Reaction:
        levels = read_assignments(text, _NAMES, _LEVELS)
        if levels is None:
            return Reaction(0.0, False, "bad :", valid=False)
        distance, height, near = (
            from_level(int(word.removeprefix("at")), _LEVELS)
            for word in problem.prompt.split()
            if word.startswith("at")
        )
        target = 10.0 + 40.0 * distance
        wall, place = 8.0 * height, target * (0.2 + 0.6 * near)
        angle = math.radians(10.0 + 70.0 * from_level(levels["angle"], _LEVELS))
        speed = 8.0 + 24.0 * from_level(levels["speed"], _LEVELS)
        slope, curve = math.tan(angle), 9.81 / (2.0 * (speed * math.cos(angle)) ** 2)
        miss = slope / curve - target  # Where it lands, less where it should.
        over = slope * place - curve * place**2 - wall
        missed = max(0.0, abs(miss) - 1.5) / target
        hit = max(0.0, -over) / 8.0
        solved = missed == 0.0 and hit == 0.0
        score = 1.0 if solved else 0.5 / (1.0 + 4.0 * missed) + 0.5 / (1.0 + 4.0 * hit)
        observed = (
            f"miss {signed_level(miss / target, 0.4, _SIGNED):+d} "
            f"clear {signed_level(over / 8.0, 0.4, _SIGNED):+d} :"
        )
        return Reaction(min(score, 1.0 if solved else 0.999), solved, observed)


def level_of(value: float, low: float, high: float) -> int:
    """The level of a quantity between two bounds; for those who want to aim by hand."""
    return to_level((value - low) / (high - low), _LEVELS)
