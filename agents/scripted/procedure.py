"""How a designer gets from a first design to one that meets the specs: size, look, adjust.

    size      the plan's first design, widths by gm/Id
    look      calibrate the technology by the operating point; size again until every part has its gm/Id
    adjust    from the best design, change the knobs that the plan says help what is missed, by as much as
              is thought to be needed; keep what helps, and correct what is thought by what was seen

What is thought of the knobs is a table of effects on the margins; each simulation corrects it in the
direction that was tried (Broyden, Mathematics of Computation 1965). A procedure is a generator of designs
that is sent their trials: no chance, no clock, so it does the same again when it sees the same again.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from acs_gym.design import Design
from acs_gym.specs import Spec
from acs_gym.task import Task
from agents.scripted.gm_id import efficiency_slope
from agents.scripted.notebook import Point
from agents.scripted.plans import Plan
from agents.scripted.sizing import Calibration, Sizing

Vector = NDArray[np.float64]

# Sizing again changes nothing worth a simulation when no parameter moves by more than this.
_SETTLED = 0.15
_LOOKS = 3
# Margin aimed at: some of the largest shortfall, within limits.
_RESERVE_SHARE, _LEAST_RESERVE, _MOST_RESERVE = 0.3, 0.005, 0.03
_FIRST_STEP, _LARGEST_STEP, _SMALLEST_STEP = 0.3, 0.8, 0.03
# The shortfall that it is worth closing with one e-fold of a knob.
_STEP_PENALTY = 0.05
_PROBE = 0.25
# Margins are only compared up to here: a dead circuit is dead.
_WORST = 4.0
# Proposals in a row that were simulated before, and simulations without a better one, before giving up.
_REPEATS_ALLOWED = 60
_PATIENCE = 120
_DECIBELS = 20.0 / math.log(10.0)


@dataclass(frozen=True, slots=True)
class Trial:
    """A design and what was seen of it."""

    design: Design
    margins: Mapping[str, float]
    score: float
    points: Mapping[str, Point]


Procedure = Generator[Design, Trial, None]


def size_by_hand(task: Task, plan: Plan) -> Procedure:
    """The procedure. Raises ValueError for a plan of another circuit."""
    return _size(Sizing(task, plan))


def _size(sizing: Sizing) -> Procedure:
    trials: list[Trial] = []
    wanted, calibration = dict(sizing.start), Calibration()
    design = sizing.design(wanted, calibration)
    for _ in range(_LOOKS):
        trial = yield design
        trials.append(trial)
        calibration = sizing.calibrate(design, trial.points, calibration)
        wanted = sizing.relieved(wanted, trial.points)
        again = sizing.design(wanted, calibration)
        moves = [sizing.coordinate(n, again[n]) - sizing.coordinate(n, design[n]) for n in design]
        if max(map(abs, moves)) < _SETTLED:
            break
        design = again
    yield from _adjust(sizing, trials, calibration)


def _adjust(sizing: Sizing, trials: list[Trial], calibration: Calibration) -> Procedure:
    specs = tuple(sizing.task.specs)
    names = _moving_knobs(sizing)
    best = max(trials, key=_rank)
    base = _Base.of(sizing, best, calibration)
    table = _table(sizing, specs, names, base)
    tried = {tuple(t.design.values()) for t in trials}
    evidence = np.zeros(len(names))
    step, repeats, stale = _FIRST_STEP, 0, 0
    while repeats < _REPEATS_ALLOWED and stale < _PATIENCE:
        change = _best_change(table, specs, names, base, best, step)
        design = base.moved(names, change)
        if tuple(design.values()) in tried:
            change = change + _probe(evidence, table, specs, best, repeats)
            design = base.moved(names, change)
            evidence[int(np.argmin(evidence))] += 1e-3
            step = max(step * 0.7, _SMALLEST_STEP)
        if tuple(design.values()) in tried:
            repeats += 1
            continue
        trial = yield design
        tried.add(tuple(design.values()))
        repeats, stale = 0, stale + 1
        moved = base.change_to(names, design)
        evidence += np.abs(moved)
        table = _corrected(table, moved, _margins(specs, trial) - _margins(specs, best))
        if _rank(trial) > _rank(best):
            best, stale = trial, 0
            calibration = sizing.calibrate(design, trial.points, base.calibration)
            base = _Base.of(sizing, best, calibration)
            step = min(step * 1.3, _LARGEST_STEP)
        else:
            step *= 0.5
            if step < _SMALLEST_STEP:
                step = _FIRST_STEP


@dataclass(frozen=True, slots=True)
class _Base:
    """The best design so far, as knobs."""

    sizing: Sizing
    knobs: Mapping[str, float]
    calibration: Calibration

    @classmethod
    def of(cls, sizing: Sizing, trial: Trial, calibration: Calibration) -> _Base:
        return cls(sizing, sizing.knobs(trial.design, calibration), calibration)

    def moved(self, names: Sequence[str], change: Vector) -> Design:
        knobs = dict(self.knobs)
        for name, amount in zip(names, change, strict=True):
            here = self.sizing.coordinate(name, knobs[name])
            knobs[name] = self.sizing.value(name, here + float(amount))
        return self.sizing.design(knobs, self.calibration)

    def change_to(self, names: Sequence[str], design: Design) -> Vector:
        """What a design is as a change of the knobs: after grids and ranges."""
        knobs = self.sizing.knobs(design, self.calibration)
        where = self.sizing.coordinate
        return np.array([where(n, knobs[n]) - where(n, self.knobs[n]) for n in names])

    def room(self, names: Sequence[str], step: float) -> tuple[Vector, Vector]:
        """The lowest and the highest change of each knob: `step`, or what its range leaves."""
        here = np.array([self.sizing.coordinate(n, self.knobs[n]) for n in names])
        limits = np.array([self.sizing.limits(n) for n in names]).reshape(-1, 2)
        # Never empty: the solver wants an inside.
        return (
            np.minimum(np.maximum(limits[:, 0] - here, -step), -1e-9),
            np.maximum(np.minimum(limits[:, 1] - here, step), 1e-9),
        )


def _rank(trial: Trial) -> tuple[float, float]:
    return trial.score, sum(min(_bounded(m), 0.0) for m in trial.margins.values())


def _moving_knobs(sizing: Sizing) -> tuple[str, ...]:
    """The knobs that the plan says move something."""
    named = {knob for effects in sizing.plan.effects.values() for knob in effects}
    parts = {k.removeprefix("gm_id_") for k in named} | {k.removeprefix("w_") for k in named}
    return tuple(n for n in sizing.start if n in named or n.removeprefix("ic_") in parts)


def _table(sizing: Sizing, specs: Sequence[Spec], names: Sequence[str], base: _Base) -> Vector:
    """Change of each spec's margin per factor e of each knob, as the plan has it."""
    table = np.zeros((len(specs), len(names)))
    for row, spec in enumerate(specs):
        effects = sizing.plan.effects.get(spec.metric, {})
        sign = 1.0 if spec.direction == ">=" else -1.0
        if spec.tolerance is not None:
            sign *= (_DECIBELS if spec.unit == "dB" else 1.0) / spec.tolerance
        for column, name in enumerate(names):
            effect = effects.get(name, 0.0)
            if part := sizing.part_of(name):
                effect = effects.get("gm_id_" + part, 0.0) * efficiency_slope(base.knobs[name])
                effect -= effects.get("w_" + part, 0.0)
            table[row, column] = sign * effect
    return table


def _best_change(
    table: Vector,
    specs: Sequence[Spec],
    names: Sequence[str],
    base: _Base,
    best: Trial,
    step: float,
) -> Vector:
    """The change of the knobs, each at most `step`, that is thought to serve the specs best.

    Least squares over the shortfalls; what a spec has to spare is a slack variable >= 0.
    """
    margins = _margins(specs, best)
    measured = np.isfinite(margins)
    table, margins = table[measured], margins[measured]
    weights = np.sqrt([s.weight for s, m in zip(specs, measured, strict=True) if m])
    count, knobs = table.shape
    if not count:
        return np.zeros(knobs)
    reserve = min(max(-_RESERVE_SHARE * margins.min(), _LEAST_RESERVE), _MOST_RESERVE)
    system = np.block(
        [
            [weights[:, None] * table, -np.diag(weights)],
            [_STEP_PENALTY * np.eye(knobs), np.zeros((knobs, count))],
        ]
    )
    aim = np.concatenate([weights * (reserve - margins), np.zeros(knobs)])
    low, high = base.room(names, step)
    lower = np.concatenate([low, np.zeros(count)])
    upper = np.concatenate([high, np.full(count, np.inf)])
    found = lsq_linear(system, aim, bounds=(lower, upper), method="bvls")
    return np.asarray(found.x[:knobs])


def _probe(
    evidence: Vector, table: Vector, specs: Sequence[Spec], best: Trial, count: int
) -> Vector:
    """A change of the knob that least is known of, in the direction thought to be the better one."""
    column = int(np.argmin(evidence))
    shortfall = np.nan_to_num(np.minimum(_margins(specs, best), 0.0))
    better = -float(shortfall @ table[:, column])
    change = np.zeros(len(evidence))
    change[column] = math.copysign(_PROBE * (1 + count // 10), better or 1.0) * (-1) ** (count % 2)
    return change


def _corrected(table: Vector, change: Vector, seen: Vector) -> Vector:
    """The table after a change of the knobs gave a change of the margins; NaN says nothing."""
    length = float(change @ change)
    if length < 1e-12:
        return table
    surprise = np.nan_to_num(seen - table @ change)
    return np.asarray(table + np.outer(surprise, change) / length)


def _margins(specs: Sequence[Spec], trial: Trial) -> Vector:
    return np.array([_bounded(trial.margins[s.metric], math.nan) for s in specs])


def _bounded(margin: float, unmeasured: float = -_WORST) -> float:
    return unmeasured if math.isnan(margin) else min(max(margin, -_WORST), _WORST)
