"""Bayesian optimisation of the score: scikit-optimize's Gaussian process with expected improvement.

Needs `pip install 'acs-gym[skopt]'`; the library is imported when the method is built.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from acs_gym.design import Design, DesignSpace
from acs_gym.evaluation import Evaluation
from baselines.failures import Observation
from baselines.protocol import Optimizer

_REDRAWS = 100


class SkoptGP(Optimizer):
    """skopt's GP (Matérn 5/2, ARD) and EI in the unit cube; batches by the constant liar.

    The unit cube, and not skopt's own log and integer dimensions, because its log round trip lands
    1e-16 outside the bounds and is then refused, and so that every method sees the same geometry.
    """

    name: ClassVar[str] = "skopt-gp"

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=initial)
        import skopt

        self._rng = np.random.default_rng(seed)
        self._known: set[tuple[float, ...]] = set()
        self._optimizer = skopt.Optimizer(
            [(0.0, 1.0)] * len(space),
            base_estimator="GP",
            acq_func="EI",
            acq_optimizer="lbfgs",
            n_initial_points=max(1, len(self._initial)),
            random_state=int(self._rng.integers(2**31)),
        )

    def _propose(self, n: int) -> list[Design]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The objective has been evaluated at")
            # A single point without the liar, which would copy the optimiser and fit it again.
            points = [self._optimizer.ask()] if n == 1 else self._optimizer.ask(n_points=n)
        return [self._unseen(self.space.from_unit(np.array(p, dtype=np.float64))) for p in points]

    def _learn(self, learnt: Sequence[Observation], evaluations: Sequence[Evaluation]) -> None:
        # skopt minimises.
        self._optimizer.tell([o.unit.tolist() for o in learnt], [-float(o.score) for o in learnt])
        self._known |= {self.space.key(self.space.from_unit(o.unit)) for o in learnt}

    def _unseen(self, design: Design) -> Design:
        """The design, or a random one when it was simulated before.

        skopt tells points apart in the cube, where two of them may round to one design on the grid;
        a duplicate costs a simulation and teaches nothing.
        """
        for _ in range(_REDRAWS):
            if self.space.key(design) not in self._known:
                break
            design = self.space.sample(self._rng)
        self._known.add(self.space.key(design))
        return design
