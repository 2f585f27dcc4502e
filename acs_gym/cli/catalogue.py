"""`acs-gym list` and `acs-gym show`: what there is to size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from acs_gym.cli.output import print_table

if TYPE_CHECKING:
    from acs_gym.circuit import Circuit
    from acs_gym.task import Task

PdkOption = Annotated[
    str | None,
    typer.Option("--pdk", help="sky130 or generic; by default sky130 where it is installed."),
]


def known_tier(name: str | None) -> str | None:
    if name is not None:
        from acs_gym.tiers import get_tier

        try:
            get_tier(name)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return name


TierOption = Annotated[
    str | None,
    typer.Option(
        "--tier",
        help="tt, pvt, mc, or mcN for N mismatch draws.",
        show_default="tt",
        callback=known_tier,
    ),
]
TaskArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="A task id, a circuit's name, e.g. opamp, or its folder."),
]


def list_tasks() -> None:
    """Every task: split, parameters, specs, tiers, how hard it is for blind search, PDKs."""
    from acs_gym.circuit_reading import load_circuit
    from acs_gym.registry import circuit_folders

    circuits = [load_circuit(folder) for _, folder in sorted(circuit_folders().items())]
    pdk = default_pdk()
    columns = ("id", "name", "title", "split", ">parameters", ">specs", "tiers", "PDKs")
    print_table(
        "",
        (*columns, f"feasible on {pdk} · best of 100"),
        [
            (
                c.id,
                c.name,
                c.file.title,
                c.file.split,
                str(len(c.file.parameter)),
                str(sum("tt" in s.tiers for s in c.file.spec)),
                ", ".join(c.tiers),
                ", ".join(c.file.pdk),
                _difficulty(c, pdk),
            )
            for c in circuits
        ],
    )


def _difficulty(circuit: Circuit, pdk: str) -> str:
    """What blind search was measured to find in tier tt, where that is of this version."""
    from acs_gym.difficulty import known_difficulty, read_difficulties
    from acs_gym.task import task_of

    if "tt" not in read_difficulties(circuit.folder).get(pdk, {}) or pdk not in circuit.file.pdk:
        return "-"
    found = known_difficulty(task_of(circuit, pdk))
    return "-" if found is None else found.text


def show(task_id: TaskArgument, pdk: PdkOption = None, tier: TierOption = None) -> None:
    """One task: parameters with ranges, what each tier asks, metrics, the reference sizing."""
    from acs_gym.cli.output import console
    from acs_gym.difficulty import known_difficulty
    from acs_gym.units import format_si

    task = task_on(task_id, pdk, tier or "tt")
    out = console()
    out.print(f"{task.id}: {task.title} on {task.pdk_name} ({task.tier})\n\n{task.description}\n")
    if task.circuit.kit:
        from acs_gym.kits import get_kit

        out.print(f"bench kit: {task.circuit.kit} ({get_kit(task.circuit.kit).title})")
    tiers = (tier,) if tier else task.circuit.tiers
    out.print("tiers: " + ", ".join(_tier_text(task, tier) for tier in tiers))
    if (found := known_difficulty(task)) is not None:
        out.print(f"blind search, feasible designs and best score of 100: {found.text}")
    out.print("")
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
    _print_specs(task, tiers)
    if reference is None:
        out.print(f"No reference sizing is shipped for {task.pdk_name} in tier {task.tier}.")
    else:
        values = " ".join(f"{p.name}={_typed(reference[p.name], p.unit)}" for p in task.space)
        options = f" --tier {tier}" if tier else ""
        out.print(
            f"reference sizing:\n  acs-gym simulate {task.circuit.name} {values}{options}",
            soft_wrap=True,
        )


def _tier_text(task: Task, tier: str) -> str:
    from acs_gym.tiers import get_tier

    cost = get_tier(tier, task.passive_corners).cost
    return f"{tier} ({cost} simulation{'s' if cost > 1 else ''} a design)"


def _print_specs(task: Task, tiers: Sequence[str]) -> None:
    """Metrics, with what each tier asks of them in a column of its own."""
    from acs_gym.tiers import get_tier

    sheets = [task.circuit.specs(task.pdk_name, get_tier(t).kind) for t in tiers]
    wanted = [{spec.metric: spec.text() for spec in sheet} for sheet in sheets]
    described = {m.name: m.description for m in task.circuit.file.metric}
    headings = ["spec"] if len(tiers) == 1 else [f"spec in {t}" for t in tiers]
    print_table(
        "metrics and specs",
        ("metric", "unit", *headings, "description"),
        [
            (
                name,
                unit,
                *(texts.get(name, "") for texts in wanted),
                described.get(name, "device area"),
            )
            for name, unit in task.metric_units.items()
        ],
    )


def default_pdk() -> str:
    """The PDK that is meant when none is named: the best one that is here."""
    from acs_gym.pdks import get_pdk
    from acs_gym.task import DEFAULT_PDK

    return DEFAULT_PDK if get_pdk(DEFAULT_PDK).available() else "generic"


def task_on(name: str, pdk: str | None, tier: str = "tt") -> Task:
    """The task of an id, a circuit's name or a circuit folder, on the PDK asked for or the default."""
    from acs_gym.registry import id_or_folder
    from acs_gym.task import make_task

    return make_task(id_or_folder(name), pdk=pdk or default_pdk(), tier=tier)


def _typed(value: float, unit: str) -> str:
    """A value as a person types it, `12um`; always read back as the same float."""
    from acs_gym.units import format_si, parse

    short = format_si(value, unit, digits=9).replace(" ", "")
    return short if parse(short) == value else repr(value)
