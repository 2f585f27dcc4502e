"""Cells made of numbers: what an agent reached, without a simulation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.cells.records import Result, TraceLine
from leaderboard.cells.spec import CellSpec
from leaderboard.cells.store import StoredCell
from leaderboard.trust.ranked import Evidence
from leaderboard.trust.verified import Verified

BUDGET = 4
_NUMBERS = itertools.count()


def cell(
    agent: str,
    task: str = "ACS-A-v0",
    repetition: int = 0,
    scores: Sequence[float] = (0.5,),
    *,
    budget: int = BUDGET,
    status: str = "complete",
    usage: Mapping[str, Any] | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    track: str = "metrics",
    targets: str = "fixed",
    suite_seed: int = 0,
    digest: str = "d",
    finished: str = "2026-01-01",
) -> StoredCell:
    """One cell whose agent simulated designs of these scores; a score of 1 meets every spec."""
    spec = CellSpec(
        task=task, pdk="generic", tier="tt", agent=agent, repetition=repetition, budget=budget,
        suite_seed=suite_seed, targets=targets,
    )  # fmt: skip
    lines = tuple(_line(k, s) for k, s in enumerate(scores))
    best = max(scores, default=0.0) if status not in ("invalid", "crashed") else 0.0
    result = Result.model_validate(
        {
            "key": f"{next(_NUMBERS):016x}",
            "spec": spec.model_dump(),
            "agent_config": {},
            "track": track,
            "status": status,
            "message": "",
            "score": best,
            "feasible": best == 1.0,
            "best": None,
            "verified": None,
            "usage": {
                "simulations": len(scores), "calls": len(scores), "duplicates": 0, "failed": {},
                "tokens": 0, "money": 0.0, **(usage or {}),
            },
            "task": {
                "title": task, "digest": digest, "parameter_units": {}, "metric_units": {}, "specs": [],
            },
            "trace_sha256": "0",
            "timing": {
                "total_seconds": 3.0, "simulator_seconds": 1.0, "finished": finished,
                "peak_memory_mib": 100.0,
            },
            "fingerprint": {
                "simulator": "ngspice 42", "isolation": {"level": "inprocess"},
                "origin": "acs-gym 0.1.0", **(fingerprint or {}),
            },
        }
    )  # fmt: skip
    return StoredCell(result, lines)


def _line(index: int, score: float) -> TraceLine:
    evaluation = {
        "design": {}, "status": "ok", "metrics": {}, "margins": {}, "satisfaction": {},
        "score": score, "feasible": score == 1.0, "cost": 1, "message": "",
    }  # fmt: skip
    return TraceLine.model_validate(
        {"index": index, "evaluation": evaluation, "duplicate": False, "seconds": float(index)}
    )


def signed(cell: StoredCell, by: str = "run", checks: Sequence[str] = ("winner",)) -> Verified:
    """What `verified.json` says of a cell that was looked at here."""
    return Verified.model_validate(
        {
            "key": cell.result.key, "result_sha256": "0" * 64, "trace_sha256": "0" * 64,
            "version": "1", "simulator": "ngspice 42", "by": by, "checks": checks, "at": "2026-01-01",
            "signature": "0" * 64,
        }
    )  # fmt: skip


def run_here(cells: Sequence[StoredCell], **more: Any) -> dict[str, Evidence]:
    """All that is known of cells that this user's harness has run."""
    return {c.result.key: Evidence(verified=signed(c), **more) for c in cells}


def grid(scores: Mapping[str, Mapping[str, Sequence[float]]]) -> list[StoredCell]:
    """Agent -> task -> the score of each repetition, found at once."""
    return [
        cell(agent, task, k, (score,))
        for agent, tasks in scores.items()
        for task, own in tasks.items()
        for k, score in enumerate(own)
    ]
