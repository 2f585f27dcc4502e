"""What must hold of a finished cell, whoever wrote it.

`of_files` reads; the rest is pure, a stored cell in and findings out. `of_cell` asks whether a result
follows from its trace, and the trace from the task's specs; `of_simulation` compares what a fresh
simulator gives, `of_opinion` what another one gives. Nothing here simulates.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from acs_gym.design import InvalidDesign
from acs_gym.evaluation import Evaluation, Status
from acs_gym.task import Task
from acs_gym.tiers import get_tier
from acs_gym.vacask.opinion import Opinion
from leaderboard.cells.records import CellStatus, EvaluationRecord, Result, TraceLine, Usage
from leaderboard.cells.runner import VERIFY_RTOL, difference, task_card
from leaderboard.cells.spec import CellSpec, run_key
from leaderboard.cells.store import RESULT, SPEC, TRACE, NewerResult, Store, StoredCell
from leaderboard.files import LARGEST_TRACE, Corrupt, read
from leaderboard.trust.findings import JUDGE_RTOL, Finding, apart, differences, same, short

_SIMULATED = (str(Status.OK), str(Status.MEASURE_FAILED))
_NOT_REPEATABLE = (Status.INVALID_DESIGN, Status.INFRA_ERROR, Status.TIMEOUT)
_INFRA_ERRORS_ALLOWED = 3


def of_files(store: Store, key: str) -> tuple[StoredCell | None, list[Finding]]:
    """A finished cell and what is wrong with its files; None where it cannot be read."""
    folder = store.cell(key)
    try:
        cell = store.load(key)
        spec = CellSpec.model_validate_json(read(folder / SPEC))
        repeated = [(n, r) for n in (RESULT, TRACE, SPEC) if (r := _repeated(folder / n))]
    except NewerResult as error:
        return None, [Finding("files", RESULT, str(error), "a version known here")]
    except Corrupt as error:
        return None, [Finding("files", error.path.name, error.why, "the file as it was written")]
    except ValidationError as error:
        return None, [Finding("files", SPEC, short(error), "the spec as it was written")]
    if cell is None:
        return None, [Finding("files", RESULT, "no such file", "a file, as it was written")]
    findings = [Finding("files", n, f"{r!r} given twice", "every name once") for n, r in repeated]
    return cell, findings + list(
        differences("files", SPEC, spec.model_dump(), cell.result.spec.model_dump())
    )


def of_cell(cell: StoredCell, task: Task | None) -> list[Finding]:
    """Everything that does not follow from the rest of the cell.

    `task` None: the task is not here as it was, so designs and judgements cannot be checked.
    """
    result, trace = cell.result, cell.trace
    findings = [*_key(result), *_trace(result, trace), *_budget(result, trace, task)]
    findings += [*_duplicates(trace), *_winner(result, trace), *_score(result)]
    if task is not None:
        findings += _task(result, task)
        for where, record in _evaluations(cell):
            findings += [*_judgement(where, record, task), *_design(where, record, task)]
    return findings


def of_simulation(
    where: str, claimed: Evaluation, again: Evaluation, note: str = ""
) -> Iterator[Finding]:
    """Where a fresh simulation disagrees with a claimed evaluation by more than 1e-6."""
    expected = f"the same in a fresh simulator{note}"
    if again.status is Status.INFRA_ERROR:
        yield Finding("simulation", where, f"the simulator failed: {again.message}", expected)
    elif why := (
        difference(claimed, again)
        or _spread_difference(claimed, again)
        or _condition_difference(claimed, again)
    ):
        yield Finding("simulation", where, f"{why} when simulated again", expected)


def of_opinion(opinion: Opinion) -> Iterator[Finding]:
    """Where the second simulator gives something else for the winning design."""
    if opinion.failure:
        yield Finding(
            "second simulator", "verified", opinion.failure, "a result in both simulators"
        )
    for metric in opinion.apart:
        yield Finding(
            "second simulator",
            f"verified.metrics.{metric.metric}",
            f"{metric.vacask:.6g} in VACASK",
            f"{metric.ngspice:.6g}, as in ngspice, to {metric.allowed:.2g}",
        )


def winner(trace: Sequence[TraceLine]) -> EvaluationRecord | None:
    """The first of the best designs that were really simulated, at every condition."""
    whole = (t.evaluation for t in trace if not t.evaluation.unknown)
    simulated = [e for e in whole if e.status in _SIMULATED]
    return max(simulated, key=lambda e: e.score, default=None)


def counts(result: Result) -> bool:
    """Whether the cell's score is that of its verified design, rather than 0."""
    zero = (CellStatus.INVALID, CellStatus.CRASHED)
    return result.status not in zero and result.verified is not None


def repeatable(cell: StoredCell) -> list[tuple[str, EvaluationRecord]]:
    """Every design of the trace that a simulator can be asked for again, each once.

    Of one simulated at some conditions and then at more, the record with the most.
    """
    found: dict[tuple[tuple[str, float | None], ...], tuple[str, EvaluationRecord]] = {}
    for number, line in enumerate(cell.trace, start=1):
        record = line.evaluation
        if record.status not in map(str, _NOT_REPEATABLE):
            key = tuple(sorted(record.design.items()))
            if key not in found or record.unknown < found[key][1].unknown:
                found[key] = f"{TRACE} line {number}", record
    return list(found.values())


def _evaluations(cell: StoredCell) -> Iterator[tuple[str, EvaluationRecord]]:
    for number, line in enumerate(cell.trace, start=1):
        yield f"{TRACE} line {number}", line.evaluation
    for name in ("best", "verified"):
        if (record := getattr(cell.result, name)) is not None:
            yield name, record


def _key(result: Result) -> Iterator[Finding]:
    simulator = result.fingerprint.get("simulator")
    try:
        key = run_key(result.spec, result.agent_config, result.task.digest, str(simulator))
    except ValueError as error:
        yield Finding("key", "agent_config", str(error), "JSON")
        return
    yield from same("key", "key", result.key, key)


def _task(result: Result, task: Task) -> Iterator[Finding]:
    # The title is wording, and may be improved without changing what is asked.
    given, ours = (c.model_dump(exclude={"title"}) for c in (result.task, task_card(task)))
    yield from differences("task", "task", given, ours)
    digest = task.pdk.digest()
    yield from same("task", "fingerprint.pdk_digest", result.fingerprint.get("pdk_digest"), digest)


def _trace(result: Result, trace: Sequence[TraceLine]) -> Iterator[Finding]:
    before = 0.0
    for number, line in enumerate(trace, start=1):
        yield from same("trace", f"{TRACE} line {number}: index", line.index, number - 1)
        if line.seconds < before:
            wanted = f"at least {before:g}, the line before"
            yield Finding("trace", f"{TRACE} line {number}: seconds", f"{line.seconds:g}", wanted)
        before = line.seconds
    if result.timing.total_seconds < before:
        wanted = f"at least {before:g}, the trace's last"
        found = f"{result.timing.total_seconds:g}"
        yield Finding("trace", "timing.total_seconds", found, wanted)
    try:
        datetime.fromisoformat(result.timing.finished)
    except ValueError:
        yield Finding("trace", "timing.finished", short(result.timing.finished), "an ISO 8601 time")


def _budget(result: Result, trace: Sequence[TraceLine], task: Task | None) -> Iterator[Finding]:
    try:
        tier = get_tier(result.spec.tier)
    except ValueError as error:
        yield Finding("budget", "spec.tier", short(error), "a tier")
        return
    # How many conditions `pvt` has is the task's business; without it every design costs the same.
    costs = [t.evaluation.cost for t in trace if t.evaluation.status != Status.INFRA_ERROR]
    whole = task.cost if task is not None else max([tier.cost, *costs])
    for number, line in enumerate(trace, start=1):
        asked = whole if line.conditions is None else len(line.conditions)
        cost = 0 if line.evaluation.status == Status.INFRA_ERROR else asked
        yield from same("budget", f"{TRACE} line {number}: cost", line.evaluation.cost, cost)
    if (again := result.verified) is not None and again.status != Status.INFRA_ERROR:
        yield from same("budget", "verified.cost", again.cost, whole)
    failed = Counter(t.evaluation.status for t in trace if t.evaluation.status != Status.OK)
    spent = Usage(
        simulations=sum(t.evaluation.cost for t in trace),
        calls=len(trace),
        duplicates=sum(t.duplicate for t in trace),
        failed=dict(sorted(failed.items())),
        tokens=result.usage.tokens,
        money=result.usage.money,
    )
    yield from differences(
        "budget", "usage", result.usage.model_dump(), spent.model_dump(), expected="the trace's"
    )
    if spent.simulations > result.spec.budget:
        limit = f"at most the budget, {result.spec.budget}"
        yield Finding("budget", TRACE, f"{spent.simulations} simulations", limit)


def _duplicates(trace: Sequence[TraceLine]) -> Iterator[Finding]:
    """A design is simulated once at a condition, and says the same of it ever after."""
    known: dict[tuple[tuple[str, float | None], ...], tuple[int, EvaluationRecord]] = {}
    for number, line in enumerate(trace, start=1):
        where, record = f"{TRACE} line {number}", line.evaluation
        if record.status == Status.INVALID_DESIGN:
            yield from same("duplicate", f"{where}: duplicate", line.duplicate, False)
            continue
        key = tuple(sorted(record.design.items()))
        before, earlier = known.get(key, (0, None))
        if earlier is None:
            yield from same("duplicate", f"{where}: duplicate", line.duplicate, False)
        # A design lost to our own failure is simulated again, unless the batch held it twice.
        elif earlier.status != Status.INFRA_ERROR:
            wanted = f"as in line {before}, the same design"
            nothing_new = _conditions(line, record) <= _conditions(None, earlier)
            yield from same("duplicate", f"{where}: duplicate", line.duplicate, nothing_new)
            ours, theirs = (r.model_dump(exclude={"cost"}) for r in (record, earlier))
            if not nothing_new:
                ours, theirs = (_columns(r, _conditions(None, earlier)) for r in (record, earlier))
            yield from differences("duplicate", where, ours, theirs, expected=wanted)
        if earlier is None or earlier.status == Status.INFRA_ERROR or not line.duplicate:
            known[key] = number, record


def _conditions(line: TraceLine | None, record: EvaluationRecord) -> frozenset[str]:
    """The conditions that a line asked for, else those that its evaluation has."""
    if line is not None and line.conditions is not None:
        return frozenset(line.conditions)
    return frozenset(record.by_condition.conditions if record.by_condition else ())


def _columns(record: EvaluationRecord, conditions: frozenset[str]) -> dict[str, Any]:
    """What a record says of some conditions."""
    if record.by_condition is None:
        return {}
    names, columns = record.by_condition.conditions, record.by_condition.metrics
    return {
        name: {metric: column[k] for metric, column in columns.items()}
        for k, name in enumerate(names)
        if name in conditions
    }


def _winner(result: Result, trace: Sequence[TraceLine]) -> Iterator[Finding]:
    best = winner(trace)
    if result.status is CellStatus.CRASHED:
        yield from same("winner", TRACE, f"{len(trace)} lines", "0 lines")
    yield from differences(
        "winner", "best", _dump(result.best), _dump(best), expected="the trace's first best"
    )
    ours, again = result.best, result.verified
    if ours is None or again is None:
        if (ours is None) != (again is None):
            yield Finding("verified", "verified", short(again), "there exactly when best is")
        return
    yield from differences("verified", "verified.design", again.design, ours.design)
    lost = [t.evaluation.status for t in trace[-_INFRA_ERRORS_ALLOWED:]]
    failed = lost == [str(Status.INFRA_ERROR)] * _INFRA_ERRORS_ALLOWED
    if result.status is CellStatus.INVALID:
        if not failed and not _disagreement(ours, again):
            yield Finding("status", "status", "invalid", "a status that counts: best is confirmed")
    else:
        for path, found, expected in _disagreement(ours, again):
            yield Finding("verified", f"verified{path}", short(found), f"{short(expected)} of best")
        if failed:
            yield Finding("status", "status", str(result.status), "invalid: the simulator failed")


def _score(result: Result) -> Iterator[Finding]:
    verified = result.verified if counts(result) else None
    score = 0.0 if verified is None else verified.score
    yield from same("score", "score", result.score, score)
    feasible = verified is not None and verified.feasible
    yield from same("score", "feasible", result.feasible, feasible)


def _judgement(where: str, record: EvaluationRecord, task: Task) -> Iterator[Finding]:
    try:
        evaluation = record.evaluation(task.specs)
        judged = EvaluationRecord.of(evaluation)
    except ValueError as error:
        yield Finding("judgement", where, short(error), "an evaluation")
        return
    yield from differences(
        "judgement", where, record.model_dump(), judged.model_dump(), rtol=JUDGE_RTOL
    )
    yield from _combination(where, record, evaluation, task)
    if record.status in _SIMULATED:
        names = sorted(task.metric_units)
        yield from same("judgement", f"{where}: metrics", sorted(record.metrics), names)
        measured = record.status == Status.OK
        if measured and (missing := [n for n, v in record.metrics.items() if v is None]):
            wanted = "every metric measured, or another status"
            yield Finding("judgement", f"{where}: status", f"ok without {missing[0]}", wanted)


def _combination(
    where: str, record: EvaluationRecord, evaluation: Evaluation, task: Task
) -> Iterator[Finding]:
    """Metrics, spread and score follow from the conditions behind them, which are all there."""
    several = task.cost > 1 and record.status != Status.INVALID_DESIGN
    names = [c.name for c in task.conditions.conditions] if several else []
    if record.unknown:
        names = [name for name in names if name in evaluation.by_condition]
    if list(evaluation.by_condition) != names or (several and not names):
        found, expected = (short(", ".join(n)) or "none" for n in (evaluation.by_condition, names))
        yield Finding("judgement", f"{where}: conditions", found, expected)
    elif several:
        outcomes = task.known_outcomes(evaluation)
        again = EvaluationRecord.of(task.judge_at(dict(evaluation.design), outcomes))
        # What is charged is another matter: of what our own failure took, nothing.
        ours, theirs = (r.model_dump(exclude={"cost"}) for r in (record, again))
        yield from differences("judgement", where, ours, theirs, rtol=JUDGE_RTOL)


def _design(where: str, record: EvaluationRecord, task: Task) -> Iterator[Finding]:
    if record.status == Status.INVALID_DESIGN:
        return
    given = {k: math.nan if v is None else v for k, v in record.design.items()}
    try:
        canonical = task.space.canonicalize(given)
    except InvalidDesign as error:
        yield Finding("design", where, short(error), "a design of the task's space")
        return
    yield from differences("design", f"{where}: design", given, canonical, rtol=0.0)


def _disagreement(ours: EvaluationRecord, again: EvaluationRecord) -> list[tuple[str, Any, Any]]:
    """Where the verified record is not the best one, beyond what two simulations may differ."""
    kept = ("status", "metrics", "score")
    first, second = ({n: r.model_dump()[n] for n in kept} for r in (again, ours))
    return list(apart(first, second, VERIFY_RTOL, 0.0))


def _spread_difference(claimed: Evaluation, again: Evaluation) -> str:
    for name in ("mean", "sigma"):
        ours, theirs = getattr(claimed.spread, name), getattr(again.spread, name)
        if ours.keys() != theirs.keys():
            return f"spread.{name} of other metrics"
        for metric, value in ours.items():
            # A spread much smaller than its mean is what subtraction left of it.
            noise = VERIFY_RTOL * abs(again.spread.mean[metric])
            other = theirs[metric]
            alike = math.isclose(value, other, rel_tol=VERIFY_RTOL, abs_tol=noise)
            if not alike and not (math.isnan(value) and math.isnan(other)):
                return f"spread.{name}.{metric} {value:.9g}, then {other:.9g}"
    for name in ("yield_fraction", "worst_at"):
        one, two = getattr(claimed.spread, name), getattr(again.spread, name)
        if one != two:
            return f"spread.{name} {short(one)}, then {short(two)}"
    return ""


def _condition_difference(claimed: Evaluation, again: Evaluation) -> str:
    ours, theirs = claimed.by_condition, again.by_condition
    if list(ours) != list(theirs):
        return f"by_condition of {len(ours)} conditions, then {len(theirs)}, or of others"
    for name, one in ours.items():
        two = theirs[name]
        if one.status is not two.status:
            return f"by_condition.{name} {one.status}, then {two.status}"
        for path, first, second in apart(one.metrics, two.metrics, VERIFY_RTOL, 0.0):
            # NaN is nothing to compare by size; where both are, they are one object.
            if first is not second:
                return f"by_condition.{name}{path} {short(first)}, then {short(second)}"
    return ""


def _dump(record: EvaluationRecord | None) -> dict[str, Any] | None:
    return None if record is None else record.model_dump()


def _repeated(path: Path) -> str:
    """A name that some JSON object of the file gives twice; readers would not agree on its value."""
    names: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names.extend(n for n, times in Counter(n for n, _ in pairs).items() if times > 1)
        return dict(pairs)

    raw = read(path, LARGEST_TRACE)
    for text in raw.splitlines() if path.name == TRACE else [raw]:
        json.loads(text, object_pairs_hook=once)
    return names[0] if names else ""
