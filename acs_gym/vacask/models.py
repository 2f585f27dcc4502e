"""Model cards of a PDK as VACASK models. Pure.

Both simulators take the same parameter names; what differs is how a card is introduced and which
words only choose ngspice's code.
"""

from __future__ import annotations

import re

# VACASK's Verilog-A of BSIM4 4.8.3, made from the model's own source; level and version choose
# between ngspice's several copies of BSIM4 and mean nothing there.
_MODULES = {
    "nmos": ("sp_bsim4v8", "type=1"),
    "pmos": ("sp_bsim4v8", "type=-1"),
    "d": ("sp_diode", ""),
}
_CHOOSE_CODE = ("level", "version")
_CARD = re.compile(r"\.model\s+(\S+)\s+([a-z]+)\s*\(?([^()]*)\)?\s*", re.IGNORECASE)


class NotTranslated(ValueError):
    """Something of a deck has no counterpart here; the message quotes it."""


def model_line(card: str) -> str:
    """One `.model NAME nmos|pmos|d name=value ...` as a VACASK model of the same name.

    Raises NotTranslated on another kind of model, or a parameter that is not a number.
    """
    match = _CARD.fullmatch(card.strip())
    if match is None or match[2].lower() not in _MODULES:
        raise NotTranslated(f"cannot translate the model {card[:60]!r}")
    module, polarity = _MODULES[match[2].lower()]
    chosen = [polarity] if polarity else []
    for word in re.sub(r"\s*=\s*", "=", match[3]).split():
        name, _, value = word.lower().partition("=")
        if name not in _CHOOSE_CODE:
            chosen.append(f"{name}={_number(value, word)}")
    return f"model '{match[1]}' {module} {' '.join(chosen)}"


def _number(value: str, word: str) -> str:
    try:
        float(value)
    except ValueError:
        raise NotTranslated(f"model parameter {word!r} is not a number") from None
    return value
