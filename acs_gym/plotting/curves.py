"""A panel as plain numbers: curves, axes, reference lines and notes, for whoever draws it elsewhere.

`marks.py` draws the same numbers with matplotlib, and marks where each metric was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from acs_gym.plotting.panels import Panel, Picture, Trace
from acs_gym.simulation.program import Analysis

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line; `x` and `y` have shape (points,), in the units of the axes."""

    label: str
    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True)
class Line:
    """A straight reference line at a value of one axis; `spec` when it is the target of a spec."""

    axis: Literal["x", "y"]
    at: float
    spec: bool


@dataclass(frozen=True, slots=True)
class AxesCurves:
    """Curves that share two axes.

    Attributes:
        x_unit, y_unit: SI unit of the numbers; empty where they have none or the label says it.
        x_log, y_log: whether the axis is logarithmic (its numbers are then positive).
        y_range: what of the y axis is worth showing; None: all of it.
    """

    x_label: str
    x_unit: str
    x_log: bool
    y_label: str
    y_unit: str
    y_log: bool
    y_range: tuple[float, float] | None
    curves: tuple[Curve, ...]
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A metric read off the panel, as text; `met` is None where it has no spec."""

    text: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class PanelCurves:
    """A panel's name, its metrics, and one axes (two for a Bode plot: magnitude above phase)."""

    title: str
    notes: tuple[Note, ...]
    axes: tuple[AxesCurves, ...]


def panel_curves(picture: Picture, panel: Panel) -> PanelCurves:
    """The numbers of one panel. Pure."""
    match panel.kind:
        case "bode":
            axes: tuple[AxesCurves, ...] = (
                _magnitude(picture, panel),
                _phase(picture, panel.traces[0]),
            )
        case "response":
            axes = (_magnitude(picture, panel),)
        case "noise":
            axes = (_noise(panel.traces[0]),)
        case _:
            axes = (_signals(panel),)
    notes = tuple(Note(picture.note(m), picture.met(m)) for m in panel.metrics)
    return PanelCurves(panel.analysis.name, notes, axes)


# --- what is drawn of a trace -------------------------------------------------------------------


def decibels(trace: Trace) -> Floats:
    return _floats(20.0 * np.log10(np.maximum(np.abs(trace.y), 1e-12)))


def phase_degrees(trace: Trace) -> Floats:
    """Unwrapped along the sweep."""
    return _floats(np.degrees(np.unwrap(np.angle(trace.y))))


def magnitude_label(panel: Panel) -> str:
    loop = panel.kind == "bode" and panel.traces[0].measured_by("phase_margin")
    return "loop gain (dB)" if loop else "magnitude (dB)"


def magnitude_range(db: Floats) -> tuple[float, float]:
    low, high = float(db.min()), float(db.max())
    return max(low, high - 160.0) - 5.0, max(high, 0.0) + 8.0


def phase_range(phase: Floats) -> tuple[float, float]:
    # Beyond two more poles nothing matters any more; below -270° the margin would be squeezed.
    lowest = min(max(float(phase.min()), -300.0), -180.0)
    return lowest - 25.0, max(float(phase.max()), 0.0) + 15.0


def sweep_unit(analysis: Analysis) -> str:
    """The unit of what is swept: the frequency, the time, or the source of a dc analysis."""
    if analysis.kind in ("ac", "noise"):
        return "Hz"
    if analysis.kind == "tran":
        return "s"
    source = analysis.command.split()[1]
    return {"t": "°C", "i": "A"}.get(source[0].lower(), "V")


# --- axes ---------------------------------------------------------------------------------------


def _magnitude(picture: Picture, panel: Panel) -> AxesCurves:
    trace = panel.traces[0]
    db = decibels(trace)
    lines = [Line("y", 0.0, False)]
    for metric in trace.measured_by("magnitude_db", "rejection_db", "unity_crossing"):
        if (spec := picture.spec(metric)) is None:
            continue
        if metric.measure == "unity_crossing":
            lines.append(Line("x", spec.target, True))
        else:
            sign = -1.0 if metric.measure == "rejection_db" else 1.0
            lines.append(Line("y", sign * spec.target, True))
    return AxesCurves(
        "frequency", "Hz", True, magnitude_label(panel), "", False, magnitude_range(db),
        (Curve(trace.text, _floats(trace.x), db),), tuple(lines),
    )  # fmt: skip


def _phase(picture: Picture, trace: Trace) -> AxesCurves:
    phase = phase_degrees(trace)
    specs = (picture.spec(m) for m in trace.measured_by("phase_margin"))
    targets = [Line("y", spec.target - 180.0, True) for spec in specs if spec is not None]
    return AxesCurves(
        "frequency", "Hz", True, "phase (°)", "", False, phase_range(phase),
        (Curve(trace.text, _floats(trace.x), phase),), (Line("y", -180.0, False), *targets),
    )  # fmt: skip


def _noise(trace: Trace) -> AxesCurves:
    density = _floats(np.abs(trace.y))
    return AxesCurves(
        "frequency", "Hz", True, "noise density", "V/√Hz", True, None,
        (Curve(trace.text, _floats(trace.x), density),),
    )  # fmt: skip


def _signals(panel: Panel) -> AxesCurves:
    first = panel.traces[0]
    frequency = panel.analysis.kind in ("ac", "noise")
    label = "frequency" if frequency else "time" if panel.analysis.kind == "tran" else "sweep"
    return AxesCurves(
        label, sweep_unit(panel.analysis), frequency,
        first.text if len(panel.traces) == 1 else "", first.unit, False, None,
        tuple(Curve(t.text, _floats(t.x), _floats(np.real(t.y))) for t in panel.traces),
    )  # fmt: skip


def _floats(values: NDArray[Any]) -> Floats:
    return np.asarray(np.real(values), dtype=np.float64)
