"""What an optimisation method is: ask for designs, tell what they gave, recommend the best.

    method = Sobol(space, seed=1, initial=initial_designs(space, 8, seed=0))
    while session.remaining:
        designs = method.ask(2)
        method.tell(session.simulate(designs))
    method.recommend()

A new method is a subclass with `_propose` and, if it learns, `_learn`; both live in the unit cube.
What all methods have in common is settled here and in the modules beside this one, so that no
method settles it differently: initial designs, bounds, scales and integers (a proposed point is
rounded to a canonical design), duplicates, failures, ties, and going on from a trace.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from acs_gym.design import Design, DesignSpace, InvalidDesign
from acs_gym.evaluation import Evaluation, Status
from acs_gym.task import Task
from baselines.failures import Observation, Track, observe, score_to_learn, teaches
from baselines.initial import initial_designs

__all__ = ["Optimizer", "Point", "TraceMismatch", "Track"]

Point = NDArray[np.float64]
Key = tuple[float, ...]

_REDRAWS = 64
_NEAR, _FAR = 0.01, 1.0


class TraceMismatch(ValueError):
    """A trace that this method, in this space and with this seed, did not write."""


class Optimizer(ABC):
    """A method at work on one design space.

    Attributes:
        name: the id of the method, as the leaderboard shows it.
        track: what it looks at: `score` (the scalar alone) or `metrics` (every metric and margin).
        repeats: whether it may ask for a design twice, which is a simulation wasted.

    Args:
        space: where to look; designs asked for are canonical in it.
        seed: decides every random choice; the same seed and the same answers give the same run.
        initial: designs to ask for before any of its own.
    """

    name: ClassVar[str]
    track: ClassVar[Track] = "score"
    repeats: ClassVar[bool] = False

    def __init__(self, space: DesignSpace, *, seed: int, initial: Sequence[Design]) -> None:
        self.space = space
        self.seed = seed
        # In a small space of integers, two of them may be one design.
        distinct = {space.key(design): space.canonicalize(design) for design in initial}
        self.n_initial = len(distinct)
        self._initial = deque(distinct.values())
        self._best: Evaluation | None = None
        # Asked for and not yet answered -> the point that was proposed; None for an initial design.
        self._pending: dict[Key, Point | None] = {}
        self._known: set[Key] = set()
        self._redraw = np.random.default_rng((seed, 1))

    @classmethod  # noqa: B027 - most methods work on every task
    def check(cls, task: Task) -> None:
        """Raises ValueError where the method cannot work on the task. Called before anything runs."""

    @classmethod
    def initial(cls, task: Task, size: int, seed: int) -> list[Design]:
        """The designs to begin with where nobody gives others: those of every method of this seed."""
        return initial_designs(task.space, size, seed)

    @classmethod
    def for_task(cls, task: Task, *, seed: int, initial: Sequence[Design]) -> Self:
        """The method at work on a task. Called once, before anything is simulated.

        Override it only when a method needs more of a task than its design space.
        """
        return cls(task.space, seed=seed, initial=initial)

    def ask(self, n: int = 1) -> list[Design]:
        """`n` designs to simulate next. Called whenever the simulator is free.

        Initial designs come first, but for those already told. May be called again before `tell`;
        raises ValueError for n < 1.
        """
        if n < 1:
            raise ValueError(f"ask for at least one design, not {n}")
        designs = list(self._initial_designs(n))
        if missing := n - len(designs):
            designs += [self._design_at(np.asarray(p)) for p in self._propose(missing)]
        return designs

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """What the designs gave. Called once per `ask`, with an evaluation for each of its designs.

        Evaluations of designs never asked for are welcome too (a warm start); what is told twice
        is learnt once.
        """
        learnt = []
        for evaluation in evaluations:
            if not teaches(evaluation):
                self._withdraw(evaluation)
                continue
            key = self.space.key(evaluation.design)
            told_before = key in self._known and key not in self._pending
            proposed = self._pending.pop(key, None)
            self._known.add(key)
            if self._best is None or score_to_learn(evaluation) > score_to_learn(self._best):
                self._best = evaluation
            observation = observe(self.space, evaluation, self.track, proposed)
            if observation is not None and not told_before:
                learnt.append(observation)
        if learnt:
            self._learn(learnt)

    def recommend(self) -> Design | None:
        """The best design told so far, the first of equals; None before any. Called at the end."""
        return None if self._best is None else self.space.canonicalize(self._best.design)

    def resume(self, trace: Iterable[Evaluation], *, batch: int = 1) -> None:
        """Bring a fresh method to where the one that wrote the trace was stopped, to the bit.

        It is asked again, `batch` designs at a time, and answered from the trace. Raises
        TraceMismatch where it asks for something else, or where the trace ends within a batch.
        """
        rest = deque(trace)
        while rest:
            answers = []
            for design in self.ask(batch):
                if not rest:
                    raise TraceMismatch(f"the trace does not end after a batch of {batch}")
                answers.append(rest.popleft())
                if dict(answers[-1].design) != design:
                    raise TraceMismatch(
                        f"{self.name} with seed {self.seed} asks for {design}; "
                        f"the trace has {dict(answers[-1].design)}"
                    )
            self.tell(answers)

    @property
    def pending(self) -> Point:
        """Unit-cube coordinates of what was asked for and not answered, shape (k, n)."""
        units = [
            self.space.to_unit(dict(zip(self.space.names, k, strict=True))) for k in self._pending
        ]
        return np.array(units).reshape(-1, len(self.space))

    @abstractmethod
    def _propose(self, n: int) -> Iterable[Point]:
        """`n` points of the unit cube, shape (n, d). Called when no initial design is left."""

    def _learn(self, learnt: Sequence[Observation]) -> None:  # noqa: B027 - many have nothing to learn
        """Update the model. Called by every `tell` that teaches something; by default nothing.

        Safe to feed to any model: see `Observation`.
        """

    def _initial_designs(self, n: int) -> Iterator[Design]:
        while n and self._initial:
            design = self._initial.popleft()
            key = self.space.key(design)
            if key not in self._known:
                self._known.add(key)
                self._pending[key] = None
                n -= 1
                yield design

    def _design_at(self, point: Point) -> Design:
        """The canonical design at a point, or one near by when that one was asked for before.

        Two points may round to one design, and a duplicate costs a simulation and teaches nothing.
        The search widens, since all designs near by may be known.
        """
        design = self.space.from_unit(point)
        if self.repeats:
            return design
        centre = point
        for sigma in np.geomspace(_NEAR, _FAR, _REDRAWS):
            if (key := self.space.key(design)) not in self._known:
                break
            point = np.clip(centre + sigma * self._redraw.standard_normal(len(centre)), 0.0, 1.0)
            design = self.space.from_unit(point)
        key = self.space.key(design)
        self._known.add(key)
        self._pending[key] = point
        return design

    def _withdraw(self, evaluation: Evaluation) -> None:
        """A design that was lost through no fault of its own may be asked for again."""
        try:
            key = self.space.key(evaluation.design)
        except InvalidDesign:
            return
        if key in self._pending:
            point = self._pending.pop(key)
            if evaluation.status is Status.INFRA_ERROR:
                self._known.discard(key)
                if point is None:
                    self._initial.append(self.space.canonicalize(evaluation.design))
