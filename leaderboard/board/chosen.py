"""Which of the results in a folder belong together: what report, export and run have in common.

A folder is the `--out` of leaderboard.run, or a submission, whose manifest says what its agent was
trained on (leaderboard/trust/submission.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from leaderboard.board.standings import Conditions, Standings, standings
from leaderboard.cells.spec import FIXED
from leaderboard.cells.store import Store, StoredCell
from leaderboard.errors import LeaderboardError
from leaderboard.files import Corrupt, read
from leaderboard.trust.perturbations import RobustRecord, mean
from leaderboard.trust.ranked import Evidence, paid
from leaderboard.trust.submission import MANIFEST, RUNS, held_out, load_submission
from leaderboard.trust.verified import look
from leaderboard.trust.verify import ROBUST, is_current


@dataclass(frozen=True, slots=True)
class Chosen:
    """The sound cells of a folder with the same conditions.

    Attributes:
        left_out: what is not among them, and why.
        evidence: what is known of each, by key; robust scores are all of one salt.
        open_track: cells with fixed targets, where `cells` have held-out ones.
        held_out: agent -> what it was trained on of what is held out, where a manifest says so.
    """

    store: Store
    cells: tuple[StoredCell, ...]
    left_out: tuple[str, ...]
    evidence: Mapping[str, Evidence]
    held_out: Mapping[str, tuple[str, ...]]
    open_track: tuple[StoredCell, ...] = ()

    def board(self) -> Standings:
        """Raises ValueError where there are no cells."""
        return standings(
            self.cells, evidence=self.evidence, held_out=self.held_out, open_track=self.open_track
        )


def choose(runs: Path, submissions: Sequence[Path] = (), **wanted: str | int | None) -> Chosen:
    """The cells of a folder for which `wanted` holds, e.g. `budget=100`; None is no wish.

    Where some have held-out targets and others, alike in all else, fixed ones, the former are the
    board and the latter its open track.

    Raises LeaderboardError where there are none, or where those there are cannot be compared, listing
    what there is; and for a manifest that is none.
    """
    if not runs.is_dir():
        raise LeaderboardError(f"no folder {runs}; give the --out of leaderboard.run")
    manifests = [*submissions, *(f for f in (runs, runs.parent) if _submits(f, runs))]
    store = Store(runs / RUNS if (runs / MANIFEST).exists() else runs)
    wishes = {name: value for name, value in wanted.items() if value is not None}
    cells, damage = _sound(store, wishes)
    if not cells:
        raise LeaderboardError(
            f"no finished cells {_wish_text(wishes)}in {runs}; run leaderboard.run --out {runs} first"
        )
    cells, open_track = _tracks(cells)
    found = sorted({Conditions.of(c) for c in cells})
    if len(found) > 1:
        choices = "".join(f"\n  {c.text}" for c in found)
        raise LeaderboardError(
            f"{runs} holds runs that cannot be compared; choose one of:{choices}"
        )
    robust, others = _of_one_salt([r for c in cells if (r := _robust(store, c)) is not None])
    scores = {record.key: record for record in robust}
    return Chosen(
        store=store,
        cells=tuple(cells),
        left_out=(*damage, *others),
        evidence={
            key: replace(one, robust=scores.get(key))
            for key, one in _evidence(store, [*cells, *open_track]).items()
        },
        held_out=_held_out(manifests),
        open_track=tuple(open_track),
    )


def _tracks(cells: Sequence[StoredCell]) -> tuple[list[StoredCell], list[StoredCell]]:
    """The cells of the board, and those of its open track."""
    hidden = {Conditions.of(c) for c in cells if c.result.spec.held_out}
    if len(hidden) != 1:
        return list(cells), []
    fixed = replace(next(iter(hidden)), targets=FIXED)
    beside = [c for c in cells if Conditions.of(c) == fixed]
    return [c for c in cells if Conditions.of(c) != fixed], beside


def _evidence(store: Store, cells: Sequence[StoredCell]) -> dict[str, Evidence]:
    known = {}
    for cell in cells:
        folder, result = store.cell(cell.result.key), cell.result
        known[result.key] = Evidence(
            verified=look(folder, result), current=is_current(result), paid=paid(folder, result)
        )
    return known


def _sound(store: Store, wishes: Mapping[str, str | int]) -> tuple[list[StoredCell], list[str]]:
    cells: list[StoredCell] = []
    damage: list[str] = []
    for key in store.finished():
        try:
            cell = store.load(key)
        except Corrupt as error:
            damage.append(str(error))
            continue
        if cell is not None and _fulfils(cell, wishes):
            cells.append(cell)
    return cells, damage


def _fulfils(cell: StoredCell, wishes: Mapping[str, str | int]) -> bool:
    """Whether a cell is what was wished for; a salt may be named by the beginning of its hash."""
    own = asdict(Conditions.of(cell))
    return all(
        str(own[name]).startswith(str(value)) if name == "targets" else own[name] == value
        for name, value in wishes.items()
    )


def _wish_text(wishes: Mapping[str, str | int]) -> str:
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in wishes.items())
    return f"for {options} " if options else ""


def _submits(folder: Path, runs: Path) -> bool:
    """Whether a folder is a submission with these runs."""
    return (folder / MANIFEST).exists() and runs.resolve() in (
        folder.resolve(),
        (folder / RUNS).resolve(),
    )


def _held_out(folders: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        submission = load_submission(folder)
        if entries := held_out(submission.trained_on):
            found[submission.agent] = entries
    return found


def _robust(store: Store, cell: StoredCell) -> RobustRecord | None:
    """The robust score beside a result; a damaged one is for `leaderboard.verify` to name."""
    path = store.cell(cell.result.key) / ROBUST
    try:
        record = RobustRecord.model_validate_json(read(path))
    except (Corrupt, ValidationError):
        return None
    # A mean that is none is a claim: `leaderboard.verify` names it.
    sound = record.scores is None or math.isclose(
        record.robust_score, mean(record.scores), rel_tol=1e-9
    )
    return record if sound and record.key == cell.result.key else None


def _of_one_salt(records: Sequence[RobustRecord]) -> tuple[list[RobustRecord], list[str]]:
    """Those of the salt that most are of, and what is left out: other conditions do not compare."""
    salts = Counter((r.label, r.salt_hash) for r in records)
    if len(salts) < 2:
        return list(records), []
    chosen = max(sorted(salts), key=salts.__getitem__)
    kept = [r for r in records if (r.label, r.salt_hash) == chosen]
    return kept, [
        f"robust scores of {number} cells, of the {label} salt {salt[:8]}; the others are of the "
        f"{chosen[0]} salt {chosen[1][:8]}: run leaderboard.verify --robust with one for all"
        for (label, salt), number in sorted(salts.items())
        if (label, salt) != chosen
    ]
