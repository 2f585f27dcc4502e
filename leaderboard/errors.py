"""What a user can put right; printed on one line, with exit code 2."""

from __future__ import annotations

from collections.abc import Iterable

from acs_gym.wording import did_you_mean


class LeaderboardError(ValueError):
    """Wrong input from outside; the message says what was given and what to type instead."""


def unknown(kind: str, name: str, known: Iterable[str]) -> LeaderboardError:
    """The error for a name that is not known, naming the closest and all that are."""
    names = sorted(known)
    hint = did_you_mean(name, names)
    return LeaderboardError(f"no {kind} called {name!r}; {hint}known: {', '.join(names)}")
