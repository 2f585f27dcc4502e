"""A simulator without ngspice: closed forms in the place of a circuit, for checking an agent in seconds.

Each metric is a smooth function of the design's place in the unit cube, best at a point of its own near
the middle, scaled so that the task's specs can be met together and are not by most designs. Part of the
cube fails to simulate or to be measured, as real circuits do. Says nothing of the circuit itself.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from acs_gym.design import Design
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator
from acs_gym.simulation.program import Program
from acs_gym.simulation.readout import Waveforms
from acs_gym.specs import Spec
from acs_gym.task import Task

# Margin at the best point, and how fast it is lost with the squared distance from there.
_BEST, _SLOPE = 0.4, 12.0
_SPREAD = 0.12
# A transistor in saturation, in SI units.
_DEVICE = {
    "id": 10e-6, "gm": 150e-6, "gds": 2e-6, "vgs": 0.7, "vds": 0.6, "vth": 0.55, "vdsat": 0.13,
}  # fmt: skip


class AnalyticSimulator(Simulator):
    """Simulates designs of one task by formula. A pure function of the design.

    Args:
        task: whose parameters and metrics.
        failing: share of the designs, drawn uniformly from the unit cube, that fail: one half without
            a solution, the other without the first metric. 0 for none, 1 for all.
    """

    def __init__(self, task: Task, failing: float = 0.1) -> None:
        if not 0 <= failing <= 1:
            raise ValueError(f"failing is a share between 0 and 1, got {failing}")
        self._space, self._failing = task.space, failing
        self._specs = {spec.metric: spec for spec in task.specs}
        size = len(task.space)
        self._best_at = {
            name: 0.5
            + _SPREAD * np.random.default_rng(zlib.crc32(name.encode())).uniform(-1, 1, size)
            for name in task.metric_units
        }

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [self._answer(job) for job in jobs]

    def _answer(self, job: Job) -> Outcome:
        outcome = self._outcome(dict(job.design))
        # What measures nothing is asked for its operating point.
        if job.program.metrics or outcome.status is Status.NONCONVERGED:
            return outcome
        return Outcome(Status.OK, {}, waveforms=_operating_point(job.program))

    def _outcome(self, design: Design) -> Outcome:
        unit = self._space.to_unit(design)
        fails = unit[0] > 1.0 - self._failing or self._failing == 1.0
        if fails and unit[-1] < 0.5:
            return Outcome(Status.NONCONVERGED, {}, "no solution (by the check's own formula)")
        metrics = {
            name: _value(self._specs.get(name), float(np.mean((unit - best) ** 2)))
            for name, best in self._best_at.items()
        }
        if fails:
            first = next(iter(metrics))
            return Outcome(
                Status.MEASURE_FAILED,
                metrics | {first: math.nan},
                f"{first}: cannot be measured (by the check's own formula)",
            )
        return Outcome(Status.OK, metrics)


def _operating_point(program: Program) -> Waveforms:
    """The same device everywhere, whatever the design."""
    return {
        analysis.name: {v: np.array([_DEVICE[v.rpartition("[")[2][:-1]]]) for v in analysis.vectors}
        for deck in program.decks
        for analysis in deck.analyses
    }


def _value(spec: Spec | None, distance: float) -> float:
    """The value whose margin is `_BEST` at distance 0 and falls with the distance."""
    margin = _BEST - _SLOPE * distance
    if spec is None:
        return math.exp(margin)
    if spec.direction == "within":
        return spec.target * math.exp(-margin)
    sign = 1.0 if spec.direction == ">=" else -1.0
    if spec.tolerance is not None:
        return spec.target + sign * margin * spec.tolerance
    return spec.target * math.exp(sign * margin)
