"""A gm/Id table out of ngspice: all lengths side by side, over gate, drain and bulk voltage.

The transistors share drain, source and bulk, whose voltages are set before each simulation. A sweep of
the gate gives BSIM4's own currents, conductances and intrinsic gate capacitance. Its `cgg` leaves the
overlaps out, which are near half of the gate of a shortest transistor: they are what an AC analysis
finds beyond it at some gate voltages, each on a transistor of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass

import numpy as np

from acs_gym.evaluation import Status
from acs_gym.expressions import Expression
from acs_gym.gmid.table import Array, GmIdTable
from acs_gym.pdks.base import Device, Pdk, PdkError
from acs_gym.pdks.registry import get_pdk
from acs_gym.simulation.deck import OPTIONS
from acs_gym.simulation.netlist import Primitive
from acs_gym.simulation.placement import Placed
from acs_gym.simulation.pool import Job, Simulator
from acs_gym.simulation.program import Analysis, Deck, Program, Setting, Transistor
from acs_gym.simulation.readout import Waveforms
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.wording import did_you_mean

WIDTH = 5e-6
_SHORTEST, _LONGEST = 0.15e-6, 10e-6
# Of a piece: widest ratio of its ends, and lengths in it.
_WIDEST, _IN_PIECE = 2.0, 4
# A length that near to the edge of a bin is on it (see `base.Bin`); beyond is the next card's.
_BESIDE_EDGE = 1.1e-9
_GATE_STEP, _LEAST_VDS = 0.05, 0.1
_VDS, _VSB, _CHARGED_GATES = 20, 6, 10
_FREQUENCY = 1e6
_TOP, _POINT, _CHARGING = "gmid", "point", "charging"
_FLOWS = ("id", "gm", "gds")
_READ = (*_FLOWS, "cgg", "vth", "vdsat")
_LEAST = 1e-18  # Currents and conductances of an off device may be 0, which has no logarithm.


@dataclass(frozen=True, slots=True)
class Grid:
    """Where a table is measured, rising; m and V.

    `l` is in pieces of equally many lengths. Cards need not meet at the edge of a bin, so no piece
    reaches over one.
    """

    l: tuple[tuple[float, ...], ...]  # noqa: E741
    vsb: tuple[float, ...]
    vds: tuple[float, ...]
    vgs: tuple[float, ...]


def fets(pdk: Pdk, corner: str = "tt") -> tuple[str, ...]:
    """The transistors of a PDK that have tables. Raises PdkNotFound, PdkError."""
    devices = pdk.devices(corner)
    own = [name for name, s in pdk.signatures.items() if s.is_fet]
    return tuple(name for name in dict.fromkeys(("nfet", "pfet", *own)) if name in devices)


def usual_grid(pdk: Pdk, kind: str, device: Device, w: float) -> Grid:
    """From the shortest length to 10 um, up to the voltage that the device is rated for."""
    highest = pdk.rated(kind)
    # Closer where a transistor leaves saturation, and where the body effect is strongest.
    drains = _LEAST_VDS + (highest - _LEAST_VDS) * np.linspace(0.0, 1.0, _VDS) ** 1.5
    bulks = 0.5 * highest * np.linspace(0.0, 1.0, _VSB) ** 1.5
    gates = np.arange(0.0, highest + 0.5 * _GATE_STEP, _GATE_STEP)
    return Grid(
        l=_pieces(device, w),
        vsb=tuple(map(float, bulks)),
        vds=tuple(map(float, drains)),
        vgs=tuple(map(float, gates)),
    )


def _pieces(device: Device, w: float) -> tuple[tuple[float, ...], ...]:
    """Lengths, piece by piece; raises NoCard with the widths that there are."""
    held = [b for b in device.bins if b.wmin <= w <= b.wmax]
    if not held:
        device.model(w, _SHORTEST)
    ends = {e for b in held for e in (b.lmin, b.lmax) if _SHORTEST < e < _LONGEST}
    least = max(_SHORTEST, min(b.lmin for b in held))
    most = min(_LONGEST, max(b.lmax for b in held))
    edges = sorted({least, most, *(e for e in ends if least < e < most)})
    found = []
    for low, high in itertools.pairwise(edges):
        card = device.model(w, math.sqrt(low * high))
        first = low if device.model(w, low) == card else low + _BESIDE_EDGE
        last = high if device.model(w, high) == card else high - _BESIDE_EDGE
        count = max(1, math.ceil(math.log(last / first) / math.log(_WIDEST) - 0.1))
        cuts = np.geomspace(first, last, count + 1)
        for a, b in itertools.pairwise(cuts):
            found.append(tuple(float(v) for v in np.geomspace(a, b, _IN_PIECE)))
    return tuple(found)


def measure(
    pdk_name: str,
    kind: str,
    corner: str,
    temperature: float = 27.0,
    w: float = WIDTH,
    grid: Grid | None = None,
    simulator: Simulator | None = None,
) -> GmIdTable:
    """One table: a simulation for each pair of drain and bulk voltage, charged to nobody.

    Raises PdkNotFound, PdkError (no such device, or ngspice found no solution), SimulatorNotFound.
    """
    pdk = get_pdk(pdk_name)
    device = _device(pdk, kind, corner)
    chosen = grid or usual_grid(pdk, kind, device, w)
    program = _program(kind, device, w, chosen)
    jobs = [
        Job(
            program,
            {"vds": vds, "vsb": vsb},
            waveforms=True,
            conditions={"temperature": temperature},
        )
        for vsb in chosen.vsb
        for vds in chosen.vds
    ]
    slices = []
    for job, outcome in zip(jobs, simulate_uncharged(jobs, simulator), strict=True):
        if outcome.status is not Status.OK:
            raise PdkError(
                f"{pdk_name}: {kind} at vds = {job.design['vds']:g} V and vsb = {job.design['vsb']:g} V "
                f"could not be measured: {outcome.message}"
            )
        slices.append(_slice(outcome.waveforms, chosen))
    shape = (len(chosen.vsb), len(chosen.vds), *np.shape(chosen.l), *slices[0].shape[1:])
    values = np.moveaxis(np.array(slices).reshape(shape), (2, 3), (0, 1))
    # What the file of a table holds, so that one just measured and one that was kept say the same.
    values = values.astype(np.float32).astype(np.float64)
    axes = {name: np.array(getattr(chosen, name)) for name in ("l", "vsb", "vds", "vgs")}
    return GmIdTable(pdk_name, kind, corner, temperature, w, **axes, values=values)


def _device(pdk: Pdk, kind: str, corner: str) -> Device:
    devices = pdk.devices(corner)
    if kind not in devices or not devices[kind].is_transistor:
        known = fets(pdk, corner)
        raise PdkError(
            f"{pdk.name} has no transistor {kind!r}; {did_you_mean(kind, known)}"
            f"transistors: {', '.join(known)}"
        )
    return devices[kind]


def _program(kind: str, device: Device, w: float, grid: Grid) -> Program:
    """Two netlists: a transistor of each length on one swept gate, and one of each length and some
    gate voltages whose own gate source charges it."""
    sign = -1.0 if _is_p_channel(device) else 1.0
    lengths = list(itertools.chain(*grid.l))
    last, step = grid.vgs[-1], grid.vgs[1] - grid.vgs[0]
    points = tuple(f"@m{k}[{q}]" for k in range(len(lengths)) for q in _READ)
    swept = Analysis(
        _POINT, "dc", f"dc vgs 0 {last!r} {step!r}", (), points, "v-sweep", last - step / 2
    )
    sweep = _deck(
        _POINT, kind, device, w, sign, [(length, "swept") for length in lengths],
        ("vgs gate 0 dc 0", f"eg swept 0 gate 0 {sign!r}"), swept,
    )  # fmt: skip
    each = list(itertools.product(lengths, _charged_gates(grid)))
    charges = tuple(f"i(vg{k})" for k in range(len(each)))
    ac = f"ac lin 1 {_FREQUENCY!r} {_FREQUENCY!r}"
    charged = Analysis(_CHARGING, "ac", ac, ("vac",), charges, "frequency", _FREQUENCY / 2)
    gates = [f"vg{k} g{k} ac {sign * float(vgs)!r}" for k, (_, vgs) in enumerate(each)]
    charging = _deck(
        _CHARGING, kind, device, w, sign, [(each[k][0], f"g{k}") for k in range(len(each))],
        ("vac ac 0 dc 0", *gates), charged,
    )  # fmt: skip
    decks = (sweep, charging)
    decides = ([d.template for d in decks], sorted(device.cards.items()))
    digest = hashlib.sha256(repr(decides).encode()).hexdigest()
    conditions = {"temperature": 27.0}
    return Program(_TOP, ("vds", "vsb"), conditions, decks, (), (), Expression("0"), digest)


def _charged_gates(grid: Grid) -> Array:
    return np.linspace(grid.vgs[0], grid.vgs[-1], _CHARGED_GATES)


def _deck(
    name: str,
    kind: str,
    device: Device,
    w: float,
    sign: float,
    wanted: list[tuple[float, str]],
    sources: tuple[str, ...],
    analysis: Analysis,
) -> Deck:
    """Transistor k is `mk`, of the k-th length with the k-th gate node."""
    lines: list[str] = []
    transistors: list[Transistor] = []
    for k, (l, gate) in enumerate(wanted):  # noqa: E741
        sizes = {"w": Expression(repr(w)), "l": Expression(repr(l))}
        placed = Placed(Primitive(str(k), kind, ("d", gate, "0", "b"), sizes), device, _TOP, 0, {})
        assert placed.transistor is not None
        transistors.append(placed.transistor)
        lines += placed.lines
    return Deck(
        name,
        (
            f"gm/Id of {kind}", *lines, *sources, "vd d 0 dc 0", "vb b 0 dc 0",
            # What is not saved makes every vector that is read a longer search.
            *(f".save {vector}" for vector in analysis.vectors), f".options {OPTIONS}", ".end",
        ),
        models=device.cards,
        shared=(),
        transistors=tuple(transistors),
        draws=(),
        settings=(
            Setting("vd[dc]", (Expression(f"{sign!r}*vds"),)),
            Setting("vb[dc]", (Expression(f"{-sign!r}*vsb"),)),
        ),
        excitable=analysis.excite,
        analyses=(analysis,),
    )  # fmt: skip


def _is_p_channel(device: Device) -> bool:
    """By its card, `.model NAME pmos ...`."""
    return next(iter(device.cards.values())).split()[2].lower() == "pmos"


def _slice(waveforms: Waveforms, grid: Grid) -> Array:
    """(length, gate voltage, quantity) of one simulation, as a table holds them."""
    from scipy.interpolate import CubicSpline

    point, charging = waveforms[_POINT], waveforms[_CHARGING]
    lengths, count = np.size(grid.l), len(grid.vgs)
    read = {q: np.array([point[f"@m{k}[{q}]"].real[:count] for k in range(lengths)]) for q in _READ}
    intrinsic = np.abs(read["cgg"])
    gates = _charged_gates(grid)
    current = np.array([charging[f"i(vg{k})"][0].imag for k in range(lengths * len(gates))])
    whole = np.abs(current).reshape(lengths, -1) / (2 * math.pi * _FREQUENCY)
    overlap = whole - CubicSpline(grid.vgs, intrinsic, axis=1)(gates)
    charge = intrinsic + CubicSpline(gates, overlap, axis=1)(grid.vgs)
    flows = [np.log(np.maximum(np.abs(f), _LEAST)) for f in (*(read[q] for q in _FLOWS), charge)]
    return np.stack([*flows, np.abs(read["vth"]), read["vdsat"]], axis=-1)
