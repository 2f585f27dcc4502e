"""What each size does to each margin, as a table shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from acs_gym.sensitivity import NOTHING, Sensitivity

# Of each spec, so many sizes are pointed at.
_STRONGEST = 2


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step of a size does to one margin.

    Attributes:
        text: the change, `·` for none.
        sign: `up`, `down`, or `soft` for none; a class of the page.
        strong: one of the strongest of its spec.
    """

    text: str
    sign: str
    strong: bool


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One size, its step, and a cell for each spec."""

    name: str
    step: str
    cells: tuple[Effect, ...]


def effects(found: Sequence[Sensitivity]) -> list[EffectRow]:
    """A row a size, a cell a spec, in the order they are measured in."""
    strong = {
        metric: sorted(
            (abs(m) for s in found if not math.isnan(m := s.margins[metric])), reverse=True
        )[:_STRONGEST]
        for metric in found[0].margins
    }
    return [
        EffectRow(
            one.parameter,
            one.step,
            tuple(_effect(change, strong[metric]) for metric, change in one.margins.items()),
        )
        for one in found
    ]


def _effect(change: float, strong: Sequence[float]) -> Effect:
    matters = abs(change) >= NOTHING
    return Effect(
        text=signed(change) if matters or math.isnan(change) else "·",
        sign=("up" if change > 0 else "down") if matters else "soft",
        strong=matters and abs(change) in strong,
    )


def signed(value: float) -> str:
    """A margin, or a change of one."""
    return "–" if math.isnan(value) else f"{value:+.3f}"
