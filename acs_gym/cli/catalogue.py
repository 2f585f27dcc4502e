"""`acs-gym list` and `acs-gym show`: what there is to size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from acs_gym.cli.output import print_table

if TYPE_CHECKING:
    from acs_gym.task import Task

PdkOption = Annotated[
    str | None,
    typer.Option("--pdk", help="sky130 or generic; by default sky130 where it is installed."),
]
TaskArgument = Annotated[
    str, typer.Argument(metavar="ID", help="A task id or a circuit's name, e.g. opamp.")
]


def list_tasks() -> None:
    """Every task: id, title, parameters, specs, PDKs."""
    from acs_gym.circuit import load_circuit
    from acs_gym.registry import circuit_folders

    circuits = [load_circuit(folder) for _, folder in sorted(circuit_folders().items())]
    print_table(
        "",
        ("id", "name", "title", ">parameters", ">specs", "PDKs"),
        [
            (
                c.id,
                c.name,
                c.file.title,
                str(len(c.file.parameter)),
                str(len(c.file.spec)),
                ", ".join(c.file.pdk),
            )
            for c in circuits
        ],
    )


def show(task_id: TaskArgument, pdk: PdkOption = None) -> None:
    """One task: parameters with ranges, specs, metrics, the reference sizing."""
    from acs_gym.cli.output import console
    from acs_gym.units import format_si

    task = task_on(task_id, pdk)
    out = console()
    out.print(f"{task.id}: {task.title} on {task.pdk_name} ({task.tier})\n\n{task.description}\n")
    reference = task.reference
    print_table(
        "parameters",
        ("name", ">low", ">high", "scale", ">step", ">reference", "description"),
        [
            (
                p.name,
                format_si(p.low, p.unit),
                format_si(p.high, p.unit),
                p.scale,
                "" if p.grid is None else format_si(p.grid, p.unit),
                "" if reference is None else format_si(reference[p.name], p.unit),
                p.description,
            )
            for p in task.space
        ],
    )
    wanted = {spec.metric: spec.text() for spec in task.specs}
    described = {m.name: m.description for m in task.circuit.file.metric}
    print_table(
        "metrics and specs",
        ("metric", "unit", "spec", "description"),
        [
            (name, unit, wanted.get(name, ""), described.get(name, "device area"))
            for name, unit in task.metric_units.items()
        ],
    )
    if reference is None:
        out.print(f"No reference sizing is shipped for {task.pdk_name}.")
    else:
        values = " ".join(f"{p.name}={_typed(reference[p.name], p.unit)}" for p in task.space)
        out.print(
            f"reference sizing:\n  acs-gym simulate {task.circuit.name} {values}", soft_wrap=True
        )


def task_on(name: str, pdk: str | None, targets: dict[str, float] | None = None) -> Task:
    """The task on the PDK asked for, or on the best one that is here."""
    from acs_gym.pdks import get_pdk
    from acs_gym.task import DEFAULT_PDK, make_task

    if pdk is None:
        pdk = DEFAULT_PDK if get_pdk(DEFAULT_PDK).available() else "generic"
    return make_task(name, pdk=pdk, specs=targets)


def _typed(value: float, unit: str) -> str:
    """A value as a person types it, `12um`; always read back as the same float."""
    from acs_gym.units import format_si, parse

    short = format_si(value, unit, digits=9).replace(" ", "")
    return short if parse(short) == value else repr(value)
