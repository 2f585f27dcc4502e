"""Pictures of one simulated sizing: its waveforms and its margins to every spec.

Which waveforms, `panels` says; how they look, `marks`. Pure functions of (task, evaluation,
waveforms); no pyplot, so any thread may draw.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from acs_gym.evaluation import Evaluation, Status
from acs_gym.plotting.marks import GREEN, RED, draw_panel
from acs_gym.plotting.panels import Panel, Picture, panels
from acs_gym.simulation.readout import Waveforms
from acs_gym.task import Task
from acs_gym.units import format_si

WIDTH, HEIGHT, DPI = 12.0, 7.0, 100
_PANEL_HEIGHT, _BODE_HEIGHT = 3.0, 4.5
# Bars end here; a circuit that misses by a factor of e^2 is far off, how far is in the label.
_BAR_LIMIT = 2.0


def draw(task: Task, evaluation: Evaluation, waveforms: Waveforms, headline: str = "") -> Figure:
    """One evaluation as a figure of 12 x 7 inches: its main curves, and its margins to the specs.

    Args:
        task: with the targets to draw.
        evaluation: what was measured.
        waveforms: of the same design, `analysis -> vector -> array`; empty when it failed.
        headline: shown before the score, such as which turn of an episode it is.
    """
    picture = Picture.of(task, evaluation)
    figure = _figure(HEIGHT)
    met = sum(value == 1.0 for value in evaluation.satisfaction.values())
    parts = [headline, f"score {evaluation.score:.3f}", f"{met} of {len(task.specs)} specs met"]
    if evaluation.status is not Status.OK:
        parts.append(str(evaluation.status))
    _headline(figure, task, ", ".join(part for part in parts if part))
    grid = figure.add_gridspec(2, 2, width_ratios=(1.25, 1.0))
    shown = _varied(panels(task, waveforms, picture.scope))[:2]
    if not shown:
        _say(figure.add_subplot(grid[:, 0]), evaluation.message or "no waveforms to draw")
    for panel, place in zip(shown, (grid[:, 0], grid[0, 1]), strict=False):
        draw_panel(figure, place, picture, panel)
    _draw_margins(figure.add_subplot(grid[1, 1] if len(shown) > 1 else grid[:, 1]), picture)
    return figure


def draw_waveforms(task: Task, evaluation: Evaluation, waveforms: Waveforms) -> Figure:
    """Every panel that the waveforms give in two columns, without the margins."""
    picture = Picture.of(task, evaluation)
    found = panels(task, waveforms, picture.scope)
    if not found:
        figure = _figure(HEIGHT)
        _say(figure.add_subplot(), evaluation.message or "no waveforms to draw")
        return figure
    columns = min(len(found), 2)
    rows = math.ceil(len(found) / columns)
    gap = len(found) < rows * columns
    bodes = {k // columns for k, p in enumerate(found) if p.kind == "bode"}
    heights = [_BODE_HEIGHT if k in bodes and not gap else _PANEL_HEIGHT for k in range(rows)]
    figure = _figure(sum(heights), WIDTH * columns / 2)
    grid = figure.add_gridspec(rows, columns, height_ratios=heights)
    places = [grid[k // columns, k % columns] for k in range(rows * columns)]
    if gap:  # The first, usually two axes of a Bode plot, fills it.
        places = [grid[:2, 0], places[1], *places[3:]]
    for panel, place in zip(found, places, strict=True):
        draw_panel(figure, place, picture, panel)
    return figure


def draw_placeholder(task: Task) -> Figure:
    """What is wanted, before anything was simulated; the same size as `draw`'s figure."""
    figure = _figure(HEIGHT)
    _headline(figure, task, "no turn taken yet")
    wanted = "\n".join(f"{spec.metric}  {spec.text()}" for spec in task.specs)
    axes = figure.add_subplot()
    _say(axes, f"wanted\n\n{wanted}")
    return figure


def to_rgb(figure: Figure) -> NDArray[np.uint8]:
    """The figure as an (H, W, 3) uint8 array; 700 x 1200 for those of an episode."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    return pixels[..., :3].copy()


def _varied(found: list[Panel]) -> list[Panel]:
    """The first panel, then the first of another kind: two loops say less than a loop and a step."""
    return found[:1] + ([p for p in found if p.kind != found[0].kind] or found[1:])


def _draw_margins(axes: Axes, picture: Picture) -> None:
    evaluation = picture.evaluation
    specs = list(picture.task.specs)
    rows = np.arange(len(specs))[::-1]
    height = 0.62 if len(specs) > 6 else 0.4
    labels = []
    for row, spec in zip(rows, specs, strict=True):
        margin = evaluation.margins.get(spec.metric, math.nan)
        met = evaluation.satisfaction.get(spec.metric) == 1.0
        if math.isnan(margin):
            axes.barh(row, -_BAR_LIMIT, color="none", edgecolor=RED, hatch="///", height=height)
        else:
            shown = min(max(margin, -_BAR_LIMIT), _BAR_LIMIT)
            axes.barh(row, shown, color=GREEN if met else RED, height=height)
        value = evaluation.metrics.get(spec.metric, math.nan)
        text = "not measured" if math.isnan(value) else format_si(value, spec.unit, 3)
        labels.append(f"{spec.metric}  {spec.text()}")
        axes.text(
            1.02, row, text, color=GREEN if met else RED, fontsize=9, va="center",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    axes.axvline(0.0, color="black", lw=1.0)
    axes.set_yticks(rows, labels, fontsize=9)
    axes.set_ylim(-0.6, len(specs) - 0.4)
    axes.set_xlim(-_BAR_LIMIT, _BAR_LIMIT)
    axes.set_xlabel("margin to the spec (missed | met)")
    axes.grid(axis="x", alpha=0.3)


def _figure(height: float, width: float = WIDTH) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    figure.set_facecolor("white")
    return figure


def _headline(figure: Figure, task: Task, text: str) -> None:
    figure.suptitle(f"{task.title} on {task.pdk_name} ({task.tier}): {text}", fontsize=13)


def _say(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=12, wrap=True)
