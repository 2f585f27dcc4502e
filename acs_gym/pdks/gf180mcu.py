"""GF180MCU: the 3.3 V FETs of GlobalFoundries' open 180 nm models, resolved once per corner.

The library wraps each FET in a subcircuit that only adds a random threshold, and the only parameters
its cards leave open are the flicker noise coefficients. So the 16 cards a device are taken as they
stand, those coefficients become numbers, the library's mismatch becomes the instance attribute
`delvto` as a formula of the size and of our own seeded draw, and which card a size belongs to is
decided here, by ngspice's own rule (see `sky130.py` for why not by ngspice).

Corners: `ff`, `ss`, `fs` and `sf` are the library's sections of those names, `tt` is `typical`. The
first letter is the NMOS: `fs` has a fast NMOS and a slow PMOS, `sf` the reverse.

Source: `sm141064.ngspice` with the switches of `design.ngspice` (Apache-2.0), found through PDK_ROOT,
read at run time and never stored here. A library that no longer looks as expected is refused, not
approximated. Builds differ in two things that change nothing here: older ones declare the
multiplier m without handing it to the device (here m devices are always m devices), newer ones also
draw a mobility for each FET (here that factor is 1, mismatch or not).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acs_gym.expressions import Expression, ExpressionError
from acs_gym.pdks.base import (
    FET,
    FET_AREA,
    FET_ATTRIBUTES,
    IDEAL,
    Bin,
    Device,
    Part,
    PdkError,
    PdkNotFound,
    fet_defaults,
)
from acs_gym.pdks.resolved import ResolvedPdk, binned_card

LIBRARY = "sm141064.ngspice"
SWITCHES = "design.ngspice"
_VARIANTS = ("gf180mcuD", "gf180mcuC", "gf180mcuB", "gf180mcuA")  # Metal stacks; one set of FETs.
_FETS = {"nfet": ("nfet_03v3", "nmos"), "pfet": ("pfet_03v3", "pmos")}
_SECTIONS = {"tt": "typical", "ff": "ff", "ss": "ss", "sf": "sf", "fs": "fs"}

# No Monte Carlo: the distributed file leaves both on, unseeded. Mismatch is drawn by us.
_STATISTICS_OFF = {"sw_stat_global": 0.0, "sw_stat_mismatch": 0.0}
# What the subcircuits must say for a plain device to be the same thing: geometry handed through and
# a threshold shift behind a switch. The builds of 2025 add a multiplier and a mobility factor.
_THROUGH = ("w", "l", "as", "ad", "ps", "pd", "nrd", "nrs", "sa", "sb", "sd", "nf")
_SHIFT = {"delvto": "mis_vth*sw_stat_mismatch"}
_LAYOUTS = (
    {name: name for name in _THROUGH} | _SHIFT,
    {name: name for name in (*_THROUGH, "m")} | _SHIFT | {"mulu0": "1-mis_k*sw_stat_mismatch"},
)
_DEFAULTS = {"nrd": 0.0, "nrs": 0.0, "sa": 0.0, "sb": 0.0, "sd": 0.0, "nf": 1.0, "m": 1.0}
_DRAW = "agauss(0,var_vth,1)"  # Normal with standard deviation var_vth.


class Gf180mcu(ResolvedPdk):
    name = "gf180mcu"
    title = "GlobalFoundries 180MCU (3.3 V FETs)"
    licence = "Apache-2.0 (GlobalFoundries PDK Authors)"
    optional = True

    def folder(self) -> Path:
        return find_gf180mcu()

    def files(self) -> tuple[str, ...]:
        return SWITCHES, LIBRARY

    def kinds(self) -> tuple[str, ...]:
        return (*_FETS, "res", "cap", *IDEAL)

    def resolve(self, folder: Path, corner: str, kind: str) -> Device:
        if kind in IDEAL:
            return IDEAL[kind]
        return _PASSIVES[kind] if kind in _PASSIVES else _resolve(folder, corner, kind)


def find_gf180mcu() -> Path:
    """The folder of the ngspice models under PDK_ROOT. Raises PdkNotFound saying what to type.

    PDK_ROOT may be a ciel (or volare, open_pdks) root or one of its variants (`.../gf180mcuD`).
    """
    if root := os.environ.get("PDK_ROOT"):
        for variant in (*_VARIANTS, "."):
            folder = Path(root).expanduser() / variant / "libs.tech" / "ngspice"
            if (folder / LIBRARY).is_file():
                return folder
        found = f"PDK_ROOT is {root}, which holds no gf180mcuD/libs.tech/ngspice/{LIBRARY}"
    else:
        found = "PDK_ROOT is not set"
    raise PdkNotFound(
        f'gf180mcu is not on this machine: {found}; run "ciel enable --pdk-family gf180mcu VERSION" '
        "(pip install ciel) and set PDK_ROOT to its folder (~/.ciel), or use "
        'pdk="generic", which needs no download'
    )


_STRIP = 0.18e-6
_M = {"m": Expression("1")}
_PASSIVES: Mapping[str, Device] = {
    "res": Device(
        ("p", "n"),
        (Part("R", ("p", "n"), {"resistance": Expression("r/m")}),),
        Expression("r/300*0.35e-6**2*m"),
        _M,
    ),
    "cap": Device(
        ("p", "n"),
        (Part("C", ("p", "n"), {"capacitance": Expression("c*m")}),),
        Expression("c/2e-3*m"),
        _M,
    ),
}


def _resolve(folder: Path, corner: str, kind: str) -> Device:
    section = _Section.read(folder, _SECTIONS[corner])
    subckt, polarity = _FETS[kind]
    shift = _threshold_shift(subckt, section.subckts.get(subckt, ()))
    bins: list[Bin] = []
    cards: dict[str, str] = {}
    for bin_, card in _resolve_cards(kind, subckt, polarity, section):
        bins.append(bin_)
        cards[bin_.model] = card
    # nrd and nrs are the subcircuits' own 0: left out, BSIM4 would assume one square.
    attributes = {**FET_ATTRIBUTES, "nrd": _ZERO, "nrs": _ZERO, "delvto": shift}
    return Device(
        FET.nodes, (Part("M", FET.nodes, attributes),), FET_AREA, fet_defaults(_STRIP, _STRIP),
        ("z",), tuple(bins), cards=cards,
    )  # fmt: skip


_ZERO = Expression("0")


@dataclass(frozen=True, slots=True)
class _Section:
    """One corner of the library: subcircuits by name, model cards, parameters (text)."""

    subckts: Mapping[str, tuple[str, ...]]
    cards: tuple[str, ...]
    parameters: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path, name: str) -> _Section:
        library = _read(folder / LIBRARY)
        text = _cut(library, name)
        parts = re.findall(rf"^\s*\.lib\s+'{re.escape(LIBRARY)}'\s+(\w+)", text, re.M | re.I)
        lines = _logical_lines(_read(folder / SWITCHES))
        for body in (text, *(_cut(library, part) for part in parts)):
            lines += _logical_lines(body)
        subckts: dict[str, tuple[str, ...]] = {}
        outside: list[str] = []
        inside: list[str] | None = None
        for line in lines:
            word = line.split()[0]
            if word == ".subckt":
                inside = [line]
            elif word == ".ends" and inside is not None:
                subckts[inside[0].split()[1]] = tuple(inside)
                inside = None
            else:
                (outside if inside is None else inside).append(line)
        parameters: dict[str, str] = {}
        for line in outside:
            parameters |= _params(line)
        cards = tuple(line for line in outside if line.startswith(".model"))
        return cls(subckts, cards, parameters)

    def number(self, name: str, asking: tuple[str, ...] = ()) -> float:
        """A parameter's value. Raises PdkError when it cannot be known."""
        if name in _STATISTICS_OFF:
            return _STATISTICS_OFF[name]
        text = self.parameters.get(name)
        if text is None or name in asking:
            raise PdkError(f"{LIBRARY}: cannot resolve {name}")
        try:
            # A comparison is worth 1 or 0 in ngspice; here it becomes that number.
            arithmetic = re.sub(
                r"\((\w+)\s*==\s*(\d+)\)",
                lambda m: repr(float(self.number(m[1], (*asking, name)) == float(m[2]))),
                text.strip("'"),
            )
            expression = Expression(arithmetic)
            scope = {n: self.number(n, (*asking, name)) for n in expression.names}
            return float(expression(scope))
        except ExpressionError as error:
            raise PdkError(f"{LIBRARY}: {name}: {error}") from None


def _cut(library: str, section: str) -> str:
    """The text of `.lib section` ... `.endl`."""
    match = re.search(
        rf"^\s*\.lib\s+{re.escape(section)}\s*$(.*?)^\s*\.endl\b", library, re.M | re.S | re.I
    )
    if match is None:
        raise PdkError(f"{LIBRARY} has no section {section}; this version is not supported")
    return match[1]


def _logical_lines(text: str) -> list[str]:
    """Lines in lower case with their continuations joined; neither comments nor empty lines."""
    joined: list[list[str]] = []
    for raw in text.lower().splitlines():
        line = raw.strip()
        if not line or line.startswith("*"):
            continue
        if line.startswith("+") and joined:
            joined[-1].append(line[1:])
        else:
            joined.append([line])
    return [" ".join(parts) for parts in joined]


def _params(line: str) -> dict[str, str]:
    """The assignments of a `.param` line; none on any other."""
    if not line.startswith(".param"):
        return {}
    return dict(re.findall(r"(\w+)\s*=\s*('[^']*'|\S+)", line))


def _threshold_shift(subckt: str, lines: tuple[str, ...]) -> Expression:
    """`delvto` of a device as a formula of w, l, m in SI units and the mismatch draw z.

    Refuses a subcircuit that is more than one device with a random threshold.
    """
    refused = PdkError(
        f"{LIBRARY}: subcircuit {subckt} does not look as expected; this GF180MCU version is not "
        "supported"
    )
    elements = [line for line in lines[1:] if not line.startswith(".param")]
    if len(elements) != 1:
        raise refused
    header, defaults = _words(lines[0])
    device, attributes = _words(elements[0])
    plain = device[0].startswith("m") and header[2:] == list("dgsb") == device[1:-1]
    defaults_hold = all(_is(defaults.get(key), value) for key, value in _DEFAULTS.items())
    if not (plain and device[-1] == subckt and defaults_hold and attributes in _LAYOUTS):
        raise refused
    parameters: dict[str, str] = {}
    for line in lines:
        parameters |= _params(line)
    if parameters.get("mis_vth") != _DRAW:
        raise refused
    # `par` is how many devices in parallel share the draw.
    scope = {"w": "w", "l": "l", "par": "m", "sqrt": "sqrt"}

    def known(match: re.Match[str]) -> str:
        if match[0] in scope:
            return scope[match[0]]
        if match[0] not in parameters:
            raise refused
        # Taken out, so that a parameter defined by itself is refused as well.
        scope[match[0]] = f"({spelled_out(parameters.pop(match[0]))})"
        return scope[match[0]]

    def spelled_out(text: str) -> str:
        return re.sub(r"\b[a-z_]\w*\b", known, text.strip("'"))

    return Expression(f"z*({spelled_out('var_vth')})")


def _words(line: str) -> tuple[list[str], dict[str, str]]:
    """(plain words, assignments) of a line, quotes around values removed."""
    words = re.sub(r"\s*=\s*", "=", line).split()
    pairs = dict(word.replace("'", "").split("=", 1) for word in words if "=" in word)
    return [word for word in words if "=" not in word], pairs


def _is(text: str | None, value: float) -> bool:
    try:
        return text is not None and float(text) == value
    except ValueError:
        return False


def _resolve_cards(
    kind: str, subckt: str, polarity: str, section: _Section
) -> list[tuple[Bin, str]]:
    """Each bin of a device and its card on one line, without its bin limits."""
    found: list[tuple[Bin, str]] = []
    for line in section.cards:
        words, values = _words(line)
        if words[1].rpartition(".")[0] != subckt:
            continue
        if words[2:] != [polarity] or values.get("level") != "54":
            raise PdkError(f"{LIBRARY}: model {words[1]} is not a BSIM4 {polarity} card")
        for key, text in values.items():
            try:
                float(text)
            except ValueError:
                values[key] = repr(section.number(text))
        try:
            found.append(binned_card(f"{kind}_{len(found) + 1}", polarity, values))
        except KeyError as missing:
            raise PdkError(f"{LIBRARY}: model {words[1]} has no {missing}") from None
    if not found:
        raise PdkError(f"{LIBRARY}: no model cards {subckt}.N; this version is not supported")
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PdkNotFound(
            f"gf180mcu: {path.name} cannot be read from {path.parent} ({error.strerror}); "
            "PDK_ROOT must be a complete ciel installation"
        ) from None
