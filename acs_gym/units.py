"""Engineering notation at the edges: SI floats inside, `12.5 MHz` where a person reads or types.

Knows nothing of circuits. Suffixes are SI prefixes plus SPICE's `meg`; like SPICE, parsing ignores
a unit after the suffix (`12um`, `1.5pF`), but unlike SPICE it is case sensitive in exactly one
place: `M` is mega and `m` is milli, because `10MHz` read as 10 mHz is never what a person meant.
What `format_si` prints reads back.
"""

from __future__ import annotations

import math
import re

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
    if math.isinf(value):
        return f"{'+' if value > 0 else '-'}inf {unit}".rstrip()
    if unit == "m^2":
        return f"{value * 1e12:.{digits}g} um²"
    if unit == "V/s":  # Slew rates are quoted per microsecond everywhere in the field.
        return f"{value * 1e-6:.{digits}g} V/us"
    if unit in _UNSCALED or value == 0:
        return f"{value:.{digits}g} {unit}".rstrip()
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits}g}"))))
    index = min(max(exponent // 3 + 5, 0), len(_STEPS) - 1)
    scaled = value / 10.0 ** (3 * (index - 5))
    return f"{scaled:.{digits}g} {_STEPS[index]}{unit}".rstrip()
