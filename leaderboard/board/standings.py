"""From stored cells to a leaderboard: ranks, per-task rows, curves, best designs. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from leaderboard.board import statistics as st
from leaderboard.board.cell_figures import COUNTS_AS_ZERO, curve, first_met, found_after
from leaderboard.board.comparison import Comparison, Friedman, compare, friedman
from leaderboard.cells.fingerprint import recorded_level
from leaderboard.cells.records import CellStatus, EvaluationRecord, TaskCard
from leaderboard.cells.spec import FIXED, HELD_OUT
from leaderboard.cells.store import StoredCell
from leaderboard.trust.ranked import Evidence, reasons, unwitnessed

_Curves = Mapping[str, NDArray[np.float64]]  # Best so far, by the key of a cell.
# As much of a salt's hash as tells two salts apart: `held-out:1a2b3c4d`.
_TARGETS_SHOWN = len(HELD_OUT) + 9


@dataclass(frozen=True, slots=True, order=True)
class Conditions:
    """What cells must share to be compared."""

    pdk: str
    tier: str
    budget: int
    suite_seed: int
    targets: str = FIXED

    @classmethod
    def of(cls, cell: StoredCell) -> Conditions:
        spec = cell.result.spec
        return cls(spec.pdk, spec.tier, spec.budget, spec.suite_seed, spec.targets)

    @property
    def text(self) -> str:
        """As the options of leaderboard.report that choose them."""
        return (
            f"--pdk {self.pdk} --tier {self.tier} --budget {self.budget} "
            f"--suite-seed {self.suite_seed} --targets {self.targets[:_TARGETS_SHOWN]}"
        )

    @property
    def held_out(self) -> bool:
        """Whether targets were drawn from a salt, others in each repetition."""
        return self.targets != FIXED


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of one agent over a set of cells (all tasks, or one).

    Attributes:
        score: interquartile mean of the verified scores; `interval` its 95 % bootstrap interval over
            seeds, `task_interval` over tasks and seeds.
        successes: cells whose verified design meets every spec; `success_interval` is Wilson's.
        met_at_once: cells whose very first design meets every spec.
        simulations_to_spec: Kaplan-Meier median; None when fewer than half of the cells got there.
        solved: Kaplan-Meier share of the cells that have met every spec, shape (budget,).
        area: mean over cells of the area under the best-so-far curve.
        curve: (IQM, low, high) of best-so-far, each of shape (budget,).
    """

    cells: int
    score: float
    interval: st.Interval
    task_interval: st.Interval
    successes: int
    met_at_once: int
    success_interval: st.Interval
    simulations_to_spec: float | None
    solved: NDArray[np.float64]
    area: float
    curve: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Row:
    """One agent of the leaderboard.

    Attributes:
        seeds: the fewest repetitions it has on any task.
        missing: cells that others have and it has not; such a row ranks below complete ones.
        failed, duplicates: shares of its simulations.
        seconds, simulator_seconds, agent_seconds: mean per cell. The first is of all, the winner's second
            simulation too; the last is what passed until the agent's last design was answered, less the
            second.
        peak_memory_mib: the most of any cell; None where one does not say.
        tokens, money: mean per cell, of what the agent says that it spent on a model (US dollars).
        statuses: cells by status, other than `complete`.
        robust_score: mean at perturbed conditions, where every cell has one; `robust_label` says whether
            these are `public` or `hidden`.
        isolation: levels that its cells ran in.
        origin: the distribution whose agent it is, e.g. `acs-gym 0.1.0`; None when it is not recorded.
        custom: it was trained on what is held out; listed after the others.
        unwitnessed: cells whose traces may have been made up (`leaderboard.trust.ranked`).
        open_score: the same agent's with the fixed, public targets, on a board of held-out ones.
        reasons: why it is not ranked, for a reader; empty when it is.
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
    agent_seconds: float
    peak_memory_mib: float | None
    tokens: float
    money: float
    statuses: dict[str, int]
    robust_score: float | None
    robust_label: str | None
    isolation: tuple[str, ...]
    origin: str | None
    custom: bool
    unwitnessed: int
    open_score: float | None
    reasons: tuple[str, ...]

    @property
    def ranked(self) -> bool:
        """Whether the rank is claimed, and not only shown."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class BestDesign:
    """A verified design that is the best of an agent on a task; the first of equals.

    Attributes:
        simulations: after how many it was found; None where that is not known.
    """

    agent: str
    repetition: int
    evaluation: EvaluationRecord
    simulations: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Share of an agent's cells with at least a score.

    Attributes:
        thresholds: shape (k,).
        shares: agent -> (share, low, high) with its Wilson interval, each of shape (k,).
    """

    thresholds: NDArray[np.float64]
    shares: dict[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, slots=True)
class Standings:
    """Everything a leaderboard shows.

    Attributes:
        tasks: what is asked; without targets where these are held out.
        best_of_agents: task -> the best verified design of each agent that has one, best first and
            equals by rank; none where targets are held out, which designs and metrics would give away.
        ecdf: agent -> share of (task, target) pairs reached, shape (budget,).
        pairs: every two agents that share a cell, in the order of the rows.
        friedman: None with fewer than three agents or two tasks, or nothing to tell them apart.
        omitted: stored cells of another version of a task, or superseded by another run.
    """

    conditions: Conditions
    tasks: dict[str, TaskCard]
    rows: tuple[Row, ...]
    best_of_agents: dict[str, tuple[BestDesign, ...]]
    ecdf: dict[str, NDArray[np.float64]]
    profile: Profile
    pairs: tuple[Comparison, ...]
    friedman: Friedman | None
    simulators: tuple[str, ...]
    commits: tuple[str, ...]
    omitted: int

    @property
    def best(self) -> dict[str, BestDesign]:
        """The best verified design of each task, over all agents."""
        return {task: designs[0] for task, designs in self.best_of_agents.items()}


def standings(
    cells: Iterable[StoredCell],
    *,
    evidence: Mapping[str, Evidence] | None = None,
    held_out: Mapping[str, Sequence[str]] | None = None,
    open_track: Iterable[StoredCell] = (),
) -> Standings:
    """The leaderboard of cells that share their conditions.

    Args:
        evidence: by the key of a cell, what is known of it beside its result; robust scores are all
            of one salt. A cell without any counts as not verified.
        held_out: agent -> what it was trained on of what is held out, as its submission says.
        open_track: cells with fixed targets, beside cells with held-out ones.

    Raises ValueError for no cells, or cells of different conditions.
    """
    known = evidence or {}
    chosen, omitted = newest(cells, known)
    if not chosen:
        raise ValueError("no finished cells")
    conditions = {Conditions.of(c) for c in chosen}
    if len(conditions) > 1:
        raise ValueError(f"cells of {len(conditions)} different conditions cannot be compared")
    by_agent: dict[str, list[StoredCell]] = defaultdict(list)
    for cell in chosen:
        by_agent[cell.result.spec.agent].append(cell)
    wanted = {(c.result.spec.task, c.result.spec.repetition) for c in chosen}
    curves = {c.result.key: curve(c) for c in chosen}
    public = _open_scores(newest(open_track, known)[0])
    unordered = [
        _row(agent, own, curves, len(wanted), known, (held_out or {}).get(agent, ()), public)
        for agent, own in sorted(by_agent.items())
    ]
    rows = tuple(_with_ranks(sorted(unordered, key=_order)))
    agents = [row.agent for row in rows]
    hidden = next(iter(conditions)).held_out
    tasks = {
        c.result.spec.task: c.result.task.model_copy(update={"specs": ()} if hidden else {})
        for c in chosen
    }
    prints = [c.result.fingerprint for c in chosen]
    return Standings(
        conditions=conditions.pop(),
        tasks=dict(sorted(tasks.items())),
        rows=rows,
        best_of_agents={} if hidden else _best_designs(chosen, agents),
        ecdf={a: st.targets_reached(_by_task(by_agent[a], curves)) for a in agents},
        profile=Profile(
            st.THRESHOLDS, {a: st.profile([c.result.score for c in by_agent[a]]) for a in agents}
        ),
        pairs=compare({a: _scores(by_agent[a]) for a in agents}),
        friedman=friedman({r.agent: {t: f.score for t, f in r.tasks.items()} for r in rows}),
        simulators=tuple(sorted({str(p.get("simulator")) for p in prints})),
        commits=tuple(sorted({str(p.get("git_commit")) for p in prints if p.get("git_commit")})),
        omitted=omitted,
    )


def newest(
    cells: Iterable[StoredCell], evidence: Mapping[str, Evidence]
) -> tuple[list[StoredCell], int]:
    """One cell per (task, agent, repetition), all of one version of a task; how many were left out.

    The version is the one that is installed here; of a task that is not, the one that most cells are
    of, those first that were signed for here. Of several cells alike, one that was signed for comes
    before one that was not, and then the one finished last. Dates are what a file says, and decide
    nothing else.
    """

    def known(cell: StoredCell) -> Evidence:
        return evidence.get(cell.result.key, Evidence())

    def signed(cell: StoredCell) -> bool:
        return not isinstance(known(cell).verified, str)

    pool = sorted(cells, key=lambda c: (signed(c), c.result.timing.finished, c.result.key))
    versions: dict[tuple[str, int | None], Counter[tuple[bool, str]]] = defaultdict(Counter)
    for cell in pool:
        versions[_same_task(cell)][signed(cell), cell.result.task.digest] += 1
    usual = {
        task: max(sorted(counts), key=lambda version: (version[0], counts[version]))[1]
        for task, counts in versions.items()
    }
    installed = {_same_task(c) for c in pool if known(c).current}
    newest = {
        c.result.spec: c
        for c in pool
        if (
            known(c).current
            if _same_task(c) in installed
            else c.result.task.digest == usual[_same_task(c)]
        )
    }
    chosen = sorted(
        newest.values(),
        key=lambda c: (c.result.spec.task, c.result.spec.agent, c.result.spec.repetition),
    )
    return chosen, len(pool) - len(chosen)


def _same_task(cell: StoredCell) -> tuple[str, int | None]:
    """What cells with one digest have in common: held-out targets are others in every repetition."""
    spec = cell.result.spec
    return spec.task, spec.repetition if spec.held_out else None


def _open_scores(cells: Sequence[StoredCell]) -> dict[str, float]:
    scores: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        scores[cell.result.spec.agent].append(cell.result.score)
    return {agent: float(st.interquartile_mean(own)) for agent, own in scores.items()}


def _agent_seconds(cell: StoredCell) -> float:
    until = cell.trace[-1].seconds if cell.trace else 0.0
    return max(0.0, until - cell.result.timing.simulator_seconds)


def _row(
    agent: str,
    cells: Sequence[StoredCell],
    curves: _Curves,
    wanted: int,
    evidence: Mapping[str, Evidence],
    held_out: Sequence[str],
    open_scores: Mapping[str, float],
) -> Row:
    results = [c.result for c in cells]
    by_task: dict[str, list[StoredCell]] = defaultdict(list)
    for cell in cells:
        by_task[cell.result.spec.task].append(cell)
    calls = sum(r.usage.calls for r in results)
    failed = sum(sum(r.usage.failed.values()) for r in results)
    statuses = Counter(str(r.status) for r in results)
    del statuses[str(CellStatus.COMPLETE)]
    seconds = _mean(r.timing.total_seconds for r in results)
    simulating = _mean(r.timing.simulator_seconds for r in results)
    memory = [r.timing.peak_memory_mib for r in results]
    tokens, money = _mean(r.usage.tokens for r in results), _mean(r.usage.money for r in results)
    known = [evidence.get(r.key, Evidence()) for r in results]
    records = [e.robust for e in known if e.robust is not None]
    complete = len(records) == len(results)
    seeds = min(len(own) for own in by_task.values())
    isolation = tuple(sorted({recorded_level(r.fingerprint) or "not recorded" for r in results}))
    origins = {r.fingerprint.get("origin") for r in results}
    origin = str(next(iter(origins))) if len(origins) == 1 and None not in origins else None
    return Row(
        rank=0,
        agent=agent,
        track=results[-1].track,
        overall=_figures(list(by_task.values()), curves),
        tasks={task: _figures([own], curves) for task, own in sorted(by_task.items())},
        seeds=seeds,
        missing=wanted - len(cells),
        failed=failed / calls if calls else 0.0,
        duplicates=sum(r.usage.duplicates for r in results) / calls if calls else 0.0,
        seconds=seconds,
        simulator_seconds=simulating,
        agent_seconds=_mean(_agent_seconds(c) for c in cells),
        peak_memory_mib=None if None in memory else max(m for m in memory if m is not None),
        tokens=tokens,
        money=money,
        statuses=dict(sorted(statuses.items())),
        robust_score=_mean(r.robust_score for r in records) if complete else None,
        robust_label=records[0].label if complete else None,
        isolation=isolation,
        origin=origin,
        custom=bool(held_out),
        unwitnessed=sum(
            bool(unwitnessed(r, e.verified)) for r, e in zip(results, known, strict=True)
        ),
        open_score=open_scores.get(agent),
        reasons=reasons(
            cells, evidence, seeds=seeds, missing=wanted - len(cells), held_out=held_out
        ),
    )


def _figures(strata: Sequence[Sequence[StoredCell]], curves: _Curves) -> Figures:
    cells = [cell for stratum in strata for cell in stratum]
    scores = [[c.result.score for c in stratum] for stratum in strata]
    drawn = [np.array([curves[c.result.key] for c in stratum]) for stratum in strata]
    successes = sum(c.result.feasible for c in cells)
    budget = cells[0].result.spec.budget
    met = [first_met(c) for c in cells]
    return Figures(
        cells=len(cells),
        score=float(st.interquartile_mean(np.concatenate(scores))),
        interval=st.iqm_interval(scores),
        task_interval=st.iqm_interval_over_tasks(scores),
        successes=successes,
        met_at_once=sum(bool(c.trace) and c.trace[0].evaluation.feasible for c in cells),
        success_interval=st.wilson_interval(successes, len(cells)),
        simulations_to_spec=st.median_simulations_to_spec(met, budget),
        solved=st.share_solved(met, budget),
        area=_mean(st.area_under(one) for stratum in drawn for one in stratum),
        curve=st.iqm_curve(drawn),
    )


def _by_task(cells: Sequence[StoredCell], curves: _Curves) -> list[NDArray[np.float64]]:
    """One array a task, of shape (repetitions, budget)."""
    found: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for cell in cells:
        found[cell.result.spec.task].append(curves[cell.result.key])
    return [np.array(own) for own in found.values()]


def _scores(cells: Sequence[StoredCell]) -> dict[tuple[str, int], float]:
    return {(c.result.spec.task, c.result.spec.repetition): c.result.score for c in cells}


def _order(row: Row) -> tuple[bool, bool, float, float, str]:
    return (*_merit(row), row.agent)


def _with_ranks(rows: Sequence[Row]) -> list[Row]:
    """Ranks 1, 2, 2, 4: equal score and area share one."""
    ranked: list[Row] = []
    for position, row in enumerate(rows, start=1):
        before = ranked[-1] if ranked else None
        level = before is not None and _merit(before) == _merit(row)
        rank = before.rank if before is not None and level else position
        ranked.append(replace(row, rank=rank))
    return ranked


def _merit(row: Row) -> tuple[bool, bool, float, float]:
    return (row.custom, row.missing > 0, -row.overall.score, -row.overall.area)


def _best_designs(
    cells: Sequence[StoredCell], order: Sequence[str]
) -> dict[str, tuple[BestDesign, ...]]:
    def merit(cell: StoredCell) -> tuple[float, int, int]:
        spec = cell.result.spec
        return -cell.result.score, order.index(spec.agent), spec.repetition

    best: dict[str, dict[str, BestDesign]] = defaultdict(dict)
    for cell in sorted(cells, key=merit):
        result, spec = cell.result, cell.result.spec
        if result.verified is None or result.status in COUNTS_AS_ZERO:
            continue
        if spec.agent not in best[spec.task]:
            best[spec.task][spec.agent] = BestDesign(
                spec.agent, spec.repetition, result.verified, found_after(cell)
            )
    return {task: tuple(own.values()) for task, own in sorted(best.items())}


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else 0.0
