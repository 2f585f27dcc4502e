"""From a circuit folder to its record: every file read, checked for its form and for what it refers to.

All is validated as it is read; file and field are named when something is wrong.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from acs_gym.circuit import (
    AnalysisEntry,
    BenchEntry,
    Circuit,
    CircuitError,
    CircuitFile,
    GateEntry,
    MetricEntry,
    ParameterEntry,
    PdkEntry,
    SpecEntry,
    TierEntry,
)
from acs_gym.circuit_consistency import inconsistencies
from acs_gym.circuit_files import Location, Problem, TomlFile, Unreadable, read_text, unreadable
from acs_gym.circuit_kit import Expanded, expand
from acs_gym.simulation.netlist import Bench, Dut, NetlistError, bench_text, read_bench, read_dut
from acs_gym.targets import AnchorTable
from acs_gym.tiers import TIERS, TierKind
from acs_gym.wording import did_you_mean

_T = TypeVar("_T")
_LONGEST_TARGETS = 2_000_000
_REFERENCES = TypeAdapter(dict[str, dict[TierKind, dict[str, float]]])
_ANCHORS = TypeAdapter(dict[str, AnchorTable])
_FILE = TypeAdapter(CircuitFile)
_TABLES: dict[str | int, type[BaseModel]] = {
    "parameter": ParameterEntry, "bench": BenchEntry, "analysis": AnalysisEntry,
    "metric": MetricEntry, "gate": GateEntry, "spec": SpecEntry, "tier": TierEntry, "pdk": PdkEntry,
}  # fmt: skip
_LETTERS = "; a name is a letter, then letters, digits and _"
_FORMS = {
    "name": _LETTERS, "[key]": _LETTERS,
    "id": "; write Yours-Circuit-v0",
    "netlist": "; name a file bench_NAME.spice of the folder itself, without a path",
    "command": "; an analysis is op, ac, loop, dc, noise or tran with its numbers and {conditions}, and "
    "no other command of the simulator",
}  # fmt: skip


def load_circuit(folder: Path) -> Circuit:
    """Read and check a circuit folder. Raises CircuitError with file, line and field."""
    circuit, problems = read_circuit(folder)
    if circuit is None or problems:
        more = len(problems) - 1
        hint = f" (and {more} more; acs-gym check {folder} lists them)" if more else ""
        raise CircuitError(f"{folder}{os.sep}{problems[0]}{hint}", problems)
    return circuit


def read_circuit(folder: Path) -> tuple[Circuit | None, list[Problem]]:
    """The circuit of a folder, or None where some file cannot be read, and every problem found."""
    problems: list[Problem] = []
    toml = _toml(folder / "circuit.toml", problems)
    references = _toml(folder / "reference.toml", problems)
    dut: Dut | None = None
    try:
        dut = read_dut(folder / "dut.spice")
    except NetlistError as error:
        problems += error.problems
    expanded = None if toml is None else _expanded(toml, dut, problems)
    file = None if expanded is None else _validated(_FILE, expanded.toml, problems)
    sizings = None if references is None else _validated(_REFERENCES, references, problems)
    texts: dict[str, str] = {}
    benches: dict[str, Bench] = {}
    # Where circuit.toml is of no use, the testbenches that are there are looked at all the same.
    there = sorted(p.name for p in folder.glob("bench_*.spice"))
    of_kit = {} if expanded is None else expanded.netlists
    for name in there if file is None else dict.fromkeys(b.netlist for b in file.bench):
        # A testbench of the folder's own stands in the place of the kit's.
        own = name not in of_kit or name in there
        if dut is None and not own:
            continue
        try:
            texts[name] = bench_text(folder / name) if own else of_kit[name]
            called = name if own or expanded is None else f"kit {expanded.kit}, {name}"
            benches[name] = read_bench(called, texts[name], dut)
        except NetlistError as error:
            problems += error.problems
    anchors = _anchors(folder / "targets.json", problems)
    if problems or expanded is None or file is None or references is None or sizings is None:
        return None, problems
    assert dut is not None
    circuit = Circuit(
        name=folder.name, folder=folder, file=file, dut=dut,
        benches=tuple(benches[b.netlist] for b in file.bench),
        references=sizings, anchors=anchors, kit=expanded.kit, netlists=texts,
    )  # fmt: skip
    problems = inconsistencies(circuit, expanded.toml, references)
    return circuit, problems or _misfits(circuit)


def _expanded(toml: TomlFile, dut: Dut | None, problems: list[Problem]) -> Expanded | None:
    expanded, found = expand(toml, dut)
    problems += found
    return None if found else expanded


def _misfits(circuit: Circuit) -> list[Problem]:
    """Tables of `targets.json` that are of another circuit, or not whole.

    Their anchors are not looked at: a task that draws no targets does not wait for that. The first
    draw does, and `acs-gym check`.
    """
    problems = []
    for pdk, table in circuit.anchors.items():
        try:
            table.check_form(circuit.space(pdk), circuit.specs(pdk))
        except ValueError as error:
            problems.append(Problem("targets.json", f"{pdk}.{error}"))
    return problems


def _toml(path: Path, problems: list[Problem]) -> TomlFile | None:
    try:
        return TomlFile.read(path)
    except Unreadable as error:
        problems.append(unreadable(path.name, error))
        return None


def _validated(adapter: TypeAdapter[_T], toml: TomlFile, problems: list[Problem]) -> _T | None:
    try:
        return adapter.validate_python(toml.data)
    except ValidationError as error:
        errors = error.errors()
        # A key that is misspelt first: it is why another one is missing.
        for entry in sorted(errors, key=lambda e: e["type"] == "missing"):
            if entry["type"] == "too_short" and any(
                e["loc"][: len(entry["loc"])] == entry["loc"] for e in errors if e is not entry
            ):
                continue  # Empty only because everything in it was refused.
            message = entry["msg"] + _hint(toml.name, entry["type"], entry["loc"])
            problems.append(toml.problem(*entry["loc"], message=message))
        return None


def _hint(file: str, kind: str, location: Location) -> str:
    """What to write instead, where that can be said."""
    if file == "reference.toml":
        return "; expected [PDK.TIER] tables of parameters, the tier one of: " + ", ".join(TIERS)
    field = str(location[-1]) if location else ""
    if kind == "extra_forbidden":
        table = next((_TABLES[t] for t in reversed(location[:-1]) if t in _TABLES), CircuitFile)
        return did_you_mean(field, table.model_fields, "; did you mean {}?")
    return _FORMS.get(field, "") if kind == "string_pattern_mismatch" else ""


def _anchors(path: Path, problems: list[Problem]) -> dict[str, AnchorTable]:
    """The tables of `targets.json`; none where there is no such file."""
    if not path.exists():
        return {}
    try:
        return _ANCHORS.validate_json(read_text(path, _LONGEST_TARGETS))
    except Unreadable as error:
        problems.append(unreadable(path.name, error))
    except ValidationError as error:
        problems += [
            Problem(path.name, e["msg"], ".".join(map(str, e["loc"])) or "file")
            for e in error.errors()
        ]
    return {}
