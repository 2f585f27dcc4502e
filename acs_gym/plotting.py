"""Pictures of one simulated sizing: loop gain, edges of a step, margins to every spec.

What is drawn follows from how a circuit measures its metrics, never from which circuit it is: a
metric measured by `unity_crossing` or `phase_margin` names the signal of a Bode plot, one measured
by `slew_rate` or `settling_time` that of a step response. Pure functions of (task, evaluation,
waveforms); no pyplot, so any thread may draw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MultipleLocator
from numpy.typing import NDArray

from acs_gym.evaluation import Evaluation, Status
from acs_gym.simulation.program import Metric
from acs_gym.simulation.readout import Waveforms
from acs_gym.specs import Spec
from acs_gym.task import Task
from acs_gym.units import format_si

WIDTH, HEIGHT, DPI = 12.0, 7.0, 100
# Okabe and Ito's colours, told apart by everyone: signal, met, missed, target, band.
_BLUE, _GREEN, _RED, _GREY, _BAND = "#0072B2", "#009E73", "#D55E00", "#555555", "#E69F00"
_TARGET = Line2D([], [], color=_GREY, lw=1.2, ls="--", label="target")
_LOOP = ("unity_crossing", "phase_margin", "gain_margin")
_RESPONSE = ("magnitude_db", "rejection_db")
_EDGES = ("settling_time", "slew_rate", "overshoot")
# Bars end here; a circuit that misses by a factor of e^2 is far off, how far is in the label.
_BAR_LIMIT = 2.0


@dataclass(frozen=True, slots=True)
class _Trace:
    """One signal over its sweep, and the metrics that are read off it."""

    metrics: tuple[Metric, ...]
    x: NDArray[np.float64]
    y: NDArray[Any]

    def measured_by(self, *measures: str) -> tuple[Metric, ...]:
        return tuple(m for m in self.metrics if m.measure in measures)


@dataclass(frozen=True, slots=True)
class _Picture:
    """All that a panel may look at."""

    task: Task
    evaluation: Evaluation
    scope: Mapping[str, float]

    def value(self, metric: Metric) -> float:
        return self.evaluation.metrics.get(metric.name, math.nan)

    def option(self, metric: Metric, name: str) -> float:
        return float(metric.options[name](self.scope))

    def spec(self, metric: Metric) -> Spec | None:
        """The spec on a metric, or on the formula (such as a minimum of two edges) it goes into."""
        units = self.task.metric_units
        onward = {
            m.name
            for m in self.task.program.metrics
            if m.formula is not None
            and metric.name in m.formula.names
            and units[m.name] == units[metric.name]
        }
        for spec in self.task.specs:
            if spec.metric == metric.name or spec.metric in onward:
                return spec
        return None

    def text(self, metric: Metric) -> str:
        return format_si(self.value(metric), self.task.metric_units[metric.name], 3)


def draw(task: Task, evaluation: Evaluation, waveforms: Waveforms, headline: str = "") -> Figure:
    """One evaluation as a figure of 12 x 7 inches: its curves on the left, its margins on the right.

    Args:
        task: with the targets to draw.
        evaluation: what was measured.
        waveforms: of the same design, `analysis -> vector -> array`; empty when it failed.
        headline: shown before the score, such as which turn of an episode it is.
    """
    scope = {**task.program.conditions, **evaluation.design}
    picture = _Picture(task, evaluation, scope)
    figure = _figure()
    met = sum(value == 1.0 for value in evaluation.satisfaction.values())
    parts = [headline, f"score {evaluation.score:.3f}", f"{met} of {len(task.specs)} specs met"]
    if evaluation.status is not Status.OK:
        parts.append(str(evaluation.status))
    _headline(figure, task, ", ".join(part for part in parts if part))
    loop = _trace(task, waveforms, scope, _LOOP)
    response = None if loop else _trace(task, waveforms, scope, _RESPONSE)
    step = _trace(task, waveforms, scope, _EDGES)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.25, 1.0))
    if loop is not None:
        magnitude = figure.add_subplot(grid[0, 0])
        phase = figure.add_subplot(grid[1, 0], sharex=magnitude)
        _draw_magnitude(magnitude, picture, loop, "loop gain")
        _draw_phase(phase, picture, loop)
        magnitude.tick_params(labelbottom=False)
    elif response is not None:
        _draw_magnitude(figure.add_subplot(grid[:, 0]), picture, response, "magnitude")
    elif step is not None:
        _draw_step(figure.add_subplot(grid[:, 0]), picture, step)
        step = None
    else:
        _say(figure.add_subplot(grid[:, 0]), evaluation.message or "no waveforms to draw")
    if step is not None:
        _draw_step(figure.add_subplot(grid[0, 1]), picture, step)
        _draw_margins(figure.add_subplot(grid[1, 1]), picture)
    else:
        _draw_margins(figure.add_subplot(grid[:, 1]), picture)
    return figure


def draw_placeholder(task: Task) -> Figure:
    """What is wanted, before anything was simulated; the same size as `draw`'s figure."""
    figure = _figure()
    _headline(figure, task, "no turn taken yet")
    wanted = "\n".join(f"{spec.metric}  {spec.text()}" for spec in task.specs)
    axes = figure.add_subplot()
    _say(axes, f"wanted\n\n{wanted}")
    return figure


def to_rgb(figure: Figure) -> NDArray[np.uint8]:
    """The figure as an (H, W, 3) uint8 array; 700 x 1200 for those of this module."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    return pixels[..., :3].copy()


# --- what to draw -------------------------------------------------------------------------------


def _trace(
    task: Task, waveforms: Waveforms, scope: Mapping[str, float], measures: tuple[str, ...]
) -> _Trace | None:
    """The first swept signal that some metric reads with one of `measures`."""
    for metric in task.program.metrics:
        if metric.measure not in measures or metric.signal is None or metric.analysis is None:
            continue
        data = waveforms.get(metric.analysis, {})
        if data.get("sweep", np.empty(0)).size < 2:
            continue
        with np.errstate(all="ignore"):
            y = np.atleast_1d(metric.signal({**scope, **data}))
        if y.size == data["sweep"].size and np.isfinite(y).all() and np.abs(y).max() > 0:
            same = tuple(
                m
                for m in task.program.metrics
                if m.analysis == metric.analysis and m.signal == metric.signal
            )
            return _Trace(same, data["sweep"], y)
    return None


# --- panels -------------------------------------------------------------------------------------


def _draw_magnitude(axes: Axes, picture: _Picture, trace: _Trace, what: str) -> None:
    db = 20.0 * np.log10(np.maximum(np.abs(trace.y), 1e-12))
    axes.semilogx(trace.x, db, color=_BLUE, lw=2)
    axes.axhline(0.0, color=_GREY, lw=0.8)
    axes.set_ylabel(f"{what} (dB)")
    _frequency_axis(axes, trace.x)
    _pad(axes, db)
    for metric in trace.measured_by("magnitude_db"):
        spec = picture.spec(metric)
        if spec is not None:
            axes.axhline(spec.target, color=_GREY, lw=1.2, ls="--")
        colour = _colour(picture, metric)
        axes.plot(trace.x[:1], db[:1], "o", color=colour, clip_on=False, zorder=5)
        _note(axes, 0.03, 0.08, f"{metric.name} {picture.text(metric)}{_wanted(spec)}", colour)
    for metric in trace.measured_by("unity_crossing"):
        spec = picture.spec(metric)
        if spec is not None:
            axes.axvline(spec.target, color=_GREY, lw=1.2, ls="--")
        colour = _colour(picture, metric)
        value = picture.value(metric)
        if math.isfinite(value):
            axes.axvline(value, color=colour, lw=1.2)
            axes.plot([value], [0.0], "o", color=colour, zorder=5)
        _note(axes, 0.03, 0.19, f"{metric.name} {picture.text(metric)}{_wanted(spec)}", colour)
    axes.legend(handles=[_TARGET], loc="upper right", fontsize=9)


def _draw_phase(axes: Axes, picture: _Picture, trace: _Trace) -> None:
    phase = np.degrees(np.unwrap(np.angle(trace.y)))
    axes.semilogx(trace.x, phase, color=_BLUE, lw=2)
    axes.axhline(-180.0, color=_GREY, lw=0.8)
    axes.set_ylabel("phase (°)")
    axes.set_xlabel("frequency")
    _frequency_axis(axes, trace.x)
    # Beyond two more poles nothing matters any more; below -270° the margin would be squeezed.
    lowest = min(max(float(phase.min()), -300.0), -180.0)
    axes.set_ylim(lowest - 25.0, max(float(phase.max()), 0.0) + 15.0)
    axes.yaxis.set_major_locator(MultipleLocator(45.0))
    crossing = [picture.value(m) for m in trace.measured_by("unity_crossing")]
    at = next((v for v in crossing if math.isfinite(v)), math.nan)
    for metric in trace.measured_by("phase_margin"):
        spec = picture.spec(metric)
        if spec is not None:
            axes.axhline(spec.target - 180.0, color=_GREY, lw=1.2, ls="--")
        colour = _colour(picture, metric)
        value = picture.value(metric)
        if math.isfinite(value) and math.isfinite(at):
            axes.axvline(at, color=colour, lw=1.2)
            axes.annotate(
                "",
                (at, value - 180.0),
                (at, -180.0),
                arrowprops={
                    "arrowstyle": "<->",
                    "color": colour,
                    "lw": 2.5,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
        _note(axes, 0.03, 0.2, f"{metric.name} {picture.text(metric)}{_wanted(spec)}", colour)


def _draw_step(axes: Axes, picture: _Picture, trace: _Trace) -> None:
    y = np.real(trace.y)
    axes.plot(trace.x, y, color=_BLUE, lw=2, zorder=3)
    axes.set_xlabel("time")
    axes.set_ylabel("output")
    axes.xaxis.set_major_formatter(EngFormatter("s", sep=" "))
    axes.yaxis.set_major_formatter(EngFormatter("V", sep=" "))
    axes.set_xlim(float(trace.x[0]), float(trace.x[-1]))
    axes.margins(y=0.12)
    settling = trace.measured_by("settling_time")
    notes = [_draw_settling(axes, picture, metric) for metric in settling]
    if settling:
        band = Patch(color=_BAND, alpha=0.55, label="settled")
        axes.legend(handles=[_TARGET, band], loc="best", fontsize=9)
    for metric in trace.measured_by("slew_rate", "overshoot"):
        spec = picture.spec(metric)
        text = f"{metric.name} {picture.text(metric)}{_wanted(spec)}"
        notes.append((text, _colour(picture, metric)))
    # Above the axes, where no curve ever is.
    for row, (text, colour) in enumerate(reversed(notes)):
        axes.text(
            -0.12 if row % 2 else 0.48, 1.03 + 0.08 * (row // 2), text,
            color=colour, fontsize=9, transform=axes.transAxes,
        )  # fmt: skip


def _draw_settling(axes: Axes, picture: _Picture, metric: Metric) -> tuple[str, str]:
    """The band an edge must stay in, when it does, and when it must at the latest."""
    start, stop = picture.option(metric, "start"), picture.option(metric, "stop")
    final, initial = picture.option(metric, "final"), picture.option(metric, "initial")
    half = picture.option(metric, "tolerance") * abs(final - initial)
    axes.fill_between([start, stop], final - half, final + half, color=_BAND, alpha=0.55, lw=0)
    colour = _colour(picture, metric)
    spec, value = picture.spec(metric), picture.value(metric)
    low, high = sorted((initial, final))
    if spec is not None and start + spec.target <= stop:
        axes.plot([start + spec.target] * 2, [low, high], color=_GREY, lw=1.2, ls="--")
    if math.isfinite(value):
        axes.plot([start + value] * 2, [low, high], color=colour, lw=1.2)
        axes.plot([start + value], [final], "o", color=colour, zorder=5)
    return f"{metric.name} {picture.text(metric)}{_wanted(spec)}", colour


def _draw_margins(axes: Axes, picture: _Picture) -> None:
    evaluation = picture.evaluation
    specs = list(picture.task.specs)
    rows = np.arange(len(specs))[::-1]
    height = 0.62 if len(specs) > 6 else 0.4
    labels = []
    for row, spec in zip(rows, specs, strict=True):
        margin = evaluation.margins.get(spec.metric, math.nan)
        met = evaluation.satisfaction.get(spec.metric) == 1.0
        if math.isnan(margin):
            axes.barh(row, -_BAR_LIMIT, color="none", edgecolor=_RED, hatch="///", height=height)
        else:
            shown = min(max(margin, -_BAR_LIMIT), _BAR_LIMIT)
            axes.barh(row, shown, color=_GREEN if met else _RED, height=height)
        value = evaluation.metrics.get(spec.metric, math.nan)
        text = "not measured" if math.isnan(value) else format_si(value, spec.unit, 3)
        labels.append(f"{spec.metric}  {spec.text()}")
        axes.text(
            1.02, row, text, color=_GREEN if met else _RED, fontsize=9, va="center",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    axes.axvline(0.0, color="black", lw=1.0)
    axes.set_yticks(rows, labels, fontsize=9)
    axes.set_ylim(-0.6, len(specs) - 0.4)
    axes.set_xlim(-_BAR_LIMIT, _BAR_LIMIT)
    axes.set_xlabel("margin to the spec (missed | met)")
    axes.grid(axis="x", alpha=0.3)


# --- strokes ------------------------------------------------------------------------------------


def _figure() -> Figure:
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    figure.set_facecolor("white")
    return figure


def _headline(figure: Figure, task: Task, text: str) -> None:
    figure.suptitle(f"{task.title} on {task.pdk_name} ({task.tier}): {text}", fontsize=13)


def _say(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=12, wrap=True)


def _note(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
    axes.text(x, y, text, color=colour, fontsize=10, transform=axes.transAxes, bbox=box)


def _wanted(spec: Spec | None) -> str:
    return "" if spec is None else f" ({spec.text()})"


def _colour(picture: _Picture, metric: Metric) -> str:
    """Green when the metric by itself meets its spec, red when not, blue without a spec."""
    spec = picture.spec(metric)
    if spec is None:
        return _BLUE
    return _GREEN if spec.satisfaction(picture.value(metric)) == 1.0 else _RED


def _frequency_axis(axes: Axes, x: NDArray[np.float64]) -> None:
    axes.set_xlim(float(x[0]), float(x[-1]))
    axes.xaxis.set_major_formatter(EngFormatter("Hz", sep=" "))
    axes.grid(alpha=0.3)


def _pad(axes: Axes, values: NDArray[np.float64]) -> None:
    low, high = float(values.min()), float(values.max())
    axes.set_ylim(max(low, high - 160.0) - 5.0, max(high, 0.0) + 8.0)
