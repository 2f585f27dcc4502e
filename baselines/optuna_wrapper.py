"""Optuna's samplers behind our protocol; the methods built on it differ in the sampler.

The objective is the score, and every spec is a constraint: the bilog of its margin, where an
unmeasured one counts as the worst. Only designs that were simulated become finished trials, with the
coordinates that were simulated: what Optuna proposed may have been rounded, or replaced where it
was a duplicate. Its own trial is marked as failed then, which its samplers ignore.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acs_gym.design import Design, DesignSpace
from baselines.failures import WORST_BILOG, Observation, Track
from baselines.levels import coarse_levels
from baselines.protocol import Optimizer, Point

if TYPE_CHECKING:
    import optuna


class OptunaOptimizer(Optimizer):
    """A sampler of Optuna, `pip install 'acs-gym[optuna]'`."""

    track: ClassVar[Track] = "metrics"

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        super().__init__(space, seed=seed, initial=initial)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._levels = {level.index: level.units for level in coarse_levels(space)}
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {
            name: (
                optuna.distributions.IntDistribution(0, len(self._levels[k]) - 1)
                if k in self._levels
                else optuna.distributions.FloatDistribution(0.0, 1.0)
            )
            for k, name in enumerate(space.names)
        }
        sampler_seed = int(np.random.default_rng(seed).integers(2**31))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # That an argument we use is experimental.
            sampler = self._sampler(sampler_seed, max(1, self.n_initial))
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._trials: dict[bytes, optuna.Trial] = {}

    @abstractmethod
    def _sampler(self, seed: int, startup: int) -> optuna.samplers.BaseSampler:
        """The sampler, random for as long as fewer than `startup` trials have finished."""

    def _propose(self, n: int) -> list[Point]:
        return [self._ask() for _ in range(n)]

    def _ask(self) -> Point:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask(self._distributions)
        point = np.array([
            self._levels[k][trial.params[name]] if k in self._levels else trial.params[name]
            for k, name in enumerate(self.space.names)
        ])  # fmt: skip
        self._trials[point.tobytes()] = trial
        return point

    def _learn(self, learnt: Sequence[Observation]) -> None:
        import optuna

        for observation in learnt:
            point = observation.proposed
            trial = None if point is None else self._trials.pop(point.tobytes(), None)
            if trial is not None:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            self._study.add_trial(
                optuna.trial.create_trial(
                    value=observation.score,
                    params=self._params(observation.unit),
                    distributions=self._distributions,
                    # At most 0 when met.
                    constraints={
                        s: -observation.margins.get(s, WORST_BILOG) for s in observation.specs
                    },
                )
            )

    def _params(self, unit: Point) -> dict[str, float]:
        return {
            name: (
                int(np.abs(self._levels[k] - unit[k]).argmin())
                if k in self._levels
                else float(unit[k])
            )
            for k, name in enumerate(self.space.names)
        }
