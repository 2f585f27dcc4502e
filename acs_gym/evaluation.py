"""What one simulated design gave. A failed simulation is a value here, never an exception."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from acs_gym.specs import SpecSheet


class Status(StrEnum):
    """How a simulation ended.

    `ok`: every metric was measured. `measure_failed`: it ran, but at least one metric does not
    exist for this circuit (no 0 dB crossing, output railed); the others stand. `nonconverged`:
    ngspice found no solution. `timeout`: it hit the step cap or the wall-clock deadline.
    `invalid_design`: refused before simulation. `infra_error`: our fault, not the design's.
    """

    OK = "ok"
    NONCONVERGED = "nonconverged"
    MEASURE_FAILED = "measure_failed"
    TIMEOUT = "timeout"
    INVALID_DESIGN = "invalid_design"
    INFRA_ERROR = "infra_error"


@dataclass(frozen=True, slots=True)
class Spread:
    """What lies behind an evaluation at several conditions; empty for a single one.

    Attributes:
        worst_at: `pvt`: spec'd metric -> name of the condition that was worst for it.
        mean, sigma: `mc`: per metric, over the draws (sigma with n - 1).
        yield_fraction: `mc`: share of the draws that meet every spec; None otherwise.
    """

    worst_at: Mapping[str, str] = field(default_factory=dict)
    mean: Mapping[str, float] = field(default_factory=dict)
    sigma: Mapping[str, float] = field(default_factory=dict)
    yield_fraction: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "worst_at": dict(self.worst_at),
            "mean": _nulls(self.mean),
            "sigma": _nulls(self.sigma),
            "yield_fraction": self.yield_fraction,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spread:
        share = data["yield_fraction"]
        return cls(
            worst_at={str(k): str(v) for k, v in data["worst_at"].items()},
            mean=_numbers(data["mean"]),
            sigma=_numbers(data["sigma"]),
            yield_fraction=None if share is None else float(share),
        )


_NO_SPREAD = Spread()


@dataclass(frozen=True, slots=True)
class AtCondition:
    """A design at one condition of a tier, judged as if that were the only one.

    The attributes are those of an `Evaluation`. Which corner, supply, temperature or draw the
    condition is, its `Condition` says: those of a task are `task.conditions.conditions`.
    """

    status: Status
    metrics: Mapping[str, float]
    margins: Mapping[str, float]
    score: float
    feasible: bool
    message: str = ""

    @classmethod
    def judged(
        cls, status: Status, metrics: Mapping[str, float], specs: SpecSheet, message: str = ""
    ) -> AtCondition:
        """What `specs` make of one condition's metrics; nothing measured counts when it failed."""
        counted = _counted(status, metrics)
        verdict = specs.judge(counted)
        return cls(status, counted, verdict.margins, verdict.score, verdict.feasible, message)


def worst_conditions(by_condition: Mapping[str, AtCondition]) -> dict[str, str]:
    """Spec'd metric -> name of the condition with its least margin; the first of equals.

    An unmeasured metric is worse than any number, as it is for the tiers.
    """
    specs = next(iter(by_condition.values())).margins if by_condition else ()
    return {
        metric: min(by_condition, key=lambda name: _badness(by_condition[name].margins[metric]))
        for metric in specs
    }


def hardest_condition(by_condition: Mapping[str, AtCondition]) -> str:
    """The condition with the least margin of all specs; the first of equals.

    Raises ValueError where there is no condition or no spec.
    """
    return min(
        by_condition, key=lambda name: min(map(_badness, by_condition[name].margins.values()))
    )


def yield_bound(passed: int, draws: int, confidence: float = 0.95) -> float:
    """The yield that is exceeded with this confidence where so many of the draws pass.

    Clopper and Pearson (Biometrika 26, 1934), one-sided: a lower yield would give so many passes with
    a chance of less than 1 - confidence. 32 of 32 draws prove 91 %.
    """
    from scipy.special import betaincinv

    if not 0 <= passed <= draws or draws < 1:
        raise ValueError(f"{passed} of {draws} draws cannot pass")
    return float(betaincinv(passed, draws - passed + 1, 1.0 - confidence)) if passed else 0.0


def _badness(margin: float) -> float:
    return -math.inf if math.isnan(margin) else margin


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One design, judged. A pure function of (design, task, PDK, ngspice version).

    Attributes:
        design: the canonical design in SI units (or what was handed in, when it was invalid).
        metrics: every metric of the circuit in SI units; NaN where it could not be measured.
        margins: per spec, dimensionless, >= 0 when met; NaN where unmeasured.
        satisfaction: per spec, in [0, 1].
        score: weighted mean satisfaction in [0, 1]; 0 for a failed simulation. Where conditions are
            unknown, those passed and the score of those missed, as a share of all: less than 1, and
            never more for a design that passed fewer.
        feasible: every spec met, in every condition of the tier.
        cost: simulations charged (1 per condition).
        message: why the status is not `ok`; empty otherwise.
        spread: what lies behind the metrics when there was more than one condition.
        by_condition: name of the condition -> the design there, in the tier's order; failed ones
            too, all that were simulated. Every one has the same metrics. Empty for a tier of one
            condition, which this evaluation itself is, and for a design that was refused.
        unknown: conditions of the tier that were not simulated: it was asked for some only, or
            `stop_at_first_failure` stopped it.
    """

    design: Mapping[str, float]
    status: Status
    metrics: Mapping[str, float]
    margins: Mapping[str, float]
    satisfaction: Mapping[str, float]
    score: float
    feasible: bool
    cost: int = 1
    message: str = ""
    spread: Spread = field(default_factory=Spread)
    by_condition: Mapping[str, AtCondition] = field(default_factory=dict)
    unknown: int = 0

    @property
    def complete(self) -> bool:
        """Whether every condition of the tier was simulated; otherwise nothing is proved."""
        return self.unknown == 0

    @classmethod
    def judged(
        cls,
        design: Mapping[str, float],
        status: Status,
        metrics: Mapping[str, float],
        specs: SpecSheet,
        *,
        cost: int = 1,
        message: str = "",
        spread: Spread | None = None,
        by_condition: Mapping[str, AtCondition] | None = None,
        unknown: int = 0,
    ) -> Evaluation:
        """The evaluation that `specs` makes of `metrics`; nothing measured counts when it failed."""
        counted = _counted(status, metrics)
        verdict = specs.judge(counted)
        score = verdict.score
        if unknown:
            known = (by_condition or {}).values()
            passed = sum(at.feasible for at in known)
            missed = score if passed < len(known) else 0.0
            score = (passed + missed) / (len(known) + unknown)
        return cls(
            design=dict(design),
            status=status,
            metrics=counted,
            margins=verdict.margins,
            satisfaction=verdict.satisfaction,
            score=score,
            feasible=verdict.feasible and not unknown,
            cost=cost,
            message=message,
            spread=_NO_SPREAD if spread is None else spread,
            by_condition=dict(by_condition or {}),
            unknown=unknown,
        )

    def rejudged(self, specs: SpecSheet) -> Evaluation:
        """The same measurement under other targets (no simulation needed)."""
        return Evaluation.judged(
            self.design,
            self.status,
            self.metrics,
            specs,
            cost=self.cost,
            message=self.message,
            spread=self.spread,
            by_condition={
                name: AtCondition.judged(at.status, at.metrics, specs, at.message)
                for name, at in self.by_condition.items()
            },
            unknown=self.unknown,
        )

    def to_json(self, *, by_condition: bool = True) -> dict[str, Any]:
        """A JSON-able dict; NaN and infinities become None, everything else survives exactly.

        Conditions are written as one column a metric, which is short and keeps every digit;
        `by_condition=False` leaves them out, for a reader who has no use for them.
        """
        return {
            "design": dict(self.design),
            "status": str(self.status),
            "metrics": _nulls(self.metrics),
            "margins": _nulls(self.margins),
            "satisfaction": dict(self.satisfaction),
            "score": self.score,
            "feasible": self.feasible,
            "cost": self.cost,
            "message": self.message,
            **({"unknown": self.unknown} if self.unknown else {}),
            **({"spread": self.spread.to_json()} if self.spread != _NO_SPREAD else {}),
            **(
                {"by_condition": _columns(self.by_condition)}
                if by_condition and self.by_condition
                else {}
            ),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], specs: SpecSheet) -> Evaluation:
        """Rebuild from `to_json`; margins and score are judged anew, never believed.

        Raises ValueError naming the field that is missing or malformed.
        """
        try:
            metrics = _numbers(data["metrics"])
            return cls.judged(
                {str(k): float(v) for k, v in data["design"].items()},
                Status(data["status"]),
                metrics,
                specs,
                cost=int(data["cost"]),
                message=str(data.get("message", "")),
                spread=Spread.from_json(data["spread"]) if "spread" in data else None,
                by_condition=_from_columns(data.get("by_condition"), specs),
                unknown=int(data.get("unknown", 0)),
            )
        except KeyError as missing:
            raise ValueError(f"evaluation record has no field {missing}") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"evaluation record is malformed: {error}") from None


def _counted(status: Status, metrics: Mapping[str, float]) -> dict[str, float]:
    """What was measured, none of it where the simulation failed."""
    failed = status not in (Status.OK, Status.MEASURE_FAILED)
    # One NaN object, so that equal evaluations compare equal: `nan == nan` is false, but containers
    # compare by identity first.
    return {k: math.nan if failed or math.isnan(v) else v for k, v in metrics.items()}


def _columns(by_condition: Mapping[str, AtCondition]) -> dict[str, Any]:
    """Margins and scores are left out: they follow from the metrics and the specs."""
    places = by_condition.values()
    names = dict.fromkeys(name for at in places for name in at.metrics)
    return {
        "conditions": list(by_condition),
        "metrics": {n: [_null(at.metrics.get(n, math.nan)) for at in places] for n in names},
        "not_ok": {
            name: {"status": str(at.status), "message": at.message}
            for name, at in by_condition.items()
            if at.status is not Status.OK
        },
    }


def _from_columns(data: Mapping[str, Any] | None, specs: SpecSheet) -> dict[str, AtCondition]:
    if data is None:
        return {}
    conditions = [str(name) for name in data["conditions"]]
    if len(set(conditions)) < len(conditions):
        raise ValueError("evaluation record names a condition twice")
    for metric, column in data["metrics"].items():
        if len(column) != len(conditions):
            raise ValueError(
                f"evaluation record has {len(column)} values of {metric} for {len(conditions)} "
                "conditions"
            )
    if strange := [name for name in data["not_ok"] if name not in conditions]:
        raise ValueError(f"evaluation record has no condition {strange[0]!r} to be not ok")
    found = {}
    for k, name in enumerate(conditions):
        metrics = _numbers({metric: column[k] for metric, column in data["metrics"].items()})
        ended = data["not_ok"].get(name, {"status": Status.OK, "message": ""})
        status, message = Status(ended["status"]), str(ended["message"])
        found[name] = AtCondition.judged(status, metrics, specs, message)
    return found


def _null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _nulls(values: Mapping[str, float]) -> dict[str, float | None]:
    return {k: _null(v) for k, v in values.items()}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(k): math.nan if v is None else float(v) for k, v in values.items()}
