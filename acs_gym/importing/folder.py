"""Writes an imported circuit as a folder, with the owner's file and the way back to it.

`import.json` says of each parameter which words of the owner's file it is, so that a sizing can be put
back there in the owner's units.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from acs_gym.circuit import CircuitError
from acs_gym.importing.bench import (
    Bench,
    KitWanted,
    circuit_toml,
    first_bench,
    reference_toml,
    targets_of,
)
from acs_gym.importing.circuit import Imported
from acs_gym.importing.devices import STRIPS
from acs_gym.importing.netlist import dut_text
from acs_gym.importing.text import Field
from acs_gym.kits import get_kit

ORIGINAL, MAP = "original.spice", "import.json"
VERSION = 1


def folder_name(circuit: Imported) -> str:
    """A name for the folder: the circuit's, as `acs-gym new` would take it."""
    text = re.sub(r"_+", "_", re.sub(r"[^a-z0-9_]", "_", circuit.name.lower())).strip("_")
    return (text if text[:1].isalpha() else f"c_{text}")[:40]


def write_folder(
    circuit: Imported, folder: Path, raw: bytes, *, simulate: bool, kit: KitWanted | None = None
) -> tuple[Bench, str]:
    """Write the folder; (its testbench, what the simulation said that targets are taken from).

    Raises CircuitError where the folder is there already, and for a kit that does not fit.
    """
    if folder.exists() or folder.is_symlink():
        raise CircuitError(
            f"{folder} exists already, and nothing is overwritten; choose another --out"
        )
    if not folder.parent.is_dir():
        raise CircuitError(f"--out {folder}: no such folder {folder.parent}; make it first")
    name = folder_name(circuit)
    camel = "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", folder.name))
    task_id = f"My-{camel or 'Circuit'}-v0"
    bench = first_bench(circuit, name, kit)

    def write_bench(bench: Bench) -> None:
        if bench.file:
            _write(folder / bench.file, bench.text)
        _write(folder / "circuit.toml", circuit_toml(circuit, folder.name, task_id, bench, {}))

    folder.mkdir()
    _write(folder / "dut.spice", dut_text(circuit, name))
    write_bench(bench)
    _write(folder / "reference.toml", reference_toml(circuit))
    _write(folder / MAP, json.dumps(way_back(circuit, raw), indent=1, ensure_ascii=False) + "\n")
    (folder / ORIGINAL).write_bytes(raw)
    if not simulate:
        return bench, "not simulated"
    metrics, said = _measured(folder, circuit.pdk)
    if circuit.pins.is_opamp and math.isnan(metrics.get("pm", 0.0)):
        # Names do not say which input inverts; with the wrong one the loop's feedback is positive.
        turned = replace(
            circuit, pins=replace(circuit.pins, plus=circuit.pins.minus, minus=circuit.pins.plus)
        )
        other = first_bench(turned, name, kit)
        write_bench(other)
        again, said_again = _measured(folder, circuit.pdk)
        if math.isnan(again["pm"]):
            write_bench(bench)
        else:
            inverting = (
                f"{circuit.pins.plus} is the inverting input, by simulation; the bench has it so"
            )
            metrics, said = again, said_again
            bench = replace(other, todo=(*other.todo, inverting))
    targets = targets_of(bench.specs, metrics)
    missing = tuple(s.metric for s in bench.specs if s.metric not in targets) if targets else ()
    if missing:
        unmeasured = f"no value of {', '.join(missing)} at this sizing, so nothing is asked of it"
        kept = tuple(s for s in bench.specs if s.metric in targets)
        bench = replace(bench, specs=kept, todo=(*bench.todo, unmeasured))
    if targets and kit is not None:
        bench = _of_what_there_is(bench, kit, metrics)
    if targets:
        _write(folder / "circuit.toml", circuit_toml(circuit, folder.name, task_id, bench, targets))
    return bench, said


def _of_what_there_is(bench: Bench, kit: KitWanted, metrics: Mapping[str, float]) -> Bench:
    """Without the kit's metrics that the owner's sizing has no value of: one of them fails a design."""
    there = [
        m["name"] for m in get_kit(kit.name).metric if math.isfinite(metrics.get(m["name"], 0.0))
    ]
    lost = [n for n, value in metrics.items() if not math.isfinite(value)]
    if not lost:
        return bench
    names = [n for n in there if n in metrics]
    said = (
        f"{', '.join(lost)}: left out of metrics in [kit]; other conditions may give them a value"
    )
    toml = f"{bench.toml}metrics = {json.dumps(names)}\n"
    return replace(bench, toml=toml, todo=(*bench.todo, said))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _measured(folder: Path, pdk: str) -> tuple[dict[str, float], str]:
    """(metrics of the owner's sizing, how the simulation went)."""
    from acs_gym.circuit_reading import load_circuit
    from acs_gym.pdks import get_pdk
    from acs_gym.task import task_of

    if not get_pdk(pdk).available():
        return {}, f'not simulated: {pdk} is not here; run "acs-gym pdk install {pdk}"'
    task = task_of(load_circuit(folder), pdk, "tt")
    with task.session(task.cost, workers=1) as session:
        evaluation = session.simulate(task.reference or {})
    return dict(evaluation.metrics), f"{evaluation.status}" + (
        f": {evaluation.message}" if evaluation.message else ""
    )


def way_back(circuit: Imported, raw: bytes) -> dict[str, Any]:
    """Each parameter's words in the owner's file, and the areas that follow a width, as JSON."""
    names = {p.name: p for p in circuit.sizing.parameters}
    of = circuit.parameters_of
    follows = []
    for k, device in enumerate(circuit.devices):
        if "w" not in of.get(k, {}):
            continue
        parameter, factor = of[k]["w"]
        for what, field, scale in device.derived:
            follows.append(
                {
                    "device": ".".join(device.path), "what": what, **_place(field), "scale": scale,
                    "parameter": parameter, "factor": factor, "nf": int(device.size("nf")),
                    "strip": STRIPS.get(circuit.pdk, 0.29e-6),
                }
            )  # fmt: skip
    return {
        "version": VERSION,
        "file": circuit.text.name,
        "original": ORIGINAL,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "parameters": {
            name: {
                "unit": p.unit,
                "value": p.value,
                "devices": {
                    f"{'.'.join(circuit.devices[k].path)}.{size}": factor
                    for (k, size), factor in p.members.items()
                },
                "words": [{**_place(f), "scale": scale} for f, scale in p.fields.items()],
            }
            for name, p in names.items()
        },
        "follow": follows,
    }


def _place(field: Field) -> dict[str, Any]:
    """A word and where it is: line from 1, columns from 0."""
    return {
        "text": field.text,
        "at": [[line + 1, first, last] for line, first, last in field.pieces],
    }
