"""What `res r=` is on a PDK of distributed subcircuits: a strip of poly, by its typical resistance."""

from __future__ import annotations

from acs_gym.expressions import Expression
from acs_gym.pdks.base import Device
from acs_gym.pdks.flatten import Flat


def resistance(nominal: Flat) -> Expression:
    """Ohm at 27 °C, without mismatch, of one strip: a formula over its size, w and l in m."""
    total = "+".join(
        f"({part.attributes['resistance'].text})*{warmth(nominal.cards[part.model])!r}"
        for part in nominal.parts
        if part.letter == "R"
    )
    still = {"m": Expression("1"), **{z: Expression("0") for z in nominal.draws}}
    return Expression(total).substitute(still)


def warmth(card: str) -> float:
    """How much more a part with this card has at 27 °C than at its card's own temperature."""
    values = {k: float(v) for k, _, v in (w.partition("=") for w in card.split()[3:])}
    warmer = 27.0 - values.get("tnom", 27.0)
    return 1.0 + values.get("tc1", 0.0) * warmer + values.get("tc2", 0.0) * warmer**2


def strip(flat: Flat, *, area: str, narrow: float, narrow_from: float, length: str) -> Device:
    """The device `res`, by its parameter `r` in ohm.

    Args:
        flat: The strip at the corner in question.
        area: m², a formula over w, l and m.
        narrow: its width, m, wherever it has `narrow_from` ohm or more; below, wider in proportion.
        length: m, a formula over w and r.
    """
    return Device(
        ("p", "n"),
        tuple(flat.parts),
        Expression(area),
        {
            "m": Expression("1"),
            "w": Expression(f"{narrow}*max(1,{narrow_from}/r)"),
            "l": Expression(length),
        },
        tuple(flat.draws),
        cards=flat.cards,
    )
