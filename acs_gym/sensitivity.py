"""What each spec gains or loses by each size, around one design; and which sizes are worth touching next.

Central differences on the simulator, two simulations a parameter, all in one batch. Changes are of
margins, which have no unit and are met from 0, so that a hertz and a decibel can stand side by side.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acs_gym.design import Design, DesignSpace, Parameter
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Simulator
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.specs import Judgement
from acs_gym.task import Task

# Small enough for a tangent, and far above what a simulation is repeatable to.
_APART = 0.02
# What a change is told for: a step that a designer would take.
STEP = 0.05
# A change of a margin that no target would be moved for.
NOTHING = 0.0005


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """One parameter.

    Attributes:
        parameter: its name; step: what the changes are told for, `+5 %` or `+1`.
        margins: metric -> change of its spec's margin for that step; NaN where it was not measured.
        share: of that step that is as large as the other sizes' own. A count goes up by 1, which is a
            third of 3 and no 5 %; compared as it is, it would outweigh every width and length.
    """

    parameter: str
    step: str
    margins: dict[str, float]
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A step that should help: the least margin before and, to first order, after."""

    parameter: str
    step: str
    metric: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two specs that pull the sizes apart: most of what helps one hurts the other.

    Attributes:
        metrics: the two.
        correlation: of their changes over all sizes, -1 (opposed in each) to 0.
        parameter, step: the step that hurts the second most while it helps the first.
        gain, loss: what that step does to the two margins; gain > 0 > loss.
    """

    metrics: tuple[str, str]
    correlation: float
    parameter: str
    step: str
    gain: float
    loss: float

    @property
    def words(self) -> str:
        """The same as a sentence."""
        first, second = self.metrics
        return (
            f"{first} and {second} fight (correlation {self.correlation:+.2f}): {self.parameter} "
            f"{self.step} changes the margin of {first} by {self.gain:+.3f}, that of {second} by "
            f"{self.loss:+.3f}"
        )


def sensitivities(
    task: Task,
    design: Mapping[str, float],
    simulator: Simulator | None = None,
    *,
    condition: int = 0,
) -> tuple[Sensitivity, ...]:
    """Of every parameter, at one condition of the task's tier and at its targets. Charged to nobody.

    condition: its number in the tier; the first is nominal.

    Raises InvalidDesign, SimulatorNotFound.
    """
    canonical = task.space.canonicalize(design)
    pairs = {p.name: _neighbours(task.space, canonical, p) for p in task.space}
    ends = [end for pair in pairs.values() for end in pair]
    outcomes = iter(simulate_uncharged([task.job(end, condition) for end in ends], simulator))
    found = []
    for parameter in task.space:
        low, high = pairs[parameter.name]
        before, after = (_judged(task, next(outcomes)) for _ in (low, high))
        moved = _steps(parameter, low[parameter.name], high[parameter.name])
        found.append(
            Sensitivity(
                parameter.name,
                _step_text(parameter),
                {
                    m: (after.margins[m] - before.margins[m]) / moved if moved else math.nan
                    for m in task.specs.metrics
                },
                _share(parameter, low[parameter.name], high[parameter.name]),
            )
        )
    return tuple(found)


def _judged(task: Task, outcome: Outcome) -> Judgement:
    """Its margins; NaN where the simulation failed."""
    return task.specs.judge(outcome.metrics if outcome.status is Status.OK else {})


def suggestions(
    margins: Mapping[str, float], found: Sequence[Sensitivity], most: int = 3
) -> tuple[Suggestion, ...]:
    """The steps that raise the least margin most, one a parameter, best first.

    To first order, at the conditions that the sensitivities were measured at; where a step makes
    another margin the least, that one counts.
    """
    metric = min(margins, key=lambda m: _or_least(margins[m]))
    now = margins[metric]
    steps = []
    for one in found:
        for sign in (1.0, -1.0):
            after = min(_or_least(value + sign * one.margins[m]) for m, value in margins.items())
            if math.isfinite(after) and after > now:
                text = one.step if sign > 0 else one.step.replace("+", "−")
                steps.append(Suggestion(one.parameter, text, metric, now, after))
    return tuple(sorted(steps, key=lambda s: -s.after)[:most])


def conflicts(found: Sequence[Sensitivity], least: float = -0.5) -> tuple[Conflict, ...]:
    """The pairs of specs whose changes are correlated below `least`, worst first.

    The correlation is the cosine between their changes for a step of each size, all of one relative
    length: 1 where every size helps both alike, 0 where other sizes move them. Changes below `NOTHING`
    for a size's own step are none; a spec that was not measured, or that nothing moves, is in no
    conflict.
    """
    metrics = list(found[0].margins) if found else []
    changes = {
        m: [0.0 if abs(one.margins[m]) < NOTHING else one.share * one.margins[m] for one in found]
        for m in metrics
    }
    moved = [m for m in metrics if all(map(math.isfinite, changes[m])) and any(changes[m])]
    pairs = []
    for first, second in itertools.combinations(moved, 2):
        a, b = changes[first], changes[second]
        correlation = _product(a, b) / math.sqrt(_product(a, a) * _product(b, b))
        if correlation >= least:
            continue
        k = min(range(len(found)), key=lambda k: a[k] * b[k])
        sign = math.copysign(1.0, a[k])
        step = found[k].step if sign > 0 else found[k].step.replace("+", "−")
        pairs.append(
            Conflict(
                (first, second),
                correlation,
                found[k].parameter,
                step,
                sign * found[k].margins[first],
                sign * found[k].margins[second],
            )
        )
    return tuple(sorted(pairs, key=lambda c: c.correlation))


def _neighbours(space: DesignSpace, design: Design, parameter: Parameter) -> tuple[Design, Design]:
    """The design with one parameter a little lower and a little higher, within its range."""
    value = design[parameter.name]
    if parameter.integer:
        shift = 1.0
    elif parameter.scale == "log":
        shift = _APART * value
    else:
        shift = _APART * (parameter.high - parameter.low)
    if parameter.step:
        shift = max(shift, parameter.step)
    ends = (max(parameter.low, value - shift), min(parameter.high, value + shift))
    low, high = (space.canonicalize({**design, parameter.name: end}) for end in ends)
    return low, high


def _steps(parameter: Parameter, low: float, high: float) -> float:
    """How many of the steps that changes are told for lie between two values."""
    if parameter.integer:
        return high - low
    if parameter.scale == "log":
        return math.log(high / low) / math.log(1.0 + STEP)
    return (high - low) / (STEP * (parameter.high - parameter.low))


def _share(parameter: Parameter, low: float, high: float) -> float:
    """The part of a step of 1 that is `STEP` of a count; 1 for what steps by `STEP` anyway."""
    if not parameter.integer or low == high:
        return 1.0
    if low <= 0.0:  # No share of 0: of the range, as for what has a linear scale.
        return STEP * (parameter.high - parameter.low)
    return (high - low) * math.log(1.0 + STEP) / math.log(high / low)


def _product(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def _step_text(parameter: Parameter) -> str:
    if parameter.integer:
        return "+1"
    return (
        f"+{100 * STEP:.0f} %" if parameter.scale == "log" else f"+{100 * STEP:.0f} % of its range"
    )


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
