"""`acs-gym check`: what is wrong with a circuit folder, whether its references hold, how hard it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acs_gym.cli.output import console, print_table

if TYPE_CHECKING:
    from acs_gym.circuit import Circuit
    from acs_gym.circuit_files import Problem
    from acs_gym.difficulty import Progress
    from acs_gym.evaluation import Evaluation
    from acs_gym.task import Task
    from acs_gym.vacask import Opinion

# What a reference must have to spare, as a share of the target: below it, another version of the
# simulator or the models may cost the proof.
LEAST_HEADROOM = 0.02
_MARK = {"error": "✗", "warning": "!", "info": "·"}


def check(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A circuit folder, or a known circuit's name.")
    ],
    pdk: Annotated[
        list[str] | None,
        typer.Option("--pdk", help="Only on these PDKs; repeat for several. By default all here."),
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            "--tier",
            help="Only these tiers; repeat for several. By default every reference is simulated, and "
            "difficulty measured in tt.",
        ),
    ] = None,
    designs: Annotated[
        int, typer.Option(min=0, help="Blind designs to measure difficulty with; 0 for none.")
    ] = 200,
    no_simulation: Annotated[
        bool, typer.Option("--no-simulation", help="Only read the files.")
    ] = False,
    second_simulator: Annotated[
        bool,
        typer.Option(
            "--second-simulator",
            help="Measure every reference again with VACASK (pip install 'acs-gym[vacask]').",
        ),
    ] = False,
) -> None:
    """Check a circuit folder: its files, its references, its difficulty (exit 1: it has an error)."""
    if second_simulator:
        from acs_gym.vacask import find_vacask

        find_vacask()  # Before anything is simulated; raises where it is missing.
    folder = _folder(path)
    circuit, problems = _read(folder)
    _print_problems(folder, circuit, problems)
    failed = any(p.level == "error" for p in problems)
    if circuit is not None and not failed and not no_simulation:
        failed = not _simulated(circuit, pdk, tier, designs, second_simulator)
    verdict = "not in order" if failed else "in order"
    warnings = sum(p.level == "warning" for p in problems)
    noted = f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
    console().print(f"\n{folder.resolve().name}: {verdict}{noted}")
    if failed:
        raise typer.Exit(1)


def _folder(path: str) -> Path:
    from acs_gym.circuit import CircuitError
    from acs_gym.registry import circuit_folders

    if (Path(path) / "circuit.toml").exists():
        return Path(path)
    known = circuit_folders()
    for task_id, folder in known.items():
        if path in (task_id, folder.name):
            return folder
    what = "has no circuit.toml" if Path(path).is_dir() else "is no folder"
    raise CircuitError(f'{path} {what}; "acs-gym new NAME" writes a circuit to start from')


def _read(folder: Path) -> tuple[Circuit | None, list[Problem]]:
    """The circuit, or None, and everything that reading its files tells."""
    from acs_gym.circuit import CircuitError
    from acs_gym.circuit_files import Problem
    from acs_gym.circuit_lint import suspicions
    from acs_gym.circuit_reading import read_circuit
    from acs_gym.difficulty import FILE, read_difficulties
    from acs_gym.pdks import get_pdk
    from acs_gym.simulation.deck import build_program

    circuit, problems = read_circuit(folder)
    if circuit is None or problems:
        return None, problems
    problems = suspicions(circuit)
    try:
        for name in circuit.file.pdk:
            if get_pdk(name).available():
                build_program(circuit, get_pdk(name))
    except CircuitError as error:
        problems.append(Problem("circuit.toml", str(error)))
    try:
        read_difficulties(folder)
    except CircuitError as error:
        problems.append(Problem(FILE, str(error)))
    return circuit, problems


def _print_problems(folder: Path, circuit: Circuit | None, problems: Sequence[Problem]) -> None:
    out = console()
    title = "" if circuit is None else f": {circuit.id}, {circuit.file.title}"
    out.print(f"{folder.resolve().name}{title}")
    for problem in sorted(problems, key=lambda p: tuple(_MARK).index(p.level)):
        line = f"{_MARK[problem.level]} {problem.level}: {folder}{os.sep}{problem}"
        out.print(line, soft_wrap=True)
    if not problems:
        out.print("nothing to remark in its files")


def _simulated(
    circuit: Circuit,
    pdks: list[str] | None,
    tiers: list[str] | None,
    designs: int,
    second_simulator: bool,
) -> bool:
    """Whether every reference holds; prints that, and the difficulty."""
    from acs_gym.task import task_of

    good = True
    for name in _pdks(circuit, pdks):
        for tier in tiers or circuit.tiers:
            task = task_of(circuit, name, tier)
            if task.reference is not None:
                good &= _reference_holds(task)
                if second_simulator:
                    good &= _simulators_agree(task)
        for tier in (tiers or ["tt"]) if designs else []:
            _print_difficulty(task_of(circuit, name, tier), designs)
    return good


def _pdks(circuit: Circuit, wanted: list[str] | None) -> Iterator[str]:
    """Those to simulate on; says which are left out. Raises PdkNotFound for one asked for."""
    from acs_gym.pdks import get_pdk

    for name in wanted or circuit.file.pdk:
        pdk = get_pdk(name)
        if wanted is None and not pdk.available():
            console().print(f"\n{name} is not installed here; nothing is simulated on it")
            continue
        pdk.location()
        yield name


def _reference_holds(task: Task) -> bool:
    from acs_gym.evaluation import Status
    from acs_gym.session import available_cores

    with task.session(task.cost, workers=available_cores()) as session:
        evaluation = session.simulate(task.reference or {})
    scarce = [
        s.metric
        for s in task.specs
        if not s.headroom(evaluation.metrics[s.metric]) >= LEAST_HEADROOM
    ]
    good = evaluation.status is Status.OK and not scarce
    verdict = "holds" if good else "does not hold"
    console().print(f"\nreference on {task.pdk_name}, tier {task.tier}: {verdict}")
    _print_headroom(task, evaluation)
    if evaluation.message:
        console().print(f"{evaluation.status}: {evaluation.message}", soft_wrap=True)
    if scarce:
        console().print(
            f"missed or less than {LEAST_HEADROOM:.0%} to spare: {', '.join(scarce)}",
            soft_wrap=True,
        )
    return good


def _print_headroom(task: Task, evaluation: Evaluation) -> None:
    from acs_gym.units import format_si

    specs = {s.metric: s for s in task.specs}
    worst_at = evaluation.spread.worst_at
    rows = []
    for name, unit in task.metric_units.items():
        value = evaluation.metrics.get(name)
        tick = target = spare = ""
        if name in specs and value is not None:
            headroom = specs[name].headroom(value)
            tick = "✓" if headroom >= LEAST_HEADROOM else "✗"
            target, spare = specs[name].text(), "-" if headroom != headroom else f"{headroom:.1%}"
        row = (tick, name, format_si(value, unit), target, spare)
        rows.append((*row, worst_at.get(name, "")) if worst_at else row)
    columns = ("", "metric", ">value", "spec", ">to spare")
    print_table("", (*columns, "worst at") if worst_at else columns, rows)


def _simulators_agree(task: Task) -> bool:
    """Whether VACASK gives what ngspice gives for the reference, at nominal conditions."""
    from acs_gym.vacask import second_opinions

    (opinion,) = second_opinions(task, [task.reference or {}])
    verdict = "agree" if opinion.agrees else "do not agree"
    console().print(
        f"\nngspice and VACASK on {task.pdk_name}, reference of tier {task.tier}, nominal: {verdict}"
    )
    if opinion.failure:
        console().print(opinion.failure, soft_wrap=True)
    else:
        _print_opinion(opinion)
    return opinion.agrees


def _print_opinion(opinion: Opinion) -> None:
    from acs_gym.units import format_si

    rows = [
        (
            "✓" if metric.agrees else "✗",
            metric.metric,
            format_si(metric.ngspice, metric.unit, 6),
            format_si(metric.vacask, metric.unit, 6),
            format_si(metric.difference, metric.unit, 2),
            format_si(metric.allowed, metric.unit, 2),
        )
        for metric in opinion.metrics
    ]
    print_table("", ("", "metric", ">ngspice", ">VACASK", ">difference", ">allowed"), rows)


def _print_difficulty(task: Task, designs: int) -> None:
    from acs_gym.difficulty import FIRST, measure_difficulty

    with _progress(f"blind designs on {task.pdk_name}, {task.tier}") as progress:
        found = measure_difficulty(task, designs=designs, progress=progress)
    console().print(
        f"difficulty on {task.pdk_name}, tier {task.tier}: {found.feasible} of {found.designs} blind "
        f"designs are feasible, the best of the first {min(FIRST, designs)} scores "
        f"{found.best_of_100:.3f}",
        soft_wrap=True,
    )
    if found.advice:
        console().print(f"! {found.advice}", soft_wrap=True)


@contextmanager
def _progress(what: str) -> Iterator[Progress | None]:
    """A bar on the terminal, where there is one."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(what, total=None)

        def advance(done: int, expected: int) -> None:
            bar.update(row, completed=done, total=expected)

        yield advance
