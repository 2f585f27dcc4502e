"""`acs-gym corners`: one sizing at every condition of a tier, a row each."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acs_gym.cli.catalogue import PdkOption, TaskArgument, known_tier
from acs_gym.cli.output import console, print_table
from acs_gym.cli.sizing import Assignments, SizingFile, Targets, asked_for, failed, say_filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from acs_gym.evaluation import AtCondition, Evaluation
    from acs_gym.specs import Spec
    from acs_gym.task import Task

_MISSED, _WORST = "✗", "◂"
_HEADING = "condition"
_GAP = 2


def corners(
    task_id: TaskArgument,
    values: Assignments = None,
    pdk: PdkOption = None,
    tier: Annotated[
        str, typer.Option(help="pvt, mc, or mcN for N mismatch draws.", callback=known_tier)
    ] = "pvt",
    spec: Targets = None,
    sizing: SizingFile = None,
    all_metrics: Annotated[
        bool, typer.Option("--all-metrics", help="A column for metrics without a spec too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in SI units, every metric.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV in SI units, every metric, a row a condition.")
    ] = False,
) -> None:
    """One sizing at every corner (or draw) of a tier: what fails where (exit 1: a simulation failed)."""
    from acs_gym.session import available_cores

    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv are two formats; give one of them")
    task, design, filled = asked_for(task_id, values, pdk, spec, tier, sizing)
    if task.cost == 1:
        raise typer.BadParameter(
            f"tier {task.tier} has one condition, which `acs-gym simulate` shows; tiers of several: "
            "pvt, mc, mcN",
            param_hint="--tier",
        )
    with task.session(budget=task.cost, workers=min(task.cost, available_cores())) as session:
        evaluation = session.simulate(design)
    if as_json:
        print(json.dumps(_record(task, evaluation, filled), indent=2, allow_nan=False))
    elif as_csv:
        print(csv_text(task, evaluation), end="")
    else:
        say_filled(task, filled)
        _print(task, evaluation, all_metrics)
    if failed(evaluation):
        raise typer.Exit(1)


def _record(task: Task, evaluation: Evaluation, filled: Sequence[str]) -> dict[str, Any]:
    """`acs-gym simulate --json`, and a record a condition."""
    from acs_gym.evaluation import worst_conditions

    return {
        "task": task.id,
        "pdk": task.pdk_name,
        "tier": task.tier,
        **evaluation.to_json(by_condition=False),
        "conditions": [
            {
                **circumstances,
                "status": str(at.status),
                "message": at.message,
                "metrics": _nulls(at.metrics),
                "margins": _nulls(at.margins),
                "score": at.score,
                "feasible": at.feasible,
            }
            for circumstances, at in _rows(task, evaluation)
        ],
        "worst_conditions": worst_conditions(evaluation.by_condition),
        "targets": task.specs.targets,
        "units": task.metric_units,
        "from_reference": list(filled),
    }


def csv_text(task: Task, evaluation: Evaluation) -> str:
    """A row a condition, in SI units."""
    rows = [
        {
            **circumstances,
            "status": str(at.status),
            "message": at.message,
            "score": at.score,
            "feasible": at.feasible,
            **_nulls(at.metrics),
        }
        for circumstances, at in _rows(task, evaluation)
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _rows(task: Task, evaluation: Evaluation) -> Iterable[tuple[dict[str, Any], AtCondition]]:
    conditions = task.conditions.conditions
    return zip(map(asdict, conditions), evaluation.by_condition.values(), strict=True)


def _nulls(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class _Column:
    """A metric at every condition: what stands over it, and numbers with their marks."""

    heading: tuple[str, ...]
    cells: tuple[str, ...]
    styles: tuple[str, ...]

    @property
    def width(self) -> int:
        return max(map(len, (*self.heading, *self.cells)))


def _print(task: Task, evaluation: Evaluation, all_metrics: bool) -> None:
    from acs_gym.evaluation import worst_conditions

    out = console()
    worst = worst_conditions(evaluation.by_condition)
    wanted = {s.metric: s for s in task.specs}
    others = [n for n in task.metric_units if n not in wanted] if all_metrics else []
    columns = [_column(task, evaluation, name, wanted.get(name), worst) for name in wanted]
    columns += [_column(task, evaluation, name, None, worst) for name in others]
    out.print(f"{task.id}: {task.title} on {task.pdk_name} ({task.tier})")
    names = list(evaluation.by_condition)
    first = max(map(len, (_HEADING, *names)))
    for block in _blocks([c.width for c in columns], first, out.width):
        _print_block(names, columns[block])
    out.print(f"{_MISSED} misses the spec   {_WORST} the worst condition of that spec\n")
    _print_worst(task, evaluation, worst)
    _print_not_ok(evaluation)
    _print_verdict(task, evaluation, worst)


def _column(
    task: Task, evaluation: Evaluation, name: str, spec: Spec | None, worst: Mapping[str, str]
) -> _Column:
    from acs_gym.units import column_scale

    places = evaluation.by_condition
    values = [at.metrics[name] for at in places.values()]
    scale = column_scale(values, task.metric_units[name])
    target, marks = "", [""] * len(values)
    if spec is not None:
        target = {">=": "≥", "<=": "≤", "within": "±"}[spec.direction] + scale.short(spec.target)
        marks = [
            ("" if at.margins[name] >= 0 else _MISSED) + (_WORST if where == worst[name] else "")
            for where, at in places.items()
        ]
    room = max(map(len, marks))
    return _Column(
        heading=(*name.split("_"), scale.unit, target),
        cells=tuple(f"{scale.text(v)}{m:<{room}}" for v, m in zip(values, marks, strict=True)),
        styles=tuple(
            ("red" if _MISSED in m else "") + (" bold" if _WORST in m else "") for m in marks
        ),
    )


def _blocks(widths: Sequence[int], first: int, room: int) -> list[slice]:
    """Which columns stand side by side, beside one of width `first`; at least one each time."""
    starts, used = [0], first
    for k, width in enumerate(widths):
        used += _GAP + width
        if used > room and k > starts[-1]:
            starts.append(k)
            used = first + _GAP + width
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(widths)], strict=True)]


def _print_block(names: Sequence[str], columns: Sequence[_Column]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # A box draws a character between columns; the rest of the gap is padding.
    table = Table(box=SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    height = max(len(c.heading) for c in columns)
    table.add_column(_HEADING, no_wrap=True, vertical="bottom")
    for column in columns:
        lines = [""] * (height - len(column.heading)) + list(column.heading)
        table.add_column("\n".join(lines), justify="right", no_wrap=True)
    for k, name in enumerate(names):
        table.add_row(Text(name), *(Text(c.cells[k], c.styles[k]) for c in columns))
    console().print(table, "")


def _print_worst(task: Task, evaluation: Evaluation, worst: Mapping[str, str]) -> None:
    from acs_gym.units import format_si

    rows = []
    for spec in task.specs:
        at = evaluation.by_condition[worst[spec.metric]]
        margin = at.margins[spec.metric]
        tick = "✓" if margin >= 0 else "✗"
        value = format_si(at.metrics[spec.metric], spec.unit)
        rows.append(
            (tick, spec.metric, value, spec.text(), format_si(margin, digits=3), worst[spec.metric])
        )
    print_table("worst of each spec", ("", "metric", ">value", "spec", ">margin", "worst at"), rows)


def _print_not_ok(evaluation: Evaluation) -> None:
    from acs_gym.evaluation import Status

    ends: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, at in evaluation.by_condition.items():
        if at.status is not Status.OK:
            ends[str(at.status), at.message].append(name)
    for (status, message), names in ends.items():
        console().print(f"{status} at {', '.join(names)}: {message}")


def _print_verdict(task: Task, evaluation: Evaluation, worst: Mapping[str, str]) -> None:
    places = evaluation.by_condition
    met = sum(at.feasible for at in places.values())
    margins = {metric: places[name].margins[metric] for metric, name in worst.items()}
    # Where one could not be measured, it is the worst of all.
    least = min(margins, key=lambda m: -math.inf if math.isnan(margins[m]) else margins[m])
    where = "mean ∓ 3 sigma" if task.conditions.kind == "mc" else "the worst condition"
    verdict = "every spec met" if evaluation.feasible else "not every spec met"
    console().print(
        f"{met} of {len(places)} conditions meet every spec; least margin: {least}, "
        f"{margins[least]:.3g} at {worst[least]}\n"
        f"status {evaluation.status}, score {evaluation.score:.4f} (at {where} of each spec), "
        f"{verdict}"
    )
    if evaluation.message:
        console().print(evaluation.message)
