"""A method as an agent of the leaderboard. This is the only ask/tell loop there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from acs_gym.design import Design
from acs_gym.session import Session
from acs_gym.task import Task
from baselines.initial import default_size, split_seed
from baselines.protocol import Optimizer, Track
from baselines.start import start_designs

# An `infra_error` is not charged, so a broken simulator would keep the loop going for ever.
UNCHARGED_CALLS_ALLOWED = 3


class SimulatorUnavailable(RuntimeError):
    """Several batches in a row came back without a single simulation having been done."""


class BuildsMethod(Protocol):
    """A class of methods, or a registered method whose library is imported when it is built."""

    @property
    def name(self) -> str: ...

    @property
    def track(self) -> Track: ...

    def check(self, task: Task) -> None: ...

    def initial(self, task: Task, size: int, seed: int) -> list[Design]: ...

    def for_task(self, task: Task, *, seed: int, initial: Sequence[Design]) -> Optimizer: ...


class AskTellAgent:
    """Spends a session's whole budget on one method, in batches as wide as the session.

    Args:
        method: the class of the method, or an entry of the registry.
        n_initial: initial designs; None takes `default_size`.
        start_from: a sizing; it and a few designs about it are the initial ones.
    """

    # As every method is, given its seed: a test holds all of them to it.
    deterministic = True

    def __init__(
        self,
        method: BuildsMethod | type[Optimizer],
        *,
        n_initial: int | None = None,
        start_from: Mapping[str, float] | None = None,
    ) -> None:
        self.method = method
        self.n_initial = n_initial
        self.start_from = None if start_from is None else dict(start_from)

    @property
    def track(self) -> Track:
        return self.method.track

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour beside the seed; part of a result's identity."""
        own: Mapping[str, Any] = getattr(self.method, "config", {})
        start = {} if self.start_from is None else {"start_from": self.start_from}
        return {"method": self.method.name, "n_initial": self.n_initial, **start, **own}

    def check(self, task: Task) -> None:
        """Raises ValueError where the method, or the sizing to start from, is not for this task."""
        if self.start_from is not None:
            start_designs(task.space, self.start_from, seed=0)
        self.method.check(task)

    def initial(self, task: Task, budget: float, seed: int) -> list[Design]:
        """The designs that the method asks for first. Raises what `start_designs` raises."""
        if self.start_from is not None:
            return start_designs(task.space, self.start_from, seed)
        size = self.n_initial or default_size(budget, len(task.space))
        return self.method.initial(task, size, seed)

    def run(self, session: Session) -> None:
        """Ask, simulate and tell until nothing remains.

        Raises SimulatorUnavailable after three batches in a row that were not charged, and
        ValueError for a session without a budget, which would never end, and for a sizing to start from
        that is not one of this circuit.
        """
        if session.budget is None:
            raise ValueError("an optimiser needs a session with a budget; this one has no limit")
        seeds = split_seed(session.seed)
        initial = self.initial(session.task, session.remaining, seeds.initial)
        method = self.method.for_task(session.task, seed=seeds.method, initial=initial)
        spend(session, method)


def spend(session: Session, method: Optimizer) -> None:
    """Ask, simulate and tell until nothing remains of a budget.

    Raises SimulatorUnavailable after three batches in a row that were not charged.
    """
    uncharged = 0
    while session.remaining:
        before = session.remaining
        batch = min(session.workers, int(session.remaining))
        method.tell(session.simulate(method.ask(batch)))
        uncharged = uncharged + 1 if session.remaining == before else 0
        if uncharged >= UNCHARGED_CALLS_ALLOWED:
            last = session.history[-1].message or "no reason given"
            raise SimulatorUnavailable(f"{uncharged} batches in a row were not simulated: {last}")
