"""From what was typed to the cells of a run, each with its key. All that can be wrong is said here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acs_gym.circuit import CircuitError
from acs_gym.pdks import PdkError, pdk_names
from acs_gym.task import TIERS, make_task
from leaderboard.cells import CellSpec, grid, run_key
from leaderboard.contract import agent_config, agent_track
from leaderboard.errors import LeaderboardError, unknown
from leaderboard.fingerprint import simulator_version
from leaderboard.registry import build


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell of a run, its key, and what its agent declares."""

    spec: CellSpec
    key: str
    config: Mapping[str, Any]
    track: str


def plan_cells(
    tasks: Sequence[str],
    agents: Sequence[str],
    *,
    repetitions: int,
    pdk: str,
    tier: str,
    budget: int,
    suite_seed: int,
) -> list[PlannedCell]:
    """Every cell, in the order to run them. Raises LeaderboardError on anything that cannot run.

    `tasks` are task ids. Every agent is built once, so that a missing library is reported before
    the first simulation and not in the middle of a night's run.
    """
    if not tasks or not agents:
        raise LeaderboardError("nothing to run; give at least one task and at least one agent")
    for what, number in (("--budget", budget), ("--seeds", repetitions)):
        if number < 1:
            raise LeaderboardError(f"{what} is {number}; it must be at least 1")
    if suite_seed < 0:
        raise LeaderboardError(f"--suite-seed is {suite_seed}; it must be at least 0")
    if pdk not in pdk_names():
        raise unknown("PDK", pdk, pdk_names())
    if tier not in TIERS:
        raise unknown("tier", tier, TIERS)
    digests = {task: _digest(task, pdk, tier) for task in dict.fromkeys(tasks)}
    declared = {}
    for name in dict.fromkeys(agents):
        agent = build(name)
        declared[name] = (agent_config(agent), agent_track(agent))
    simulator = simulator_version()
    cells = grid(
        list(digests), list(declared), repetitions=repetitions, pdk=pdk, tier=tier,
        budget=budget, suite_seed=suite_seed,
    )  # fmt: skip
    return [
        PlannedCell(
            spec=spec,
            key=run_key(spec, declared[spec.agent][0], digests[spec.task], simulator),
            config=declared[spec.agent][0],
            track=declared[spec.agent][1],
        )
        for spec in cells
    ]


def _digest(task: str, pdk: str, tier: str) -> str:
    try:
        return make_task(task, pdk=pdk, tier=tier).digest
    except (PdkError, CircuitError) as error:
        raise LeaderboardError(str(error)) from None
