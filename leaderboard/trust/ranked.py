"""What it takes for a row of the leaderboard to claim its rank. Pure."""

from __future__ import annotations

from leaderboard.cells.records import Result

# Repetitions of a deterministic optimiser are cheap; those of a paid model are not.
ENOUGH_SEEDS, ENOUGH_SEEDS_PAID = 10, 5


def paid(result: Result) -> bool:
    """Whether the agent says that it paid for a model."""
    return result.usage.tokens > 0 or result.usage.money > 0
