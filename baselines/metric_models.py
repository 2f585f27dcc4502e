"""One Gaussian process a spec, for methods that look at the metrics.

What is modelled is the bilog of the spec's margin, dimensionless and with its zero at the target; so
scores and feasibility are known functions of the models and need none of their own. A spec is learnt
from the designs in which it was measured. Where some design had an unmeasured spec, one more process
learns 1 where all were measured and 0 elsewhere: the chance that a design works at all, which is one
more constraint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.bayesian import scores, units
from baselines.failures import Observation
from baselines.gaussian_process import VANILLA, GaussianProcesses, Prior
from baselines.levels import Levels

# Width of the edge of being measured, a step of 1: a sharp one would leave an optimiser without a slope.
EDGE = 0.02
_LEAST_OBSERVATIONS = 2
_MEASURED = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class MetricModels:
    """Fitted processes. Samples of them have shape (..., m).

    Attributes:
        specs: those modelled, the first of the processes in this order; a spec that was hardly
            ever measured is not modelled, and counts as missed.
        fallible: whether the next process is that of being measured.
        processes: these, and the score's as the last where it was asked for.
    """

    specs: tuple[str, ...]
    fallible: bool
    processes: GaussianProcesses

    def slacks(self, samples: Tensor) -> Tensor:
        """At least 0 where a constraint holds: bilog margins, then `measured` less a half."""
        k = len(self.specs)
        return torch.cat(
            [samples[..., :k], samples[..., k : k + self.fallible] - _MEASURED], dim=-1
        )

    def constraints(self) -> list[Callable[[Tensor], Tensor]]:
        """Functions of samples, at most 0 where the constraint holds, as BoTorch wants them."""
        specs = [lambda samples, k=k: -samples[..., k] for k in range(len(self.specs))]
        return [*specs, *self.measured()]

    def measured(self) -> list[Callable[[Tensor], Tensor]]:
        """The constraint of being measured; none where nothing has failed."""
        k = len(self.specs)
        return [lambda samples: _MEASURED - samples[..., k]] if self.fallible else []

    def score(self, samples: Tensor, weights: Mapping[str, float], specs: Sequence[str]) -> Tensor:
        """The score that the sampled margins give, shape (...): exact, since it is known.

        `specs` are all of the task's, of which those without a model count as missed.
        """
        weight = torch.tensor([weights.get(s, 1.0) for s in self.specs], dtype=samples.dtype)
        total = sum(weights.get(s, 1.0) for s in specs)
        satisfaction = samples[..., : len(self.specs)].clamp(max=0.0).exp()
        return (satisfaction * weight).sum(dim=-1) / total


def fit_metrics(
    observations: Sequence[Observation],
    levels: Sequence[Levels],
    *,
    prior: Prior = VANILLA,
    with_score: bool = False,
) -> MetricModels | None:
    """Models of every spec measured at least twice; None where there is no such spec."""
    specs = tuple(
        spec
        for spec in all_specs(observations)
        if sum(spec in o.margins for o in observations) >= _LEAST_OBSERVATIONS
    )
    if not specs:
        return None
    rows = [[o.margins.get(spec, math.nan) for spec in specs] for o in observations]
    columns = [torch.tensor(rows, dtype=torch.float64)]
    measured = torch.tensor([[float(o.measured)] for o in observations], dtype=torch.float64)
    fallible = not bool(measured.all())
    if fallible:
        columns.append(measured)
    if with_score:
        columns.append(scores(observations)[:, None])
    values = torch.cat(columns, dim=1)
    return MetricModels(
        specs, fallible, GaussianProcesses(units(observations), values, levels, prior)
    )


def all_specs(observations: Sequence[Observation]) -> tuple[str, ...]:
    """Every spec that was named, in order of appearance."""
    return tuple(dict.fromkeys(s for o in observations for s in o.specs))
