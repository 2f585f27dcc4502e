"""An opt-in cache of simulations on disk, content-addressed and safe between processes.

The key is a digest of everything that decides a result (program, design, conditions, mismatch,
ngspice version), so a changed netlist, model or measure is simply another key and nothing ever has
to be invalidated. Only what a design itself decides is stored: a wall-clock timeout or a failure of
ours is tried again. A hit saves time, never budget: the meter counts before it asks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator
from acs_gym.simulation.version import simulator_version

_FILE = "evaluations.sqlite"
_STORED = (Status.OK, Status.MEASURE_FAILED, Status.NONCONVERGED)
_WAIT_S = 60.0
_BATCH = 500  # SQLite's limit on `?` in one statement is 999 in old versions.


class CacheError(RuntimeError):
    """The cache folder cannot be used; the message says which and what to do."""


class CachedSimulator(Simulator):
    """Answers from `folder` what was simulated before; the rest goes to `simulator`.

    Args:
        simulator: simulates the misses; closed with this one.
        folder: made if missing; may be shared by any number of processes at once.
    """

    def __init__(self, simulator: Simulator, folder: str | Path) -> None:
        self._simulator = simulator
        self._path = Path(folder) / _FILE
        self.hits = self.misses = 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._connect()) as db, db:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(
                    "CREATE TABLE IF NOT EXISTS outcomes (key TEXT PRIMARY KEY, outcome TEXT) "
                    "WITHOUT ROWID"
                )
        except (OSError, sqlite3.Error) as error:
            raise CacheError(
                f"cannot use {self._path} as an evaluation cache: {error}; "
                "give another folder, or delete the file"
            ) from None

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        keys = [_key(job) for job in jobs]
        known = self._read([k for k, job in zip(keys, jobs, strict=True) if not job.waveforms])
        missing = [i for i, key in enumerate(keys) if key not in known]
        self.hits += len(jobs) - len(missing)
        self.misses += len(missing)
        fresh = self._simulator.run([jobs[i] for i in missing]) if missing else []
        self._write({keys[i]: o for i, o in zip(missing, fresh, strict=True)})
        simulated = dict(zip(missing, fresh, strict=True))
        return [simulated[i] if i in simulated else known[key] for i, key in enumerate(keys)]

    def close(self) -> None:
        self._simulator.close()

    def _connect(self) -> sqlite3.Connection:
        # A connection per use: it must not cross a fork or a thread.
        return sqlite3.connect(self._path, timeout=_WAIT_S)

    def _read(self, keys: Sequence[str]) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        if not keys:
            return found
        with contextlib.closing(self._connect()) as db:
            for start in range(0, len(keys), _BATCH):
                part = keys[start : start + _BATCH]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, outcome FROM outcomes WHERE key IN ({marks})"
                found |= {key: _outcome(text) for key, text in db.execute(query, part)}
        return found

    def _write(self, outcomes: dict[str, Outcome]) -> None:
        rows = [(k, _text(o)) for k, o in outcomes.items() if o.status in _STORED]
        if rows:
            with contextlib.closing(self._connect()) as db, db:
                db.executemany("INSERT OR IGNORE INTO outcomes VALUES (?, ?)", rows)


def _key(job: Job) -> str:
    parts = [
        str(simulator_version()),
        job.program.key,
        sorted(job.design.items()),
        sorted(job.conditions.items()),
        sorted(job.mismatch.items()),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _text(outcome: Outcome) -> str:
    # Python's repr of a float reads back to the same bits.
    metrics = {k: None if math.isnan(v) else v for k, v in outcome.metrics.items()}
    return json.dumps([str(outcome.status), metrics, outcome.message], allow_nan=False)


def _outcome(text: str) -> Outcome:
    status, metrics, message = json.loads(text)
    numbers = {k: math.nan if v is None else float(v) for k, v in metrics.items()}
    return Outcome(Status(status), numbers, message)
