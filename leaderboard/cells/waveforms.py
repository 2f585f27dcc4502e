"""`waveforms.json`: the curves of a cell's winning design, for a report that simulates nothing.

Written beside `result.json` when the winner is simulated again. It is a picture and no evidence: no
score rests on it, and a reader who finds it damaged, or made of another design, does without.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from acs_gym.evaluation import Evaluation
from acs_gym.plotting.curves import AxesCurves, Curve, PanelCurves, panel_curves
from acs_gym.plotting.panels import Picture, panels
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job
from acs_gym.task import Task
from acs_gym.wording import first_problem
from leaderboard import files
from leaderboard.cells.records import Result
from leaderboard.cells.spec import canonical_json
from leaderboard.files import write_atomically

WAVEFORMS = "waveforms.json"
POINTS = 300
# About ten times what the largest bundled circuit writes.
LARGEST_BYTES = 1_000_000
_DIGITS = 5
# More than any circuit here has; what goes beyond is left out, and refused from elsewhere.
_TEXT, _PANELS, _NOTES, _CURVES, _LINES = 200, 16, 32, 8, 16

Text = Annotated[str, Field(max_length=_TEXT)]
Numbers = Annotated[tuple[float, ...], Field(min_length=2, max_length=POINTS)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CurveRecord(_Record):
    """At most 300 points; `x` never falls."""

    label: Text
    x: Numbers
    y: Numbers

    @model_validator(mode="after")
    def _is_a_curve(self) -> CurveRecord:
        if len(self.x) != len(self.y):
            raise ValueError(f"{len(self.x)} x and {len(self.y)} y")
        if any(b < a for a, b in zip(self.x, self.x[1:], strict=False)):
            raise ValueError("x falls")
        return self


class LineRecord(_Record):
    """A reference line at one value of an axis; `spec` when it is a target."""

    axis: Literal["x", "y"]
    at: float
    spec: bool


class AxesRecord(_Record):
    """`acs_gym.plotting.curves.AxesCurves`; numbers in SI units."""

    x_label: Text
    x_unit: Text
    x_log: bool
    y_label: Text
    y_unit: Text
    y_log: bool
    y_range: tuple[float, float] | None
    curves: Annotated[tuple[CurveRecord, ...], Field(min_length=1, max_length=_CURVES)]
    lines: Annotated[tuple[LineRecord, ...], Field(max_length=_LINES)]

    @model_validator(mode="after")
    def _fits_its_axes(self) -> AxesRecord:
        for curve in self.curves:
            if (self.x_log and min(curve.x) <= 0) or (self.y_log and min(curve.y) <= 0):
                raise ValueError("a logarithmic axis with a number that is not positive")
        if self.y_range is not None and not self.y_range[0] < self.y_range[1]:
            raise ValueError("y_range is empty")
        return self


class NoteRecord(_Record):
    """A metric with its value and spec, as text; `met` None where it has no spec."""

    text: Text
    met: bool | None


class PanelRecord(_Record):
    title: Text
    notes: Annotated[tuple[NoteRecord, ...], Field(max_length=_NOTES)]
    axes: Annotated[tuple[AxesRecord, ...], Field(min_length=1, max_length=2)]


class WaveformsRecord(_Record):
    """The file.

    Attributes:
        key: of the cell.
        design: that was simulated; the cell's winning design, SI units.
        condition: of the tier at which; metrics in the notes are those at this condition.
        panels: curves that belong together.
    """

    schema_version: Literal[1] = 1
    key: str
    design: dict[str, float]
    condition: Text
    panels: Annotated[tuple[PanelRecord, ...], Field(max_length=_PANELS)]


def record(key: str, task: Task, job: Job, outcome: Outcome) -> WaveformsRecord:
    """What is kept of one simulation with its waveforms. Pure; equal waveforms give equal records."""
    scope = {**job.program.conditions, **job.conditions, **job.design}
    at_condition = Evaluation.judged(job.design, outcome.status, outcome.metrics, task.specs)
    picture = Picture(task, at_condition, scope)
    found = panels(task, outcome.waveforms, scope)
    return WaveformsRecord(
        key=key,
        design=dict(job.design),
        condition=task.conditions.conditions[0].name,
        panels=tuple(
            p
            for p in (_panel(panel_curves(picture, panel)) for panel in found[:_PANELS])
            if p is not None
        ),
    )


def write(folder: Path, found: WaveformsRecord | None) -> None:
    """Write the file, whole or not at all; None removes what an interrupted run left."""
    path = folder / WAVEFORMS
    if found is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, canonical_json(found.model_dump()) + "\n")


def read(folder: Path, result: Result) -> WaveformsRecord | str:
    """The waveforms of a cell's winning design, or in words why there are none to show."""
    path = folder / WAVEFORMS
    if not path.exists():
        return "no waveforms were kept"
    try:
        found = WaveformsRecord.model_validate_json(files.read(path, LARGEST_BYTES))
    except files.Corrupt as error:
        return f"{WAVEFORMS} {error.why}"
    except ValidationError as error:
        return f"{WAVEFORMS} is damaged: {first_problem(error, 'file')}"
    if found.key != result.key or result.verified is None or found.design != result.verified.design:
        return f"{WAVEFORMS} is of another design"
    return found


def thin(x: NDArray[np.float64], y: NDArray[np.float64], *, log: bool) -> NDArray[np.intp]:
    """Indices of at most 300 points that look like the whole curve, rising.

    The axis (of logarithms where `log`) is cut into equal parts, and of each part the first, the
    last, the lowest and the highest point are kept: no peak is lost however narrow. `x` must rise.
    """
    if x.size <= POINTS:
        return np.arange(x.size)
    place = np.log(x) if log else x
    parts = POINTS // 4
    edges = np.linspace(place[0], place[-1], parts + 1)[1:-1]
    starts = np.searchsorted(place, edges)
    kept: set[int] = set()
    for part in np.split(np.arange(x.size), starts):
        if part.size:
            lowest, highest = part[y[part].argmin()], part[y[part].argmax()]
            kept |= {int(part[0]), int(part[-1]), int(lowest), int(highest)}
    return np.array(sorted(kept), dtype=np.intp)


def _panel(panel: PanelCurves) -> PanelRecord | None:
    axes = tuple(a for a in map(_axes, panel.axes) if a is not None)
    notes = tuple(NoteRecord(text=_short(n.text), met=n.met) for n in panel.notes[:_NOTES])
    return PanelRecord(title=_short(panel.title), notes=notes, axes=axes) if axes else None


def _axes(axes: AxesCurves) -> AxesRecord | None:
    curves = [c for c in (_curve(c, axes) for c in axes.curves[:_CURVES]) if c is not None]
    if not curves:
        return None
    return AxesRecord(
        x_label=_short(axes.x_label), x_unit=axes.x_unit, x_log=axes.x_log,
        y_label=_short(axes.y_label), y_unit=axes.y_unit, y_log=axes.y_log,
        y_range=None if axes.y_range is None else _pair(axes.y_range),
        curves=tuple(curves),
        lines=tuple(
            LineRecord(axis=n.axis, at=_round(n.at), spec=n.spec) for n in axes.lines[:_LINES]
        ),
    )  # fmt: skip


def _curve(curve: Curve, axes: AxesCurves) -> CurveRecord | None:
    """Thinned; None where a logarithmic axis leaves less than a line."""
    drawn = np.full(curve.x.shape, True)
    for values, log in ((curve.x, axes.x_log), (curve.y, axes.y_log)):
        drawn &= (values > 0) | (not log)
    x, y = curve.x[drawn], curve.y[drawn]
    kept = thin(x, y, log=axes.x_log)
    if kept.size < 2:
        return None
    return CurveRecord(label=_short(curve.label), x=_rounded(x[kept]), y=_rounded(y[kept]))


def _short(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _pair(values: tuple[float, float]) -> tuple[float, float]:
    return _round(values[0]), _round(values[1])


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(_round(float(v)) for v in values)


def _round(value: float) -> float:
    """To six significant digits: finer than any picture, and the same on every machine."""
    return float(f"{value:.{_DIGITS}e}")
