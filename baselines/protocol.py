"""What an optimisation method is: ask for designs, tell what they gave, recommend the best.

    method = Sobol(space, seed=1, initial=initial_designs(space, 8, seed=0))
    while session.remaining:
        designs = method.ask(2)
        method.tell(session.simulate(designs))
    method.recommend()

A new method is a subclass with `_propose` and, if it learns, `_learn`. Everything methods have in
common (initial designs, bounds and integers, failures, ties) is settled here and in the two modules
beside this one, so that no method settles it differently.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from acs_gym.design import Design, DesignSpace
from acs_gym.evaluation import Evaluation, Status
from acs_gym.task import Task
from baselines.failures import Observation, observations

Track = Literal["score", "metrics"]


class Optimizer(ABC):
    """A method at work on one design space.

    Attributes:
        name: the id of the method, as the leaderboard shows it.
        track: what it looks at: `score` (the scalar alone) or `metrics` (every metric and margin).

    Args:
        space: where to look; designs asked for are canonical in it.
        seed: decides every random choice; the same seed and the same answers give the same run.
        initial: designs to ask for before any of its own.
    """

    name: ClassVar[str]
    track: ClassVar[Track] = "score"

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        self.space = space
        self.seed = seed
        self._initial = deque(space.canonicalize(design) for design in initial)
        self._best: Evaluation | None = None

    @classmethod
    def for_task(cls, task: Task, *, seed: int, initial: Sequence[Design]) -> Self:
        """The method at work on a task. Called once, before anything is simulated.

        Override it only when a method needs more of a task than its design space.
        """
        return cls(task.space, seed=seed, initial=initial)

    def ask(self, n: int = 1) -> list[Design]:
        """`n` designs to simulate next. Called whenever the simulator is free.

        Initial designs come first. May be called again before `tell`; raises ValueError for n < 1.
        """
        if n < 1:
            raise ValueError(f"ask for at least one design, not {n}")
        designs = [self._initial.popleft() for _ in range(min(n, len(self._initial)))]
        if missing := n - len(designs):
            designs += self._propose(missing)
        return designs

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """What the designs gave. Called once per `ask`, with an evaluation for each of its designs.

        Evaluations of designs never asked for are welcome too (a warm start).
        """
        for evaluation in evaluations:
            if evaluation.status in (Status.INVALID_DESIGN, Status.INFRA_ERROR):
                continue
            if self._best is None or evaluation.score > self._best.score:
                self._best = evaluation
        if learnt := observations(self.space, evaluations):
            self._learn(learnt, evaluations)

    def recommend(self) -> Design | None:
        """The best design told so far, the first of equals; None before any. Called at the end."""
        return None if self._best is None else dict(self._best.design)

    @abstractmethod
    def _propose(self, n: int) -> list[Design]:
        """`n` canonical designs of the method's own. Called when no initial design is left."""

    def _learn(  # noqa: B027 - most methods here have nothing to learn
        self, learnt: Sequence[Observation], evaluations: Sequence[Evaluation]
    ) -> None:
        """Update the model. Called by every `tell` that teaches something; by default nothing.

        `learnt` is safe to feed to a model of the score; a method of the `metrics` track reads the
        `evaluations` themselves, where an unmeasured metric is NaN.
        """
