"""Which of the results in a folder belong together: what report, export and run have in common.

A folder is the `--out` of leaderboard.run, or a submission, whose manifest says what its agent was
trained on (leaderboard/submission.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from leaderboard.board.standings import Conditions, Standings, standings
from leaderboard.cells.store import Store, StoredCell
from leaderboard.errors import LeaderboardError
from leaderboard.files import Corrupt
from leaderboard.trust.perturbations import RobustRecord, mean
from leaderboard.trust.submission import MANIFEST, RUNS, held_out, load_submission
from leaderboard.trust.verify import ROBUST


@dataclass(frozen=True, slots=True)
class Chosen:
    """The sound cells of a folder with the same conditions.

    Attributes:
        left_out: what is not among them, and why.
        robust: scores at perturbed conditions, by the key of their cell, where there are any; all of
            one salt.
        held_out: agent -> what it was trained on of what is held out, where a manifest says so.
    """

    store: Store
    cells: tuple[StoredCell, ...]
    left_out: tuple[str, ...]
    robust: Mapping[str, RobustRecord]
    held_out: Mapping[str, tuple[str, ...]]

    def board(self) -> Standings:
        """Raises ValueError where there are no cells."""
        return standings(self.cells, robust=self.robust, held_out=self.held_out)


def choose(runs: Path, submissions: Sequence[Path] = (), **wanted: str | int | None) -> Chosen:
    """The cells of a folder for which `wanted` holds, e.g. `budget=100`; None is no wish.

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
    found = sorted({Conditions.of(c) for c in cells})
    if len(found) > 1:
        choices = "".join(f"\n  {c.text}" for c in found)
        raise LeaderboardError(
            f"{runs} holds runs that cannot be compared; choose one of:{choices}"
        )
    robust, others = _of_one_salt([r for c in cells if (r := _robust(store, c)) is not None])
    return Chosen(
        store=store,
        cells=tuple(cells),
        left_out=(*damage, *others),
        robust={record.key: record for record in robust},
        held_out=_held_out(manifests),
    )


def _sound(store: Store, wishes: Mapping[str, str | int]) -> tuple[list[StoredCell], list[str]]:
    cells: list[StoredCell] = []
    damage: list[str] = []
    for key in store.finished():
        try:
            cell = store.load(key)
        except Corrupt as error:
            damage.append(str(error))
            continue
        if cell is not None and wishes.items() <= asdict(Conditions.of(cell)).items():
            cells.append(cell)
    return cells, damage


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
        record = RobustRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    # A mean that is none is a claim: `leaderboard.verify` names it.
    sound = math.isclose(record.robust_score, mean(record.scores), rel_tol=1e-9)
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
