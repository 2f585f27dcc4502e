"""What it takes for a row of the leaderboard to claim its rank. Pure, but for reading a transcript.

A score is claimed where it cannot have been made up: the harness of this user has run the cell, or its
agent is one of this package and, asked again, wants the very designs of the trace. Everything else is
shown and not ranked, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leaderboard.agents.registry import DISTRIBUTION
from leaderboard.cells.fingerprint import recorded_level
from leaderboard.cells.records import Result
from leaderboard.cells.store import StoredCell
from leaderboard.files import LARGEST_TRACE, Corrupt, read
from leaderboard.suites import SUITE_SEED
from leaderboard.trust.perturbations import RobustRecord
from leaderboard.trust.verified import Verified
from leaderboard.wire.isolation.levels import LEVELS, Subprocess

# Repetitions of a deterministic optimiser are cheap; those of a paid model are not.
ENOUGH_SEEDS, ENOUGH_SEEDS_PAID = 10, 5
TRANSCRIPT = "transcript.jsonl"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a cell beside its result.

    Attributes:
        verified: who signed for it here and after what, or why nobody did.
        current: whether its task is the one that is installed here; None where it is not here at all.
        paid: whether a transcript shows a model that cost money.
        robust: its score at perturbed conditions, where there is one.
    """

    verified: Verified | str = "not verified"
    current: bool | None = None
    paid: bool = False
    robust: RobustRecord | None = None


def reasons(
    cells: Sequence[StoredCell],
    evidence: Mapping[str, Evidence],
    *,
    seeds: int,
    missing: int,
    held_out: Sequence[str],
) -> tuple[str, ...]:
    """Why an agent's row is shown and not ranked; empty when it is ranked.

    Args:
        seeds: the fewest repetitions it has on any task; missing: cells that others have.
        held_out: what it was trained on of what is held out.
    """
    known = [evidence.get(c.result.key, Evidence()) for c in cells]
    return (
        *_seeds(seeds, all(e.paid for e in known)),
        *([f"{missing} cells missing"] if missing else []),
        *_counted(
            why
            for cell, one in zip(cells, known, strict=True)
            if (why := unwitnessed(cell.result, one.verified))
        ),
        *_levels(cells),
        *_season(cells),
        *([f"trained on {', '.join(held_out)}"] if held_out else []),
    )


def unwitnessed(result: Result, verified: Verified | str) -> str:
    """Why a cell's trace may have been made up; empty where it cannot."""
    if isinstance(verified, str):
        return verified
    if verified.by == "run":
        return ""
    if "replay" not in verified.checks:
        return "not run here"
    if result.spec.held_out and "targets" not in verified.checks:
        return "targets not of a salt known here"
    return ""


def paid(folder: Path, result: Result) -> bool:
    """Whether a cell's transcript shows the model that its result says it paid for.

    It holds the designs of the cell, and its replies come to the tokens and the money of the result.
    """
    if result.usage.money <= 0:
        return False
    try:
        lines = read(folder / TRANSCRIPT, LARGEST_TRACE).splitlines()
        said = [_Line.model_validate_json(line) for line in lines]
    except (Corrupt, ValidationError):
        return False
    replies = [line for line in said if line.type == "reply"]
    tokens = sum(r.prompt_tokens + r.completion_tokens for r in replies)
    money = sum(r.usd for r in replies)
    simulated = sum(line.type == "evaluation" for line in said)
    return (
        bool(replies)
        and tokens == result.usage.tokens
        and abs(money - result.usage.money) <= 1e-6 * money
        and simulated == result.usage.calls
    )


class _Line(BaseModel):
    """What matters here of a transcript's line; `agents/transcript` has the whole."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    type: str
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    usd: float = Field(default=0.0, ge=0)


def _seeds(seeds: int, costly: bool) -> Iterator[str]:
    needed = ENOUGH_SEEDS_PAID if costly else ENOUGH_SEEDS
    if seeds < needed:
        yield f"{seeds} of {needed} seeds"


def _levels(cells: Sequence[StoredCell]) -> list[str]:
    """The worst of what kept a foreign agent from simulating beside the meter."""
    found = {_level(cell.result) for cell in cells} - {""}
    return [max(found)] if found else []  # `shared ...` before `not ...`.


def _level(result: Result) -> str:
    """An agent of this package is code that its readers have; another's may do whatever is not held."""
    if origin(result).startswith(f"{DISTRIBUTION} "):
        return ""
    # Of a level that nobody knows, no more is known than of a process.
    return LEVELS.get(recorded_level(result.fingerprint) or "", Subprocess).doubt


def origin(result: Result) -> str:
    """The distribution that registered the agent, as its result says."""
    found: Any = result.fingerprint.get("origin")
    return str(found) if found else ""


def _season(cells: Sequence[StoredCell]) -> Iterator[str]:
    other = sorted({c.result.spec.suite_seed for c in cells} - {SUITE_SEED})
    if other:
        yield f"suite seed {other[0]}, the season's is {SUITE_SEED}"


def _counted(found: Iterator[str]) -> list[str]:
    """`3 cells not verified`; without the number, one cell."""
    return [f"{n} cells {why}" if n > 1 else f"1 cell {why}" for why, n in Counter(found).items()]
