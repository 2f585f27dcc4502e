"""Does every result of a folder follow from its trace, and the trace from ngspice?

Nothing in a result is believed: files, key, budget, judgements, winner and score are worked out
again, and the winning design is simulated in a fresh process. docs/verification.md says what is
checked and what no check can see.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from pydantic import ValidationError

from acs_gym.circuit import CircuitError
from acs_gym.design import InvalidDesign
from acs_gym.evaluation import Evaluation, Status
from acs_gym.pdks import PdkError
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task, TaskNotFound, make_task
from acs_gym.vacask import VacaskNotFound, find_vacask, second_opinions
from leaderboard.cells.fingerprint import simulator_version
from leaderboard.cells.records import Result
from leaderboard.cells.runner import VERIFY_RTOL
from leaderboard.cells.store import Store, StoredCell
from leaderboard.errors import LeaderboardError
from leaderboard.files import Corrupt, read, write_atomically
from leaderboard.printable import printable
from leaderboard.trust import perturbations as draws
from leaderboard.trust.copies import copied
from leaderboard.trust.findings import Finding, differences, same, short
from leaderboard.trust.perturbations import PUBLIC, RobustRecord, Salt
from leaderboard.trust.replayed import replay
from leaderboard.trust.verification import (
    counts,
    of_cell,
    of_files,
    of_opinion,
    of_simulation,
    repeatable,
)
from leaderboard.trust.verified import VERIFIED, Check, look, sign, signing_key

ROBUST = "robust.json"
EXIT_UNSOUND, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class CellReport:
    """What was found of one cell.

    Attributes:
        robust_score: where there is one that holds.
        checks: what was done beyond reading the cell.
        remarks: what could not be done, and why.
    """

    cell: str
    label: str
    findings: tuple[Finding, ...]
    robust_score: float | None = None
    checks: tuple[Check, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thoroughness:
    """What is done beyond the winner's simulation.

    Attributes:
        all_designs: simulate every design of a trace.
        robust: compute `robust.json` where there is none of this salt.
        salt: what hidden perturbations are drawn from.
        second_simulator: measure the winner with VACASK too, at nominal conditions.
        replay: ask deterministic agents of this package again, as long as the agent itself takes.
    """

    all_designs: bool = False
    robust: bool = False
    salt: Salt = PUBLIC
    second_simulator: bool = False
    replay: bool = True


def verify_runs(store: Store, how: Thoroughness, jobs: int = 1) -> Iterator[CellReport]:
    """A report on every finished cell, in the order of their keys, `jobs` at a time.

    A cell that holds gets a `verified.json`, one that does not loses it. Raises LeaderboardError where
    there is no cell, or no ngspice, or no VACASK and it is asked for, or no key to sign with.
    """
    keys = store.finished()
    if not keys:
        raise LeaderboardError(
            f"no finished cells in {store.folder}; give the --out of leaderboard.run"
        )
    simulator_version()  # Raises where nothing could be simulated.
    if how.second_simulator:
        try:
            find_vacask()
        except VacaskNotFound as error:
            raise LeaderboardError(str(error)) from None
    signing_key()
    copies = copied(store, keys)
    with ThreadPoolExecutor(jobs) as threads:
        try:
            for report in threads.map(partial(verify_cell, store, how=how), keys):
                found = copies.get(report.cell, ())
                report = replace(report, findings=(*report.findings, *found))
                yield _signed(store, report)
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _signed(store: Store, report: CellReport) -> CellReport:
    """Sign for a cell that holds; take back what was signed for one that does not."""
    folder = store.cell(report.cell)
    if report.findings:
        if not folder.is_symlink():
            (folder / VERIFIED).unlink(missing_ok=True)
        return report
    before = look(folder, store.result(report.cell))
    ran = not isinstance(before, str) and before.by == "run"
    earlier = () if isinstance(before, str) else before.checks
    try:
        sign(folder, "run" if ran else "verify", dict.fromkeys((*earlier, *report.checks)))
    except OSError as error:
        remark = f"{VERIFIED} cannot be written: {error.strerror}"
        return replace(report, remarks=(*report.remarks, remark))
    return report


def verify_cell(store: Store, key: str, how: Thoroughness = Thoroughness()) -> CellReport:
    """Everything that can be checked of one cell. Writes `robust.json` where asked to."""
    cell, findings = of_files(store, key)
    if cell is None:
        return CellReport(key, "", tuple(findings))
    task, reason = task_here(cell)
    findings += [*reason, *of_cell(cell, task)]
    checks: list[Check] = []
    remarks: list[str] = []
    if task is not None:
        findings += _simulated(cell, task, how.all_designs)
        checks += ["winner", "all designs"] if how.all_designs else ["winner"]
        if how.second_simulator:
            findings += _second_opinion(cell, task)
            checks.append("second simulator")
        if cell.result.spec.targets == draws.targets_of(how.salt):
            findings += _targets(cell, task, how.salt)
            checks.append("targets")
        if how.replay and not findings:
            played = replay(store, cell)
            checks += ["replay"] if played.agrees else []
            findings += [] if played.finding is None else [played.finding]
            remarks += [played.remark] if played.remark else []
    robust, more = _robust(store.cell(key) / ROBUST, cell, task, how, sound=not findings)
    return CellReport(
        cell=key,
        label=cell.result.spec.label,
        findings=(*findings, *more),
        robust_score=None if robust is None else robust.robust_score,
        checks=tuple(checks),
        remarks=tuple(remarks),
    )


def is_current(result: Result) -> bool | None:
    """Whether a result is of its task as installed here; None where that is not here."""
    spec = result.spec
    here = _installed_digest(spec.task, spec.pdk, spec.tier)
    if here is not None and spec.held_out:
        try:
            here = _task_of(result).digest
        except ValueError:  # Targets of metrics that the task does not ask for.
            return False
    return None if here is None else here == result.task.digest


def _task_of(result: Result) -> Task:
    """A result's task as it is here, at the targets that it says were drawn for it."""
    spec = result.spec
    task = _installed(spec.task, spec.pdk, spec.tier)
    if not spec.held_out:
        return task
    return task.with_specs({s.metric: s.target for s in result.task.specs})


@lru_cache(maxsize=64)
def _installed(task: str, pdk: str, tier: str) -> Task:
    return make_task(task, pdk=pdk, tier=tier)


@lru_cache(maxsize=64)
def _installed_digest(task: str, pdk: str, tier: str) -> str | None:
    """None where the task is not here."""
    try:
        return _installed(task, pdk, tier).digest
    except (PdkError, CircuitError, TaskNotFound, ValueError):
        return None


def _targets(cell: StoredCell, task: Task, salt: Salt) -> Iterator[Finding]:
    """Whether held-out targets are those that the salt gives."""
    wanted = draws.held_out_specs(task, salt, cell.result.spec.repetition)
    given = {s.metric: s.target for s in cell.result.task.specs}
    yield from differences("task", "task.specs", given, wanted, expected="drawn from the salt")


def task_here(cell: StoredCell) -> tuple[Task | None, list[Finding]]:
    """The cell's task as it was, or why it is not here."""
    digest = cell.result.task.digest
    try:
        task = _task_of(cell.result)
    except (PdkError, CircuitError, TaskNotFound, ValueError) as error:
        found = f"cannot be simulated here: {short(error)}"
        return None, [Finding("task", "spec", found, "a task that is here")]
    if task.digest != digest:
        found = f"{digest[:16]}: cannot be simulated here"
        wanted = f"{task.digest[:16]}, the task of this version and its models"
        return None, [Finding("task", "task.digest", found, wanted)]
    return task, []


def _simulated(cell: StoredCell, task: Task, all_designs: bool) -> Iterator[Finding]:
    """The winner, or every design of the trace, simulated again."""
    result = cell.result
    claims = repeatable(cell) if all_designs else []
    if counts(result) and result.verified is not None:
        claims.append(("verified", result.verified))
    claimed: list[tuple[str, Evaluation]] = []
    for where, record in claims:
        try:
            claimed.append((where, record.evaluation(task.specs)))
        except ValueError:
            continue  # Found already: it is no evaluation at all.
    theirs, ours = result.fingerprint.get("simulator"), simulator_version()
    note = "" if theirs == ours else f" (written with {short(theirs)}, this is {ours})"
    again = simulate_afresh(task, [evaluation for _, evaluation in claimed])
    for (where, claim), fresh in zip(claimed, again, strict=True):
        yield from of_simulation(where, claim, fresh, note)


def _second_opinion(cell: StoredCell, task: Task) -> Iterator[Finding]:
    """The winner in another simulator. A design that cannot be one is found by other checks."""
    verified = cell.result.verified
    if not counts(cell.result) or verified is None:
        return
    try:
        design = task.space.canonicalize(
            {k: math.nan if v is None else v for k, v in verified.design.items()}
        )
    except InvalidDesign:
        return
    for opinion in second_opinions(task, [design]):
        yield from of_opinion(opinion)


def simulate_afresh(task: Task, claims: Sequence[Evaluation]) -> list[Evaluation]:
    """The designs claimed, uncharged, in a simulator process of their own, at the same conditions."""
    evaluations: list[Evaluation] = []
    for _ in range(_ATTEMPTS if claims else 0):
        with WorkerPool(1) as pool, task.session(simulator=pool) as session:
            whole = iter(session.simulate([e.design for e in claims if e.complete]))
            evaluations = [
                next(whole)
                if e.complete
                else session.simulate(e.design, conditions=list(e.by_condition))
                for e in claims
            ]
        if all(e.status is not Status.INFRA_ERROR for e in evaluations):
            break
    return evaluations


def _robust(
    path: Path, cell: StoredCell, task: Task | None, how: Thoroughness, *, sound: bool
) -> tuple[RobustRecord | None, list[Finding]]:
    """The cell's robust score, checked or computed, and what is wrong with it."""
    stored: RobustRecord | None = None
    if path.exists():
        try:
            stored = RobustRecord.model_validate_json(read(path))
        except (Corrupt, ValidationError) as error:
            return None, [Finding("robust", ROBUST, short(error), "the file as it was written")]
        if findings := _robust_findings(stored, cell, task, how.salt):
            return None, findings
    if stored is not None and stored.salt_hash == how.salt.sha256:
        return stored, []
    if not how.robust:  # Without its salt, a hidden score is only a claim.
        return (stored if stored is not None and stored.label == "public" else None), []
    if task is None or not sound:
        return None, []  # Said already; a score of something unsound would only look like one.
    chosen = draws.perturbations(task.id, how.salt)
    scores, findings = _robust_scores(cell, task, how.salt)
    if findings:
        return None, findings
    fresh = draws.record(cell.result.key, how.salt, chosen, scores)
    write_atomically(path, fresh.model_dump_json(indent=2) + "\n")
    return fresh, []


def _robust_findings(
    stored: RobustRecord, cell: StoredCell, task: Task | None, salt: Salt
) -> list[Finding]:
    public = stored.label == "public"
    used = PUBLIC if public else salt
    number = draws.PERTURBATIONS if counts(cell.result) else 0
    own = stored.scores or ()
    findings = [*same("robust", f"{ROBUST}: key", stored.key, cell.result.key)]
    if public:
        findings += same("robust", f"{ROBUST}: scores", f"{len(own)} scores", f"{number} scores")
        findings += differences(
            "robust", f"{ROBUST}: robust_score", stored.robust_score, draws.mean(own),
            rtol=1e-9, expected="the mean of its scores",
        )  # fmt: skip
        findings += same("robust", f"{ROBUST}: salt_hash", stored.salt_hash, PUBLIC.sha256)
    if findings or task is None or stored.salt_hash != used.sha256:
        return findings
    scores, failures = _robust_scores(cell, task, used)
    if failures:
        return failures
    again = draws.record(stored.key, used, draws.perturbations(task.id, used), scores)
    return list(
        differences(
            "robust", ROBUST, stored.model_dump(), again.model_dump(), rtol=VERIFY_RTOL,
            expected="when simulated again",
        )
    )  # fmt: skip


def _robust_scores(cell: StoredCell, task: Task, salt: Salt) -> tuple[list[float], list[Finding]]:
    """The winner's score at each perturbation; none where the cell counts as 0."""
    verified = cell.result.verified
    if not counts(cell.result) or verified is None:
        return [], []
    design = {k: v for k, v in verified.design.items() if v is not None}
    chosen = draws.perturbations(task.id, salt)
    outcomes = _run_afresh(draws.jobs(task, design, chosen))
    if lost := [o for o in outcomes if o.status is Status.INFRA_ERROR]:
        found = f"the simulator failed: {lost[0].message}"
        return [], [Finding("robust", ROBUST, found, "a simulation of every perturbation")]
    return draws.scores(task, design, outcomes), []


def _run_afresh(jobs: Sequence[Job]) -> list[Outcome]:
    for _ in range(_ATTEMPTS):
        outcomes = simulate_uncharged(jobs)
        if all(o.status is not Status.INFRA_ERROR for o in outcomes):
            break
    return outcomes


def report_lines(reports: Sequence[CellReport]) -> list[str]:
    """A line a finding, then what they come to."""
    lines = [
        printable(f"{f'{r.cell} ({r.label})' if r.label else r.cell}: {finding.text}")
        for r in reports
        for finding in r.findings
    ]
    unsound = sum(bool(r.findings) for r in reports)
    remarks = Counter(remark for r in reports for remark in r.remarks)
    lines += [printable(f"note: {n} of {len(reports)} cells: {why}") for why, n in remarks.items()]
    lines.append(f"{len(reports) - unsound} of {len(reports)} cells hold in every check")
    robust = [r.robust_score for r in reports if r.robust_score is not None]
    if robust:
        lines.append(f"robust score: {draws.mean(robust):.4f}, the mean of {len(robust)} cells")
    return lines
