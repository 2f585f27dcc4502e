"""The sizing as one page that answers: may I use it? Pure, but for reading the templates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acs_gym.evaluation import Status
from acs_gym.simulation.operating_point import OperatingPoint
from acs_gym.units import format_si
from leaderboard.board.standings import BestDesign
from leaderboard.cells.records import EvaluationRecord
from leaderboard.cells.runner import task_card
from leaderboard.files import write_atomically
from leaderboard.reporting import figures
from leaderboard.reporting.conditions import task_conditions
from leaderboard.reporting.drawing import svg
from leaderboard.reporting.figures import Chart, Mark, Series
from leaderboard.reporting.page import STATIC_POLICY, WavePanel, environment
from leaderboard.reporting.summary import pdk_label
from leaderboard.sizing.answer import Answer, least

PAGE = "sizing.html"
# Of each spec, so many sizes are pointed at.
_STRONGEST = 2
# A change that no target would be moved for.
_NOTHING = 0.0005


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step of a size does to one margin. `sign`: up, down or nothing; a class of the page."""

    text: str
    sign: str
    strong: bool


def write_page(found: Answer, folder: Path, simulator: str) -> Path:
    """Write `sizing.html`, whole or not at all."""
    path = folder / PAGE
    write_atomically(path, render(found, simulator))
    return path


def render(found: Answer, simulator: str) -> str:
    """The page as text; without scripts."""
    task, spec = found.task, found.cell.spec
    card = task_card(task)
    record = EvaluationRecord.of(found.evaluation)
    charts = figures.waveform_charts(0, found.waveforms)
    return environment("leaderboard.sizing").get_template("sizing.html.j2").render(
        static=True,
        draw=svg,
        policy=STATIC_POLICY,
        a=found,
        task=task,
        agent=spec.agent,
        tier=spec.tier,
        several=bool(found.evaluation.by_condition),
        pdk_label=pdk_label(spec.pdk),
        simulator=simulator.removeprefix("ngspice "),
        verdict=verdict(found),
        advice=advice(found),
        specs=_specs(found),
        sizes=[
            {
                "name": p.name,
                "value": format_si(found.design[p.name], p.unit),
                "description": p.description,
            }
            for p in task.space
        ],
        metrics=_measured(found),
        effects=_effects(found),
        points=[_point(p) for p in found.points],
        places=task_conditions(card, [BestDesign(spec.agent, spec.repetition, record)]),
        panels=[
            WavePanel(panel.title, panel.notes, own)
            for panel, own in zip(found.waveforms.panels, charts, strict=True)
        ],
        areas=_areas(found.areas),
        progress=_progress(found),
    )  # fmt: skip


def verdict(found: Answer) -> str:
    """May I use it? In a line."""
    evaluation = found.evaluation
    places = evaluation.by_condition
    where = f"at all {len(places)} conditions" if places else "at nominal"
    if evaluation.feasible:
        return f"Meets every spec {where}"
    met = sum(m >= 0 for m in evaluation.margins.values())
    failed = "" if evaluation.status is Status.OK else f"; {evaluation.status}"
    return f"Meets {met} of {len(evaluation.margins)} specs {where}{failed}"


def advice(found: Answer) -> str:
    """What to do with it, in two sentences."""
    metric, margin = least(found.evaluation)
    said = [
        "One of its metrics could not be measured." if math.isnan(margin)
        else f"The least margin is {margin:+.3f}, of {metric}."
    ]  # fmt: skip
    if not found.finished:
        said.append("The run was interrupted; the same command goes on.")
    elif not found.evaluation.feasible:
        said.append("A larger --budget, another --agent, or a target eased by a little may do.")
    elif not found.evaluation.by_condition:
        said.append("Before you use it, look at corners: the same command with --tier pvt.")
    elif found.verified:
        said.append("A fresh simulator has confirmed it.")
    return " ".join(said)


def _specs(found: Answer) -> list[dict[str, object]]:
    evaluation, worst = found.evaluation, found.worst
    return [
        {
            "name": s.metric,
            "met": evaluation.margins[s.metric] >= 0,
            "value": format_si(evaluation.metrics.get(s.metric), s.unit),
            "target": s.text(),
            "margin": _signed(evaluation.margins[s.metric]),
            "at": worst.get(s.metric, ""),
        }
        for s in found.task.specs
    ]


def _measured(found: Answer) -> list[str]:
    """The specs that sensitivities are of: those at nominal."""
    return list(found.sensitivities[0].margins)


def _effects(found: Answer) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    strong = {
        metric: sorted(
            (abs(m) for s in found.sensitivities if not math.isnan(m := s.margins[metric])),
            reverse=True,
        )[:_STRONGEST]
        for metric in _measured(found)
    }
    for one in found.sensitivities:
        cells = []
        for metric in _measured(found):
            change = one.margins[metric]
            matters = abs(change) >= _NOTHING
            cells.append(
                Effect(
                    text=_signed(change) if matters or math.isnan(change) else "·",
                    sign=("up" if change > 0 else "down") if matters else "soft",
                    strong=matters and abs(change) in strong[metric],
                )
            )
        rows.append({"name": one.parameter, "step": one.step, "cells": cells})
    return rows


def _point(point: OperatingPoint) -> dict[str, str]:
    return {
        "name": point.name,
        "kind": point.kind,
        "current": format_si(point.id, "A"),
        "efficiency": f"{point.gm_over_id:.1f} /V",
        "gain": f"{point.gm / point.gds:.0f}" if point.gds > 0 else "–",
        "headroom": format_si(point.saturation_margin, "V", digits=3),
        "region": point.region,
    }


def _areas(areas: Mapping[str, float]) -> list[dict[str, object]]:
    whole = math.fsum(areas.values())
    largest = max(areas.values(), default=0.0)
    rows = [
        {
            "name": name,
            "text": f"{area * 1e12:.4g} µm²",
            "percent": round(100 * area / largest, 1) if largest else 0.0,
        }
        for name, area in areas.items()
    ]
    return [*rows, {"name": "all", "text": f"{whole * 1e12:.4g} µm²", "percent": 0.0}]


def _progress(found: Answer) -> Chart:
    x = [float(spent) for spent, _ in found.steps] + [float(found.spent)]
    y = [score for _, score in found.steps] + [found.evaluation.score]
    marks = () if found.first_met is None else (Mark("x", float(found.first_met), True),)
    return Chart(
        id="progress",
        label=f"Best score against simulations; it ends at {y[-1]:.3f} after {found.spent}",
        x_title="simulations",
        y_title="best score",
        series=(Series("best score", None, 0, 0, tuple(x), tuple(y)),),
        marks=marks,
        small=True,
    )


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}"
