"""Make banks of simulated designs of training circuits, or go on making them.

python -m tlgrpo.bank --tasks training --pdks sky130,gf180mcu --simulations 500 --trajectories 20
python -m tlgrpo.bank --tasks training --pdks sky130 --supplies 0.9,1.1 --loads 0.5,2 --again 100

A bank begins with the training anchors, which cost nothing. Then come, where they are asked for:

    --simulations    of random levels (a quarter) and of designs of the bank, varied
    --aimed          of what should meet targets that a design of the bank meets, near one that fails
                     (`tlgrpo.aimed`)
    --trajectories   what optimisers try, each aimed at targets that a design of the bank meets
    --again          anchors at every other combination of supply and load, a bank each, since what
                     they have there is known of no design before

Every design is on the grid of levels that a policy writes. Every simulation is a row of its bank and is
counted in its header. The same command goes on where it stopped.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

import acs_gym
from acs_gym import program
from acs_gym.design import Design
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Simulator, WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task
from baselines.initial import default_size
from baselines.registry import get_method
from tlgrpo.designs import (
    AGAIN,
    AIMED,
    ANCHOR,
    OPTIMISER,
    RANDOM,
    VARIED,
    Bank,
    BankError,
    anchors,
    bank_of,
    empty,
    levels_of,
    path_of,
    read_bank,
    write_bank,
)
from tlgrpo.domains.conditions import OWN, Conditions
from tlgrpo.domains.levels import from_level
from tlgrpo.domains.sizing import LEVELS, told_of
from tlgrpo.labels import Source, drawn, judged, likely, margins

Levels = NDArray[np.int64]
_CHUNK, _AIMED_TOGETHER = 32, 128
_SUBSET = 0.4


def grown(source: Source, count: int, simulator: Simulator, seed: int = 0) -> Bank:
    """The bank with `count` more designs, random and varied; what comes is decided by its size."""
    bank = source.bank
    rng = np.random.default_rng((seed, len(bank)))
    rows: list[Levels] = []
    kinds: list[int] = []
    for _ in range(count):
        if rng.random() < 0.25:
            rows.append(rng.integers(LEVELS, size=(bank.levels.shape[1],), dtype=np.int64))
            kinds.append(RANDOM)
            continue
        parent = bank.levels[rng.integers(len(bank))]
        step = rng.choice([1.0, 3.0, 8.0])
        moved = rng.random(len(parent)) < rng.choice([0.2, 0.5, 1.0])
        row = np.rint(parent + moved * rng.normal(0.0, step, len(parent)))
        rows.append(np.clip(row, 0, LEVELS - 1).astype(np.int64))
        kinds.append(VARIED)
    return bank.joined(_simulated(source, rows, kinds, simulator))


def simulated_again(
    own: Bank, source: Source, count: int, simulator: Simulator, seed: int = 0
) -> Bank:
    """The bank of other conditions with `count` more of the circuit's own anchors simulated there."""
    done = source.bank.counts["again"]
    order = np.random.default_rng((seed, 13)).permutation(np.flatnonzero(own.source == ANCHOR))
    rows = [own.levels[k] for k in order[done : done + count]]
    return source.bank.joined(_simulated(source, rows, AGAIN, simulator))


def trajectory(
    source: Source, method: str, budget: int, simulator: Simulator, seed: int = 0
) -> Bank:
    """The bank with what an optimiser tries for targets drawn from it, until it meets them.

    Each design that it asks for is moved to the nearest levels. It is told what that one has, as if it
    were its own; one that was simulated in the same trajectory already is not simulated again.

    Raises BankError for an optimiser that is not known or not installed.
    """
    run = source.bank.next_run
    rng = np.random.default_rng((seed, 17, run))
    told = told_of(drawn(source, "levels", rng, _SUBSET).key)
    try:
        chosen = get_method(method)
        chosen.require()
    except (KeyError, ImportError) as error:
        raise BankError(error.args[0] if error.args else str(error)) from None
    first = int(rng.integers(2**31))
    initial = chosen.initial(told.task, default_size(budget, len(told.task.space)), first)
    optimiser = chosen.for_task(told.task, seed=first, initial=initial)
    tried: dict[bytes, tuple[Levels, Outcome]] = {}
    for _ in range(4 * budget):
        if len(tried) >= budget:
            break
        (asked,) = optimiser.ask(1)
        levels = levels_of(told.task, asked)
        if levels.tobytes() not in tried:
            (outcome,) = _outcomes(source, [levels], simulator)
            tried[levels.tobytes()] = levels, outcome
        evaluation = told.task.judge(asked, tried[levels.tobytes()][1])
        optimiser.tell([evaluation])
        if evaluation.feasible:
            break
    rows, outcomes = zip(*tried.values(), strict=True)
    metrics = [_metrics(source.task, o) for o in outcomes]
    return source.bank.joined(bank_of(source.task, list(rows), metrics, OPTIMISER, run))


def aimed(source: Source, count: int, simulator: Simulator, seed: int = 0) -> Bank:
    """The bank with up to `count` more designs, each aimed at targets drawn from it."""
    from tlgrpo.aimed import fitted

    bank, specs = source.bank, tuple(source.task.specs)
    names = source.task.specs.metrics
    rng = np.random.default_rng((seed, 19, len(bank)))
    surrogate = fitted(bank.levels, margins(specs, bank.metrics), int(rng.integers(2**31)))
    starts = np.empty((count, bank.levels.shape[1]), dtype=np.int64)
    shifts, asked = np.zeros((count, len(specs))), np.zeros((count, len(specs)), dtype=bool)
    for k in range(count):
        known = judged(source, told_of(drawn(source, "levels", rng, _SUBSET).key))
        failing = np.flatnonzero(known.worst < 0)
        if not len(failing):
            failing = np.arange(len(bank))
        starts[k] = bank.levels[likely(known, failing, known.label(0.0, None, 1.0), rng)]
        for spec in known.told.task.specs:
            place = names.index(spec.metric)
            # A margin changes with the target as that of a design which has the target of before.
            (shift,) = margins((spec,), np.array([[specs[place].target]]))[:, 0]
            shifts[k, place], asked[k, place] = shift, True
    have = {row.tobytes() for row in bank.levels}
    rows = {row.tobytes(): row for row in surrogate.towards(starts, shifts, asked)}
    new = [row for key, row in rows.items() if key not in have]
    return bank.joined(_simulated(source, new, AIMED, simulator))


def _simulated(
    source: Source, rows: Sequence[Levels], kinds: int | list[int], simulator: Simulator
) -> Bank:
    outcomes = _outcomes(source, rows, simulator)
    metrics = [_metrics(source.task, o) for o in outcomes]
    return bank_of(source.task, list(rows), metrics, kinds)


def _outcomes(source: Source, rows: Sequence[Levels], simulator: Simulator) -> list[Outcome]:
    jobs = [source.conditions.job(source.task, _design(source.task, row)) for row in rows]
    return simulate_uncharged(jobs, simulator)


def _design(task: Task, row: Levels) -> Design:
    return task.space.from_unit([from_level(int(k), LEVELS) for k in row])


def _metrics(task: Task, outcome: Outcome) -> list[float]:
    known = outcome.status in (Status.OK, Status.MEASURE_FAILED)
    return [outcome.metrics.get(s.metric, np.nan) if known else np.nan for s in task.specs]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    tasks: Annotated[str, typer.Option(help="Task ids, or `training` for all of them.")],
    pdks: Annotated[str, typer.Option(help="PDKs.")] = "sky130",
    simulations: Annotated[
        int, typer.Option(help="Random and varied designs of each circuit and PDK, in all.")
    ] = 0,
    trajectories: Annotated[
        int, typer.Option(help="Of optimisers, for each circuit and PDK, in all.")
    ] = 0,
    optimizers: Annotated[str, typer.Option(help="They take turns.")] = "composite-ei",
    aimed_at: Annotated[
        int,
        typer.Option("--aimed", help="Designs by a surrogate, of each circuit and PDK, in all."),
    ] = 0,
    budget: Annotated[int, typer.Option(help="Most simulations of a trajectory.")] = 50,
    supplies: Annotated[str, typer.Option(help="Factors, for --again.")] = "1",
    loads: Annotated[str, typer.Option(help="Factors, for --again.")] = "1",
    again: Annotated[int, typer.Option(help="Anchors at each combination of them.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the banks.")] = Path("runs/banks"),
    workers: Annotated[int, typer.Option(help="Simulation processes.")] = 1,
) -> None:
    """Make banks of simulated designs, or go on making them."""
    names = acs_gym.task_ids("training") if tasks == "training" else tasks.split(",")
    made = [acs_gym.make_task(t, pdk=p) for p in pdks.split(",") for t in names]
    try:
        elsewhere = [
            Conditions(supply, load)
            for supply, load in itertools.product(_factors(supplies), _factors(loads))
            if (supply, load) != (1.0, 1.0)
        ]
        methods = optimizers.split(",")
        with WorkerPool(workers) as pool:
            growths: list[tuple[Task, Conditions, _Growth]] = []
            for task in made:
                if not path_of(out, task).exists():
                    write_bank(out, task, anchors(task))
                growths += [
                    (task, OWN, _by_chance(simulations, pool)),
                    (task, OWN, _by_optimisers(trajectories, methods, budget, pool)),
                    (task, OWN, _by_surrogate(aimed_at, pool)),
                ]
                own = read_bank(out, task)
                for conditions in elsewhere if again else ():
                    if not path_of(out, task, conditions).exists():
                        write_bank(out, task, empty(task), conditions)
                    growths.append((task, conditions, _by_anchors(own, again, pool)))
            _grow(growths, out)
    except BankError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


# The bank with some more designs, or None where it has as many as are asked for.
_Growth = Callable[[Source], Bank | None]


def _by_chance(count: int, pool: Simulator) -> _Growth:
    def more(source: Source) -> Bank | None:
        have = source.bank.counts["random"] + source.bank.counts["varied"]
        missing = min(_CHUNK, count - have)
        return grown(source, missing, pool) if missing > 0 else None

    return more


def _by_optimisers(count: int, methods: Sequence[str], budget: int, pool: Simulator) -> _Growth:
    def more(source: Source) -> Bank | None:
        have = len(np.unique(source.bank.run[source.bank.source == OPTIMISER]))
        method = methods[have % len(methods)]
        return trajectory(source, method, budget, pool) if have < count else None

    return more


def _by_surrogate(count: int, pool: Simulator) -> _Growth:
    def more(source: Source) -> Bank | None:
        missing = min(_AIMED_TOGETHER, count - source.bank.counts["aimed"])
        if missing <= 0:
            return None
        bank = aimed(source, missing, pool)
        return bank if len(bank) > len(source.bank) else None

    return more


def _by_anchors(own: Bank, count: int, pool: Simulator) -> _Growth:
    def more(source: Source) -> Bank | None:
        have = source.bank.counts["again"]
        missing = min(_CHUNK, count - have, own.counts["anchor"] - have)
        return simulated_again(own, source, missing, pool) if missing > 0 else None

    return more


def _grow(growths: Sequence[tuple[Task, Conditions, _Growth]], out: Path) -> None:
    # Some of each in turn, so that all banks are of use while they grow.
    todo = list(growths)
    while todo:
        for growth in list(todo):
            task, conditions, more = growth
            source = Source(task, conditions, read_bank(out, task, conditions))
            start = time.perf_counter()
            where = f"{task.id} {task.pdk_name} {conditions.name}".rstrip()
            if (bank := more(source)) is None:
                todo.remove(growth)
                if not any(g[:2] == growth[:2] for g in todo):
                    counts = ", ".join(f"{n} {kind}" for kind, n in source.bank.counts.items() if n)
                    print(f"{where}: {source.bank.simulated} simulations; {counts}", flush=True)
                continue
            write_bank(out, task, bank, conditions)
            added = len(bank) - len(source.bank)
            took = time.perf_counter() - start
            print(f"{where}: {added} more in {took:.1f} s, {bank.simulated} in all", flush=True)


def _factors(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < factor < np.inf for factor in found):
        raise BankError(f"supplies and loads are factors such as 0.9,1.1; got {text!r}")
    return found


if __name__ == "__main__":
    program.start()
    app()
