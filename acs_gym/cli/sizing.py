"""`acs-gym simulate` and `acs-gym plot`: one sizing, measured or drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acs_gym.cli.catalogue import PdkOption, TaskArgument, TierOption, task_on
from acs_gym.cli.output import console, print_table
from acs_gym.wording import did_you_mean

if TYPE_CHECKING:
    from acs_gym.design import Design
    from acs_gym.evaluation import Evaluation
    from acs_gym.simulation.operating_point import OperatingPoint
    from acs_gym.task import Task

_FORMATS = (".png", ".pdf", ".svg")

Assignments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=VALUE]...",
        help="Parameters, e.g. w_pair=12u c_comp=1.5p; the others are the reference sizing's.",
    ),
]
SizingFile = Annotated[
    Path | None,
    typer.Option(
        "--sizing",
        metavar="FILE",
        help="A sizing in the reference's stead: TOML, JSON, result.json.",
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option("--spec", metavar="METRIC=VALUE", help="Another target, e.g. ugbw=20M."),
]


def simulate(
    task_id: TaskArgument,
    values: Assignments = None,
    pdk: PdkOption = None,
    tier: TierOption = None,
    spec: Targets = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in SI units.")] = False,
    with_points: Annotated[
        bool,
        typer.Option("--op", help="Also every transistor's operating point (nominal condition)."),
    ] = False,
    sizing: SizingFile = None,
    decks: Annotated[
        Path | None,
        typer.Option(
            "--deck", metavar="FOLDER",
            help="Also write what is simulated, a file for ngspice -b a testbench (nominal condition).",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Simulate one sizing and hold its metrics against the specs (exit 1: it failed)."""
    from acs_gym.session import available_cores

    task, design, filled = asked_for(task_id, values, pdk, spec, tier or "tt", sizing)
    if decks is not None:
        _write_decks(task, design, decks)
    workers = min(task.cost, available_cores())
    with task.session(budget=task.cost, workers=workers) as session:
        evaluation = session.simulate(design)
        points = session.operating_points(design) if with_points and not failed(evaluation) else ()
    if as_json:
        record = {
            "task": task.id,
            "pdk": task.pdk_name,
            "tier": task.tier,
            **evaluation.to_json(by_condition=False),
            "targets": task.specs.targets,
            "units": task.metric_units,
            "from_reference": list(filled),
        }
        if with_points:
            record["operating_points"] = [asdict(p) for p in points]
        print(json.dumps(record, indent=2, allow_nan=False))
    else:
        _print(task, evaluation, filled)
        if with_points:
            _print_points(points)
    if failed(evaluation):
        raise typer.Exit(1)


def plot(
    task_id: TaskArgument,
    values: Assignments = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where to; .png, .pdf or .svg.")
    ] = Path("sizing.png"),
    pdk: PdkOption = None,
    spec: Targets = None,
    sizing: SizingFile = None,
) -> None:
    """Draw one sizing: loop gain, step response, margins (exit 1: the simulation failed)."""
    if output.suffix.lower() not in _FORMATS:
        raise typer.BadParameter(f"{output} must end in one of: {', '.join(_FORMATS)}")
    if not output.parent.is_dir():
        raise typer.BadParameter(f"{output}: there is no folder {output.parent}; make it first")
    from acs_gym import plotting
    from acs_gym.simulation.pool import Job, shared_pool
    from acs_gym.simulation.uncharged import simulate_uncharged

    task, design, filled = asked_for(task_id, values, pdk, spec, sizing=sizing)
    job = Job(task.program, design, waveforms=True)
    (outcome,) = simulate_uncharged([job], shared_pool(1))
    evaluation = task.judge(design, outcome)
    plotting.draw(task, evaluation, outcome.waveforms).savefig(output)
    say_filled(task, filled)
    console().print(f"wrote {output}: score {evaluation.score:.4f}, {evaluation.status}")
    if failed(evaluation):
        raise typer.Exit(1)


def asked_for(
    task_id: str,
    values: list[str] | None,
    pdk: str | None,
    targets: list[str] | None,
    tier: str = "tt",
    sizing: Path | None = None,
) -> tuple[Task, Design, tuple[str, ...]]:
    """(task, canonical design, names that came from the reference sizing, not from the file)."""
    from acs_gym.specs import InvalidSpec

    task = task_on(task_id, pdk, tier)
    if targets:
        task = task.with_specs(_parsed(targets, "target", InvalidSpec))
    return task, *_completed(task, values or [], sizing)


def _write_decks(task: Task, design: Design, folder: Path) -> None:
    from acs_gym.simulation.listing import listing

    folder.mkdir(parents=True, exist_ok=True)
    for deck in task.program.decks:
        path = folder / deck.name
        path.write_text(listing(task.program, deck, design), encoding="utf-8")
        # Standard output may be JSON.
        typer.echo(f"wrote {path}", err=True)


def _completed(
    task: Task, values: list[str], sizing: Path | None
) -> tuple[Design, tuple[str, ...]]:
    from acs_gym.design import InvalidDesign
    from acs_gym.sizing_file import read_sizing

    given = {} if sizing is None else read_sizing(sizing)
    given |= _parsed(values, "parameter", InvalidDesign)
    for name in given:
        if name not in task.space.names:
            hint = did_you_mean(name, task.space.names)
            known = ", ".join(task.space.names)
            raise InvalidDesign(f"unknown parameter {name!r}; {hint}parameters: {known}")
    # A tier without a reference of its own starts from the typical one.
    reference = task.reference or task.circuit.reference(task.pdk_name) or {}
    design = task.space.canonicalize({**reference, **given})
    return design, tuple(n for n in design if n not in given)


def _parsed(texts: list[str], what: str, problem: type[ValueError]) -> dict[str, float]:
    """`["w_pair=12u"]` as `{"w_pair": 12e-6}`; raises `problem` quoting what cannot be read."""
    from acs_gym.units import parse

    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise problem(f"cannot read {text!r} as a {what}; write NAME=VALUE, e.g. w_pair=12u")
        if name in found:
            raise problem(f"{what} {name} is given twice")
        try:
            found[name] = parse(value)
        except ValueError as error:
            raise problem(f"{what} {name}: {error}") from None
    return found


def failed(evaluation: Evaluation) -> bool:
    """Whether there was no simulation result; an unmeasurable metric is a result."""
    from acs_gym.evaluation import Status

    return evaluation.status not in (Status.OK, Status.MEASURE_FAILED)


def _print(task: Task, evaluation: Evaluation, filled: tuple[str, ...]) -> None:
    from acs_gym.evaluation import yield_bound
    from acs_gym.units import format_si

    out = console()
    out.print(f"{task.id}: {task.title} on {task.pdk_name} ({task.tier})")
    say_filled(task, filled)
    print_table(
        "design",
        ("parameter", ">value", "", "description"),
        [
            (
                p.name,
                format_si(evaluation.design[p.name], p.unit),
                "reference" if p.name in filled else "",
                p.description,
            )
            for p in task.space
        ],
    )
    wanted = {spec.metric: spec for spec in task.specs}
    spread = evaluation.spread
    behind, column = _behind(task, evaluation)
    rows = []
    for name, unit in task.metric_units.items():
        tick = target = margin = ""
        if name in wanted:
            tick = "✓" if evaluation.satisfaction[name] == 1.0 else "✗"
            target, margin = wanted[name].text(), format_si(evaluation.margins[name], digits=3)
        value = format_si(evaluation.metrics.get(name), unit)
        more = (behind.get(name, ""),) if column else ()
        rows.append((tick, name, value, target, margin, *more))
    headings = ("", "metric", ">value", "spec", ">margin", *((column,) if column else ()))
    print_table("metrics", headings, rows)
    if spread.yield_fraction is not None:
        draws = len(evaluation.by_condition)
        sure = yield_bound(round(spread.yield_fraction * draws), draws)
        out.print(
            f"yield: {spread.yield_fraction:.0%} of {draws} draws meet every spec "
            f"(at least {sure:.0%} with 95 % confidence)"
        )
    verdict = "every spec met" if evaluation.feasible else "not every spec met"
    out.print(f"status {evaluation.status}, score {evaluation.score:.4f}, {verdict}")
    if evaluation.message:
        out.print(evaluation.message)


def _print_points(points: Sequence[OperatingPoint]) -> None:
    from acs_gym.units import format_si

    headings = (
        "transistor", "kind", ">id", ">gm", ">gm/id", ">vgs", ">vds", ">vdsat", ">vds-vdsat", "region",
    )  # fmt: skip
    rows = [
        (
            p.name, p.kind, format_si(p.id, "A"), format_si(p.gm, "S"), format_si(p.gm_over_id, digits=3),
            format_si(p.vgs, "V", 3), format_si(p.vds, "V", 3), format_si(p.vdsat, "V", 3),
            format_si(p.saturation_margin, "V", 3), p.region,
        )
        for p in points
    ]  # fmt: skip
    print_table("operating point", headings, rows)


def _behind(task: Task, evaluation: Evaluation) -> tuple[dict[str, str], str]:
    """What stands beside each metric in a tier of several conditions, and the heading over it."""
    from acs_gym.units import format_si

    spread, units = evaluation.spread, task.metric_units
    if spread.worst_at:
        return dict(spread.worst_at), "worst at"
    if spread.sigma:
        texts = {
            name: f"{format_si(spread.mean[name], units[name])} ± {format_si(sigma, units[name], 3)}"
            for name, sigma in spread.sigma.items()
            if name in task.specs.metrics
        }
        return texts, "mean ± sigma"
    return {}, ""


def say_filled(task: Task, filled: tuple[str, ...]) -> None:
    if filled:
        which = "all parameters" if len(filled) == len(task.space) else ", ".join(filled)
        tier = "" if task.reference else " of tier tt"
        console().print(f"taken from the reference sizing{tier}: {which}")
