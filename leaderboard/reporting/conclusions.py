"""What a board says, in sentences, and which of its designs a reader sees first. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from leaderboard.board.standings import Standings

SIGNIFICANT = 0.05
# More names than these do not fit a sentence.
_NAMES = 4


def conclusions(board: Standings) -> list[str]:
    """Who is first and how surely, what was met, and what the runs do not tell apart."""
    return [
        _first(board),
        *_told_apart(board),
        _met(board),
        *_circuits(board),
        *_held_out(board),
    ]


def featured(board: Standings, pictured: Collection[str]) -> str | None:
    """The task whose best design is shown first, of those with a picture; None where none has.

    Of those that meet every spec, the one with most specs; where none does, the nearest to it. Of
    equals the one with more to size.
    """

    def merit(task: str) -> tuple[bool, float, int]:
        best = board.best[task].evaluation
        specs = len(board.tasks[task].specs)
        return best.feasible, specs if best.feasible else best.score, len(best.design)

    shown = (task for task in board.best if task in pictured)
    return max(shown, key=merit, default=None)


def _first(board: Standings) -> str:
    row, interval = board.rows[0], board.rows[0].overall.interval
    surely = (
        "from one seed" if math.isnan(interval.low)
        else f"95\u00a0% interval {interval.low:.3f} to {interval.high:.3f} over seeds"
    )  # fmt: skip
    score = f"a score of {row.overall.score:.4f} of 1 ({surely})"
    if len(board.rows) == 1:
        return f"{row.agent} alone was run: {score}."
    claim = "" if row.ranked else "; the rank is shown, not claimed"
    level = [r.agent for r in board.rows if r.rank == row.rank]
    if len(level) > 1:
        return f"{_listed(level)} share the first rank, with {score}{claim}."
    return f"{row.agent} is first, with {score}{claim}."


def _told_apart(board: Standings) -> list[str]:
    first = board.rows[0].agent
    pairs = [p for p in board.pairs if p.first == first]
    sure = [p for p in pairs if p.p_holm < SIGNIFICANT]
    ahead = [p.second for p in sure if p.difference > 0]
    behind = [p.second for p in sure if p.difference < 0]
    alike = [p.second for p in pairs if p.p_holm >= SIGNIFICANT]
    said = []
    if ahead:
        every = len(ahead) == len(board.rows) - 1 > 1
        others = f"all {len(ahead)} others" if every else _listed(ahead)
        said.append(f"{first} is ahead of {others}, by more than chance explains.")
    if behind:
        said.append(f"Run against run, {_listed(behind)} scored higher on average.")
    if alike:
        runs = min(p.cells for p in pairs)
        said.append(
            f"{_counted(runs, 'run')} each {'is' if runs == 1 else 'are'} too few, or too alike, to tell "
            f"{first} from {_listed(alike)}."
        )
    return said


def _met(board: Standings) -> str:
    row, own = board.rows[0], board.rows[0].overall
    said = f"{row.agent} met every spec in {own.successes} of {_counted(own.cells, 'run')}"
    median = own.simulations_to_spec
    if median is None:
        return f"{said}."
    return f"{said}; the median needed {median:g} of {board.conditions.budget} simulations."


def _circuits(board: Standings) -> list[str]:
    unmet = [
        card.title
        for task, card in board.tasks.items()
        if not any(row.tasks[task].successes for row in board.rows if task in row.tasks)
    ]
    number = len(board.tasks)
    if len(unmet) == number:
        return ["No agent met every spec of " + ("it." if number == 1 else "any circuit.")]
    if unmet:
        return [f"No agent met every spec of {_listed(unmet)}."]
    return [f"On each of the {number} circuits some agent met every spec."] if number > 1 else []


def _held_out(board: Standings) -> list[str]:
    row = board.rows[0]
    if not board.conditions.held_out:
        return []
    said = ["The targets are held out, so no design is shown: it would give them away."]
    if row.open_score is not None:
        said.append(
            f"On the fixed targets, which everybody knows, {row.agent} has {row.open_score:.4f}."
        )
    return said


def _listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b, c and 5 others`."""
    rest = len(names) - _NAMES
    shown = [*names[:_NAMES], f"{rest} others"] if rest > 1 else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
