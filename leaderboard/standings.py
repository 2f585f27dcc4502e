"""From stored cells to a leaderboard: ranks, per-task rows, curves, best designs. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from leaderboard import statistics as st
from leaderboard.records import CellStatus, EvaluationRecord, TaskCard
from leaderboard.store import StoredCell

_COUNTS_AS_ZERO = (CellStatus.INVALID, CellStatus.CRASHED)


@dataclass(frozen=True, slots=True, order=True)
class Conditions:
    """What cells must share to be compared."""

    pdk: str
    tier: str
    budget: int
    suite_seed: int

    @classmethod
    def of(cls, cell: StoredCell) -> Conditions:
        spec = cell.result.spec
        return cls(spec.pdk, spec.tier, spec.budget, spec.suite_seed)

    @property
    def text(self) -> str:
        """As the options of leaderboard.report that choose them."""
        return (
            f"--pdk {self.pdk} --tier {self.tier} "
            f"--budget {self.budget} --suite-seed {self.suite_seed}"
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of one agent over a set of cells (all tasks, or one).

    Attributes:
        score: interquartile mean of the verified scores; `interval` its 95 % bootstrap interval.
        successes: cells whose verified design meets every spec; `success_interval` is Wilson's.
        simulations_to_spec: Kaplan-Meier median; None when fewer than half of the cells got there.
        area: mean over cells of the area under the best-so-far curve.
        curve: (IQM, low, high) of best-so-far, each of shape (budget,).
    """

    cells: int
    score: float
    interval: st.Interval
    successes: int
    success_interval: st.Interval
    simulations_to_spec: float | None
    area: float
    curve: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Row:
    """One agent of the leaderboard.

    Attributes:
        seeds: the fewest repetitions it has on any task.
        missing: cells that others have and it has not; such a row ranks below complete ones.
        failed, duplicates: shares of its simulations.
        seconds, simulator_seconds: mean per cell.
        statuses: cells by status, other than `complete`.
    """

    rank: int
    agent: str
    track: str
    overall: Figures
    tasks: dict[str, Figures]
    seeds: int
    missing: int
    failed: float
    duplicates: float
    seconds: float
    simulator_seconds: float
    statuses: dict[str, int]

    @property
    def provisional(self) -> bool:
        """Too few seeds, or cells missing: the rank is shown, not claimed."""
        return self.seeds < st.ENOUGH_SEEDS or self.missing > 0


@dataclass(frozen=True, slots=True)
class BestDesign:
    """The best verified design of a task, over all agents; the first of equals by rank."""

    agent: str
    repetition: int
    evaluation: EvaluationRecord


@dataclass(frozen=True, slots=True)
class Standings:
    """Everything a leaderboard shows. `omitted` counts stored cells that a newer one supersedes."""

    conditions: Conditions
    tasks: dict[str, TaskCard]
    rows: tuple[Row, ...]
    best: dict[str, BestDesign]
    simulators: tuple[str, ...]
    commits: tuple[str, ...]
    omitted: int


def standings(cells: Iterable[StoredCell]) -> Standings:
    """The leaderboard of cells that share their conditions.

    Where a cell was run more than once (its agent or its task has changed since), the one finished
    last counts. Raises ValueError for no cells, or cells of different conditions.
    """
    chosen, omitted = newest(cells)
    if not chosen:
        raise ValueError("no finished cells")
    conditions = {Conditions.of(c) for c in chosen}
    if len(conditions) > 1:
        raise ValueError(f"cells of {len(conditions)} different conditions cannot be compared")
    by_agent: dict[str, list[StoredCell]] = defaultdict(list)
    for cell in chosen:
        by_agent[cell.result.spec.agent].append(cell)
    wanted = {(c.result.spec.task, c.result.spec.repetition) for c in chosen}
    unranked = [_row(agent, own, len(wanted)) for agent, own in sorted(by_agent.items())]
    ordered = sorted(
        unranked, key=lambda r: (r.missing > 0, -r.overall.score, -r.overall.area, r.agent)
    )
    rows = tuple(_ranked(ordered))
    tasks = {c.result.spec.task: c.result.task for c in chosen}
    prints = [c.result.fingerprint for c in chosen]
    return Standings(
        conditions=conditions.pop(),
        tasks=dict(sorted(tasks.items())),
        rows=rows,
        best=_best_designs(chosen, [r.agent for r in rows]),
        simulators=tuple(sorted({str(p.get("simulator")) for p in prints})),
        commits=tuple(sorted({str(p.get("git_commit")) for p in prints if p.get("git_commit")})),
        omitted=omitted,
    )


def newest(cells: Iterable[StoredCell]) -> tuple[list[StoredCell], int]:
    """One cell per (task, agent, repetition), all of a task's newest digest; how many were left out."""
    pool = sorted(cells, key=lambda c: (c.result.timing.finished, c.result.key))
    digest = {c.result.spec.task: c.result.task.digest for c in pool}
    newest = {c.result.spec: c for c in pool if c.result.task.digest == digest[c.result.spec.task]}
    chosen = sorted(
        newest.values(),
        key=lambda c: (c.result.spec.task, c.result.spec.agent, c.result.spec.repetition),
    )
    return chosen, len(pool) - len(chosen)


def _row(agent: str, cells: Sequence[StoredCell], wanted: int) -> Row:
    by_task: dict[str, list[StoredCell]] = defaultdict(list)
    for cell in cells:
        by_task[cell.result.spec.task].append(cell)
    calls = sum(c.result.usage.calls for c in cells)
    failed = sum(sum(c.result.usage.failed.values()) for c in cells)
    statuses = Counter(str(c.result.status) for c in cells)
    del statuses[str(CellStatus.COMPLETE)]
    return Row(
        rank=0,
        agent=agent,
        track=cells[-1].result.track,
        overall=_figures(list(by_task.values())),
        tasks={task: _figures([own]) for task, own in sorted(by_task.items())},
        seeds=min(len(own) for own in by_task.values()),
        missing=wanted - len(cells),
        failed=failed / calls if calls else 0.0,
        duplicates=sum(c.result.usage.duplicates for c in cells) / calls if calls else 0.0,
        seconds=_mean(c.result.timing.total_seconds for c in cells),
        simulator_seconds=_mean(c.result.timing.simulator_seconds for c in cells),
        statuses=dict(sorted(statuses.items())),
    )


def _figures(strata: Sequence[Sequence[StoredCell]]) -> Figures:
    cells = [cell for stratum in strata for cell in stratum]
    scores = [[c.result.score for c in stratum] for stratum in strata]
    curves = [np.array([curve(c) for c in stratum]) for stratum in strata]
    successes = sum(c.result.feasible for c in cells)
    budget = cells[0].result.spec.budget
    return Figures(
        cells=len(cells),
        score=float(st.interquartile_mean(np.concatenate(scores))),
        interval=st.iqm_interval(scores),
        successes=successes,
        success_interval=st.wilson_interval(successes, len(cells)),
        simulations_to_spec=st.median_simulations_to_spec([first_met(c) for c in cells], budget),
        area=_mean(st.area_under(one) for stratum in curves for one in stratum),
        curve=st.iqm_curve(curves),
    )


def curve(cell: StoredCell) -> NDArray[np.float64]:
    """Best score after each simulation charged; zero throughout when the cell counts as 0."""
    if cell.result.status in _COUNTS_AS_ZERO:
        return np.zeros(cell.result.spec.budget)
    scores = [line.evaluation.score for line in cell.trace if line.evaluation.cost]
    return st.best_so_far(scores, cell.result.spec.budget)


def first_met(cell: StoredCell) -> int | None:
    """Simulations charged until the specs were first met, or None."""
    if not cell.result.feasible:
        return None
    spent = 0
    for line in cell.trace:
        spent += line.evaluation.cost
        if line.evaluation.feasible:
            return spent
    return None


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """Ranks 1, 2, 2, 4: equal score and area share one."""
    ranked: list[Row] = []
    for position, row in enumerate(rows, start=1):
        before = ranked[-1] if ranked else None
        level = before is not None and _merit(before) == _merit(row)
        rank = before.rank if before is not None and level else position
        ranked.append(replace(row, rank=rank))
    return ranked


def _merit(row: Row) -> tuple[bool, float, float]:
    return (row.missing > 0, row.overall.score, row.overall.area)


def _best_designs(cells: Sequence[StoredCell], order: Sequence[str]) -> dict[str, BestDesign]:
    best: dict[str, tuple[tuple[float, int, int], BestDesign]] = {}
    for cell in cells:
        result = cell.result
        if result.verified is None or result.status in _COUNTS_AS_ZERO:
            continue
        spec = result.spec
        merit = (-result.score, order.index(spec.agent), spec.repetition)
        if spec.task not in best or merit < best[spec.task][0]:
            best[spec.task] = (merit, BestDesign(spec.agent, spec.repetition, result.verified))
    return {task: design for task, (_, design) in sorted(best.items())}


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else 0.0
