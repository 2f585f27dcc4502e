"""A gm/Id table: a transistor over length, bulk, drain and gate voltage, and what is looked up in it.

Between the points of the grid everything is a polynomial: along bulk and drain through the four nearest,
along the length through those of its piece (a piece lies within one model card), along the gate a cubic
spline. Currents, conductances and capacitances are interpolated as logarithms,
since they span decades. All voltages are magnitudes, so that both polarities read alike.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acs_gym.units import format_si

Array = NDArray[np.float64]

# Of the last axis, in this order: natural logarithms of the first four.
QUANTITIES = ("id", "gm", "gds", "cgg", "vth", "vdsat")
_LOGARITHMS = 4
_NEAREST = 4


class OutOfTable(ValueError):
    """A value that a table does not reach; the message says how far it does."""


@dataclass(frozen=True, slots=True)
class Bias:
    """A saturated transistor of one micron and more, by the metre of its width; SI units.

    Attributes:
        gm_id: transconductance efficiency, 1/V; l: m; vds, vsb: V.
        vgs, vth, vdsat: V.
        id_per_w: A/m; gm_gds: intrinsic gain; ft: gm/(2 pi Cgg), Hz.
        cgg_per_w: F/m: of the whole gate, overlaps included.
    """

    gm_id: float
    l: float  # noqa: E741
    vds: float
    vsb: float
    vgs: float
    vth: float
    vdsat: float
    id_per_w: float
    gm_gds: float
    ft: float
    cgg_per_w: float


@dataclass(frozen=True, slots=True, eq=False)
class GmIdTable:
    """One transistor of a PDK at one corner and temperature.

    Attributes:
        pdk, device, corner: as in a task and on an X line; temperature: °C.
        w: m, of the one finger that was measured.
        l: m, rising, of shape (piece, length in it); vsb, vds, vgs: V, rising.
        values: of shape `(*l, vsb, vds, vgs, quantity)`; logarithms of id, gm, gds (A, S) and cgg (F),
            then vth and vdsat (V).
    """

    pdk: str
    device: str
    corner: str
    temperature: float
    w: float
    l: Array  # noqa: E741
    vsb: Array
    vds: Array
    vgs: Array
    values: Array

    def at(
        self,
        gm_id: float,
        l: float,  # noqa: E741
        vds: float | None = None,
        vsb: float = 0.0,
    ) -> Bias:
        """The transistor at a gm/Id (1/V), length (m), drain (half the highest if None) and bulk voltage.

        Raises OutOfTable.
        """
        (found,) = self.over([gm_id], l, vds, vsb)
        return found

    def over(
        self,
        gm_ids: list[float],
        l: float,  # noqa: E741
        vds: float | None = None,
        vsb: float = 0.0,
    ) -> list[Bias]:
        """The same at several gm/Id. Raises OutOfTable for the first that is not reached."""
        from scipy.interpolate import CubicSpline

        drain = self._usual_vds if vds is None else vds
        curve = self._curve(l, drain, vsb)
        efficiency = np.exp(curve[:, 1] - curve[:, 0])
        # Below its highest efficiency a transistor leaks; a gm/Id is reached above it.
        first = int(np.argmax(efficiency))
        best, least = float(efficiency[first]), float(efficiency[-1])
        gate, along = self.vgs[first:], CubicSpline(self.vgs, curve)
        reached = CubicSpline(gate, efficiency[first:])
        found = []
        for wanted in gm_ids:
            if not least <= wanted <= best:
                raise OutOfTable(
                    f"gm/Id of {self.device} with l = {format_si(l, 'm')}, vds = {drain:g} V and vsb = "
                    f"{vsb:g} V is {least:.3g} to {best:.3g} 1/V, got {wanted:g}"
                )
            roots = reached.solve(wanted, extrapolate=False)
            vgs = float(roots[-1]) if len(roots) else float(gate[0])
            found.append(self._bias(along(vgs), wanted, l, drain, vsb, vgs))
        return found

    def reach(
        self,
        l: float,  # noqa: E741
        vds: float | None = None,
        vsb: float = 0.0,
    ) -> tuple[float, float]:
        """The least and the highest gm/Id, 1/V, there. Raises OutOfTable."""
        curve = self._curve(l, self._usual_vds if vds is None else vds, vsb)
        efficiency = np.exp(curve[:, 1] - curve[:, 0])
        return float(efficiency[-1]), float(efficiency.max())

    def save(self, path: Path) -> None:
        """As an .npz file of plain arrays, whole or not at all."""
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                np.savez_compressed(
                    stream, identity=np.array([self.pdk, self.device, self.corner]),
                    measured=np.array([self.temperature, self.w]), l=self.l, vsb=self.vsb,
                    vds=self.vds, vgs=self.vgs, quantities=np.array(QUANTITIES),
                    values=self.values.astype(np.float32),
                )  # fmt: skip
            os.chmod(name, 0o644)  # mkstemp makes it private.
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path) -> GmIdTable:
        """What `save` wrote. Raises OSError, ValueError for a file that is none."""
        with np.load(path, allow_pickle=False) as data:
            try:
                pdk, device, corner = map(str, data["identity"])
                temperature, w = map(float, data["measured"])
                axes = {name: data[name] for name in ("l", "vsb", "vds", "vgs")}
                values = data["values"].astype(np.float64)
            except KeyError as missing:
                raise ValueError(f"{path} is no gm/Id table: {missing}") from None
        return cls(pdk, device, corner, temperature, w, **axes, values=values)

    @property
    def _usual_vds(self) -> float:
        return 0.5 * float(self.vds[-1])

    def _curve(self, l: float, vds: float, vsb: float) -> Array:  # noqa: E741
        """(gate voltages, quantities) at a length and two voltages."""
        self._check("l", l, "m")
        # Of the pieces around a length, the one that it is least beyond.
        beyond = np.maximum(self.l[:, 0] - l, l - self.l[:, -1])
        piece = int(np.argmin(beyond))
        values = _through(np.log(self.l[piece]), self.values[piece], math.log(l))
        for name, place in (("vsb", vsb), ("vds", vds)):
            self._check(name, place, "V")
            values = _between(getattr(self, name), values, place)
        return values

    def _check(self, name: str, value: float, unit: str) -> None:
        axis = getattr(self, name).ravel()
        # A digit's worth beyond the ends is no other place.
        slack = 1e-6 * axis[-1]
        if not axis[0] - slack <= value <= axis[-1] + slack:
            ends = " to ".join(format_si(float(end), unit, 4) for end in (axis[0], axis[-1]))
            raise OutOfTable(
                f"{name} of this table of {self.device} is {ends}, got {format_si(value, unit)}"
            )

    def _bias(
        self,
        row: Array,
        gm_id: float,
        l: float,  # noqa: E741
        vds: float,
        vsb: float,
        vgs: float,
    ) -> Bias:
        id_, gm, gds, cgg = (float(v) for v in np.exp(row[:_LOGARITHMS]))
        return Bias(
            gm_id=gm_id, l=l, vds=vds, vsb=vsb, vgs=vgs, vth=float(row[4]), vdsat=float(row[5]),
            id_per_w=id_ / self.w, gm_gds=gm / gds, ft=gm / (2 * math.pi * cgg), cgg_per_w=cgg / self.w,
        )  # fmt: skip


def _between(grid: Array, values: Array, place: float) -> Array:
    """`values` at a place of its first axis: the cubic through the nearest four points."""
    first = int(np.clip(np.searchsorted(grid, place) - _NEAREST // 2, 0, len(grid) - _NEAREST))
    nearest = slice(first, first + _NEAREST)
    return _through(grid[nearest], values[nearest], place)


def _through(grid: Array, values: Array, place: float) -> Array:
    from scipy.interpolate import BarycentricInterpolator

    return np.asarray(BarycentricInterpolator(grid, values)(place))
