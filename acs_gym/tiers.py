"""Under which conditions a design is simulated, and what the results together say of it.

    tt     one condition: typical models, nominal supply, 27 °C
    pvt    corners ss ff sf fs × supply −10/+10 % × −40/27/125 °C, and nominal: 25 conditions; for a
           circuit with resistors or capacitors, × these low/high at the two extreme temperatures:
           73 conditions; the worst case of each metric counts
    mc     N seeded mismatch draws (Pelgrom) at nominal; the three-sigma value of each metric counts

Little is ever worst between the extremes but for a rejection, a difference of what cancels, which may
be at 27 °C; what all 225 combinations would find, `python benchmarks/conditions.py` says.

A design costs one simulation per condition. Pure: conditions and outcomes in, one outcome out; which
process simulates them is decided elsewhere.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from acs_gym.evaluation import Spread, Status
from acs_gym.simulation.engine import Outcome
from acs_gym.specs import SpecSheet
from acs_gym.wording import did_you_mean

TierKind = Literal["tt", "pvt", "mc"]
TIERS: tuple[TierKind, ...] = get_args(TierKind)
SUPPLIES = (0.9, 1.1)
EXTREMES, MIDDLE = (-40.0, 125.0), 27.0
DEFAULT_DRAWS = 32
_MOST_DRAWS = 10_000
# Worst first, by what usually hurts an amplifier: little headroom and slow devices, then leakage
# and speed. It only matters to those who stop at the first failing condition.
_SKEWED = ("ss", "ff", "sf", "fs")
_SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One simulation's circumstances.

    Attributes:
        name: e.g. `ss/-10%/125C`, `draw 7`.
        corner: of the PDK's models.
        supply: factor on the nominal supply.
        temperature: °C, or None for the circuit's nominal one.
        draw: number of the mismatch draw, or None for none.
    """

    name: str
    corner: str = "tt"
    supply: float = 1.0
    temperature: float | None = None
    draw: int | None = None

    def overrides(self, nominal: Mapping[str, float]) -> dict[str, float]:
        """What changes in the circuit's named conditions."""
        changed: dict[str, float] = {}
        if self.supply != 1.0 and "vdd" in nominal:
            changed["vdd"] = nominal["vdd"] * self.supply
        if self.temperature is not None:
            changed["temperature"] = self.temperature
        return changed

    def mismatch(self, devices: Sequence[str]) -> dict[str, float]:
        """Standard normal draws, one a device: the same for every design, so that designs compare.

        Each depends on the draw and the device's own name only; adding a device to a circuit
        changes no other device's luck.
        """
        if self.draw is None:
            return {}
        return {
            d: float(np.random.default_rng((self.draw, zlib.crc32(d.encode()))).standard_normal())
            for d in devices
        }


@dataclass(frozen=True, slots=True)
class Tier:
    """A named set of conditions and how their outcomes are combined."""

    name: str
    conditions: tuple[Condition, ...]
    nominal: int = field(default=0)

    @property
    def kind(self) -> TierKind:
        """`mc` for any number of draws; otherwise the name."""
        return "mc" if self.conditions[0].draw is not None else cast(TierKind, self.name)

    @property
    def cost(self) -> int:
        return len(self.conditions)

    def numbers(self, names: Sequence[str] | None) -> tuple[int, ...]:
        """The numbers of the conditions of these names, in the tier's order; of all for None.

        Raises ValueError for a name that it has not, one that stands there twice, and for none.
        """
        if names is None:
            return tuple(range(len(self.conditions)))
        known = {condition.name: k for k, condition in enumerate(self.conditions)}
        if isinstance(names, str) or not names:
            raise ValueError(
                f"conditions are a list of names of tier {self.name}, got {names!r}; "
                "leave it out for all of them"
            )
        if strange := [name for name in names if name not in known]:
            hint = did_you_mean(strange[0], known, "did you mean {!r}? ")
            raise ValueError(
                f"tier {self.name} has no condition {strange[0]!r}; {hint}"
                f"they are named from {self.conditions[0].name!r} to {self.conditions[-1].name!r}"
            )
        found = sorted({known[name] for name in names})
        if len(found) < len(names):
            raise ValueError(f"a condition is named twice in {list(names)!r}")
        return tuple(found)

    def combine(self, outcomes: Mapping[int, Outcome], specs: SpecSheet) -> tuple[Outcome, Spread]:
        """One outcome from those of some conditions, by number, and what lies behind it.

        A condition that failed fails the whole: its status and message are the outcome's.
        """
        if len(self.conditions) == 1:
            return outcomes[0], Spread()
        for k, outcome in sorted(outcomes.items()):
            if outcome.status not in (Status.OK, Status.MEASURE_FAILED):
                message = f"{self.conditions[k].name}: {outcome.message}"
                return Outcome(outcome.status, dict(outcome.metrics), message), Spread()
        numbers = sorted(outcomes)
        conditions = [self.conditions[k] for k in numbers]
        simulated = [outcomes[k] for k in numbers]
        if self.conditions[0].draw is not None:
            return _three_sigma(conditions, simulated, specs)
        typical = outcomes.get(self.nominal, simulated[0])
        return _worst_case(conditions, typical, simulated, specs)


def _worst_case(
    conditions: Sequence[Condition],
    typical: Outcome,
    outcomes: Sequence[Outcome],
    specs: SpecSheet,
) -> tuple[Outcome, Spread]:
    """Spec'd metrics at their own worst condition, the others as in the typical outcome."""
    metrics = dict(typical.metrics)
    worst_at: dict[str, str] = {}
    for spec in specs:
        values = [o.metrics.get(spec.metric, math.nan) for o in outcomes]
        # NaN is worse than any number: a metric that does not exist somewhere is met nowhere.
        worst = min(range(len(values)), key=lambda k: _badness(spec.margin(values[k])))
        metrics[spec.metric] = values[worst]
        worst_at[spec.metric] = conditions[worst].name
    return _combined(metrics, outcomes, conditions), Spread(worst_at=worst_at)


def _badness(margin: float) -> float:
    return -math.inf if math.isnan(margin) else margin


def _three_sigma(
    conditions: Sequence[Condition], outcomes: Sequence[Outcome], specs: SpecSheet
) -> tuple[Outcome, Spread]:
    """Mean minus (or plus) three sigma of each spec'd metric; the others at their mean."""
    names = list(outcomes[0].metrics)
    table = np.array([[o.metrics.get(n, math.nan) for n in names] for o in outcomes])
    mean = dict(zip(names, _numbers(table.mean(axis=0)), strict=True))
    deviation = table.std(axis=0, ddof=1) if len(outcomes) > 1 else np.zeros(len(names))
    sigma = dict(zip(names, _numbers(deviation), strict=True))
    metrics = dict(mean)
    for spec in specs:
        middle, spread_out = mean[spec.metric], _SIGMAS * sigma[spec.metric]
        match spec.direction:
            case ">=":
                metrics[spec.metric] = middle - spread_out
            case "<=":
                metrics[spec.metric] = middle + spread_out
            case "within":  # Away from zero, on the side it is already on.
                metrics[spec.metric] = middle + math.copysign(spread_out, middle)
    met = sum(specs.judge(o.metrics).feasible for o in outcomes)
    spread = Spread(mean=mean, sigma=sigma, yield_fraction=met / len(outcomes))
    return _combined(metrics, outcomes, conditions), spread


def _numbers(values: NDArray[np.float64]) -> list[float]:
    """With one NaN object, so that equal spreads compare equal as equal evaluations do."""
    return [math.nan if math.isnan(v) else v for v in values.tolist()]


def _combined(
    metrics: dict[str, float], outcomes: Sequence[Outcome], conditions: Sequence[Condition]
) -> Outcome:
    failed = [k for k, o in enumerate(outcomes) if o.status is Status.MEASURE_FAILED]
    if not failed:
        return Outcome(Status.OK, metrics)
    first = failed[0]
    message = f"{conditions[first].name}: {outcomes[first].message}"
    if len(failed) > 1:
        message += f" (and at {len(failed) - 1} more conditions)"
    return Outcome(Status.MEASURE_FAILED, metrics, message)


def _at(corner: str, supply: float, temperature: float) -> Condition:
    name = f"{corner}/{100 * (supply - 1):+.0f}%/{temperature:g}C"
    return Condition(name, corner, supply, temperature)


@lru_cache(maxsize=64)
def get_tier(name: str, passives: tuple[str, ...] = ()) -> Tier:
    """The tier called `tt`, `pvt`, `mc` or `mcN`. Raises ValueError naming what is allowed.

    Args:
        passives: the corners of its resistors and capacitors, for a circuit that has any.
    """
    if name == "tt":
        return Tier("tt", (Condition("nominal"),))
    if name == "pvt":
        skewed = [f"{fets}_{rc}" if rc else fets for fets in _SKEWED for rc in passives or ("",)]
        conditions = (
            *(_at(corner, supply, t) for corner in skewed for supply in SUPPLIES for t in EXTREMES),
            *(_at(corner, supply, MIDDLE) for corner in _SKEWED for supply in SUPPLIES),
            _at("tt", 1.0, MIDDLE),
        )
        return Tier("pvt", conditions, len(conditions) - 1)
    if match := re.fullmatch(r"mc(\d*)", name):
        draws = int(match[1] or DEFAULT_DRAWS)
        if 2 <= draws <= _MOST_DRAWS:
            return Tier(name, tuple(Condition(f"draw {k}", draw=k) for k in range(draws)))
        raise ValueError(f"tier {name!r}: mismatch draws are 2 to {_MOST_DRAWS}, got {draws}")
    raise ValueError(f"no tier called {name!r}; tiers: tt, pvt, mc (or mcN for N mismatch draws)")
