"""A design in both simulators: what `check`, `verify`, the tests and the benchmark ask for.

Noise needs care. With the thermal noise model that some cards choose (`tnoimod=1`) VACASK's formula
uses a transconductance that is not the transistor's (docs/noise.md), so that there is nothing to
compare. Both simulators are therefore given the cards with `tnoimod=0`, which changes nothing but
noise: every conductance and transfer function that noise passes through is still compared, and the
flicker noise, and the sum.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator
from acs_gym.simulation.program import Program
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.vacask.compare import ComparedMetric, compare
from acs_gym.vacask.simulate import simulate

if TYPE_CHECKING:
    from acs_gym.task import Task

_MEASURED = (Status.OK, Status.MEASURE_FAILED)
_THERMAL = re.compile(r"\btnoimod\s*=\s*[^\s)]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Opinion:
    """One design in both simulators; `metrics` are empty where one of them failed."""

    ngspice: Outcome
    vacask: Outcome
    metrics: tuple[ComparedMetric, ...]

    @property
    def agrees(self) -> bool:
        """Every metric within its tolerance."""
        return bool(self.metrics) and all(metric.agrees for metric in self.metrics)

    @property
    def apart(self) -> tuple[ComparedMetric, ...]:
        """The metrics that are further apart than allowed."""
        return tuple(metric for metric in self.metrics if not metric.agrees)

    @property
    def failure(self) -> str:
        """Why there is nothing to compare; empty where there is."""
        if self.metrics:
            return ""
        return "; ".join(
            f"{name}: {outcome.status}{': ' if outcome.message else ''}{outcome.message}"
            for name, outcome in (("ngspice", self.ngspice), ("VACASK", self.vacask))
            if outcome.status not in _MEASURED
        )


def second_opinions(
    task: Task, designs: Sequence[Mapping[str, float]], simulator: Simulator | None = None
) -> list[Opinion]:
    """Each design of the task in both simulators, at the task's nominal conditions.

    `simulator` is what runs ngspice; None starts a process of its own. Raises VacaskNotFound.
    """
    program = comparable(task.program)
    jobs = [Job(program, design) for design in designs]
    ours = simulate_uncharged(jobs, simulator)
    return [
        _opinion(task, program, one, simulate(program, design))
        for design, one in zip(designs, ours, strict=True)
    ]


def comparable(program: Program) -> Program:
    """The program with the thermal noise model that both simulators evaluate (`tnoimod=0`)."""
    decks = tuple(
        replace(
            deck, models={k: _THERMAL.sub("tnoimod=0", card) for k, card in deck.models.items()}
        )
        for deck in program.decks
    )
    return replace(program, decks=decks, key=f"{program.key} tnoimod=0")


def _opinion(task: Task, program: Program, ngspice: Outcome, vacask: Outcome) -> Opinion:
    metrics: tuple[ComparedMetric, ...] = ()
    if ngspice.status in _MEASURED and vacask.status in _MEASURED:
        metrics = compare(program, task.metric_units, ngspice.metrics, vacask.metrics)
    return Opinion(ngspice, vacask, metrics)


def worst_first(metrics: Sequence[ComparedMetric]) -> list[ComparedMetric]:
    """By how much of what is allowed is used, the most first."""

    def used(metric: ComparedMetric) -> float:
        if math.isnan(metric.difference):
            return 0.0 if metric.agrees else math.inf
        return (
            abs(metric.difference) / metric.allowed
            if metric.allowed
            else math.inf * bool(metric.difference)
        )

    return sorted(metrics, key=used, reverse=True)
