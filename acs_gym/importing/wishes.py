"""What the owner says of the sizes: marks in the netlist and options of the command, read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acs_gym.importing.text import Mark, refused
from acs_gym.importing.values import number

_SIZES = ("w", "l", "m", "r", "c", "i", "c_width", "c_length", "r_width", "r_length")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the owner says of a device's sizes: `size` with or without a range, or `fixed`."""

    device: str
    key: str
    fixed: bool
    low: float | None
    high: float | None
    where: str


def wishes(marks: Sequence[Mark], size: Sequence[str], fix: Sequence[str], file: str) -> list[Wish]:
    """From `*@ size M1.w 1u..50u` and `*@ fixed M3`, and from `--size M1.w=1u..50u` and `--fix M3`."""
    found: list[Wish] = []
    for mark in marks:
        where = f"{file}:{mark.line}"
        verb, *rest = (*mark.words, "")
        if verb.lower() == "size" and rest[0]:
            found.append(_wish(rest[0], " ".join(rest[1:]), where))
        elif verb.lower() in ("fixed", "fix") and rest[0]:
            found += [_wish(name, None, where) for name in rest if name]
        else:
            raise refused(
                where,
                f"cannot read '*@ {' '.join(mark.words)}'; write '*@ size M1.w 1u..50u' or '*@ fixed M3'",
            )
    for text in size:
        name, _, range_ = text.partition("=")
        found.append(_wish(name, range_, "--size"))
    found += [_wish(name, None, "--fix") for name in fix]
    return found


def _wish(name: str, range_: str | None, where: str) -> Wish:
    device, dot, key = name.lower().rpartition(".")
    if not dot or key not in _SIZES:
        device, key = name.lower(), ""
    if range_ is None:
        return Wish(device, key, True, None, None, where)
    text = range_.strip()
    if not text:
        return Wish(device, key, False, None, None, where)
    low, dots, high = text.partition("..")
    ends = [number(end.strip()) for end in (low, high)]
    if not dots or ends[0] is None or ends[1] is None or not 0 < ends[0] < ends[1]:
        raise refused(
            where, f"cannot read the range {text!r}; write for example 1u..50u, in SI units"
        )
    return Wish(device, key, False, ends[0], ends[1], where)
