"""acs-gym explain CIRCUIT: what each size does, which specs fight, what a run found between two."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from acs_gym import program
from acs_gym.circuit import CircuitError
from acs_gym.cli.output import console, print_table
from acs_gym.design import Design, InvalidDesign
from acs_gym.pdks import PdkError, pdk_names
from acs_gym.sensitivity import Conflict, Sensitivity, conflicts, sensitivities, suggestions
from acs_gym.simulation.driver import SimulatorNotFound
from acs_gym.simulation.pool import Job, WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.sizing_file import best_of_run, read_sizing
from acs_gym.task import Task, TaskNotFound, make_task
from acs_gym.units import format_si
from leaderboard.cells.records import EvaluationRecord
from leaderboard.errors import LeaderboardError, unknown
from leaderboard.sizing.answer import at_nominal
from leaderboard.sizing.effects import effects, signed
from leaderboard.sizing.front import front, simulated
from leaderboard.suites import resolve_task

# Of the conflicts, so many are said in words.
_IN_WORDS = 3


def main(
    circuit: Annotated[
        str, typer.Argument(help="Folder of your own circuit, or a bundled one by id or name.")
    ],
    sizing: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The sizing to look at: TOML, JSON, result.json.",
            show_default="the best of --run, else the reference",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUNS", help="A folder of acs-gym size or acs-gym run."),
    ] = None,
    front_of: Annotated[
        tuple[str, str] | None,
        typer.Option("--front", metavar="SPEC SPEC", help="Two specs to trade in --run."),
    ] = None,
    pdk: Annotated[str, typer.Option(help=f"Process: {', '.join(pdk_names())}.")] = "sky130",
    tier: Annotated[str, typer.Option(help="Whose targets: tt, pvt, mc or mcN.")] = "tt",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in SI units.")] = False,
) -> None:
    """What each size does to each spec at a sizing, and which specs fight; 2 n + 1 simulations.

    With --run RUNS --front power gain also the designs of a run that none beats in both.
    """
    try:
        found = _explained(
            make_task(resolve_task(circuit), pdk=pdk, tier=tier), sizing, run, front_of
        )
    except (
        LeaderboardError, TaskNotFound, CircuitError, InvalidDesign, PdkError, SimulatorNotFound,
    ) as error:  # fmt: skip
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    if as_json:
        print(json.dumps(_record(found), indent=2, allow_nan=False))
    else:
        _print(found)


@dataclass(frozen=True, slots=True)
class _Explanation:
    """What is said of a sizing; `trade` is the front between two specs, where one was asked for."""

    task: Task
    design: Design
    margins: dict[str, float]
    sensitivities: tuple[Sensitivity, ...]
    conflicts: tuple[Conflict, ...]
    trade: tuple[str, str] | None
    front: list[EvaluationRecord]
    looked_at: int


def _explained(
    task: Task, sizing: Path | None, run: Path | None, trade: tuple[str, str] | None
) -> _Explanation:
    if trade is not None:
        if run is None:
            raise LeaderboardError(
                "--front trades what a run found: name its folder with --run RUNS"
            )
        for metric in trade:
            if metric not in task.specs.metrics:
                raise unknown("spec", metric, task.specs.metrics)
    nominal = at_nominal(task)
    design = task.space.canonicalize(_sizing(task, sizing, run))
    with WorkerPool(1) as simulator:
        (outcome,) = simulate_uncharged([Job(nominal.program, design)], simulator)
        found = sensitivities(nominal, design, simulator)
    evaluations = [] if run is None or trade is None else list(simulated(run, task))
    return _Explanation(
        task=nominal,
        design=design,
        margins=dict(nominal.judge(design, outcome).margins),
        sensitivities=found,
        conflicts=conflicts(found),
        trade=trade,
        front=[] if trade is None else front(evaluations, trade),
        looked_at=len(evaluations),
    )


def _sizing(task: Task, sizing: Path | None, run: Path | None) -> Mapping[str, float]:
    if sizing is not None:
        return read_sizing(sizing)
    if run is not None:
        return best_of_run(run, task.space.names)
    reference = task.reference or task.circuit.reference(task.pdk_name)
    if reference is None:
        raise LeaderboardError(
            f"{task.id} has no reference sizing on {task.pdk_name}; name one with --sizing FILE"
        )
    return reference


def _print(found: _Explanation) -> None:
    out, task = console(), found.task
    metrics = list(found.sensitivities[0].margins)
    rows = [("margin now", "", *(signed(found.margins[m]) for m in metrics))]
    rows += [
        (row.name, row.step, *(f"{c.text}{'*' if c.strong else ''}" for c in row.cells))
        for row in effects(found.sensitivities)
    ]
    title = (
        f"{task.title} on {task.pdk_name}: what a step of each size does to each margin, at nominal"
    )
    print_table(title, ("size", "step", *(f">{m}" for m in metrics)), rows)
    out.print("* the two strongest of each spec; a margin is 0 where a spec is just met\n")
    if found.conflicts:
        print_table(
            "specs that fight",
            ("spec", "against", ">correlation", "through", "step", ">first", ">second"),
            [
                (
                    *c.metrics, f"{c.correlation:+.2f}", c.parameter, c.step, signed(c.gain),
                    signed(c.loss),
                )
                for c in found.conflicts
            ],
        )  # fmt: skip
        for conflict in found.conflicts[:_IN_WORDS]:
            out.print(f"· {conflict.words}", soft_wrap=True)
    else:
        out.print("No two specs fight: no pair of them is correlated below -0.5.")
    for s in suggestions(found.margins, found.sensitivities):
        out.print(
            f"· worth touching: {s.parameter} {s.step}, least margin {s.before:+.3f} ({s.metric}) to "
            f"about {s.after:+.3f}",
            soft_wrap=True,
        )
    if found.trade is not None:
        _print_front(found, found.trade)


def _print_front(found: _Explanation, trade: tuple[str, str]) -> None:
    units, changed = found.task.metric_units, found.task.space
    print_table(
        f"\n{' against '.join(trade)}: none of {found.looked_at} designs of the run beats these in both",
        (*(f">{m}" for m in trade), ">score", "specs", *(f">{p.name}" for p in changed)),
        [
            (
                *(format_si(e.metrics[m], units[m]) for m in trade),
                f"{e.score:.4f}",
                "every one met" if e.feasible else "not every one met",
                *(format_si(e.design[p.name], p.unit, 3) for p in changed),
            )
            for e in found.front
        ],
    )


def _record(found: _Explanation) -> dict[str, Any]:
    record: dict[str, Any] = {
        "task": found.task.id,
        "pdk": found.task.pdk_name,
        "design": found.design,
        "margins": _finite(found.margins),
        "sensitivities": [
            {"parameter": s.parameter, "step": s.step, "margins": _finite(s.margins)}
            for s in found.sensitivities
        ],
        "conflicts": [
            {
                "specs": c.metrics, "correlation": c.correlation, "parameter": c.parameter,
                "step": c.step, "changes": (c.gain, c.loss), "words": c.words,
            }
            for c in found.conflicts
        ],
    }  # fmt: skip
    if found.trade is not None:
        record["front"] = {
            "specs": found.trade,
            "of": found.looked_at,
            "designs": [
                {
                    "design": e.design, "metrics": {m: e.metrics[m] for m in found.trade},
                    "score": e.score, "feasible": e.feasible,
                }
                for e in found.front
            ],
        }  # fmt: skip
    return record


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


if __name__ == "__main__":
    program.start()
    typer.run(main)
