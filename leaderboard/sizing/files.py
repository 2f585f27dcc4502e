"""A sizing as files: values that other commands take, and the netlist with numbers in it."""

from __future__ import annotations

import re
from pathlib import Path

from acs_gym.expressions import Expression
from acs_gym.units import format_si
from leaderboard.files import write_atomically
from leaderboard.sizing.answer import Answer

SIZING, NETLIST = "sizing.toml", "sized.spice"
_BRACES = re.compile(r"\{([^{}]*)\}")


def write_sizing(found: Answer, folder: Path) -> Path:
    """`sizing.toml`: what `--start-from` takes, and a person reads."""
    units = {p.name: p.unit for p in found.task.space}
    head = (
        f"# {found.task.title} ({found.task.id}) on {found.task.pdk_name}, tier {found.task.tier}: "
        f"score {found.evaluation.score:.4f} after {found.spent} simulations. SI units.\n"
    )
    width = max(map(len, units))
    lines = [
        f"{name:<{width}} = {value!r}  # {format_si(value, units[name])}\n"
        for name, value in found.design.items()
    ]
    return _written(folder / SIZING, head + "".join(lines))


def write_netlist(found: Answer, folder: Path) -> Path:
    """`sized.spice`: the circuit's `dut.spice` with numbers for its braces; nothing else changes."""
    text = (found.task.circuit.folder / "dut.spice").read_text(encoding="utf-8-sig")

    def value(match: re.Match[str]) -> str:
        return f"{float(Expression(match[1])(found.design)):.9g}"

    lines = (
        line if line.lstrip().startswith("*") else _BRACES.sub(value, line)
        for line in text.splitlines(keepends=True)
    )
    return _written(folder / NETLIST, "".join(lines))


def _written(path: Path, text: str) -> Path:
    write_atomically(path, text)
    return path
