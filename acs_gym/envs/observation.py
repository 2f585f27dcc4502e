"""What a policy sees of an episode: bounded, dimensionless float32 numbers. Pure functions.

Margins rather than raw metrics, since those span fourteen decades and six units; against the fixed
targets as well as the episode's, so that what was measured reads the same whatever is asked for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from acs_gym.design import DesignSpace
from acs_gym.envs.snapshot import best_of
from acs_gym.evaluation import Evaluation
from acs_gym.specs import SpecSheet

# Margins beyond this are all the same to a policy: e^5 is a factor of 150 from the target.
MARGIN_LIMIT = 5.0

Observation = dict[str, NDArray[np.float32]]


def observation_space(n: int, k: int) -> Any:
    """The `Dict` space of `n` parameters and `k` specs; see `SizingEnv` for its entries."""

    def box(low: float, high: float, size: int) -> Box:
        return Box(low, high, (size,), np.float32)

    return Dict(
        {
            "design": box(-1.0, 1.0, n),
            "metrics": box(-MARGIN_LIMIT, MARGIN_LIMIT, k),
            "margins": box(-MARGIN_LIMIT, MARGIN_LIMIT, k),
            "targets": box(-MARGIN_LIMIT, MARGIN_LIMIT, k),
            "measured": box(0.0, 1.0, k),
            "best_score": box(0.0, 1.0, 1),
            "remaining": box(0.0, 1.0, 1),
        }
    )


def observe(
    space: DesignSpace,
    nominal: SpecSheet,
    specs: SpecSheet,
    history: tuple[Evaluation, ...],
    max_turns: int,
) -> Observation:
    """New arrays for an episode's `history` under `specs`; `nominal` has the fixed targets."""
    last = history[-1] if history else None
    best = best_of(history)
    design = np.zeros(len(space))
    values = dict.fromkeys(specs.metrics, math.nan)
    if last is not None:
        design = 2.0 * space.to_unit(last.design) - 1.0
        values |= {m: last.metrics.get(m, math.nan) for m in specs.metrics}
    pairs = zip(nominal, specs, strict=True)
    observation = {
        "design": design,
        "metrics": [_bounded(s.margin(values[s.metric])) for s in nominal],
        "margins": [_bounded(s.margin(values[s.metric])) for s in specs],
        "targets": [_bounded(fixed.margin(s.target)) for fixed, s in pairs],
        "measured": [float(not math.isnan(v)) for v in values.values()],
        "best_score": [0.0 if best is None else best.score],
        "remaining": [1.0 - len(history) / max_turns],
    }
    return {name: np.array(value, dtype=np.float32) for name, value in observation.items()}


def _bounded(margin: float) -> float:
    return -MARGIN_LIMIT if math.isnan(margin) else min(max(margin, -MARGIN_LIMIT), MARGIN_LIMIT)
