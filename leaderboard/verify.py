"""python -m leaderboard.verify RUNS: does every result follow from its trace, and the trace from ngspice?

Nothing in a result is believed: files, key, budget, judgements, winner and score are worked out
again, and the winning design is simulated in a fresh process. docs/verification.md says what is
checked and what no check can see.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
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
from leaderboard import perturbations as draws
from leaderboard.cell_runner import VERIFY_RTOL
from leaderboard.errors import LeaderboardError
from leaderboard.findings import Finding, differences, same, short
from leaderboard.fingerprint import simulator_version
from leaderboard.perturbations import PUBLIC, RobustRecord, Salt, read_salt
from leaderboard.printable import printable
from leaderboard.store import RESULT, TRACE, Store, StoredCell, write_atomically
from leaderboard.verification import (
    counts,
    of_cell,
    of_files,
    of_opinion,
    of_simulation,
    repeatable,
)

ROBUST = "robust.json"
EXIT_UNSOUND, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
_ATTEMPTS = 3
# Shorter traces of agents that do the same every time may agree to the millisecond.
_TOO_LONG_FOR_CHANCE = 10


@dataclass(frozen=True, slots=True)
class CellReport:
    """What was found of one cell; `robust_score` where there is one that holds."""

    cell: str
    label: str
    findings: tuple[Finding, ...]
    robust_score: float | None = None


@dataclass(frozen=True, slots=True)
class Thoroughness:
    """What is done beyond the winner's simulation.

    Attributes:
        all_designs: simulate every design of a trace.
        robust: compute `robust.json` where there is none of this salt.
        salt: what hidden perturbations are drawn from.
        second_simulator: measure the winner with VACASK too, at nominal conditions.
    """

    all_designs: bool = False
    robust: bool = False
    salt: Salt = PUBLIC
    second_simulator: bool = False


def verify_runs(store: Store, how: Thoroughness, jobs: int = 1) -> Iterator[CellReport]:
    """A report on every finished cell, in the order of their keys, `jobs` at a time.

    Raises LeaderboardError where there is no cell, or no ngspice, or no VACASK and it is asked for.
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
    copies = _copies(store, keys)
    with ThreadPoolExecutor(jobs) as threads:
        try:
            for report in threads.map(partial(verify_cell, store, how=how), keys):
                found = copies.get(report.cell, ())
                yield replace(report, findings=(*report.findings, *found))
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _copies(store: Store, keys: Sequence[str]) -> dict[str, tuple[Finding, ...]]:
    """A finding for every cell whose trace is, time for time, that of another cell."""
    cells: dict[str, list[str]] = {}
    for key in keys:
        # What cannot be read is found by the cell's own checks.
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            result = json.loads((store.cell(key) / RESULT).read_bytes())
            if result["usage"]["calls"] >= _TOO_LONG_FOR_CHANCE:
                cells.setdefault(str(result["trace_sha256"]), []).append(key)
    return {
        key: (Finding("trace", TRACE, f"that of {min(set(own) - {key})}", "a trace of its own"),)
        for own in cells.values()
        for key in own
        if len(own) > 1
    }


def verify_cell(store: Store, key: str, how: Thoroughness = Thoroughness()) -> CellReport:
    """Everything that can be checked of one cell. Writes `robust.json` where asked to."""
    cell, findings = of_files(store, key)
    if cell is None:
        return CellReport(key, "", tuple(findings))
    task, reason = _task_here(cell)
    findings += [*reason, *of_cell(cell, task)]
    if task is not None:
        findings += _simulated(cell, task, how.all_designs)
        if how.second_simulator:
            findings += _second_opinion(cell, task)
    robust, more = _robust(store.cell(key) / ROBUST, cell, task, how, sound=not findings)
    return CellReport(
        cell=key,
        label=cell.result.spec.label,
        findings=(*findings, *more),
        robust_score=None if robust is None else robust.robust_score,
    )


def _task_here(cell: StoredCell) -> tuple[Task | None, list[Finding]]:
    """The cell's task as it was, or why it is not here."""
    spec, digest = cell.result.spec, cell.result.task.digest
    try:
        task = make_task(spec.task, pdk=spec.pdk, tier=spec.tier)
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
            stored = RobustRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
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
    findings = [
        *same("robust", f"{ROBUST}: key", stored.key, cell.result.key),
        *same("robust", f"{ROBUST}: scores", f"{len(stored.scores)} scores", f"{number} scores"),
        *differences(
            "robust", f"{ROBUST}: robust_score", stored.robust_score, draws.mean(stored.scores),
            rtol=1e-9, expected="the mean of its scores",
        ),
    ]  # fmt: skip
    if public:
        findings += same("robust", f"{ROBUST}: salt_hash", stored.salt_hash, PUBLIC.sha256)
    if findings or task is None or stored.salt_hash != used.sha256:
        return findings
    again = draws.record(
        stored.key, used, draws.perturbations(task.id, used), stored.scores
    ).model_dump()
    findings += differences("robust", ROBUST, stored.model_dump(), again, rtol=1e-9)
    scores, failures = _robust_scores(cell, task, used)
    for k, (one, two) in enumerate(zip(stored.scores, scores, strict=False)):
        if not math.isclose(one, two, rel_tol=VERIFY_RTOL):
            found = f"{one:.9g}, then {two:.9g} when simulated again"
            findings.append(Finding("robust", f"{ROBUST}: scores.{k}", found, "the same"))
    return findings + failures


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


def show(reports: Sequence[CellReport]) -> None:
    """A line a finding, then what they come to."""
    for report in reports:
        name = f"{report.cell} ({report.label})" if report.label else report.cell
        for finding in report.findings:
            print(printable(f"{name}: {finding.text}"))
    unsound = sum(bool(r.findings) for r in reports)
    print(f"{len(reports) - unsound} of {len(reports)} cells hold in every check")
    robust = [r.robust_score for r in reports if r.robust_score is not None]
    if robust:
        print(f"robust score: {draws.mean(robust):.4f}, the mean of {len(robust)} cells")


def main(
    runs: Annotated[Path, typer.Argument(help="Folder that leaderboard.run wrote to (its --out).")],
    jobs: Annotated[int, typer.Option(help="Cells at a time.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    all_designs: Annotated[
        bool, typer.Option("--all-designs", help="Simulate every design, not the winners alone.")
    ] = False,
    robust: Annotated[
        bool,
        typer.Option(
            "--robust", help=f"Write {ROBUST}: scores at perturbed conditions, uncharged."
        ),
    ] = False,
    second_simulator: Annotated[
        bool,
        typer.Option(
            "--second-simulator",
            help="Measure each winner with VACASK too (pip install 'acs-gym[vacask]').",
        ),
    ] = False,
    salt_file: Annotated[
        Path | None,
        typer.Option(
            help=f"File with the secret that perturbations are drawn from; else {draws.SALT_VARIABLE}."
        ),
    ] = None,
) -> None:
    """Check every finished cell, and simulate its winning design again in a fresh process.

    Exit code 0: everything holds; 1: something does not, or cannot be simulated here; 2: wrong use.
    """
    try:
        if not runs.is_dir():
            raise LeaderboardError(f"no folder {runs}; give the --out of leaderboard.run")
        how = Thoroughness(all_designs, robust, read_salt(salt_file), second_simulator)
        reports = list(verify_runs(Store(runs), how, jobs))
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    unsound = sum(bool(r.findings) for r in reports)
    if as_json:
        totals = {"schema_version": 1, "cells": len(reports), "sound": len(reports) - unsound}
        print(json.dumps(totals | {"reports": [asdict(r) for r in reports]}, indent=2))
    else:
        show(reports)
    raise typer.Exit(EXIT_UNSOUND if unsound else 0)


if __name__ == "__main__":
    typer.run(main)
