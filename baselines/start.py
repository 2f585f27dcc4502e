"""What a method that is given a sizing asks for first: that one, and a few about it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import norm, qmc

from acs_gym.design import Design, DesignSpace, InvalidDesign
from acs_gym.sizing_file import InvalidSizing

# Designs about the given one, by normal steps in the unit cube. A model that has seen where the
# specs give way is of use at once; a Sobol sequence over the whole range is not needed to find the place.
_BESIDE, _SIGMA = 5, 0.1


def start_designs(space: DesignSpace, sizing: Mapping[str, float], seed: int) -> list[Design]:
    """The sizing and a few designs about it, canonical: what a method asks for first.

    Raises InvalidSizing where the sizing is of other parameters or out of range.
    """
    try:
        given = space.canonicalize(sizing)
    except InvalidDesign as error:
        raise InvalidSizing(f"the sizing to start from: {error}") from None
    engine = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    normal = norm.ppf(np.clip(engine.random_base2(3)[:_BESIDE], 1e-9, 1 - 1e-9))
    beside = np.clip(space.to_unit(given) + _SIGMA * normal, 0.0, 1.0)
    return [given, *map(space.from_unit, beside)]
