"""Integers and coarse grids, as a model in the unit cube has to see them.

A model that takes an integer for continuous thinks it can learn more from 2.4 than from 2, and its
acquisition function has its top where no design is. So whoever optimises over a model rounds first,
the way `DesignSpace` rounds afterwards. Fine grids (a layout grid of 5 nm) are left alone: there the
difference is below anything a model resolves.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acs_gym.design import DesignSpace, Parameter

_MOST_LEVELS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The values one coarse parameter can take.

    Attributes:
        index: of the parameter in the space.
        units: unit-cube coordinates of the values, ascending, shape (k,).
        edges: where rounding goes from one value to the next, shape (k - 1,).
    """

    index: int
    units: NDArray[np.float64]
    edges: NDArray[np.float64]


def coarse_levels(space: DesignSpace) -> tuple[Levels, ...]:
    """The levels of every parameter with at most 64 of them."""
    found = []
    for index, parameter in enumerate(space):
        values = _values(parameter)
        if len(values) > 1:
            middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]
            units, edges = (
                np.array([parameter.to_unit(v) for v in part]) for part in (values, middles)
            )
            found.append(Levels(index, units, edges))
    return tuple(found)


def round_to_levels(points: NDArray[np.float64], levels: tuple[Levels, ...]) -> NDArray[np.float64]:
    """`points`, shape (..., n), with the coarse coordinates moved to their nearest values."""
    rounded = np.array(points, dtype=np.float64)
    for level in levels:
        column = rounded[..., level.index]
        rounded[..., level.index] = level.units[np.searchsorted(level.edges, column)]
    return rounded


def neighbours(point: NDArray[np.float64], levels: tuple[Levels, ...]) -> NDArray[np.float64]:
    """The points one level away from `point`, shape (d,), in one coarse coordinate: shape (k, d)."""
    found = []
    for level in levels:
        at = int(np.searchsorted(level.edges, point[level.index]))
        for k in (at - 1, at + 1):
            if 0 <= k < len(level.units):
                found.append(point.copy())
                found[-1][level.index] = level.units[k]
    return np.array(found)


def _values(parameter: Parameter) -> list[float]:
    grid = parameter.grid
    if grid is None or (parameter.high - parameter.low) / grid > _MOST_LEVELS:
        return []
    steps = range(math.floor(parameter.low / grid), math.ceil(parameter.high / grid) + 1)
    return sorted({parameter.snap(k * grid) for k in steps})
