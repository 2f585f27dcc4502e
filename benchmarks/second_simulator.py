"""How far is VACASK from ngspice, on references and on what optimisers find?

    python benchmarks/second_simulator.py [--json benchmarks/results/second_simulator.json] [--page]
    python benchmarks/second_simulator.py --tasks opamp --pdks generic

Every reference of every circuit (of all tiers, at nominal conditions) and the designs of
tests/circuits/winners.json go through both simulators on both PDKs. Printed is the largest difference
of each kind of metric, what is allowed, and where it was; then whatever is beyond (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acs_gym.circuit_reading import load_circuit
from acs_gym.pdks import get_pdk
from acs_gym.registry import circuit_folders
from acs_gym.simulation.pool import Simulator, WorkerPool
from acs_gym.simulation.version import simulator_version
from acs_gym.task import Task, task_of
from acs_gym.units import format_si
from acs_gym.vacask import find_vacask, second_opinions
from acs_gym.vacask.compare import OTHERWISE, TOLERANCES, ComparedMetric, origins
from leaderboard.suites import resolve_task

WINNERS = Path(__file__).parents[1] / "tests" / "circuits" / "winners.json"
PAGE = Path(__file__).parents[1] / "docs" / "second-simulator.md"
PDKS = ("sky130", "generic")


def designs_of(task_id: str, pdk: str) -> Iterator[tuple[str, Task, Mapping[str, float]]]:
    """(what it is, its task, the design) of each reference and each winner."""
    circuit = load_circuit(circuit_folders()[task_id])
    for tier in circuit.tiers:
        task = task_of(circuit, pdk, tier)
        if task.reference is not None:
            yield f"reference {tier}", task, task.reference
    if WINNERS.exists():
        task = task_of(circuit, pdk)
        for k, design in enumerate(json.loads(WINNERS.read_text()).get(task_id, {}).get(pdk, ())):
            yield f"winner {k + 1}", task, design


def measure(names: list[str], pdks: list[str]) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    failures: list[str] = []
    with WorkerPool(1) as pool:
        for pdk in pdks:
            for task_id in names:
                for what, task, design in designs_of(task_id, pdk):
                    found, failure = _rows(task, design, pool)
                    where = f"{task_id} {pdk} {what}"
                    failures += [f"{where}: {failure}"] if failure else []
                    entries += [{"where": where, **entry} for entry in found]
    return {
        "simulators": [str(simulator_version()), find_vacask().name],
        "designs": len({e["where"] for e in entries}),
        "kinds": _kinds(entries),
        "metrics": _metrics(entries),
        "beyond": [e for e in entries if not e["agrees"]],
        "failures": failures,
    }


def _rows(
    task: Task, design: Mapping[str, float], pool: Simulator
) -> tuple[list[dict[str, Any]], str]:
    (opinion,) = second_opinions(task, [design], pool)
    origin = origins(task.program)
    return [_entry(m, origin[m.metric]) for m in opinion.metrics], opinion.failure


def _entry(metric: ComparedMetric, origin: str) -> dict[str, Any]:
    tolerance = TOLERANCES.get((origin, metric.unit), OTHERWISE)  # type: ignore[call-overload]
    used = (
        abs(metric.difference) / metric.allowed
        if metric.allowed
        else math.inf * bool(metric.difference)
    )
    return {
        "metric": metric.metric, "origin": origin, "unit": metric.unit, "ngspice": metric.ngspice,
        "vacask": metric.vacask, "difference": metric.difference, "allowed": metric.allowed,
        "absolute": tolerance.absolute, "relative": tolerance.relative,
        "used": None if math.isnan(used) else used, "agrees": metric.agrees,
    }  # fmt: skip


def _kinds(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each origin and unit, the entry that uses most of what is allowed."""
    worst: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        key = entry["origin"], entry["unit"]
        if entry["used"] is not None and entry["used"] > worst.get(key, {"used": -1.0})["used"]:
            worst[key] = entry
    return [worst[key] for key in sorted(worst)]


def _metrics(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each circuit and metric, the largest share of what is allowed, and the difference there."""
    worst: dict[str, dict[str, Any]] = {}
    for entry in entries:
        key = f"{entry['where'].split()[0]} {entry['metric']}"
        if entry["used"] is not None and entry["used"] > worst.get(key, {"used": -1.0})["used"]:
            worst[key] = {k: entry[k] for k in ("used", "difference", "ngspice", "unit", "where")}
    return worst


def show(results: Mapping[str, Any]) -> None:
    ngspice, vacask = results["simulators"]
    print(f"{results['designs']} designs in {ngspice} and {vacask}; largest differences\n")
    print("\n".join(table(results)))
    for e in results["beyond"]:
        print(
            f"beyond: {e['where']}: {e['metric']}: {format_si(e['ngspice'], e['unit'])} in ngspice, "
            f"{format_si(e['vacask'], e['unit'])} in VACASK; {_size(e, 'difference')}, "
            f"allowed {_allowed(e)}"
        )
    for failure in results["failures"]:
        print(f"failed: {failure}")


def table(results: Mapping[str, Any]) -> list[str]:
    lines = ["| from | unit | difference | of | allowed | where |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {e['origin']} | {e['unit'] or 'a ratio'} | {_size(e, 'difference')} | "
        f"{format_si(e['ngspice'], e['unit'])} | {_allowed(e)} | {e['metric']}, {e['where']} |"
        for e in results["kinds"]
        if e["unit"] != "m^2"  # An area is arithmetic on the design.
    ]
    return lines


def write_page(results: Mapping[str, Any]) -> None:
    """Put the table between the marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, mark, rest = text.partition("--page -->\n")
    _, end, after = rest.partition("<!-- end -->")
    body = "\n".join(["", *table(results), "", f"{results['designs']} designs.", ""])
    PAGE.write_text(f"{before}{mark}{body}{end}{after}", encoding="utf-8")


def _size(entry: Mapping[str, Any], name: str) -> str:
    """In the unit where the absolute tolerance decides, else in per cent of ngspice's value."""
    value, reference = abs(entry[name]), abs(entry["ngspice"])
    if entry["relative"] and entry["relative"] * reference >= entry["absolute"]:
        return f"{100.0 * value / reference:.2g} %"
    return format_si(value, entry["unit"], 2)


def _allowed(entry: Mapping[str, Any]) -> str:
    if entry["unit"] == "dB":  # It grows with a deep rejection.
        return format_si(entry["allowed"], "dB", 2)
    parts = [format_si(entry["absolute"], entry["unit"])] if entry["absolute"] else []
    parts += [f"{100.0 * entry['relative']:g} %"] if entry["relative"] else []
    return " or ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", help="only these, comma-separated")
    parser.add_argument("--pdks", help="only these, comma-separated")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", action="store_true", help="write the table of the page anew")
    arguments = parser.parse_args()
    names = (
        [resolve_task(t) for t in arguments.tasks.split(",")]
        if arguments.tasks
        else list(circuit_folders())
    )
    pdks = arguments.pdks.split(",") if arguments.pdks else list(PDKS)
    started = time.perf_counter()
    results = measure(names, [p for p in pdks if get_pdk(p).available()])
    show(results)
    print(f"\n{time.perf_counter() - started:.0f} s", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    if arguments.page:
        write_page(results)
    sys.exit(bool(results["beyond"] or results["failures"]))


if __name__ == "__main__":
    main()
