"""Finds the designs that sampled targets come from, and writes a circuit's `targets.json`.

    python benchmarks/targets.py                                  # whatever is missing or out of date
    python benchmarks/targets.py ACS-OpAmp-v0 --pdk sky130 --pdk generic --force
    python benchmarks/targets.py path/to/my/circuit --pdk generic
    python benchmarks/targets.py ACS-OpAmp-v0 --remeasure

An anchor is worth having when it is good at something for what it costs elsewhere, so the search is
for the front in the space of margins to the fixed targets. It starts at the reference sizing; then,
under one random emphasis of the specs after the other, children are bred from the designs that
are best under it (differential evolution and mutation), measured, and kept whatever they turn out
to be good for. At the end only designs with every metric measured, every `fixed` spec met and no
margin below -1 count (a factor of 2.7, or one tolerance, from the fixed target), and those that
another one beats are left out where there are enough.

What is held out are whole regions of the margins, not single anchors out of the crowd: randomly
chosen designs, each with its nearest neighbours. A design that has nearly what a held-out anchor has,
of every spec, is left out of training: by how much it must miss one, the buffer, is as wide as the
number of training anchors permits, up to `BUFFER`. Both splits are then thinned to sets spread evenly
over the margins. Printed is how many of the held-out targets a training anchor would meet if they
were drawn as in training; a real draw comes closer until none does (`Task.sample_specs`).

Bounded by the number of evaluations and seeded: the same command finds the same anchors. A table
that is up to date is left alone, unless `--force` is given, so an interrupted run goes on with the
next table. `--remeasure` searches nothing; it measures the designs that the file has anew, after a
change to the circuit's testbench, the models, or the simulator.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

import acs_gym
from acs_gym.design import Design
from acs_gym.registry import id_or_folder
from acs_gym.simulation.pool import WorkerPool
from acs_gym.targets import (
    FINENESS,
    ROUNDING,
    SLACK_LEAST,
    Anchor,
    AnchorTable,
    Split,
    rating,
    targets_of,
    written,
)

LEAST_MARGIN = -1.0
# Being better than this at one thing is worth no trouble with the others.
MOST_MARGIN = 2.0
BATCH = 16
BATCHES_PER_EMPHASIS = 3
PARENTS = 8
# A design that is nowhere better than another by more than this margin, and worse by more than
# it on average, is beaten by it.
SIMILAR = 0.05
# Designs to choose from, for every one that is chosen.
CHOICE = 2.5
REGIONS = 16
# A buffer as wide as this keeps nearly all held-out targets from training anchors. A wider one costs
# training anchors on all sides of it, and the two splits would be of different designs altogether.
BUFFER = 0.25
# Designs of the held-out regions, and of those outside the buffer, for every one that is kept:
# thinned, neighbours differ by something.
THINNED_HELD_OUT, THINNED_TRAIN = 1.5, 1.25
DRAWS = 2000


class NotMade(Exception):
    """No table; the message says why."""


@dataclass(frozen=True)
class Found:
    """One measured design: unit-cube coordinates, metrics as written down, margins of the specs
    whose targets vary."""

    anchor: Anchor
    unit: NDArray[np.float64]
    margins: NDArray[np.float64]

    @property
    def capped(self) -> NDArray[np.float64]:
        return np.minimum(self.margins, MOST_MARGIN)


def rounded(task: acs_gym.Task, unit: NDArray[np.float64]) -> Design:
    """The design near `unit` whose numbers have three digits, as a person's have."""
    design = task.space.from_unit(np.clip(unit, 0.0, 1.0))
    return {p.name: p.snap(float(f"{design[p.name]:.3g}")) for p in task.space}


def measure(session: acs_gym.Session, designs: Sequence[Design]) -> list[Found]:
    """Those of the designs that are of use as anchors, with their metrics as they are written down."""
    specs = session.task.specs
    free = np.array([not s.fixed for s in specs])
    least = np.where(free, LEAST_MARGIN, 0.0)
    found = []
    for evaluation in session.simulate(list(designs)):
        if not np.isfinite(list(evaluation.margins.values())).all():
            continue
        metrics = {s.metric: written(s, evaluation.metrics[s.metric]) for s in specs}
        margins = np.array([s.margin(metrics[s.metric]) for s in specs])
        if np.isfinite(margins).all() and (margins >= least).all():
            design = dict(evaluation.design)
            unit = session.task.space.to_unit(design)
            found.append(Found(Anchor(design, metrics), unit, margins[free]))
    return found


def search(session: acs_gym.Session, evaluations: int, rng: np.random.Generator) -> list[Found]:
    """Designs that are good under one emphasis of the specs or another; see the module."""
    task = session.task
    reference = rounded(task, task.space.to_unit(task.reference or {}))
    pool = measure(session, [reference])
    if not pool:
        raise NotMade(
            "the reference sizing is no use as an anchor: a metric is not measured, a fixed spec is "
            f"missed, or a margin is below {LEAST_MARGIN:g}"
        )
    known = {tuple(reference.values())}
    units, margins = pool[0].unit[None], pool[0].capped[None]
    emphasis = np.zeros(margins.shape[1])
    for number in range((evaluations - 1) // BATCH):
        if number % BATCHES_PER_EMPHASIS == 0:
            share = rng.dirichlet(np.ones(len(emphasis))) * len(emphasis)
            emphasis = np.clip(0.5 * (share - 1.0), LEAST_MARGIN, MOST_MARGIN)
        # How well the worst-met wish is met; the mean breaks ties, so that the rest is not wasted.
        merit = (margins - emphasis).min(axis=1) + 0.05 * margins.mean(axis=1)
        parents = units[np.argsort(-merit, kind="stable")[:PARENTS]]
        children = {
            tuple(design.values()): design
            for design in (rounded(task, child(parents, units, rng)) for _ in range(BATCH))
        }
        fresh = [design for key, design in children.items() if key not in known]
        known |= children.keys()
        if good := measure(session, fresh):
            pool += good
            units = np.vstack([units, *(f.unit for f in good)])
            margins = np.vstack([margins, *(f.capped for f in good)])
    return pool


def child(
    parents: NDArray[np.float64], units: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = parents[rng.integers(len(parents))].copy()
    if len(units) >= 3 and rng.random() < 0.5:
        a, b = rng.choice(len(units), 2, replace=False)
        unit += rng.uniform(0.2, 0.8) * (units[a] - units[b])
    sigma = 10.0 ** rng.uniform(-2.0, -0.7)
    chosen = rng.random(len(unit)) < rng.uniform(0.2, 1.0)
    return unit + chosen * rng.normal(0.0, sigma, len(unit))


def best(pool: list[Found], count: int) -> list[Found]:
    """Those that no other design beats, and where they are too few those that only these beat, …"""
    margins = np.array([f.capped for f in pool])
    chosen: list[int] = []
    left = np.arange(len(pool))
    while len(left) and len(chosen) < count:
        among = margins[left]
        beaten = np.zeros(len(left), bool)
        for k, row in enumerate(among):
            ahead = among - row
            beaten[k] = (
                (ahead >= -SIMILAR).all(axis=1) & (ahead.sum(axis=1) > SIMILAR * ahead.shape[1])
            ).any()
        chosen += left[~beaten].tolist()
        left = left[beaten]
    return [pool[k] for k in chosen]


def spread_out(pool: list[Found], count: int) -> list[Found]:
    """`count` of them, each the farthest from those before it; the first is the best all round."""
    margins = np.array([f.capped for f in pool])
    order = [int(margins.min(axis=1).argmax())]
    distance = np.full(len(pool), np.inf)
    while len(order) < min(count, len(pool)):
        distance = np.minimum(distance, np.linalg.norm(margins - margins[order[-1]], axis=1))
        order.append(int(distance.argmax()))
    return [pool[k] for k in order]


def divide(
    pool: list[Found], train: int, held_out: int, rng: np.random.Generator
) -> tuple[list[Found], list[Found], float]:
    """Anchors to train on, anchors held out, and the width of the buffer between them.

    A training anchor meets the targets of no held-out one, unless they are eased by more than the
    buffer in at least one spec.
    """
    capped = np.array([f.capped for f in pool])
    margins = np.array([f.margins for f in pool])
    places = {id(f): k for k, f in enumerate(pool)}
    among = [places[id(f)] for f in spread_out(pool, train + held_out)]
    inside = regions(capped, rng.choice(among, min(REGIONS, len(among)), replace=False))
    inside = inside[: int(THINNED_HELD_OUT * held_out)]
    kept = spread_out([pool[k] for k in inside], held_out)
    # By how much a design misses what a held-out anchor has, in the spec where it misses most.
    misses = np.full(len(pool), np.inf)
    for found in kept:
        misses = np.minimum(misses, (found.margins - margins).max(axis=1))
    misses[inside] = -np.inf
    enough = np.sort(misses)[::-1][: int(THINNED_TRAIN * train)]
    buffer = float(np.clip(enough[-1], SLACK_LEAST + ROUNDING + FINENESS, BUFFER))
    outside = [pool[k] for k in np.flatnonzero(misses > buffer)]
    if not outside:
        raise NotMade("every design found meets some held-out targets; try more --evaluations")
    return spread_out(outside, train), kept, buffer


def regions(places: NDArray[np.float64], seeds: NDArray[np.intp]) -> NDArray[np.intp]:
    """Numbers of all places, those in the middle of their region first; a seed is one's middle.

    A region has the places that no other seed is nearer to. The first so many are as many of each.
    """
    apart = np.linalg.norm(places[:, None] - places[seeds], axis=2)
    owner, distance = apart.argmin(axis=1), apart.min(axis=1)
    rank = np.empty(len(places), np.intp)
    for region in range(len(seeds)):
        members = np.flatnonzero(owner == region)
        rank[members[np.argsort(distance[members], kind="stable")]] = np.arange(len(members))
    return np.lexsort((distance, rank))


def table(
    task: acs_gym.Task, train: list[Found], held_out: list[Found], command: str
) -> AnchorTable:
    made = AnchorTable.of(
        command, task.program.key, [f.anchor for f in train], [f.anchor for f in held_out]
    )
    if given_away := made.given_away(task.specs):  # Measured anew, an anchor may have moved.
        print(f"  {len(given_away)} held-out anchors are met in training and are left out")
        if len(given_away) == len(held_out):
            raise NotMade("every held-out anchor is met in training")
        still = [f for k, f in enumerate(held_out) if k not in given_away]
        return table(task, train, still, command)
    made.check(task.space, task.specs)
    return made


def write(path: Path, tables: dict[str, AnchorTable]) -> None:
    """One anchor a line, so that a change of the file shows how much of it changed."""
    parts = []
    for pdk, entry in sorted(tables.items()):
        data = entry.model_dump(exclude_none=True)
        fields = []
        for key, value in data.items():
            text = json.dumps(value)
            if isinstance(value, tuple):
                text = "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
            fields.append(f"{json.dumps(key)}: {text}")
        parts.append(f"{json.dumps(pdk)}: {{\n" + ",\n".join(fields) + "\n}")
    # Whole or not at all, for whoever reads it now.
    fresh = path.with_suffix(".new")
    fresh.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    fresh.replace(path)


def describe(task: acs_gym.Task, made: AnchorTable) -> None:
    free = [s for s in task.specs if not s.fixed]
    for split in get_args(Split):
        margins = np.array(
            [[s.margin(a.metrics[s.metric]) for s in free] for a in made.anchors(split)]
        )
        apart = np.linalg.norm(margins[:, None] - margins[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        print(
            f"  {len(margins)} anchors, {split}; {(margins >= 0).all(axis=1).sum()} meet every "
            f"fixed target, {np.mean((margins >= 0).mean(axis=1)):.0%} of the targets on average; "
            f"nearest neighbours {apart.min():.2f} to {apart.min(axis=1).max():.2f} of margin apart"
        )
        for k, spec in enumerate(free):
            low, middle, high = np.quantile(margins[:, k], (0.0, 0.5, 1.0))
            print(f"    {spec.metric:16s} margins {low:+.2f} … {middle:+.2f} … {high:+.2f}")


def look_up(task: acs_gym.Task, made: AnchorTable) -> None:
    """Prints what memory of the training anchors is worth on drawn targets."""
    sheet, rng = task.specs, np.random.default_rng(0)
    other: dict[Split, int] = {
        "train": 2,
        "held-out": 1,
    }  # In training the anchor itself is one that meets them.
    shares = {}
    for split, least in other.items():
        drawn = [made.draw_freely(sheet, rng, split) for _ in range(DRAWS)]
        met = [made.met_in_training(sheet, targets_of(sheet, *one)) for one in drawn]
        shares[split] = np.mean([len(rows) >= least for rows in met])
    has = np.array([[rating(s, a.metrics[s.metric]) for s in sheet] for a in made.anchors("train")])
    weights = np.array([s.weight for s in sheet]) / sum(s.weight for s in sheet)
    best_scores, met_at_last = [], 0
    for _ in range(DRAWS):
        targets = made.draw(sheet, rng, "held-out")
        met_at_last += bool(len(made.met_in_training(sheet, targets)))
        short = np.minimum(has - [rating(s, targets[s.metric]) for s in sheet], 0.0)
        best_scores.append(((1.0 / (1.0 - short)) @ weights).max())
    print(
        f"  looked up among the training anchors: another one meets {shares['train']:.1%} of the "
        f"training targets; one meets {shares['held-out']:.1%} of the held-out ones as first drawn, "
        f"{met_at_last / DRAWS:.1%} of those asked, and scores {np.mean(best_scores):.3f} there"
    )


def make(task: acs_gym.Task, arguments: argparse.Namespace) -> AnchorTable:
    """The table of one circuit on one PDK."""
    command = f"python benchmarks/targets.py {task.id} --pdk {task.pdk_name}"
    start = time.monotonic()
    with WorkerPool(1) as pool, task.session(simulator=pool) as session:
        if arguments.remeasure:
            old = task.circuit.anchors.get(task.pdk_name)
            if old is None:
                raise NotMade(f"nothing to measure anew; `{command}` searches for anchors")
            train, held_out = (
                measure(session, [a.design for a in old.anchors(s)]) for s in get_args(Split)
            )
            if not train or not held_out:
                raise NotMade(
                    "no anchor of a split is of use any more; --force searches for new ones"
                )
            command = old.command
            if lost := len(old.rows()) - len(train) - len(held_out):
                print(f"  {lost} of {len(old.rows())} anchors are of no more use and are left out")
        else:
            command += f" --evaluations {arguments.evaluations} --train {arguments.train}"
            command += f" --held-out {arguments.held_out} --seed {arguments.seed}"
            rng = np.random.default_rng(arguments.seed)
            found = search(session, arguments.evaluations, rng)
            searched = time.monotonic() - start
            pool_of = best(found, int(CHOICE * (arguments.train + arguments.held_out)))
            train, held_out, buffer = divide(pool_of, arguments.train, arguments.held_out, rng)
            print(f"  {len(found)} designs of use, {len(pool_of)} to choose from, buffer "
                  f"{buffer:.2f} of margin; {searched:.0f} s of search")  # fmt: skip
    made = table(task, train, held_out, command)
    print(f"{task.id} on {task.pdk_name}: {session.meter.used} evaluations, "
          f"{time.monotonic() - start:.0f} s, {sum(map(len, made.rows()))} characters")  # fmt: skip
    describe(task, made)
    look_up(task, made)
    return made


def is_current(task: acs_gym.Task) -> bool:
    """Whether the table there is holds for the circuit as it is now."""
    made = task.circuit.anchors.get(task.pdk_name)
    if made is None or made.program != task.program.key:
        return False
    try:
        made.check(task.space, task.specs)
    except ValueError as error:
        print(f"{task.id} on {task.pdk_name}: {error}")
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("circuit", nargs="*", help="task ids or circuit folders; all by default")
    parser.add_argument("--pdk", action="append", help="may be repeated; all installed by default")
    parser.add_argument("--evaluations", type=int, default=6000, help="per circuit and PDK")
    parser.add_argument("--train", type=int, default=600, help="anchors, at most")
    parser.add_argument("--held-out", type=int, default=220, help="anchors, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="also tables that are up to date")
    parser.add_argument("--remeasure", action="store_true", help="keep the designs of the file")
    arguments = parser.parse_args()
    failed = False
    installed = acs_gym.available_pdks()
    for given in arguments.circuit or acs_gym.task_ids():
        name = id_or_folder(given)
        circuit = acs_gym.make_task(name, pdk=(arguments.pdk or installed)[0]).circuit
        tables = dict(circuit.anchors)
        possible = circuit.anchors if arguments.remeasure else circuit.file.pdk
        for pdk in arguments.pdk or [p for p in installed if p in possible]:
            task = acs_gym.make_task(name, pdk=pdk)
            if is_current(task) and not (arguments.force or arguments.remeasure):
                print(f"{task.id} on {pdk}: up to date")
                continue
            try:
                tables[pdk] = make(task, arguments)
            except NotMade as error:
                failed = True
                print(f"{task.id} on {pdk}: {error}")
                continue
            write(circuit.folder / "targets.json", tables)
    sys.exit(failed)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
