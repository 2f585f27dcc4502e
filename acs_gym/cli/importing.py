"""`acs-gym import` and `acs-gym export`: a netlist as a circuit folder, and a sizing back in it."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acs_gym.cli.output import console, print_table

if TYPE_CHECKING:
    from acs_gym.importing.bench import KitWanted
    from acs_gym.importing.circuit import Imported

_MOST_ROWS = 60


class Format(StrEnum):
    SPICE = "spice"
    XSCHEM = "xschem"
    CACE = "cace"
    SIZES = "sizes"
    CSV = "csv"


def import_netlist(
    netlist: Annotated[
        Path,
        typer.Argument(
            metavar="NETLIST", help="A SPICE file, as any schematic or layout tool writes it."
        ),
    ],
    top: Annotated[
        str | None,
        typer.Option("--top", help="The circuit's .subckt, where the file does not say."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The folder to write.", show_default="the circuit's name"),
    ] = None,
    pdk: Annotated[
        str | None,
        typer.Option(
            "--pdk", help="sky130 or gf180mcu.", show_default="what the devices' names say"
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size", metavar="M1.w[=1u..50u]", help="Size this and nothing else; repeat for more."
        ),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option("--fix", metavar="M3", help="Leave a device, or one size (M3.w), as it is."),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="NAME=DEVICE", help="What a model is, e.g. nch_lvt=nfet_01v8_lvt."
        ),
    ] = None,
    kit: Annotated[
        str | None,
        typer.Option(
            "--kit",
            help="Measure it with a bench kit: opamp, ota, ldo, comparator, reference or oscillator.",
        ),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port",
            metavar="vref=REF",
            help="With --kit: which port is the kit's; repeat for more.",
        ),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            metavar="v_out=1.2",
            help="With --kit: a condition's value; repeat for more.",
        ),
    ] = None,
    no_simulation: Annotated[
        bool,
        typer.Option(
            "--no-simulation", help="Do not measure the netlist's sizing for the targets."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Make a circuit folder of a netlist: flattened, matched devices tied, sizes as parameters."""
    from acs_gym.circuit import CircuitError
    from acs_gym.importing import import_text
    from acs_gym.importing.folder import folder_name, write_folder
    from acs_gym.importing.text import decoded, read_bytes, read_text
    from acs_gym.pdks import get_pdk

    if pdk is not None:
        get_pdk(pdk)
    names: dict[str, str] = {}
    for text in renamed or []:
        name, equals, device = text.lower().partition("=")
        if not equals or not name or not device:
            raise CircuitError(f"cannot read --map {text}; write NAME=DEVICE, e.g. nch=nfet")
        names[name.strip()] = device.strip()
    wanted = _kit_wanted(kit, port or [], condition or [])
    raw = read_bytes(netlist)
    circuit = import_text(
        read_text(decoded(raw, netlist.name), netlist.name),
        top=top, pdk=pdk, size=size or (), fix=fix or (), renamed=names,
    )  # fmt: skip
    folder = out or Path(folder_name(circuit))
    bench, said = write_folder(circuit, folder, raw, simulate=not no_simulation, kit=wanted)
    record = {
        "folder": str(folder),
        "simulation": said,
        "to_do": list(bench.todo),
        **report(circuit),
    }
    if as_json:
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
    else:
        _print(record, folder)


def _kit_wanted(kit: str | None, ports: list[str], conditions: list[str]) -> KitWanted | None:
    from acs_gym.circuit import CircuitError
    from acs_gym.cli.new import known_kit
    from acs_gym.importing.bench import KitWanted
    from acs_gym.units import parse

    if kit is None:
        if ports or conditions:
            raise CircuitError("--port and --condition belong to --kit NAME; give that too")
        return None
    known_kit(kit)
    pairs = [(t, *(w.strip() for w in t.partition("=")[::2])) for t in (*ports, *conditions)]
    for text, name, value in pairs:
        if not name or not value:
            raise CircuitError(
                f"cannot read {text!r}; write --port vref=REF, --condition v_out=1.2"
            )
    try:
        numbers = {name: parse(value) for _, name, value in pairs[len(ports) :]}
    except ValueError as error:
        raise CircuitError(f"--condition: {error}") from None
    return KitWanted(kit, {name: value for _, name, value in pairs[: len(ports)]}, numbers)


def report(circuit: Imported) -> dict[str, Any]:
    """What was mapped, grouped, dropped and why; SI units."""
    from acs_gym.importing.netlist import labels_of

    of = circuit.parameters_of
    labels = labels_of(circuit)
    return {
        "circuit": circuit.name,
        "pdk": circuit.pdk,
        "pdk_because": circuit.pdk_because,
        "ports": list(circuit.ports),
        "devices": [
            {
                "line": d.flat.card.line,
                "instance": ".".join(d.path),
                "was": d.was,
                "is": d.kind,
                "name": labels[k],
                "role": circuit.sizing.roles.get(k, ""),
                "sizes": {n: s.value for n, s in d.sizes.items()},
                "parameters": {n: of[k][n][0] for n in d.sizes if n in of.get(k, {})},
                "notes": list(d.notes),
            }
            for k, d in enumerate(circuit.devices)
        ],
        "parameters": [
            {
                "name": p.name, "value": p.value, "low": p.low, "high": p.high, "unit": p.unit,
                "of": p.description,
            }
            for p in circuit.sizing.parameters
        ],
        "matched": [
            {
                "what": r.what, "role": r.role,
                "devices": [".".join(circuit.devices[k].path) for k in r.members],
            }
            for r in circuit.sizing.matched
        ],
        "merged": circuit.merged,
        "dropped": [{"line": d.line, "text": d.text[:80], "reason": d.reason} for d in circuit.dropped],
        "title": circuit.text.title,
        "notes": list(circuit.notes),
    }  # fmt: skip


def _print(record: dict[str, Any], folder: Path) -> None:
    from acs_gym.units import format_si

    out = console()
    out.print(
        f"wrote {folder}: {record['circuit']}, {len(record['devices'])} devices on {record['pdk']} "
        f"({record['pdk_because']}), ports {' '.join(record['ports'])}",
        soft_wrap=True,
    )
    units = {"r": "Ohm", "c": "F", "l": "m", "i": "A", "m": ""}
    shown = [d for d in record["devices"] if d["is"] not in "rc" or d["parameters"]]
    rows = []
    for d in shown[:_MOST_ROWS]:
        sizes = ", ".join(f"{n} {format_si(v, units.get(n, 'm'))}" for n, v in d["sizes"].items())
        rows.append(
            (
                str(d["line"]), d["instance"], d["is"], sizes, d["role"].replace("_", " "),
                " ".join(d["parameters"].values()) or "fixed", "; ".join(d["notes"]),
            )
        )  # fmt: skip
    print_table("", (">line", "instance", "device", "sizes", "role", "sized by", "note"), rows)
    rest = len(record["devices"]) - len(rows)
    if rest:
        out.print(
            f"and {rest} more: --json has them all (resistors and capacitors of a layout are kept)"
        )
    if record["merged"]:
        out.print(f"{record['merged']} elements went into a parallel one")
    print_table(
        "parameters",
        ("parameter", ">value", ">from", ">to", "of"),
        [
            (
                p["name"], *(format_si(p[k], p["unit"]) for k in ("value", "low", "high")),
                p["of"] if len(p["of"]) <= 90 else p["of"][:87] + "...",
            )
            for p in record["parameters"]
        ],
    )  # fmt: skip
    if record["title"]:
        out.print(f"· line 1 is SPICE's title: {record['title'][:80]}", soft_wrap=True)
    for d in record["dropped"][:20]:
        out.print(f"· line {d['line']} left out ({d['reason']}): {d['text']}", soft_wrap=True)
    if len(record["dropped"]) > 20:
        out.print(f"· and {len(record['dropped']) - 20} more lines")
    for note in record["notes"]:
        out.print(f"! {note}", soft_wrap=True)
    for line in record["to_do"]:
        out.print(f"! {line}", soft_wrap=True)
    quoted = shlex.quote(str(folder))
    out.print(
        f"simulation of the netlist's sizing: {record['simulation']}\n\n  acs-gym check {quoted}",
        soft_wrap=True,
    )


def export(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A folder that acs-gym import wrote; for cace and csv any circuit's folder or name.",
        ),
    ],
    sizing: Annotated[
        Path | None,
        typer.Option(
            "--sizing", metavar="FILE", help="Parameters in SI units: TOML, JSON, result.json.",
            show_default="the folder's reference.toml",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUNS", help="The best of a folder of acs-gym size or run."),
    ] = None,
    kind: Annotated[
        Format,
        typer.Option(
            "--format",
            help="spice: the owner's file with these numbers; xschem: a schematic with them; cace: a "
            "datasheet of the specs; sizes: CSV, a row a number; csv: what they give, a row a corner.",
        ),
    ] = Format.SPICE,
    schematic: Annotated[
        Path | None,
        typer.Option("--sch", metavar="FILE", help="xschem: the schematic, of the whole or of a cell."),
    ] = None,
    pdk: Annotated[
        str | None, typer.Option("--pdk", help="cace, csv.", show_default="the folder's first")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write.", show_default="standard output")
    ] = None,
) -> None:  # fmt: skip
    """Put a sizing back into what a folder was imported from; nothing else there changes.

    Or hand it on: as a CACE datasheet, or as a table of what it gives at every corner.
    """
    if sizing is not None and run is not None:
        raise typer.BadParameter("--sizing and --run both name a sizing; give one of them")
    if (kind is Format.XSCHEM) != (schematic is not None):
        raise typer.BadParameter("--format xschem and --sch FILE go together")
    beside: dict[str, str] = {}
    if kind in (Format.CACE, Format.CSV):
        data, beside = _handed_on(folder, sizing, run, kind, pdk)
    else:
        data = _put_back(folder, sizing, run, kind, schematic)
    if out is None:
        sys.stdout.buffer.write(data)
    else:
        out.write_bytes(data)
        console().print(f"wrote {out}", soft_wrap=True)
        for name, text in beside.items():
            path = out.parent / "templates" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            console().print(f"wrote {path}", soft_wrap=True)


def _put_back(
    folder: Path, sizing: Path | None, run: Path | None, kind: Format, schematic: Path | None
) -> bytes:
    """The owner's own text with the sizing in it, or the sizing number by number."""
    from acs_gym.circuit_reading import load_circuit
    from acs_gym.importing.exporting import as_csv, exported, read_way_back
    from acs_gym.importing.xschem import resized
    from acs_gym.sizing_file import best_of_run, read_sizing

    way, raw = read_way_back(folder)
    if run is not None:
        design = best_of_run(run, way.parameters)
    elif sizing is not None:
        design = read_sizing(sizing)
    else:
        circuit = load_circuit(folder)
        design = dict(circuit.reference(next(iter(circuit.file.pdk))) or {})
    if kind is Format.SIZES:
        return as_csv(way, design).encode()
    if schematic is None:
        return exported(way, raw, design)
    # Latin-1 gives every byte back as it was.
    text = schematic.read_bytes().decode("latin-1")
    return resized(text, way, design, schematic.name).encode("latin-1")


def _handed_on(
    folder: Path, sizing: Path | None, run: Path | None, kind: Format, pdk: str | None
) -> tuple[bytes, dict[str, str]]:
    """What is made of the task and the sizing; and files that belong beside it, name -> text."""
    from acs_gym.circuit_reading import load_circuit
    from acs_gym.cli.catalogue import task_on
    from acs_gym.cli.corners import csv_text
    from acs_gym.importing.cace import datasheet
    from acs_gym.importing.cace_templates import templates
    from acs_gym.session import available_cores
    from acs_gym.sizing_file import best_of_run, read_sizing

    if pdk is None and folder.is_dir():
        pdk = next(iter(load_circuit(folder).file.pdk))
    task = task_on(str(folder), pdk, "pvt" if kind is Format.CSV else "tt")
    if run is not None:
        given = best_of_run(run, task.space.names)
    elif sizing is not None:
        given = read_sizing(sizing)
    else:
        given = dict(task.reference or task.circuit.reference(task.pdk_name) or {})
    design = task.space.canonicalize(given)
    if kind is Format.CACE:
        return datasheet(task, design).encode(), templates(task, design)
    with task.session(budget=task.cost, workers=min(task.cost, available_cores())) as session:
        return csv_text(task, session.simulate(design)).encode(), {}
