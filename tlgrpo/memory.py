"""What no policy is needed for: rivals that only remember, at one simulation a problem.

python -m tlgrpo.memory --tasks ACS-OTA5T-v0,ACS-OpAmp-v0 --banks runs/banks [--problems 256]

    lookup          the design of the circuit's own bank with the most margin in its worst spec
    role median     of parameters of the same role and quantity in all other circuits' anchors
    nearest goal    the same, of the anchor of each other circuit whose targets are the most alike

The last two know nothing of the circuit: they are the floor of a policy that transfers. Intervals are
of a bootstrap over the held-out anchors that the problems are drawn from (and over circuits, where there
are several): problems of one anchor are no independent samples.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

import acs_gym
from acs_gym import program
from acs_gym.simulation.pool import WorkerPool
from tlgrpo.designs import ANCHOR, BankError, anchors, path_of, read_bank
from tlgrpo.domain import State
from tlgrpo.domains.circuit_words import spec_words
from tlgrpo.domains.conditions import OWN
from tlgrpo.domains.sizing import LEVELS, Sizing, Told, described
from tlgrpo.labels import Source, judged, margins

Pick = Callable[[Told], NDArray[np.int64]]


def lookup(known: Sequence[Source]) -> Pick:
    """Levels in the order of the task's space."""
    by_task = {(s.task.id, s.task.pdk_name): s for s in known}

    def pick(told: Told) -> NDArray[np.int64]:
        source = by_task[told.task.id, told.task.pdk_name]
        found: NDArray[np.int64] = source.bank.levels[int(judged(source, told).worst.argmax())]
        return found

    return pick


def role_median(known: Sequence[Source]) -> Pick:
    """By words alone; a parameter that no other circuit has stands in the middle."""

    def pick(told: Told) -> NDArray[np.int64]:
        others = [s for s in known if s.task.id != told.task.id]
        rows = [(s, s.bank.levels[s.bank.source == ANCHOR]) for s in others]
        return _by_role(told, rows)

    return pick


def nearest_goal(known: Sequence[Source]) -> Pick:
    """As `role_median`, of one anchor a circuit: that whose metrics are nearest to the targets."""

    def pick(told: Told) -> NDArray[np.int64]:
        wanted = {spec_words(s)[:2]: _size(spec_words(s)) for s in told.task.specs}
        rows = []
        for source in known:
            if source.task.id == told.task.id:
                continue
            anchors = np.flatnonzero(source.bank.source == ANCHOR)
            away = np.zeros(len(anchors))
            for place, spec in enumerate(source.task.specs):
                words = spec_words(spec)
                if (size := wanted.get(words[:2])) is None:
                    continue
                # The metric's distance from the circuit's own target, moved to the problem's.
                own = margins((spec,), source.bank.metrics[anchors][:, [place]])[:, 0]
                sign = 1.0 if spec.direction == ">=" else -1.0
                away += np.abs(np.clip(sign * own + _size(words) - size, -8.0, 8.0))
            rows.append((source, source.bank.levels[[anchors[int(away.argmin())]]]))
        return _by_role(told, rows)

    return pick


def suggested(told: Told) -> list[NDArray[np.int64]]:
    """What the training circuits suggest for a circuit: by role, then by the nearest goal.

    Of their anchors on its PDK; nothing where there are none.
    """
    known = training_anchors(told.task.pdk_name)
    found = [pick(known)(told) for pick in (role_median, nearest_goal)] if known else []
    return [levels for k, levels in enumerate(found) if not k or (levels != found[0]).any()]


@lru_cache(maxsize=4)
def training_anchors(pdk: str) -> tuple[Source, ...]:
    """The anchors of every training circuit that has some on a PDK."""
    found = []
    for name in acs_gym.task_ids():
        try:
            task = acs_gym.make_task(name, pdk=pdk)
            if task.circuit.file.split == "training" and len(bank := anchors(task)):
                found.append(Source(task, OWN, bank))
        except ValueError:  # It is not on this PDK.
            continue
    return tuple(found)


def _size(words: Sequence[str]) -> float:
    return int(words[3].removeprefix("~")) + int(words[4].removeprefix(".")) / LEVELS


def _by_role(told: Told, rows: Sequence[tuple[Source, NDArray[np.int64]]]) -> NDArray[np.int64]:
    """The median level of parameters that are told by the same words, or by the same role."""
    found = np.full(len(told.described), LEVELS // 2)
    for place, words in enumerate(told.described):
        for length in (3, 2):
            alike = [
                levels[:, k]
                for source, levels in rows
                for k, other in enumerate(described(source.task.id, source.task.pdk_name))
                if other[:length] == words[:length] or (length == 2 and other[1] == words[1])
            ]
            if alike:
                found[place] = int(np.median(np.concatenate(alike)))
                break
    return found


# A study has an interval for each of its rows, all over the same problems.
@lru_cache(maxsize=32)
def _anchor_draws(anchors: tuple[int, ...], draws: int, seed: int) -> NDArray[np.float64]:
    """How often each draw has each anchor, shape (draws, anchors): circuits first, then theirs.

    Args:
        anchors: How many each circuit has.
    """
    first = np.concatenate([[0], np.cumsum(anchors)[:-1]])
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, sum(anchors)))
    for row in counts:
        for c in rng.integers(len(anchors), size=len(anchors)):
            np.add.at(row, first[c] + rng.integers(anchors[c], size=anchors[c]), 1)
    return counts


def clustered_interval(
    values: Sequence[float],
    clusters: Sequence[tuple[str, object]],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean: circuits drawn first, then the anchors of each.

    Args:
        clusters: (circuit, anchor) of each value. Of one circuit only anchors are drawn.
    """
    tree: dict[str, dict[object, list[float]]] = {}
    for value, (circuit, anchor) in zip(values, clusters, strict=True):
        tree.setdefault(circuit, {}).setdefault(anchor, []).append(value)
    # Sum and number of each anchor's values, which is all that a mean needs.
    parts = np.array([(sum(v), len(v)) for anchors in tree.values() for v in anchors.values()])
    drawn = _anchor_draws(tuple(map(len, tree.values())), draws, seed) @ parts
    means = drawn[:, 0] / drawn[:, 1]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    tasks: Annotated[str, typer.Option(help="Task ids.")],
    banks: Annotated[
        Path, typer.Option(help="Folder of `tlgrpo.bank`; every bank of the PDK counts.")
    ],
    pdk: Annotated[str, typer.Option(help="A PDK.")] = "sky130",
    problems: Annotated[int, typer.Option(help="Held-out problems.")] = 256,
    workers: Annotated[int, typer.Option(help="Simulation processes.")] = 1,
) -> None:
    """Try what only remembers on held-out problems, one simulation each."""
    try:
        _try(tasks.split(","), banks, pdk, problems, workers)
    except BankError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _try(named: Sequence[str], banks: Path, pdk: str, problems: int, workers: int) -> None:
    every = [acs_gym.make_task(t, pdk=pdk) for t in acs_gym.task_ids()]
    known = [Source(t, OWN, read_bank(banks, t)) for t in every if path_of(banks, t).exists()]
    simulated = sum(s.bank.simulated for s in known)
    designs = sum(len(s.bank) for s in known)
    print(f"banks: {designs} designs, {simulated} simulated for them, the rest anchors")
    with WorkerPool(workers) as pool:
        domain = Sizing(tasks=named, pdks=(pdk,), simulator=pool)
        asked = [domain.problem(k, "held-out") for k in range(problems)]
        told = [domain.told(p) for p in asked]
        drawn_from = [domain.anchor(k, "held-out") for k in range(problems)]
        clusters = [(task, anchor) for task, _, anchor in drawn_from]
        rivals = {
            "lookup": lookup(known),
            "role median": role_median(known),
            "nearest goal": nearest_goal(known),
        }
        for name, pick in rivals.items():
            tries = []
            for problem, one in zip(asked, told, strict=True):
                levels = pick(one)
                listed = [int(levels[k]) for k in one.parameters]
                tries.append((State(problem), one.write(listed, "levels", one.start)))
            reactions = domain.evaluate(tries)
            scores = [r.score for r in reactions]
            solved = [float(r.solved) for r in reactions]
            low, high = clustered_interval(scores, clusters)
            least, most = clustered_interval(solved, clusters)
            print(
                f"{name}: score {np.mean(scores):.3f} [{low:.3f}, {high:.3f}], "
                f"solved {np.mean(solved):.1%} [{least:.1%}, {most:.1%}]"
            )


if __name__ == "__main__":
    program.start()
    app()
