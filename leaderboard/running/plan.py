"""From what was typed to the cells of a run, each with its key. All that can be wrong is said here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acs_gym.circuit import CircuitError
from acs_gym.pdks import PdkError, pdk_names
from acs_gym.targets import TargetsNotFound
from acs_gym.task import TIERS, Task, make_task
from acs_gym.tiers import get_tier
from leaderboard.agents.registry import build
from leaderboard.cells.fingerprint import simulator_version
from leaderboard.cells.spec import (
    FIXED,
    HELD_OUT,
    MOST_REPETITIONS,
    MOST_SEED,
    MOST_SIMULATIONS,
    CellSpec,
    check_name,
    grid,
    run_key,
)
from leaderboard.contract import agent_config, agent_track, check_task
from leaderboard.errors import LeaderboardError, unknown
from leaderboard.trust.perturbations import Salt, held_out_specs, targets_of


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell of a run, its key, and what its agent declares; `cost` is simulations a design.

    `targets`: drawn for it, where they are held out.
    """

    spec: CellSpec
    key: str
    cost: int
    config: Mapping[str, Any]
    track: str
    targets: Mapping[str, float] | None = None

    @property
    def designs(self) -> int:
        """Designs that the budget pays for at every condition of the tier."""
        return self.spec.budget // self.cost

    @property
    def simulations(self) -> int:
        """What these cost; the rest of the budget is of use only to who asks for single conditions."""
        return self.designs * self.cost


class Durations:
    """How long finished cells took. Seconds, scaled to the budget that is asked about."""

    def __init__(self) -> None:
        self._spent: defaultdict[tuple[str, ...], tuple[float, int]] = defaultdict(lambda: (0.0, 0))

    def add(self, spec: CellSpec, seconds: float) -> None:
        for group in _groups(spec):
            total, budget = self._spent[group]
            self._spent[group] = total + seconds, budget + spec.budget

    def same(self, spec: CellSpec) -> float | None:
        """The mean over cells of the same agent on the same task; None without one."""
        return self._mean(_groups(spec)[0], spec.budget)

    def same_agent(self, spec: CellSpec) -> float | None:
        return self._mean(_groups(spec)[1], spec.budget)

    def same_task(self, spec: CellSpec) -> float | None:
        return self._mean(_groups(spec)[2], spec.budget)

    def _mean(self, group: tuple[str, ...], budget: int) -> float | None:
        if group not in self._spent:
            return None
        seconds, simulations = self._spent[group]
        return seconds / simulations * budget


def _groups(spec: CellSpec) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    where = (spec.pdk, spec.tier)
    return (*where, spec.agent, spec.task), (*where, spec.agent, ""), (*where, "", spec.task)


def plan_cells(
    tasks: Sequence[str],
    agents: Sequence[str],
    *,
    repetitions: int,
    pdk: str,
    tier: str,
    budget: int,
    suite_seed: int,
    salt: Salt | None = None,
) -> list[PlannedCell]:
    """Every cell, in the order to run them. Raises LeaderboardError on anything that cannot run.

    `tasks` are task ids; with a salt their targets are drawn from it, others in each repetition. Every
    agent is built once, so that a missing library is reported before the first simulation and not in
    the middle of a night's run.
    """
    if not tasks or not agents:
        raise LeaderboardError("nothing to run; give at least one task and at least one agent")
    for what, number, least, most in (
        ("--budget", budget, 1, MOST_SIMULATIONS),
        ("--seeds", repetitions, 1, MOST_REPETITIONS),
        ("--suite-seed", suite_seed, 0, MOST_SEED),
    ):
        if number < least:
            raise LeaderboardError(f"{what} is {number}; it must be at least {least}")
        if number > most:
            raise LeaderboardError(f"{what} is {number}; it must be at most {most}")
    for name in agents:
        try:
            check_name(name)
        except ValueError as error:
            raise LeaderboardError(f"agent {name!r}: its name {error}") from None
    if pdk not in pdk_names():
        raise unknown("PDK", pdk, pdk_names())
    _check_tier(tier)
    made = {task: _make(task, pdk, tier) for task in dict.fromkeys(tasks)}
    _check_proved(list(made.values()))
    _check_budget(list(made.values()), budget)
    drawn = {} if salt is None else _draw(list(made.values()), salt, repetitions)
    declared = {}
    for name in dict.fromkeys(agents):
        agent = build(name)
        for task in made.values():
            try:
                check_task(agent, task)
            except LeaderboardError as error:
                raise LeaderboardError(f"agent {name} on {task.id}: {error}") from None
        declared[name] = (agent_config(agent), agent_track(agent))
    simulator = simulator_version()
    cells = grid(
        list(made), list(declared), repetitions=repetitions, pdk=pdk, tier=tier,
        budget=budget, suite_seed=suite_seed, targets=FIXED if salt is None else targets_of(salt),
    )  # fmt: skip
    digests = {
        (name, repetition): (
            task.with_specs(drawn[name, repetition]) if (name, repetition) in drawn else task
        ).digest
        for name, task in made.items()
        for repetition in range(repetitions)
    }
    return [
        PlannedCell(
            spec=spec,
            key=run_key(
                spec, declared[spec.agent][0], digests[spec.task, spec.repetition], simulator
            ),
            cost=made[spec.task].cost,
            config=declared[spec.agent][0],
            track=declared[spec.agent][1],
            targets=drawn.get((spec.task, spec.repetition)),
        )
        for spec in cells
    ]


def _make(task: str, pdk: str, tier: str) -> Task:
    try:
        return make_task(task, pdk=pdk, tier=tier)
    except (PdkError, CircuitError) as error:
        raise LeaderboardError(str(error)) from None


def _draw(
    tasks: Sequence[Task], salt: Salt, repetitions: int
) -> dict[tuple[str, int], dict[str, float]]:
    """Held-out targets of every task and repetition; feasible, for a design is known to meet them."""
    try:
        return {
            (task.id, repetition): held_out_specs(task, salt, repetition)
            for task in tasks
            for repetition in range(repetitions)
        }
    except (TargetsNotFound, CircuitError) as error:
        raise LeaderboardError(f"--targets {HELD_OUT}: {error}") from None


def _check_tier(tier: str) -> None:
    if tier not in TIERS and not re.fullmatch(r"mc\d+", tier):
        raise unknown("tier", tier, [*TIERS, "mcN for N mismatch draws"])
    try:
        get_tier(tier)
    except ValueError as error:
        raise LeaderboardError(str(error)) from None


def _check_budget(tasks: Sequence[Task], budget: int) -> None:
    """A budget must pay for a design of the dearest task: each condition is a simulation."""
    dearest = max(tasks, key=lambda task: task.cost)
    if budget < dearest.cost:
        raise LeaderboardError(
            f"--budget is {budget}, and one design of {dearest.id} in tier {dearest.tier} costs "
            f"{dearest.cost} simulations; give at least {dearest.cost}"
        )


def _check_proved(tasks: Sequence[Task]) -> None:
    """In a tier beside `tt` every task must be known to be feasible: it has a sizing that is."""
    unproved = [t for t in tasks if t.conditions.kind != "tt" and t.reference is None]
    if not unproved:
        return
    first = unproved[0]
    kind, pdk = first.conditions.kind, first.pdk_name
    have = [t.id for t in tasks if t not in unproved]
    lacking = "; ".join(
        f"{t.id} (has {', '.join(k for k in TIERS if t.circuit.reference(pdk, k)) or 'no tier'})"
        for t in unproved
    )
    hint = f"; leave them out: --tasks {','.join(have)}" if have else ""
    raise LeaderboardError(f"no sizing on {pdk} is known to meet tier {kind} of: {lacking}{hint}")
