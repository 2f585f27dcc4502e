"""Names to PDKs."""

from __future__ import annotations

import difflib
from functools import cache

from acs_gym.pdks.base import NEUTRAL, Pdk, PdkNotFound, Signature

_NAMES = ("sky130", "generic", "gf180mcu")


def pdk_names() -> tuple[str, ...]:
    return _NAMES


@cache
def get_pdk(name: str) -> Pdk:
    """The PDK called `name`. Raises PdkNotFound naming the known ones."""
    if name == "sky130":
        from acs_gym.pdks.sky130 import Sky130

        return Sky130()
    if name == "generic":
        from acs_gym.pdks.generic import Generic

        return Generic()
    if name == "gf180mcu":
        from acs_gym.pdks.gf180mcu import Gf180mcu

        return Gf180mcu()
    close = difflib.get_close_matches(name, _NAMES, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise PdkNotFound(f"no PDK called {name!r}; {hint}PDKs: {', '.join(_NAMES)}")


@cache
def signatures() -> dict[str, Signature]:
    """What an X line may name: neutral devices, and those of every PDK."""
    found = dict(NEUTRAL)
    for name in pdk_names():
        found |= get_pdk(name).signatures
    return found
