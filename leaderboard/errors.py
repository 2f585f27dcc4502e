"""What a user can put right; printed on one line, with exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LeaderboardError(ValueError):
    """Wrong input from outside; the message says what was given and what to type instead."""


def unknown(kind: str, name: str, known: Iterable[str]) -> LeaderboardError:
    """The error for a name that is not known, naming the closest and all that are."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return LeaderboardError(f"no {kind} called {name!r}; {hint}known: {', '.join(names)}")
