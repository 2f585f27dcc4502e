"""The protocol every PDK follows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from acs_gym.expressions import Expression

CORNERS = ("tt", "ff", "ss", "sf", "fs")
# ngspice takes a size within 1 nm of a bin edge to be on it.
_BIN_SLACK = 1e-9


class PdkError(RuntimeError):
    """Something is wrong with a PDK's files; the message says which file and what to do."""


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
class Device:
    """How one primitive becomes a SPICE element.

    Attributes:
        letter: the element letter (M, R, C).
        bins: the model cards, in the order of the library; empty for a plain R or C.
        attributes: instance attribute -> formula over the primitive's parameters (SI units) and
            `z`, a standard normal draw for mismatch that is 0 in a nominal simulation. They
            are sent with `alter` before every simulation, so everything that depends on W and L
            beyond W and L themselves must be here.
        area: m², a formula over the same parameters.
    """

    letter: str
    bins: tuple[Bin, ...]
    attributes: Mapping[str, Expression]
    area: Expression

    def model(self, w: float, l: float) -> str:  # noqa: E741
        """The model card for a size: the first bin that holds it. Raises PdkError if none does."""
        for candidate in self.bins:
            if candidate.holds(w, l):
                return candidate.model
        raise PdkError(f"no model card for w = {w:.4g} m, l = {l:.4g} m")


# Source and drain of an unfolded device: a strip 0.29 um long beside the gate, contacts included, as
# schematic editors write it for SKY130. Without it a device has no junction capacitance at all.
_STRIP = "0.29e-6"
DIFFUSIONS: Mapping[str, Expression] = {
    "ad": Expression(f"w*{_STRIP}"),
    "as": Expression(f"w*{_STRIP}"),
    "pd": Expression(f"2*(w+{_STRIP})"),
    "ps": Expression(f"2*(w+{_STRIP})"),
}
# Linear passives, the same on every PDK; their areas are those of a 2 fF/um² MIM capacitor and a
# 0.35 um wide poly resistor of 300 Ohm per square.
PASSIVES: Mapping[str, Device] = {
    "cap": Device("C", (), {"capacitance": Expression("c")}, Expression("c/2e-3")),
    "res": Device("R", (), {"resistance": Expression("r")}, Expression("r/300*0.35e-6**2")),
}


class Pdk(ABC):
    """A process design kit, reduced to what a simulation needs."""

    name: str
    title: str
    licence: str
    #: Not bundled and not installable from here; its absence is nothing to mend.
    optional: bool = False

    @abstractmethod
    def models(self, corner: str) -> Mapping[str, str]:
        """Model name -> its card, one line each, at a corner. Raises PdkNotFound, PdkError."""

    @abstractmethod
    def devices(self, corner: str) -> Mapping[str, Device]:
        """Primitive kind -> device, at a corner. Raises PdkNotFound, PdkError."""

    @abstractmethod
    def digest(self) -> str:
        """sha256 of the model data; part of every result's identity."""

    @abstractmethod
    def location(self) -> str:
        """Where the models are, for a person. Raises PdkNotFound."""

    def available(self) -> bool:
        try:
            self.location()
        except PdkNotFound:
            return False
        return True

    def check_corner(self, corner: str) -> None:
        if corner not in CORNERS:
            raise PdkError(
                f"{self.name} has no corner {corner!r}; use one of: {', '.join(CORNERS)}"
            )
