"""Engineering notation at the edges: SI floats inside, `12.5 MHz` where a person reads or types.

Knows nothing of circuits. Suffixes are SI prefixes plus SPICE's `meg`; like SPICE, parsing ignores
a unit after the suffix (`12um`, `1.5pF`), but unlike SPICE it is case sensitive in exactly one
place: `M` is mega and `m` is milli, because `10MHz` read as 10 mHz is never what a person meant.
What `format_si` prints reads back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_PREFIX = {
    "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3,
    "": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "meg": 1e6, "G": 1e9, "g": 1e9, "T": 1e12,
}  # fmt: skip
_UNIT = r"(?:m|s|A|V|W|F|H|Hz|S|J|Ohm|ohm|Ω|V/s)?"
# Units that `format_si` prints without a prefix, and the power of ten by which each differs from SI.
_PLAIN = {
    "dB": 0, "°": 0, "%": 0, "ppm/°C": 0, "V/V": 0, "V/us": 6, "um²": -12, "V/µs": 6, "µm²": -12
}  # fmt: skip
_NUMBER = re.compile(
    r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*"
    rf"(?:({'|'.join(map(re.escape, _PLAIN))})|(meg|[fpnuµμmkKMGgT]?){_UNIT})\s*"
)
_STEPS = ("f", "p", "n", "u", "m", "", "k", "M", "G", "T")
_UNSCALED = {"", "dB", "°", "%", "ppm/°C", "V/V"}


def parse(text: str) -> float:
    """The SI value of `12u`, `1.5 pF`, `10MHz`, `2e-6`; ValueError says what is allowed.

    A lone `m` after the number is the prefix milli, as in SPICE, never the unit metre. What
    `format_si` prints of a finite value reads back: `12 V/us` is 12e6 and `550 um²` is 550e-12;
    decibels, degrees and per cent stay what they are (`61.2 dB` is 61.2).
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(
            f"cannot read {text!r} as a number; write for example 12u, 1.5p, 10k, 20M or 2e-6"
        )
    number, plain, prefix = match.groups()
    # Through decimal text, so that "12u" is the same float as the literal 12e-6.
    mantissa, _, exponent = number.lower().partition("e")
    shift = _PLAIN[plain] if plain else round(math.log10(_PREFIX[prefix]))
    return float(f"{mantissa}e{int(exponent or 0) + shift}")


def format_si(value: float | None, unit: str = "", digits: int = 4) -> str:
    """`12.5 MHz` for (12.5e6, "Hz"); `-` where there is no value (None, NaN).

    Units that are already logarithmic or relative (dB, °, %) get no prefix. Areas (`m^2`) are
    given in µm², the unit a layout is measured in.
    """
    if value is None or math.isnan(value):
        return "-"
    power, label = _scale(value, unit, digits)
    return f"{_number(value, power, digits)} {label}".rstrip()


@dataclass(frozen=True, slots=True)
class ColumnScale:
    """How the numbers of a column are written below each other, with one unit over them all.

    Attributes:
        unit: over the column, prefix included; empty for none.
        power: of ten, that is taken out of every number.
        decimals: that every number of ordinary size has.
        digits: that numbers too large for that have.
    """

    unit: str
    power: int
    decimals: int
    digits: int

    def text(self, value: float) -> str:
        """`12.50`, with the column's decimals; `-` where there is no value."""
        if math.isnan(value):
            return "-"
        if not math.isfinite(value):
            return _number(value, self.power, self.digits)
        scaled = _scaled(value, self.power)
        if 0 < abs(scaled) <= 0.5 * 10.0**-self.decimals:  # Would read as nothing at all.
            return f"{scaled:.1g}"
        return f"{scaled:.{self.decimals}f}" if abs(scaled) < 1e5 else f"{scaled:.{self.digits}g}"

    def short(self, value: float) -> str:
        """`12.5`: a number that stands by itself, in the column's unit."""
        return _number(value, self.power, 4)


def column_scale(values: Sequence[float], unit: str = "", digits: int = 3) -> ColumnScale:
    """The scale that suits the middle value by magnitude, which then has so many digits."""
    sizes = sorted(abs(v) for v in values if v and math.isfinite(v))
    middle = sizes[len(sizes) // 2] if sizes else 0.0
    power, label = _scale(middle, unit, digits)
    size = float(_number(middle, power, digits))
    whole = math.floor(math.log10(size)) + 1 if size else 1
    return ColumnScale(label, power, min(max(digits - whole, 0), digits), digits)


def _number(value: float, power: int, digits: int) -> str:
    if math.isinf(value):
        return "+inf" if value > 0 else "-inf"
    return f"{_scaled(value, power):.{digits}g}"


def _scaled(value: float, power: int) -> float:
    # By whichever power of ten is a whole number, and so exact.
    return value * 10.0**-power if power < 0 else value / 10.0**power


def _scale(value: float, unit: str, digits: int) -> tuple[int, str]:
    """The power of ten to take out of a value like this one, and how the unit then reads."""
    if unit == "m^2":
        return -12, "um²"
    if unit == "V/s":  # Slew rates are quoted per microsecond everywhere in the field.
        return 6, "V/us"
    if unit in _UNSCALED or value == 0 or math.isinf(value):
        return 0, unit
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits}g}"))))
    index = min(max(exponent // 3 + 5, 0), len(_STEPS) - 1)
    return 3 * (index - 5), f"{_STEPS[index]}{unit}"
