"""Are the worst conditions in tier `pvt`? Every combination that a PDK has, against those of the tier.

    python benchmarks/conditions.py [--json benchmarks/results/conditions.json]
    python benchmarks/conditions.py --tasks ldo --pdk generic

For each circuit and PDK, its references and the winners of tests/circuits/winners.json are simulated
at all corners of the transistors x those of the passives x three supplies x three temperatures (225
conditions where the circuit has passives, 45 where it has none). Printed: per circuit, by how much the
worst value of any spec over all conditions is worse than the worst over the tier's, as a difference of
margins; and which conditions are the worst of some spec.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acs_gym.design import Design
from acs_gym.pdks.base import CORNERS
from acs_gym.simulation.deck import build_program
from acs_gym.simulation.pool import Job, WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task, make_task, task_ids
from acs_gym.tiers import Condition
from leaderboard.suites import resolve_task

SUPPLIES = (0.9, 1.0, 1.1)
TEMPERATURES = (-40.0, 27.0, 125.0)
WINNERS = Path(__file__).parents[1] / "tests" / "circuits" / "winners.json"


@dataclass(frozen=True, slots=True)
class Found:
    """What one design's simulations say.

    `short` is the largest loss of margin, at `metric`; `missed` are the specs that are met at every
    condition of the tier and not at all of them; `worst` is the worst condition of each spec.
    """

    task: str
    pdk: str
    design: str
    conditions: int
    in_tier: int
    short: float
    metric: str
    where: str
    missed: tuple[str, ...]
    worst: dict[str, str]


def every_condition(task: Task) -> list[Condition]:
    passives = ("", *task.passive_corners)
    return [
        Condition(f"{fets}{f'_{rc}' if rc else ''}/{100 * (v - 1):+.0f}%/{t:g}C",
                  f"{fets}_{rc}" if rc else fets, v, t)
        for fets in CORNERS for rc in passives for v in SUPPLIES for t in TEMPERATURES
    ]  # fmt: skip


def designs(task: Task) -> list[tuple[str, Design]]:
    found: list[tuple[str, Design]] = []
    for tier in ("tt", "pvt", "mc"):
        design = task.circuit.reference(task.pdk_name, tier)
        if design is not None:
            found.append((f"reference {tier}", task.space.canonicalize(design)))
    known = json.loads(WINNERS.read_text(encoding="utf-8")).get(task.id, {}).get(task.pdk_name, [])
    found += [(f"winner {k}", task.space.canonicalize(d)) for k, d in enumerate(known, start=1)]
    return found


def study(task: Task, pool: WorkerPool) -> list[Found]:
    conditions = every_condition(task)
    programs = {c.corner: build_program(task.circuit, task.pdk, c.corner) for c in conditions}
    tier = {(c.corner, c.supply, c.temperature) for c in task.conditions.conditions}
    found = []
    for name, design in designs(task):
        jobs = [
            Job(programs[c.corner], design, conditions=c.overrides(task.program.conditions))
            for c in conditions
        ]
        outcomes = simulate_uncharged(jobs, pool)
        short, where, metric, worst = 0.0, "", "", {}
        missed: list[str] = []
        for spec in task.specs:
            margins = [_number(spec.margin(o.metrics[spec.metric])) for o in outcomes]
            k = min(range(len(margins)), key=margins.__getitem__)
            inside = min(
                m for c, m in zip(conditions, margins, strict=True)
                if (c.corner, c.supply, c.temperature) in tier
            )  # fmt: skip
            worst[spec.metric] = conditions[k].name
            loss = inside - margins[k]
            if margins[k] < 0.0 <= inside:
                missed.append(f"{spec.metric} {inside:+.3f} {margins[k]:+.3f} {conditions[k].name}")
            if loss > short:
                short, where, metric = loss, conditions[k].name, spec.metric
        found.append(
            Found(
                task.id, task.pdk_name, name, len(conditions), len(tier), short, metric, where,
                tuple(missed), worst,
            )
        )  # fmt: skip
    return found


def _number(margin: float) -> float:
    return -10.0 if math.isnan(margin) else margin


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tasks", help="only these, comma-separated")
    parser.add_argument("--pdk", action="append", help="may be repeated; sky130 and generic")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args(arguments)
    names = [resolve_task(t) for t in chosen.tasks.split(",")] if chosen.tasks else task_ids()
    rows: list[Found] = []
    with WorkerPool(chosen.workers) as pool:
        for name in names:
            for pdk in chosen.pdk or ("sky130", "generic"):
                task = make_task(name, pdk=pdk, tier="pvt")
                rows += study(task, pool)
                for row in rows[-len(designs(task)) :]:
                    loss = f"margin lost {row.short:.3f} {row.metric} {row.where}"
                    missed = f"; MISSED {', '.join(row.missed)}" if row.missed else ""
                    numbers = f"{row.conditions} conditions, {row.in_tier} in the tier"
                    print(f"{row.task} {pdk} {row.design}: {numbers}; {loss}{missed}", flush=True)
    if chosen.json:
        command = f"python benchmarks/conditions.py --json {chosen.json}"
        chosen.json.write_text(json.dumps({"command": command, "rows": [
            {f: getattr(r, f) for f in Found.__slots__} for r in rows]}, indent=1) + "\n")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
