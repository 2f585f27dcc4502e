"""Finds the designs that sampled targets come from, and writes a circuit's `targets.json`.

    python benchmarks/targets.py ACS-OpAmp-v0 --pdk sky130 --pdk generic
    python benchmarks/targets.py path/to/my/circuit --pdk generic
    python benchmarks/targets.py ACS-OpAmp-v0 --remeasure

An anchor is worth having when it is good at something for what it costs elsewhere, so the search is
for the front in the space of margins to the fixed targets. It starts at the reference sizing; then,
under one random emphasis of the specs after the other, children are bred from the designs that
are best under it (differential evolution and mutation), measured, and kept whatever they turn out
to be good for. At the end only designs with every metric measured and no margin below -1 count (a
factor of 2.7, or one tolerance, from the fixed target), those that another one beats are left out,
and the rest is thinned to a set spread evenly over the margins.

Bounded by the number of evaluations and seeded: the same command finds the same anchors. Only the
tables of the PDKs asked for are replaced. `--remeasure` searches nothing; it measures the designs
that the file has anew, after a change to the circuit's testbench, the models, or the simulator.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import acs_gym
from acs_gym.design import Design
from acs_gym.registry import id_or_folder
from acs_gym.simulation.pool import WorkerPool
from acs_gym.specs import Spec
from acs_gym.targets import HELD_OUT_EVERY, AnchorTable, resolution, round_towards

LEAST_MARGIN = -1.0
# Being better than this at one thing is worth no trouble with the others.
MOST_MARGIN = 2.0
BATCH = 16
BATCHES_PER_EMPHASIS = 3
PARENTS = 8
# A design that is nowhere better than another by more than this margin, and worse by more than
# it on average, is beaten by it.
SIMILAR = 0.05


@dataclass(frozen=True)
class Found:
    """One measured design: unit-cube coordinates, metrics and margins of the spec'd metrics."""

    design: Design
    unit: NDArray[np.float64]
    metrics: tuple[float, ...]
    margins: NDArray[np.float64]


def rounded(task: acs_gym.Task, unit: NDArray[np.float64]) -> Design:
    """The design near `unit` whose numbers have three digits, as a person's have."""
    design = task.space.from_unit(np.clip(unit, 0.0, 1.0))
    return {p.name: p.snap(float(f"{design[p.name]:.3g}")) for p in task.space}


def measure(session: acs_gym.Session, designs: Sequence[Design]) -> list[Found]:
    """Those of the designs that are of use as anchors."""
    found = []
    for evaluation in session.simulate(list(designs)):
        margins = np.array(list(evaluation.margins.values()))
        if np.isfinite(margins).all() and margins.min() >= LEAST_MARGIN:
            design = dict(evaluation.design)
            metrics = tuple(evaluation.metrics[m] for m in session.task.specs.metrics)
            unit = session.task.space.to_unit(design)
            found.append(Found(design, unit, metrics, np.minimum(margins, MOST_MARGIN)))
    return found


def search(session: acs_gym.Session, evaluations: int, rng: np.random.Generator) -> list[Found]:
    """Designs that are good under one emphasis of the specs or another; see the module."""
    task = session.task
    reference = rounded(task, task.space.to_unit(task.reference or {}))
    pool = measure(session, [reference])
    if not pool:
        sys.exit(f"{task.id} on {task.pdk_name}: the reference sizing is no use as an anchor")
    emphasis = np.zeros(len(task.specs))
    for number in range((evaluations - 1) // BATCH):
        if number % BATCHES_PER_EMPHASIS == 0:
            share = rng.dirichlet(np.ones(len(task.specs))) * len(task.specs)
            emphasis = np.clip(0.5 * (share - 1.0), LEAST_MARGIN, MOST_MARGIN)
        parents = sorted(pool, key=lambda f: -merit(f, emphasis))[:PARENTS]
        children = [rounded(task, child(parents, pool, rng)) for _ in range(BATCH)]
        known = {task.space.key(f.design) for f in pool}
        pool += measure(session, [c for c in children if task.space.key(c) not in known])
    return list({task.space.key(f.design): f for f in pool}.values())


def merit(found: Found, emphasis: NDArray[np.float64]) -> float:
    """How well the worst-met wish is met; the mean breaks ties, so that the rest is not wasted."""
    return float((found.margins - emphasis).min() + 0.05 * found.margins.mean())


def child(parents: list[Found], pool: list[Found], rng: np.random.Generator) -> NDArray[np.float64]:
    unit = parents[rng.integers(len(parents))].unit.copy()
    if len(pool) >= 3 and rng.random() < 0.5:
        a, b = rng.choice(len(pool), 2, replace=False)
        unit += rng.uniform(0.2, 0.8) * (pool[a].unit - pool[b].unit)
    sigma = 10.0 ** rng.uniform(-2.0, -0.7)
    chosen = rng.random(len(unit)) < rng.uniform(0.2, 1.0)
    return unit + chosen * rng.normal(0.0, sigma, len(unit))


def front(pool: list[Found]) -> list[Found]:
    """Those that no other design beats."""
    margins = np.array([f.margins for f in pool])
    kept = []
    for found in pool:
        ahead = margins - found.margins
        beaten = (ahead >= -SIMILAR).all(axis=1) & (ahead.sum(axis=1) > SIMILAR * ahead.shape[1])
        if not beaten.any():
            kept.append(found)
    return kept


def spread_out(pool: list[Found], count: int) -> list[Found]:
    """`count` of them, each the farthest from those before it; the first is the best all round."""
    margins = np.array([f.margins for f in pool])
    order = [int(margins.min(axis=1).argmax())]
    distance = np.full(len(pool), np.inf)
    while len(order) < min(count, len(pool)):
        distance = np.minimum(distance, np.linalg.norm(margins - margins[order[-1]], axis=1))
        order.append(int(distance.argmax()))
    return [pool[k] for k in order]


def stored(spec: Spec, value: float) -> float:
    """A metric as it is written down: five digits, on the worse side of what was measured."""
    step = resolution(spec, value, digits=5)
    if spec.direction == "within":
        return math.copysign(round_towards(abs(value), 1.0, step), value)
    return round_towards(value, -1.0 if spec.direction == ">=" else 1.0, step)


def table(task: acs_gym.Task, anchors: list[Found], command: str) -> AnchorTable:
    rows = tuple(
        (
            tuple(found.design.values()),
            tuple(stored(s, v) for s, v in zip(task.specs, found.metrics, strict=True)),
        )
        for found in anchors
    )
    made = AnchorTable(
        command=command,
        program=task.program.key,
        parameters=task.space.names,
        metrics=task.specs.metrics,
        anchors=rows,
    )
    made.check(task.space, task.specs)
    return made


def write(path: Path, tables: dict[str, AnchorTable]) -> None:
    """One anchor a line, so that a change of the file can be read."""
    parts = []
    for pdk, entry in sorted(tables.items()):
        head = entry.model_dump(exclude={"anchors"})
        lines = [f"    {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        rows = ",\n".join(f"      {json.dumps(row)}" for row in entry.anchors)
        body = "\n".join([*lines, f'    "anchors": [\n{rows}\n    ]'])
        parts.append(f"  {json.dumps(pdk)}: {{\n{body}\n  }}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def describe(task: acs_gym.Task, anchors: list[Found]) -> None:
    margins = np.array([f.margins for f in anchors])
    apart = np.linalg.norm(margins[:, None] - margins[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    print(
        f"  {len(anchors)} anchors; {(margins >= 0).all(axis=1).sum()} meet every fixed target, "
        f"{np.mean((margins >= 0).mean(axis=1)):.0%} of the targets on average; "
        f"nearest neighbours {apart.min():.2f} to {apart.min(axis=1).max():.2f} of margin apart"
    )
    for k, metric in enumerate(task.specs.metrics):
        low, middle, high = np.quantile(margins[:, k], (0.0, 0.5, 1.0))
        print(f"    {metric:16s} margins {low:+.2f} … {middle:+.2f} … {high:+.2f}")


def make(task: acs_gym.Task, arguments: argparse.Namespace) -> AnchorTable:
    """The table of one circuit on one PDK."""
    command = f"python benchmarks/targets.py {task.id} --pdk {task.pdk_name}"
    start = time.monotonic()
    with WorkerPool(1) as pool, task.session(simulator=pool) as session:
        if arguments.remeasure:
            old = task.circuit.anchors.get(task.pdk_name)
            if old is None:
                sys.exit(f"nothing to measure anew; `{command}` searches for anchors")
            designs = [old[k].design for k in old.rows()]
            anchors, command = measure(session, designs), old.command
            if lost := len(designs) - len(anchors):
                print(f"  {lost} of {len(designs)} anchors are of no more use and are left out")
        else:
            command += f" --evaluations {arguments.evaluations} --anchors {arguments.anchors}"
            command += f" --seed {arguments.seed}"
            rng = np.random.default_rng(arguments.seed)
            anchors = spread_out(
                front(search(session, arguments.evaluations, rng)), arguments.anchors
            )
    print(f"{task.id} on {task.pdk_name}: {session.budget.used} evaluations, "
          f"{time.monotonic() - start:.0f} s")  # fmt: skip
    if len(anchors) < HELD_OUT_EVERY:
        sys.exit(f"  only {len(anchors)} anchors, {HELD_OUT_EVERY} are the least; nothing written")
    describe(task, anchors)
    return table(task, anchors, command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("circuit", nargs="*", help="task ids or circuit folders; all by default")
    parser.add_argument("--pdk", action="append", help="may be repeated; all installed by default")
    parser.add_argument("--evaluations", type=int, default=2000, help="per circuit and PDK")
    parser.add_argument("--anchors", type=int, default=96, help="at most, per circuit and PDK")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--remeasure", action="store_true", help="keep the designs of the file")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    installed = [p for p in acs_gym.pdk_names() if acs_gym.get_pdk(p).available()]
    for given in arguments.circuit or acs_gym.task_ids():
        name = id_or_folder(given)
        circuit = acs_gym.make_task(name, pdk=(arguments.pdk or installed)[0]).circuit
        tables = dict(circuit.anchors)
        possible = circuit.anchors if arguments.remeasure else circuit.file.pdk
        for pdk in arguments.pdk or [p for p in installed if p in possible]:
            tables[pdk] = make(acs_gym.make_task(name, pdk=pdk), arguments)
            write(circuit.folder / "targets.json", tables)


if __name__ == "__main__":
    main()
