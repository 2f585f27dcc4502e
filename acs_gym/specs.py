"""What is wanted: specs with a direction, a target and a scale; margins, satisfaction and score.

    margin        dimensionless distance to the target, positive when met: ln(value/target) for
                  ratio metrics, (value - target)/tolerance for signed ones (dB, degrees, volts);
                  a `within` spec judges the magnitude of its metric
    satisfaction  1 when met, 1/(1 - margin) when not, 0 when the metric could not be measured
    score         the weighted mean of the satisfactions, in [0, 1]
    feasible      every spec met

The hyperbola is deliberate: an exponential is flat (1e-3) for a circuit that misses by 80 dB, and
an optimiser that starts there sees nothing. Both margins carry their own scale, so writing a
target in MHz or Hz never changes which spec is the worst. Pure functions; knows no simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from acs_gym.units import format_si
from acs_gym.wording import did_you_mean

Direction = Literal[">=", "<=", "within"]


class InvalidSpec(ValueError):
    """A spec or a set of targets that makes no sense; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One requirement on one metric.

    Args:
        metric: name of a metric of the circuit.
        direction: `>=`, `<=`, or `within`: `|value| <= target`, for what is best at zero (offset).
        target: in the metric's unit.
        tolerance: shortfall (in the metric's unit) that counts as one unit of margin, for metrics
            that are already logarithmic or may change sign; None compares in the logarithm.
        weight: share in the score, relative to the other specs.
        fixed: the target is a matter of validity, not of taste: sampled targets keep it.
    """

    metric: str
    direction: Direction
    target: float
    tolerance: float | None = None
    weight: float = 1.0
    unit: str = ""
    fixed: bool = False

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            allowed = ", ".join(map(repr, get_args(Direction)))
            raise InvalidSpec(
                f"spec {self.metric}: direction is {self.direction!r}; use one of: {allowed}"
            )
        if not math.isfinite(self.target):
            raise InvalidSpec(f"spec {self.metric}: target {self.target} is not finite")
        if self.direction == "within" and self.target < 0:
            raise InvalidSpec(f"spec {self.metric}: nothing is within {self.target} of zero")
        if self.tolerance is None and self.target <= 0:
            raise InvalidSpec(
                f"spec {self.metric}: target {self.target} compares as a ratio and must be positive; "
                "give a tolerance to compare differences"
            )
        if self.tolerance is not None and not 0 < self.tolerance < math.inf:
            raise InvalidSpec(f"spec {self.metric}: tolerance {self.tolerance} must be positive")
        if not 0 < self.weight < math.inf:
            raise InvalidSpec(f"spec {self.metric}: weight {self.weight} must be positive")

    def margin(self, value: float) -> float:
        """Dimensionless distance to the target, >= 0 exactly when met; NaN for an unmeasured value."""
        sign = 1.0 if self.direction == ">=" else -1.0
        if math.isnan(value):
            return math.nan
        if self.direction == "within":
            value = abs(value)
        if self.tolerance is not None:
            return sign * (value - self.target) / self.tolerance
        ratio = value / self.target
        if ratio <= 0:  # Vanished, or too small for a float: infinitely far below any target.
            return -sign * math.inf
        # `0.0 +` because a spec met exactly must not print as -0.
        return 0.0 + sign * math.log(ratio)

    def headroom(self, value: float) -> float:
        """Distance to the target as a share of it, >= 0 when met: what a designer keeps in reserve.

        Of the tolerance where the target is zero; NaN for an unmeasured value.
        """
        if self.direction == "within":
            value = abs(value)
        scale = abs(self.target) or self.tolerance or math.nan
        return (1.0 if self.direction == ">=" else -1.0) * (value - self.target) / scale

    def satisfaction(self, value: float) -> float:
        return _satisfaction(self.margin(value))

    def text(self) -> str:
        return direction_text(self.direction, self.target, self.unit)


def direction_text(direction: str, target: float, unit: str) -> str:
    """`≥ 60 dB`, `≤ 250 uW`, `within ±5 mV`."""
    sign = {">=": "≥ ", "<=": "≤ ", "within": "within ±"}[direction]
    return sign + format_si(target, unit)


def _satisfaction(margin: float) -> float:
    if math.isnan(margin) or margin == -math.inf:
        return 0.0
    return 1.0 if margin >= 0 else 1.0 / (1.0 - margin)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a spec sheet says of a set of metrics."""

    margins: dict[str, float]
    satisfaction: dict[str, float]
    score: float
    feasible: bool


@dataclass(frozen=True, slots=True)
class SpecSheet:
    """The specs of a task, at most one a metric."""

    specs: tuple[Spec, ...]

    def __post_init__(self) -> None:
        metrics = [s.metric for s in self.specs]
        if not metrics:
            raise InvalidSpec("a spec sheet needs at least one spec")
        if twice := {m for m in metrics if metrics.count(m) > 1}:
            raise InvalidSpec(f"two specs on one metric: {', '.join(sorted(twice))}")

    def __len__(self) -> int:
        return len(self.specs)

    def __iter__(self) -> Iterator[Spec]:
        return iter(self.specs)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(s.metric for s in self.specs)

    @property
    def targets(self) -> dict[str, float]:
        return {s.metric: s.target for s in self.specs}

    def judge(self, metrics: Mapping[str, float]) -> Judgement:
        """Margins, satisfactions, score and feasibility; a missing metric counts as unmeasured."""
        margins = {s.metric: s.margin(metrics.get(s.metric, math.nan)) for s in self.specs}
        satisfaction = {metric: _satisfaction(margin) for metric, margin in margins.items()}
        total = math.fsum(s.weight for s in self.specs)
        feasible = all(value == 1.0 for value in satisfaction.values())
        score = math.fsum(s.weight * satisfaction[s.metric] for s in self.specs) / total
        return Judgement(
            margins=margins,
            satisfaction=satisfaction,
            # Exactly 1 when feasible: a rounding error must not separate two perfect designs.
            score=1.0 if feasible else min(score, math.nextafter(1.0, 0.0)),
            feasible=feasible,
        )

    def with_targets(self, targets: Mapping[str, float]) -> SpecSheet:
        """The same sheet with some targets replaced; InvalidSpec on an unknown metric."""
        for name, value in targets.items():
            if name not in self.metrics:
                hint = did_you_mean(name, self.metrics)
                raise InvalidSpec(f"no spec on {name!r}; {hint}specs: {', '.join(self.metrics)}")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InvalidSpec(f"target of {name} is {value!r}, not a number")
        return SpecSheet(
            tuple(replace(s, target=float(targets.get(s.metric, s.target))) for s in self.specs)
        )
