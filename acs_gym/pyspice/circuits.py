"""A circuit written with PySpice becomes an ordinary circuit folder, and that folder a task.

Validation, digest, workers and the leaderboard then see nothing of PySpice: there is one road.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import acs_gym
from acs_gym.circuit import CircuitError
from acs_gym.circuit_reading import load_circuit
from acs_gym.pyspice.netlist import Written, bench_lines, dut_lines

Toml = Mapping[str, Any] | str | Path
_BENCH_FILE = re.compile(r"bench_[a-z0-9_]+\.spice")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def register_circuit(
    subcircuit: Any,
    *,
    toml: Toml,
    benches: Mapping[str, Any],
    reference: Toml | None = None,
    folder: str | Path | None = None,
) -> str:
    """Make a PySpice `SubCircuit` a task and an environment; returns the task id.

    Args:
        subcircuit: the DUT. Transistors, sized resistors and capacitors and bias currents are `X`
            elements of `nfet`, `pfet`, `res`, `cap`, `ibias`; a value that depends on the design
            is text in braces: `dut.X("m1", "nfet", "d", "g", "s", "b", w="{w1}", l="{l1}")`.
        toml: what `circuit.toml` of a circuit folder says: its path, or the same as a dict.
        benches: file name, as the `[[bench]]` tables name it -> PySpice `Circuit` with one `X` of
            the DUT. Its `raw_spice` may hold `.nodeset` and `.ic`.
        reference: PDK -> sizing that meets every spec, as a dict or the path of a TOML file.
        folder: where the circuit folder is written; by default one that goes with this process.

    Raises CircuitError naming the element or field that cannot be expressed, TypeError for what
    is no PySpice object, and ImportError with the install line when PySpice is missing.
    """
    files, origins = _files(subcircuit, toml, benches, reference)
    if folder is None:
        content = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        folder = _process_folder() / content[:16] / subcircuit.name
    return acs_gym.register_circuit(_write(files, origins, Path(folder)))


def write_circuit(
    subcircuit: Any,
    folder: str | Path,
    *,
    toml: Toml,
    benches: Mapping[str, Any],
    reference: Toml | None = None,
) -> Path:
    """Write the circuit folder that `register_circuit` would register; returns its path.

    The folder must be new, empty, or hold this very circuit: nothing is overwritten.
    """
    return _write(*_files(subcircuit, toml, benches, reference), Path(folder))


def _files(
    subcircuit: Any, toml: Toml, benches: Mapping[str, Any], reference: Toml | None
) -> tuple[dict[str, str], dict[str, Written]]:
    """(name -> text of every file, name -> where the lines of each netlist come from)."""
    try:
        from PySpice.Spice.Netlist import Circuit, SubCircuit
    except ImportError as error:
        raise ImportError(
            f"PySpice is not installed ({error}); run: pip install 'acs-gym[pyspice]'"
        ) from None
    if not isinstance(subcircuit, SubCircuit):
        raise TypeError(f"the DUT is a PySpice SubCircuit (an instance), got {subcircuit!r}")
    printed = str(subcircuit)
    origins = {"dut.spice": dut_lines(printed, subcircuit.name)}
    for name, bench in benches.items():
        if not _BENCH_FILE.fullmatch(name):
            raise CircuitError(f"benches: {name!r} is no file name of the form 'bench_x.spice'")
        if not isinstance(bench, Circuit):
            raise TypeError(f"benches[{name!r}] is a PySpice Circuit, got {bench!r}")
        origins[name] = bench_lines(str(bench), name, printed)
    files = {name: written.text for name, written in origins.items()}
    files["circuit.toml"] = _toml_text(toml)
    files["reference.toml"] = _toml_text({} if reference is None else reference)
    return files, origins


def _write(files: Mapping[str, str], origins: Mapping[str, Written], folder: Path) -> Path:
    """Write and check the files elsewhere, then put them in place."""
    with tempfile.TemporaryDirectory(prefix="acs-gym-") as scratch:
        draft = Path(scratch, folder.name)
        draft.mkdir()
        for name, text in files.items():
            (draft / name).write_text(text, encoding="utf-8")
        try:
            circuit = load_circuit(draft)
        except CircuitError as error:
            said = "; ".join(map(str, error.problems))
            raise CircuitError(_in_pyspice_words(said, origins)) from None
        if unused := set(origins) - {"dut.spice", *(b.netlist for b in circuit.file.bench)}:
            raise CircuitError(f"benches: no [[bench]] names {', '.join(sorted(unused))}")
        if folder.exists() and any(folder.iterdir()):
            for name, text in files.items():
                there = folder / name
                if not there.is_file() or there.read_text(encoding="utf-8") != text:
                    raise CircuitError(
                        f"{folder} holds something else ({name} differs); delete it or choose "
                        "another folder"
                    )
        else:
            shutil.copytree(draft, folder, dirs_exist_ok=True)
    return folder


def _in_pyspice_words(message: str, origins: Mapping[str, Written]) -> str:
    """The message with `dut.spice:7` as `SubCircuit 'ota', Xpair`; its reader wrote no file."""
    for name, written in origins.items():
        message = re.sub(
            rf"\b{re.escape(name)}:(\d+)",
            lambda match, origin=written.origin: origin[int(match[1]) - 1],  # type: ignore[misc]
            message,
        )
    return message


@functools.cache
def _process_folder() -> Path:
    folder, owner = Path(tempfile.mkdtemp(prefix="acs-gym-pyspice-")), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # Not a fork of the process that made it.
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


# --- TOML: the standard library reads it and does not write it ------------------------------------


def _toml_text(source: Toml) -> str:
    if not isinstance(source, Mapping):
        try:
            return Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CircuitError(f"{source}: cannot be read: {error}") from None
    # A bare key after a table's head would belong to that table, so plain values come first.
    plain = {k: v for k, v in source.items() if not isinstance(v, Mapping)}
    lines = [f"{_key(k)} = {_value(v, k)}" for k, v in plain.items()]
    for key, table in source.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{_key(key)}]"]
            lines += [f"{_key(k)} = {_value(v, f'{key}.{k}')}" for k, v in table.items()]
    return "\n".join(lines) + "\n"


def _key(key: object) -> str:
    text = str(key)
    return text if _BARE_KEY.fullmatch(text) else _string(text)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _value(value: Any, where: str) -> str:
    if hasattr(value, "item"):  # A numpy scalar.
        value = value.item()
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _string(value)
        case Mapping():
            pairs = (f"{_key(k)} = {_value(v, f'{where}.{k}')}" for k, v in value.items())
            return "{" + ", ".join(pairs) + "}"
        case list() | tuple():
            items = [_value(v, f"{where}.{k}") for k, v in enumerate(value)]
            tables = any(isinstance(v, Mapping) for v in value)
            return "[\n  " + ",\n  ".join(items) + ",\n]" if tables else f"[{', '.join(items)}]"
    raise CircuitError(
        f"{where}: TOML has numbers, texts, lists and tables, not {type(value).__name__}"
    )
