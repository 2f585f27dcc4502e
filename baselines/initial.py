"""The designs every method starts from: the same ones per (task, repetition).

Sharing them is fair (no method is lucky in its first draw) and makes paired comparisons legitimate.
It also takes away a default that flatters: several libraries start at the centre of the box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from acs_gym.design import Design, DesignSpace


@dataclass(frozen=True, slots=True)
class Seeds:
    """Independent streams drawn from one seed."""

    initial: int
    method: int


def split_seed(seed: int) -> Seeds:
    """One seed for the initial designs, another for the method; neither tells of the other."""
    initial, method = np.random.SeedSequence(seed).spawn(2)
    return Seeds(*(int(s.generate_state(1)[0]) for s in (initial, method)))


def default_size(budget: float, n_parameters: int) -> int:
    """How many initial designs: two a parameter, at most a quarter of the budget, at least one."""
    wanted = 2 * n_parameters
    return max(1, wanted if math.isinf(budget) else min(int(budget) // 4, wanted))


def initial_designs(space: DesignSpace, size: int, seed: int) -> list[Design]:
    """`size` canonical designs: the first points of a scrambled Sobol sequence in the unit cube.

    Owen-scrambled (scipy.stats.qmc.Sobol), so it is unbiased and different for every seed.
    """
    if size < 1:
        raise ValueError(f"an initial design has at least one point, got {size}")
    engine = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    # A whole power of two is drawn because the sequence is balanced only there.
    points = engine.random_base2(math.ceil(math.log2(size)))
    return [space.from_unit(point) for point in points[:size]]
