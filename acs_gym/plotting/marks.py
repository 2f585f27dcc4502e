"""How a panel looks: its curves, every metric marked where it was read, its value above the axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import EngFormatter, LogLocator, MultipleLocator, NullFormatter
from numpy.typing import NDArray

from acs_gym.plotting.curves import (
    decibels,
    magnitude_label,
    magnitude_range,
    phase_degrees,
    phase_range,
    sweep_unit,
)
from acs_gym.plotting.panels import Panel, Picture, Trace
from acs_gym.simulation.program import Metric

# Okabe and Ito's colours, told apart by everyone: signals, met, missed, target, band.
SIGNALS = ("#0072B2", "#CC79A7", "#56B4E9", "#882255")
GREEN, RED, GREY, BAND = "#009E73", "#D55E00", "#555555", "#E69F00"
_LONGEST_LABEL = 26


def draw_panel(figure: Figure, place: SubplotSpec, picture: Picture, panel: Panel) -> None:
    """One panel into its place in the figure."""
    if panel.kind == "bode":
        halves = place.subgridspec(2, 1, hspace=0.05)
        top = figure.add_subplot(halves[0])
        bottom = figure.add_subplot(halves[1], sharex=top)
        _draw_magnitude(top, picture, panel)
        _draw_phase(bottom, picture, panel.traces[0])
        top.tick_params(labelbottom=False)
    else:
        top = figure.add_subplot(place)
        draw = {"response": _draw_magnitude, "noise": _draw_noise}.get(panel.kind, _draw_curves)
        draw(top, picture, panel)
    _write_notes(top, picture, panel)


def colour(picture: Picture, metric: Metric) -> str:
    """Green when the metric by itself meets its spec, red when not, grey without a spec."""
    met = picture.met(metric)
    return GREY if met is None else GREEN if met else RED


# --- over frequency -----------------------------------------------------------------------------


def _draw_magnitude(axes: Axes, picture: Picture, panel: Panel) -> None:
    trace = panel.traces[0]
    db = decibels(trace)
    axes.semilogx(trace.x, db, color=SIGNALS[0], lw=2)
    axes.axhline(0.0, color=GREY, lw=0.8)
    axes.set_ylabel(magnitude_label(panel))
    _frequency_axis(axes, trace.x)
    axes.set_ylim(*magnitude_range(db))
    for metric in trace.measured_by("magnitude_db", "rejection_db"):
        sign = -1.0 if metric.measure == "rejection_db" else 1.0
        _target(axes.axhline, picture, metric, factor=sign)
        axes.plot(trace.x[:1], db[:1], "o", color=colour(picture, metric), clip_on=False, zorder=5)
    for metric in trace.measured_by("unity_crossing"):
        _target(axes.axvline, picture, metric)
        if math.isfinite(value := picture.value(metric)):
            axes.axvline(value, color=colour(picture, metric), lw=1.2)
            axes.plot([value], [0.0], "o", color=colour(picture, metric), zorder=5)


def _draw_phase(axes: Axes, picture: Picture, trace: Trace) -> None:
    phase = phase_degrees(trace)
    axes.semilogx(trace.x, phase, color=SIGNALS[0], lw=2)
    axes.axhline(-180.0, color=GREY, lw=0.8)
    axes.set_ylabel("phase (°)")
    _frequency_axis(axes, trace.x)
    low, high = phase_range(phase)
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(MultipleLocator(45.0 if low > -235.0 else 90.0))
    crossings = [picture.value(m) for m in trace.measured_by("unity_crossing")]
    at = next((v for v in crossings if math.isfinite(v)), math.nan)
    for metric in trace.measured_by("phase_margin"):
        _target(axes.axhline, picture, metric, offset=-180.0)
        value, ink = picture.value(metric), colour(picture, metric)
        if math.isfinite(value) and math.isfinite(at):
            axes.axvline(at, color=ink, lw=1.2)
            arrow = {"arrowstyle": "<->", "color": ink, "lw": 2.5, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (at, value - 180.0), (at, -180.0), arrowprops=arrow)


def _draw_noise(axes: Axes, picture: Picture, panel: Panel) -> None:
    trace = panel.traces[0]
    density = np.abs(trace.y)
    axes.loglog(trace.x, density, color=SIGNALS[0], lw=2)
    axes.set_ylabel("noise density")
    _frequency_axis(axes, trace.x)
    axes.yaxis.set_major_formatter(EngFormatter("V/√Hz", sep=" "))
    axes.yaxis.set_minor_formatter(NullFormatter())
    floor = float(density.min()) / 2.0
    axes.set_ylim(floor, float(density.max()) * 2.0)
    for metric in trace.measured_by("integrated_noise"):
        low, high = picture.option(metric, "low"), picture.option(metric, "high")
        inside = (trace.x >= low * 0.999) & (trace.x <= high * 1.001)
        axes.fill_between(trace.x[inside], floor, density[inside], color=BAND, alpha=0.35, lw=0)
    for metric in trace.measured_by("density_at"):
        ink = colour(picture, metric)
        axes.plot([picture.option(metric, "at")], [picture.value(metric)], "o", color=ink)


# --- over time or a swept source ----------------------------------------------------------------


def _draw_curves(axes: Axes, picture: Picture, panel: Panel) -> None:
    for k, trace in enumerate(panel.traces):
        ink = SIGNALS[k % len(SIGNALS)]
        axes.plot(trace.x, np.real(trace.y), color=ink, lw=1.8, zorder=3, label=trace.text)
        for metric in trace.metrics:
            _MARKS.get(metric.measure, _no_mark)(axes, picture, metric, trace)
    first = panel.traces[0]
    if panel.analysis.kind in ("ac", "noise"):
        axes.set_xscale("log")
        _frequency_axis(axes, first.x)
    else:
        axes.set_xlim(float(first.x[0]), float(first.x[-1]))
        axes.xaxis.set_major_formatter(EngFormatter(sweep_unit(panel.analysis), sep=" "))
    axes.yaxis.set_major_formatter(EngFormatter(first.unit, sep=" "))
    axes.margins(y=0.12)
    axes.grid(alpha=0.3)
    if len(panel.traces) == 1 and len(first.text) <= _LONGEST_LABEL:
        axes.set_ylabel(first.text)
    else:
        axes.legend(loc="best", fontsize=8)


def _mark_settling(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    """The band an edge must stay in, when it does, and when it must at the latest."""
    start, stop = picture.option(metric, "start"), picture.option(metric, "stop")
    final, initial = picture.option(metric, "final"), picture.option(metric, "initial")
    half = picture.option(metric, "tolerance") * abs(final - initial)
    axes.fill_between([start, stop], final - half, final + half, color=BAND, alpha=0.55, lw=0)
    spec, value = picture.spec(metric), picture.value(metric)
    ink, ends = colour(picture, metric), sorted((initial, final))
    if spec is not None and start + spec.target <= stop:
        axes.plot([start + spec.target] * 2, ends, color=GREY, lw=1.2, ls="--")
    if math.isfinite(value):
        axes.plot([start + value] * 2, ends, color=ink, lw=1.2)
        axes.plot([start + value], [final], "o", color=ink, zorder=5)


def _mark_slope(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    """The part of the edge whose slope counts, drawn broad."""
    x, y = _window(picture, metric, trace)
    if x.size < 3:
        return
    with np.errstate(all="ignore"):
        progress = (y - y[0]) / (y[-1] - y[0])
    inside = progress >= picture.option(metric, "low", 0.2)
    inside &= progress <= picture.option(metric, "high", 0.8)
    last = int(np.argmax(progress > picture.option(metric, "high", 0.8)))
    inside[last:] = False
    axes.plot(x[inside], y[inside], color=colour(picture, metric), lw=5, alpha=0.5, zorder=2)


def _mark_extreme(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    x, y = _window(picture, metric, trace)
    if x.size:
        lowest = metric.measure == "minimum"
        if metric.measure == "overshoot":
            lowest = picture.option(metric, "final") < picture.option(metric, "initial")
        k = int(y.argmin() if lowest else y.argmax())
        _dot(axes, picture, metric, float(x[k]), float(y[k]))


def _mark_mean(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    ends = [picture.option(metric, "start"), picture.option(metric, "stop")]
    ink = colour(picture, metric)
    axes.plot(ends, [picture.value(metric)] * 2, color=ink, lw=1.6, ls="-.", zorder=4)


def _mark_crossing(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    level = picture.option(metric, "level")
    axes.axhline(level, color=GREY, lw=0.8, ls=":")
    _dot(axes, picture, metric, picture.value(metric), level)


def _mark_at(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    _dot(axes, picture, metric, picture.option(metric, "point"), picture.value(metric))


def _mark_last(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    _dot(axes, picture, metric, float(trace.x[-1]), picture.value(metric))


def _mark_span(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    """The tolerance band, filled where the signal is within it around the point."""
    point, half = picture.option(metric, "point"), picture.option(metric, "tolerance")
    for level in (-half, half):
        axes.axhline(level, color=GREY, lw=0.8, ls=":")
    outside = trace.x[np.abs(np.real(trace.y)) > half]
    low = max((v for v in outside if v < point), default=trace.x[0])
    high = min((v for v in outside if v > point), default=trace.x[-1])
    if math.isfinite(picture.value(metric)):
        axes.fill_between([low, high], -half, half, color=BAND, alpha=0.35, lw=0)
    # The signal leaves the band for good at its ends, by far more than the band is high.
    axes.set_ylim(-4.0 * half, 4.0 * half)


def _no_mark(axes: Axes, picture: Picture, metric: Metric, trace: Trace) -> None:
    """A measure that reads more than one place has its value above the axes and no mark."""


_MARKS: Mapping[str, Callable[[Axes, Picture, Metric, Trace], None]] = {
    "settling_time": _mark_settling,
    "slew_rate": _mark_slope,
    "minimum": _mark_extreme,
    "maximum": _mark_extreme,
    "overshoot": _mark_extreme,
    "mean": _mark_mean,
    "crossing": _mark_crossing,
    "at": _mark_at,
    "value": _mark_last,
    "span_within": _mark_span,
}


# --- strokes ------------------------------------------------------------------------------------


def _write_notes(axes: Axes, picture: Picture, panel: Panel) -> None:
    """The metrics in two columns above the axes, where no curve ever is."""
    metrics = panel.metrics
    rows = (len(metrics) + 1) // 2
    for k, metric in enumerate(metrics):
        row, column = divmod(k, 2)
        axes.annotate(
            picture.note(metric), (0.5 * column, 1.0), (0, 4 + 12 * (rows - 1 - row)),
            xycoords="axes fraction", textcoords="offset points",
            color=colour(picture, metric), fontsize=9,
        )  # fmt: skip
    axes.set_title(panel.analysis.name, loc="left", fontsize=10, pad=6 + 12 * rows)


def _window(
    picture: Picture, metric: Metric, trace: Trace
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    start = picture.option(metric, "start", -math.inf)
    inside = (trace.x >= start) & (trace.x <= picture.option(metric, "stop", math.inf))
    return trace.x[inside], np.real(trace.y)[inside]


def _dot(axes: Axes, picture: Picture, metric: Metric, x: float, y: float) -> None:
    if math.isfinite(x) and math.isfinite(y):
        axes.plot([x], [y], "o", color=colour(picture, metric), zorder=5)


def _target(
    line: Callable[..., object],
    picture: Picture,
    metric: Metric,
    factor: float = 1.0,
    offset: float = 0.0,
) -> None:
    """The spec's target as a dashed line, where there is one."""
    spec = picture.spec(metric)
    if spec is not None:
        line(factor * spec.target + offset, color=GREY, lw=1.2, ls="--")


def _frequency_axis(axes: Axes, x: NDArray[np.float64]) -> None:
    axes.set_xlim(float(x[0]), float(x[-1]))
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_major_formatter(EngFormatter("Hz", sep=" "))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
