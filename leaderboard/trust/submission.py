"""Is a submission complete, and does it verify?

    my-submission/
        submission.toml     who, what, trained on what (fields of `Submission`)
        runs/               the --out of leaderboard.run, as it was written

examples/submission holds a template. A submission that was trained on what is held out is welcome,
and its row is marked `custom`: it is shown and not ranked with the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from acs_gym.circuit import CircuitError
from acs_gym.circuit_files import parse_toml
from acs_gym.circuit_reading import load_circuit
from acs_gym.registry import circuit_folders
from leaderboard.cells.fingerprint import recorded_level
from leaderboard.cells.records import Result
from leaderboard.cells.spec import HELD_OUT
from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError, unknown
from leaderboard.files import Corrupt, read
from leaderboard.suites import SUITE_SEED
from leaderboard.trust.findings import Finding
from leaderboard.trust.ranked import ENOUGH_SEEDS, ENOUGH_SEEDS_PAID, paid
from leaderboard.trust.verification import of_files
from leaderboard.trust.verify import CellReport, Thoroughness, verify_runs
from leaderboard.wire.isolation.levels import Container

MANIFEST, RUNS = "submission.toml", "runs"
EXIT_UNSOUND, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
_TARGETS = f":{HELD_OUT}"
_LARGEST_MANIFEST = 1 << 16

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
# A task by its id; its held-out targets as `ACS-OpAmp-v0:held-out`.
Training = Annotated[str, StringConstraints(pattern=rf"^[A-Za-z][\w-]*-v\d+({_TARGETS})?$")]


class Submission(BaseModel):
    """`submission.toml`.

    Attributes:
        name: of the method, as the leaderboard shows it.
        authors: at least one.
        contact: an e-mail address or a web page.
        code: where the agent's code is, http or https.
        agent: as given to `leaderboard.run --agents`; every cell in `runs/` is of this agent.
        track: `score` when the agent looks at the score alone, `metrics` otherwise.
        trained_on: ids of every task whose simulations went into the agent before the runs
            (training, tuning, examples in a prompt); with `:held-out` for targets drawn from the
            held-out split. Empty when there were none.
        description: what the method does, in a few sentences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Line
    authors: Annotated[list[Line], Field(min_length=1)]
    contact: Annotated[Line, StringConstraints(pattern=r"^(https?://\S+|[^@\s]+@[^@\s]+)$")]
    code: Annotated[Line, StringConstraints(pattern=r"^https?://\S+$")]
    agent: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    track: Literal["score", "metrics"]
    trained_on: list[Training]
    description: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=20, max_length=5000)
    ]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What came of a submission.

    Attributes:
        category: `open`, or `custom` when it was trained on what is held out.
        held_out: the entries of `trained_on` that made it so.
        findings: where the manifest and the runs disagree.
        reports: one a cell, of `leaderboard.verify`.
        remarks: what is allowed, and worth knowing before handing it in.
    """

    submission: Submission
    category: Literal["open", "custom"]
    held_out: tuple[str, ...]
    findings: tuple[Finding, ...]
    reports: tuple[CellReport, ...]
    remarks: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.findings and not any(r.findings for r in self.reports)


def load_submission(folder: Path) -> Submission:
    """The manifest of a folder. Raises LeaderboardError naming the file and every wrong field."""
    path = folder / MANIFEST
    try:
        data = parse_toml(read(path, _LARGEST_MANIFEST).decode("utf-8"))
    except Corrupt as error:
        raise LeaderboardError(f"{error}; examples/submission has a template") from None
    except ValueError as error:
        raise LeaderboardError(f"{path}: is not TOML: {error}") from None
    try:
        submission = Submission.model_validate(data)
    except ValidationError as error:
        lines = (f"\n  {path}: {_field(e['loc'])}: {e['msg']}" for e in error.errors())
        raise LeaderboardError(f"{path} is not a submission:{''.join(lines)}") from None
    known = circuit_folders()
    for k, entry in enumerate(submission.trained_on):
        if (task := entry.removesuffix(_TARGETS)) not in known:
            raise LeaderboardError(f"{path}: trained_on.{k}: {unknown('task', task, known)}")
    return submission


def held_out(trained_on: Sequence[str]) -> tuple[str, ...]:
    """The entries that are held out: tasks of that split, and held-out targets of any task."""
    return tuple(e for e in trained_on if e.endswith(_TARGETS) or _split(e) == HELD_OUT)


def assess(folder: Path, how: Thoroughness, jobs: int = 1) -> Assessment:
    """Validate and verify a submission. Raises LeaderboardError where there is nothing to verify."""
    submission = load_submission(folder)
    store = Store(folder / RUNS)
    reports = tuple(verify_runs(store, how, jobs))
    results = _results(store)
    forbidden = held_out(submission.trained_on)
    return Assessment(
        submission=submission,
        category="custom" if forbidden else "open",
        held_out=forbidden,
        findings=tuple(_disagreements(submission, results)),
        reports=reports,
        remarks=tuple(_remarks(results, all(paid(store.cell(r.key), r) for r in results))),
    )


def _results(store: Store) -> list[Result]:
    """The results of the cells that can be read; the others are findings of their reports."""
    cells = (of_files(store, key)[0] for key in store.finished())
    return [cell.result for cell in cells if cell is not None]


def _disagreements(submission: Submission, results: Sequence[Result]) -> list[Finding]:
    return [
        Finding(
            "manifest", f"{RUNS}/{result.key}: {field}", str(found), f"{wanted}, as in {MANIFEST}"
        )
        for result in results
        for field, found, wanted in (
            ("agent", result.spec.agent, submission.agent),
            ("track", result.track, submission.track),
        )
        if found != wanted
    ]


def _remarks(results: Sequence[Result], costly: bool) -> list[str]:
    remarks = []
    seeds: dict[str, set[int]] = {}
    for result in results:
        seeds.setdefault(result.spec.task, set()).add(result.spec.repetition)
    needed = ENOUGH_SEEDS_PAID if costly else ENOUGH_SEEDS
    for task, own in sorted(seeds.items()):
        if missing := sorted(set(range(max(own) + 1)) - own):
            numbers = ", ".join(map(str, missing))
            remarks.append(f"{task}: repetitions {numbers} are missing; every attempt belongs here")
        if len(own) < needed:
            remarks.append(f"{task}: {len(own)} seeds; fewer than {needed} are shown, not ranked")
    if other := sorted({r.spec.suite_seed for r in results} - {SUITE_SEED}):
        remarks.append(f"suite seed {other[0]}: ranked are cells of the season's, {SUITE_SEED}")
    if outside := sorted({str(recorded_level(r.fingerprint)) for r in results} - {Container.name}):
        remarks.append(
            f"cells ran in the level {' and '.join(outside)}, where nothing shows that the agent kept "
            "to the meter; agents of others are ranked from container:stdio:COMMAND or "
            "container:mcp:COMMAND"
        )
    return remarks


def _split(task: str) -> str:
    try:
        return load_circuit(circuit_folders()[task]).file.split
    except CircuitError as error:
        raise LeaderboardError(str(error)) from None


def _field(location: Sequence[str | int]) -> str:
    return ".".join(map(str, location)) or "file"
