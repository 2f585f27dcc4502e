"""Cells that hold what another cell holds: the same file, or the same designs under another name."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.agents.registry import is_ours
from leaderboard.cells.spec import canonical_json
from leaderboard.cells.store import TRACE, NewerResult, Store
from leaderboard.files import Corrupt
from leaderboard.trust.findings import Finding

# Shorter traces of agents that do the same every time may agree to the millisecond; and methods of one
# repetition share their initial designs.
_TOO_LONG_FOR_CHANCE = 10


@dataclass(frozen=True, slots=True)
class _Contents:
    """What matters of a cell: whose it is, and what it simulated as numbers to compare."""

    key: str
    agent: str
    trace_sha256: str
    designs: tuple[int, ...]


def copied(store: Store, keys: Sequence[str]) -> dict[str, tuple[Finding, ...]]:
    """Key -> what was found of a cell whose trace is another's.

    Byte for byte, times included, from ten lines on; or, of two agents on one task, where more than half
    of the designs beyond the first ten, metrics included, are the same. Two agents of this package are
    held to their traces by asking them again.
    """
    groups: dict[tuple[str, str, str], list[_Contents]] = defaultdict(list)
    for key in keys:
        # What cannot be read is found by the cell's own checks.
        with contextlib.suppress(Corrupt, NewerResult):
            if (cell := store.load(key)) is not None:
                spec = cell.result.spec
                designs = (
                    hash(canonical_json([line.evaluation.design, line.evaluation.metrics]))
                    for line in cell.trace[_TOO_LONG_FOR_CHANCE - 1 :]
                )
                groups[spec.task, spec.pdk, spec.tier].append(
                    _Contents(key, spec.agent, cell.result.trace_sha256, tuple(designs))
                )
    found: dict[str, list[Finding]] = defaultdict(list)
    for own in groups.values():
        for one, two in itertools.combinations(own, 2):
            if what := _same(one, two):
                for ours, theirs in ((one, two), (two, one)):
                    text = f"{what} of {theirs.key}"
                    found[ours.key].append(Finding("trace", TRACE, text, "a trace of its own"))
    return {key: tuple(findings[:1]) for key, findings in found.items()}


def _same(one: _Contents, two: _Contents) -> str:
    """What two cells have in common that they should not; empty where there is nothing."""
    if not one.designs or not two.designs:
        return ""
    if one.trace_sha256 == two.trace_sha256:
        return "that"
    if one.agent == two.agent or (is_ours(one.agent) and is_ours(two.agent)):
        return ""
    shared, fewer = set(one.designs) & set(two.designs), min(len(one.designs), len(two.designs))
    return f"{len(shared)} designs with the metrics" if 2 * len(shared) > fewer else ""
