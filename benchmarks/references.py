"""Moves a circuit's reference sizings until they meet every spec with room to spare.

    python benchmarks/references.py ACS-OpAmp-v0 --pdk sky130 --tier tt
    python benchmarks/references.py --write          # every circuit, PDK and tier that falls short

A reference proves that its task can be done: it must meet every spec with 2 % to spare. After a change
of a testbench, of models or of targets this starts at the old one and climbs the least headroom of
all specs by CMA-ES (Hansen, arXiv:1604.00772), until every spec has what `--enough` asks or
`--simulations` are spent. Of `pvt` only the conditions that were worst so far are simulated, and all
of them before a design counts. Seeded and bounded: the same command finds the same sizing. Numbers
are rounded to three digits, as a person's are, before they are measured. `--write` replaces the
tables of `reference.toml` that fell short.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.specs import Spec

SIGMA = 0.06  # Of the unit cube, where CMA-ES begins: near the old sizing.
UNMEASURED = -2.0


def headroom(spec: Spec, value: float) -> float:
    """Distance to the target as a share of it, positive when met; bounded, so that one number
    far off does not hide the others."""
    if not math.isfinite(value):
        return UNMEASURED
    distance = abs(value) if spec.direction == "within" else value
    sign = 1.0 if spec.direction == ">=" else -1.0
    return max(UNMEASURED, min(1.0, sign * (distance - spec.target) / abs(spec.target)))


Rooms = dict[str, float]  # Headroom by metric, the least over the conditions simulated.


class Bench:
    """Simulates designs of one task, in its worst conditions first and in all of them at the end."""

    def __init__(self, task: acs_gym.Task, pool: WorkerPool) -> None:
        self.task, self.pool = task, pool
        self.everything = tuple(range(task.cost))
        self.active = self.everything
        self.simulations = 0

    def rooms(self, designs: Sequence[Design], conditions: Sequence[int]) -> list[Rooms]:
        """The headroom of each design over these conditions (all, for mismatch: it takes the spread)."""
        jobs = [self.task.job(d, k) for d in designs for k in conditions]
        outcomes = simulate_uncharged(jobs, self.pool)
        self.simulations += len(jobs)
        n = len(conditions)
        return [self._least(d, outcomes[k * n : (k + 1) * n]) for k, d in enumerate(designs)]

    def _least(self, design: Design, outcomes: Sequence[Outcome]) -> Rooms:
        task = self.task
        if task.conditions.kind == "mc":
            outcomes = [Outcome(Status.OK, dict(task.judge(design, *outcomes).metrics))]
        return {
            s.metric: min(headroom(s, o.metrics.get(s.metric, math.nan)) for o in outcomes)
            for s in task.specs
        }

    def verified(self, design: Design, enough: float) -> Rooms:
        """The headroom over all conditions; those where it is short become active."""
        if self.task.conditions.kind != "pvt":
            return self.rooms([design], self.everything)[0]
        each = [self.rooms([design], [k])[0] for k in self.everything]
        worst = {min(self.everything, key=lambda k: each[k][s.metric]) for s in self.task.specs}
        before = set() if self.active == self.everything else set(self.active)
        short = {k for k in worst if min(each[k].values()) < enough}
        self.active = tuple(sorted(before | short | worst))
        return {s.metric: min(e[s.metric] for e in each) for s in self.task.specs}


def merit(rooms: Rooms) -> float:
    """What is climbed: the shortfall of all specs below 6 %, the least counting most."""
    short = [min(room - 0.06, 0.0) for room in rooms.values()]
    return min(short) + 0.3 * sum(short) / len(short)


def rounded(task: acs_gym.Task, unit: Sequence[float]) -> Design:
    """The design near `unit` whose numbers have three digits."""
    design = task.space.from_unit([min(max(float(u), 0.0), 1.0) for u in unit])
    return {p.name: p.snap(float(f"{design[p.name]:.3g}")) for p in task.space}


def search(
    bench: Bench, start: Design, simulations: int, enough: float, seed: int
) -> tuple[Design, Rooms]:
    """The best design found from `start` and its headroom over all conditions of the tier."""
    import cma

    task = bench.task
    best = rounded(task, list(task.space.to_unit(start)))
    rooms = bench.verified(best, enough)
    proved = best, rooms
    for restart in range(100):
        if min(rooms.values()) >= enough or bench.simulations >= simulations:
            break
        options = {
            "bounds": [0, 1], "seed": seed + restart + 1, "verbose": -9,
            "popsize": 8 + 2 * min(restart, 6) + int(3 * math.log(len(task.space))),
        }  # fmt: skip
        strategy = cma.CMAEvolutionStrategy(
            list(task.space.to_unit(best)), SIGMA * (1 + restart % 3), options
        )
        [near] = bench.rooms([best], bench.active)
        while bench.simulations < simulations and not strategy.stop():
            points = strategy.ask()
            designs = [rounded(task, x) for x in points]
            found = bench.rooms(designs, bench.active)
            strategy.tell(points, [-merit(r) for r in found])
            k = max(range(len(found)), key=lambda k: merit(found[k]))
            if merit(found[k]) > merit(near):
                best, near = designs[k], found[k]
            if min(near.values()) >= enough:
                break
        rooms = bench.verified(best, enough)
        if merit(rooms) > merit(proved[1]):
            proved = best, rooms
    return proved


def as_toml(task: acs_gym.Task, design: Design) -> str:
    """The lines of a table of `reference.toml`."""
    lines = []
    for parameter in task.space:
        value = design[parameter.name]
        lines.append(f"{parameter.name} = {_number(value, parameter.integer)}")
    return "\n".join(lines)


def _number(value: float, integer: bool) -> str:
    if integer:
        return str(int(value))
    exponent = 3 * math.floor(math.log10(abs(value)) / 3 + 1e-9) if value else 0
    if exponent == 0:
        return f"{value:.6g}"
    return f"{value / 10.0**exponent:.6g}e{exponent}"


def write(path: Path, pdk: str, tier: str, table: str) -> None:
    """Replace one table of `reference.toml`, or add it at the end; the rest stays as it is."""
    text = path.read_text(encoding="utf-8")
    head = f"[{pdk}.{tier}]"
    block = f"{head}\n{table}\n"
    pattern = re.compile(rf"^{re.escape(head)}\n(?:[^\[\n].*\n)*", re.M)
    text = pattern.sub(block, text) if pattern.search(text) else f"{text.rstrip()}\n\n{block}"
    path.write_text(text, encoding="utf-8")


def start_of(task: acs_gym.Task) -> Design:
    """The reference itself, else that of another tier or PDK, else the middle of the ranges."""
    for pdk in (task.pdk_name, *task.circuit.file.pdk):
        for tier in (task.conditions.kind, "tt"):
            if (found := task.circuit.reference(pdk, tier)) is not None:
                return {p.name: min(max(found[p.name], p.low), p.high) for p in task.space}
    return task.space.from_unit([0.5] * len(task.space))


def improve(name: str, pdk: str, tier: str, arguments: argparse.Namespace) -> bool:
    """Whether the reference of one task has enough to spare, in the end."""
    task = acs_gym.make_task(name, pdk=pdk, tier=tier)
    before = time.monotonic()
    with WorkerPool(1) as pool:
        bench = Bench(task, pool)
        design, rooms = search(
            bench, start_of(task), arguments.simulations, arguments.enough, arguments.seed
        )
    ends = sorted((room, metric) for metric, room in rooms.items())
    print(
        f"{task.id} {pdk} {tier}: {ends[0][0]:+.1%} to spare after {bench.simulations} simulations, "
        f"{time.monotonic() - before:.0f} s; " + ", ".join(f"{m} {r:+.1%}" for r, m in ends),
        flush=True,
    )
    table = as_toml(task, design)
    if arguments.write:
        write(task.circuit.folder / "reference.toml", pdk, tier, table)
    else:
        print(f"[{pdk}.{tier}]\n{table}", flush=True)
    return ends[0][0] >= 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("circuit", nargs="*", help="task ids; all by default")
    parser.add_argument("--pdk", action="append", help="may be repeated; all installed by default")
    parser.add_argument("--tier", action="append", help="may be repeated; all by default")
    parser.add_argument("--simulations", type=int, default=8000, help="per task, at most")
    parser.add_argument(
        "--enough", type=float, default=0.03, help="share to spare that ends a search"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="into reference.toml")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    installed = acs_gym.available_pdks()
    proved = True
    for name in arguments.circuit or acs_gym.task_ids():
        circuit = acs_gym.make_task(name, pdk="generic").circuit
        for pdk in arguments.pdk or [p for p in circuit.file.pdk if p in installed]:
            proven = [t for t in circuit.tiers if t == "tt" or circuit.reference(pdk, t)]
            for tier in arguments.tier or proven:
                if tier in circuit.tiers and pdk in circuit.file.pdk:
                    proved &= improve(name, pdk, tier, arguments)
    sys.exit(0 if proved else 1)


if __name__ == "__main__":
    main()
