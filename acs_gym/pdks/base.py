"""The protocol every PDK follows."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from acs_gym.expressions import Expression

CORNERS = ("tt", "ff", "ss", "sf", "fs")
PASSIVE_CORNERS = ("ll", "lh", "hl", "hh")
# ngspice takes a size within 1 nm of a bin edge to be on it.
_BIN_SLACK = 1e-9


class PdkError(RuntimeError):
    """Something is wrong with a PDK's files; the message says which file and what to do."""


class NoCard(PdkError):
    """A size that no model card is for; the message has both, and a guess where there is one."""


class PdkNotFound(PdkError):
    """The PDK's models are not on this machine; the message says what to type."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One model card and the sizes it is for, in m (both ends included, as ngspice has it)."""

    model: str
    lmin: float = 0.0
    lmax: float = math.inf
    wmin: float = 0.0
    wmax: float = math.inf

    def holds(self, w: float, l: float) -> bool:  # noqa: E741
        return (
            self.lmin - _BIN_SLACK <= l <= self.lmax + _BIN_SLACK
            and self.wmin - _BIN_SLACK <= w <= self.wmax + _BIN_SLACK
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One SPICE element of a device.

    Attributes:
        letter: the element letter (M, R, C, Q, D, B, V).
        nodes: of the device's nodes, by their names there; `0` is the substrate; any other name is
            a node inside the device.
        attributes: instance attribute -> formula over the device's parameters (SI units) and its
            draws. They are sent with `alter` before every simulation, so everything that depends
            on W and L beyond W and L themselves must be here. The first one of an R or a C is its
            value.
        label: tells the parts of a device apart; empty for the one that the device is named by.
        model: the model card; empty where there is none or where the size decides.
        own: card parameter -> formula, where mismatch moves the card itself (a BJT has no instance
            attribute for it): the element gets a copy of its card and `altermod` sets these.
        law: what stands after the nodes of a B source, inside nodes as `v(NAME)`.
    """

    letter: str
    nodes: tuple[str, ...]
    attributes: Mapping[str, Expression] = field(default_factory=dict)
    label: str = ""
    model: str = ""
    own: Mapping[str, Expression] = field(default_factory=dict)
    law: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """How an X line becomes SPICE elements.

    Attributes:
        nodes: the names of the X line's nodes, in its order.
        parts: its elements; the first is the one that operating points are read from.
        area: m², a formula over the parameters.
        defaults: what a parameter is where the X line does not say, a formula over those before it.
        draws: the standard normal draws of its mismatch, 0 in a nominal simulation.
        bins: the cards that the size chooses from, in the order of the library; empty for others.
        finger: width and length that choose the card.
        cards: model name -> card, one line each, all that the parts and bins may need.
    """

    nodes: tuple[str, ...]
    parts: tuple[Part, ...]
    area: Expression
    defaults: Mapping[str, Expression] = field(default_factory=dict)
    draws: tuple[str, ...] = ()
    bins: tuple[Bin, ...] = ()
    finger: tuple[Expression, Expression] = (Expression("w/nf"), Expression("l"))
    cards: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_transistor(self) -> bool:
        """A FET, whose operating point can be read and whose card its size decides."""
        return bool(self.bins)

    def model(self, w: float, l: float) -> str:  # noqa: E741
        """The card for a finger of that size: the first that holds it. Raises NoCard if none does."""
        for candidate in self.bins:
            if candidate.holds(w, l):
                return candidate.model
        lengths = f"{_um(min(b.lmin for b in self.bins))} to {_um(max(b.lmax for b in self.bins))}"
        widths = f"{_um(min(b.wmin for b in self.bins))} to {_um(max(b.wmax for b in self.bins))}"
        guess = "; sizes are in m: were microns meant?" if max(w, l) >= NO_SIZE else ""
        raise NoCard(
            f"no model card for w = {_um(w)}, l = {_um(l)}; cards are for fingers of w {widths} and "
            f"l {lengths}{guess}"
        )

    def parameters(self, given: Mapping[str, Expression]) -> dict[str, Expression]:
        """Every parameter: as given, else its default; what is constant is a number."""
        known = dict(given)
        for name, formula in self.defaults.items():
            if name not in known:
                meant = formula.substitute(known)
                known[name] = meant if meant.names else Expression(repr(float(meant({}))))
        return known

    def values(self, part: Part, given: Mapping[str, float]) -> dict[str, float]:
        """The part's attributes as numbers; draws that are not given are 0."""
        fixed = {name: Expression(repr(float(value))) for name, value in given.items()}
        scope = dict.fromkeys(self.draws, 0.0) | dict(given)
        scope |= {name: float(e(scope)) for name, e in self.parameters(fixed).items()}
        return {name: float(formula(scope)) for name, formula in part.attributes.items()}


# No device is so large: a size, or an area, of that many metres is a number in another unit.
NO_SIZE = 1e-3


def _um(size: float) -> str:
    return "any" if math.isinf(size) else f"{1e6 * size:.6g} um"


@dataclass(frozen=True, slots=True)
class Signature:
    """What an X line of a device says: its nodes in order and its parameters.

    `scales` are the factors to SI units of bare numbers on a line that is written in a PDK's own
    units, which the lines of some are (microns, mostly): told by a size of a millimetre and more.
    """

    nodes: tuple[str, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    scales: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_fet(self) -> bool:
        return self.nodes == _FET_NODES


# `nfet_01v8`, `nfet_g5v0d10v5`, `nfet_03v3`.
_RATED = re.compile(r"_g?(\d+)v(\d)")
_FET_NODES = ("d", "g", "s", "b")
FET = Signature(
    _FET_NODES,
    ("w", "l"),
    ("nf", "m", "ad", "as", "pd", "ps", "nrd", "nrs", "sa", "sb", "sd"),
)
# What circuits for any PDK are made of. `ibias` becomes its elements in `simulation/deck.py`.
NEUTRAL: Mapping[str, Signature] = {
    "nfet": FET,
    "pfet": FET,
    "res": Signature(("p", "n"), ("r",), ("m",)),
    "cap": Signature(("p", "n"), ("c",), ("m",)),
    "pnp": Signature(("c", "b", "e"), (), ("m",)),
    "ideal_res": Signature(("p", "n"), ("r",)),
    "ideal_cap": Signature(("p", "n"), ("c",)),
    "ibias": Signature(("p", "n"), ("i",)),
}
# The same on every PDK: no temperature, no corner, no mismatch, no area.
IDEAL: Mapping[str, Device] = {
    "ideal_res": Device(
        ("p", "n"), (Part("R", ("p", "n"), {"resistance": Expression("r")}),), Expression("0")
    ),
    "ideal_cap": Device(
        ("p", "n"), (Part("C", ("p", "n"), {"capacitance": Expression("c")}),), Expression("0")
    ),
}


def fet_defaults(strip: float, contact: float) -> dict[str, Expression]:
    """What schematic symbols compute for a FET of total width `w` folded into `nf` fingers.

    Inner strips of diffusion are shared by the fingers beside them, so folding saves capacitance:
    int((nf+1)/2) of the nf+1 strips are drains and int((nf+2)/2) sources.

    Args:
        strip: length (m) of a strip of diffusion, contacts included.
        contact: length (m) from contact to gate, which over w is a terminal's squares of sheet.
    """
    return {
        "nf": Expression("1"),
        "m": Expression("1"),
        "drains": Expression("int((nf+1)/2)"),
        "sources": Expression("int((nf+2)/2)"),
        "ad": Expression(f"drains*w/nf*{strip!r}"),
        "as_": Expression(f"sources*w/nf*{strip!r}"),
        "pd": Expression(f"2*drains*(w/nf+{strip!r})"),
        "ps": Expression(f"2*sources*(w/nf+{strip!r})"),
        "nrd": Expression(f"{contact!r}/w"),
        "nrs": Expression(f"{contact!r}/w"),
        "sa": Expression("0"),
        "sb": Expression("0"),
        "sd": Expression("0"),
    }


_PLAIN = ("w", "l", "m", "nf", "ad", "pd", "ps", "nrd", "nrs", "sa", "sb", "sd")
# BSIM4's instance parameters of a FET as parameters of the X line.
FET_ATTRIBUTES: Mapping[str, Expression] = {
    **{name: Expression(name) for name in _PLAIN},
    "as": Expression("as_"),  # `as` is a word of the language that formulas are evaluated in.
}
FET_AREA = Expression("w*l*m")


class Pdk(ABC):
    """A process design kit, reduced to what a simulation needs.

    Attributes:
        name: what `pdk=` and `--pdk` take; the name of its entry point.
        title: one line about what the models are.
        label: what a report calls it; says so when they are not a foundry's.
        licence: of the models, with whose they are.
        corners: the process corners it has; `pvt` wants these five.
        like: a PDK whose tables in a circuit's folder (supply, ranges, targets) hold for this one
            too, where the folder has none for it.
        supply: V, of its neutral transistors.
    """

    name: str
    title: str
    label: str
    licence: str
    corners: tuple[str, ...] = CORNERS
    like: str | None = None
    supply: float = 1.8

    #: The PDK's own device names, beside the neutral ones; known without its files.
    signatures: Mapping[str, Signature] = {}
    #: Corners of resistors and capacitors that it ships (see `split_corner`); empty: they have none.
    passive_corners: tuple[str, ...] = ()

    @abstractmethod
    def devices(self, corner: str) -> Mapping[str, Device]:
        """Neutral and own device names -> device, at a corner. Raises PdkNotFound, PdkError."""

    @abstractmethod
    def digest(self) -> str:
        """sha256 of the model data; part of every result's identity."""

    @abstractmethod
    def location(self) -> str:
        """Where the models are, for a person. Raises PdkNotFound saying what to type."""

    def install(self, wheel: Path | None = None) -> None:
        """Put the models on this machine, from a wheel that is at hand or by download.

        Here for a PDK that brings its models along, or whose `location` says how to get them.
        """
        if wheel is not None:
            raise PdkError(f"{self.name} is not installed from a wheel; leave out --wheel")
        self.location()

    def available(self) -> bool:
        try:
            self.location()
        except PdkNotFound:
            return False
        return True

    def rated(self, kind: str) -> float:
        """Most of what a transistor may see between gate or drain and source, V, by its name."""
        found = _RATED.search(kind)
        return float(f"{found[1]}.{found[2]}") if found else self.supply

    def check_corner(self, corner: str) -> tuple[str, str]:
        """(transistors' corner, passives' corner or empty). Raises PdkError for one it has not."""
        fets, passives = split_corner(corner)
        if fets not in self.corners or passives not in ("", *self.passive_corners):
            known = ", ".join((*self.corners, *self.passive_corners))
            raise PdkError(f"{self.name} has no corner {corner!r}; use one of: {known}")
        return fets, passives


def split_corner(corner: str) -> tuple[str, str]:
    """The corner of transistors and that of passives: `ss` is `("ss", "")`, `hl` is `("tt", "hl")`.

    Of passives the first letter is the resistors', the second the capacitors': h(igh), l(ow).
    """
    fets, _, passives = corner.partition("_")
    return ("tt", fets) if fets in PASSIVE_CORNERS and not passives else (fets, passives)
