"""Bench kits: folders of data beside this file, each what a kind of circuit is measured with.

    kit.toml        ports, conditions and values that a circuit names; benches, metrics, gates; with
                    `base`, what is other than in that kit, and `without`, metrics it does not have
    bench_*.spice   testbenches
    example/        a circuit that uses it, where no bundled one does

Texts have places `<value>` where what a circuit's owner says belongs; a line of a bench that ends in
`; with ANALYSIS` or `; without ANALYSIS` stands there only then. What is made of them is said in
`acs_gym.circuit_kit`, which knows circuit folders; here nothing does. `filling` fills the places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from acs_gym.circuit_files import parse_toml, read_text

KITS = Path(__file__).parent
_FILE = "kit.toml"
# What a kit says of a metric beside what `circuit.toml` does: what a spec on it usually is.
SPEC_KEYS = ("direction", "tolerance", "fixed")


@dataclass(frozen=True)
class Kit:
    """A kit as its folder has it, with what it takes over from its base.

    Attributes:
        ports: name -> what it is.
        conditions: name -> `unit`, `description` and, where it has one, `default`.
        values: name -> `description` and, where it has one, `default`.
        bench, metric, gate: entries of `circuit.toml` with places in their texts.
        netlists: file name -> text, with places and with choices at the ends of lines.
        asks: metric -> a target to begin with, in SI units.
        example: a circuit folder that has its benches from the kit.
    """

    name: str
    title: str
    ports: Mapping[str, str]
    conditions: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, Mapping[str, Any]]
    bench: Sequence[Mapping[str, Any]]
    metric: Sequence[Mapping[str, Any]]
    gate: Sequence[Mapping[str, Any]]
    netlists: Mapping[str, str]
    asks: Mapping[str, float]
    example: Path

    @property
    def analyses(self) -> dict[str, str]:
        """Name of each analysis -> the bench it belongs to."""
        return {a["name"]: b["netlist"] for b in self.bench for a in b["analysis"]}


def kit_names() -> tuple[str, ...]:
    return tuple(sorted(p.parent.name for p in KITS.glob(f"*/{_FILE}")))


@lru_cache
def get_kit(name: str) -> Kit:
    """The kit of that name. Raises KeyError."""
    if name not in kit_names():
        raise KeyError(name)
    folder = KITS / name
    data = parse_toml(read_text(folder / _FILE))
    netlists = {p.name: read_text(p) for p in sorted(folder.glob("bench_*.spice"))}
    own = {k: data.get(k, {}) for k in ("ports", "conditions", "values")}
    entries = {k: data.get(k, []) for k in ("bench", "metric", "gate")}
    if (base := data.get("base")) is not None:
        below = get_kit(base)
        netlists = {**below.netlists, **netlists}
        own = {k: {**getattr(below, k), **table} for k, table in own.items()}
        entries["bench"] = _benches_over(below.bench, entries["bench"])
        metrics = [m for m in below.metric if m["name"] not in data.get("without", ())]
        entries["metric"] = _over(metrics, entries["metric"], "name")
        entries["gate"] = entries["gate"] or below.gate
    bundled = data.get("example")
    example = folder / "example" if bundled is None else KITS.parent / "circuits" / bundled
    return Kit(
        name=name, title=data["title"], netlists=netlists, asks=data["asks"], example=example,
        **own, **entries,
    )  # fmt: skip


def _over(
    below: Sequence[Mapping[str, Any]], above: Sequence[Mapping[str, Any]], key: str
) -> list[Mapping[str, Any]]:
    """Entries in place of those of the same name, the others behind."""
    of = {e[key]: e for e in above}
    kept = [of.pop(e[key], e) for e in below]
    return [*kept, *of.values()]


def _benches_over(
    below: Sequence[Mapping[str, Any]], above: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    found = {b["netlist"]: b for b in below}
    for bench in above:
        there = found.get(bench["netlist"], {"analysis": []})
        analyses = _over(there["analysis"], bench["analysis"], "name")
        found[bench["netlist"]] = {"netlist": bench["netlist"], "analysis": analyses}
    return list(found.values())
