"""Evaluations and designs as a model reads them: engineering notation, and what misses its spec."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from acs_gym.evaluation import Evaluation
from acs_gym.gmid.table import Bias
from acs_gym.simulation.operating_point import OperatingPoint
from acs_gym.task import Task
from acs_gym.units import format_si

_DIGITS = 5


def design_text(task: Task, design: Mapping[str, float]) -> dict[str, str | float]:
    """A design in engineering notation, as a person or a model writes it."""
    return {p.name: _value(design[p.name], p.unit) for p in task.space if p.name in design}


def evaluation_text(task: Task, evaluation: Evaluation, number: int) -> dict[str, Any]:
    """One evaluation for the model: metrics in engineering notation and what misses its spec."""
    units = task.metric_units
    measured = {k: format_si(v, units[k]) for k, v in evaluation.metrics.items() if v == v}
    missed = {
        s.metric: f"{measured.get(s.metric, 'not measured')}, needs {s.text()}"
        for s in task.specs
        if not evaluation.margins[s.metric] >= 0
    }
    found: dict[str, Any] = {
        "design": number,
        "status": str(evaluation.status),
        "score": rounded(evaluation.score),
        "all_specs_met": evaluation.feasible,
        "metrics": measured,
    }
    if missed:
        found["missed"] = missed
    if evaluation.spread.worst_at:
        found["worst_at"] = dict(evaluation.spread.worst_at)
    if evaluation.message:
        found["message"] = evaluation.message
    return found


def transistor_text(point: OperatingPoint) -> dict[str, Any]:
    """One transistor's operating point for the model."""
    return {
        "kind": point.kind,
        "id": format_si(point.id, "A"),
        "gm": format_si(point.gm, "S"),
        "gds": format_si(point.gds, "S"),
        "gm/id": rounded(point.gm_over_id),
        "vgs": format_si(point.vgs, "V"),
        "vds": format_si(point.vds, "V"),
        "vth": format_si(point.vth, "V"),
        "vdsat": format_si(point.vdsat, "V"),
        "saturation_margin": format_si(point.saturation_margin, "V"),
        "region": point.region,
    }


def bias_text(bias: Bias) -> dict[str, Any]:
    """One row of a gm/Id table for the model."""
    return {
        "gm/id": rounded(bias.gm_id),
        "id/w_uA_per_um": rounded(bias.id_per_w),
        "gm/gds": rounded(bias.gm_gds),
        "ft": format_si(bias.ft, "Hz"),
        "vgs": format_si(bias.vgs, "V"),
        "vdsat": format_si(bias.vdsat, "V"),
        "cgg/w_fF_per_um": rounded(bias.cgg_per_w * 1e9),
    }


def rounded(value: float) -> float | None:
    """A ratio or a score; None where there is none."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def count(left: float) -> int | str:
    """Designs that are left."""
    return int(left) if math.isfinite(left) else "unlimited"


def json_text(data: Mapping[str, Any]) -> str:
    """One JSON object, as compact as it gets."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half a surrogate pair, quoted from a call, could go into no request.
    return text.encode("utf-8", "replace").decode("utf-8")


def _value(value: float, unit: str) -> str | float:
    if not unit:
        return int(value) if value == int(value) else value
    return format_si(value, unit, digits=_DIGITS)
