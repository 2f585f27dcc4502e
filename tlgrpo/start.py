"""A policy plays one episode, then an optimiser goes on from what it tried: `tlgrpo:RUN+METHOD`.

With `corner-aware` (or `corner-aware:METHOD`) the episode is at the nominal condition alone, where a
design costs one simulation, and sign-off over all conditions knows what it tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acs_gym.design import Design
from acs_gym.session import Session
from acs_gym.task import Task
from baselines.agent import BuildsMethod, spend
from baselines.corner_aware import CornerAwareAgent
from baselines.initial import split_seed
from baselines.protocol import Optimizer, Track
from baselines.registry import get_method
from tlgrpo.agent import TlgrpoAgent

CORNERS, AROUND = "corner-aware", "composite-ei"


class PolicyStart:
    """All simulations are charged to one budget.

    Args:
        run: of the policy, as of `TlgrpoAgent`.
        method: of `baselines`, or `corner-aware` around one.

    Raises CheckpointError where there is no policy, KeyError for an unknown method.
    """

    track = "metrics"
    deterministic = True

    def __init__(self, run: str, method: str) -> None:
        kind, _, around = method.partition(":")
        self.corners = kind == CORNERS
        self.policy = TlgrpoAgent(run)
        self.method = get_method((around or AROUND) if self.corners else method)
        self.method.require()

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour beside the seed."""
        own = {"policy": dict(self.policy.config), "method": self.method.name}
        return own | (dict(CornerAwareAgent(self.method).config) if self.corners else {})

    def check(self, task: Task) -> None:
        """Raises ValueError where the method is not for this task."""
        self.method.check(task)

    def run(self, session: Session) -> None:
        """Raises what policy and method raise."""
        tier = session.task.conditions
        at_corners = self.corners and session.task.cost > 1
        nominal = [tier.conditions[tier.nominal].name] if at_corners else None
        self.policy.run(session, episodes=1, conditions=nominal)
        if at_corners:
            CornerAwareAgent(_Begun(self.method)).run(session, known=session.history)
            return
        tried = [dict(e.design) for e in session.history]
        seed = split_seed(session.seed).method
        method = self.method.for_task(session.task, seed=seed, initial=tried)
        method.tell(session.history)
        spend(session, method)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A method that asks for no initial designs, since it is told of some."""

    method: BuildsMethod

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def track(self) -> Track:
        return self.method.track

    def check(self, task: Task) -> None:
        self.method.check(task)

    def initial(self, task: Task, size: int, seed: int) -> list[Design]:
        return []

    def for_task(self, task: Task, *, seed: int, initial: Sequence[Design]) -> Optimizer:
        return self.method.for_task(task, seed=seed, initial=initial)
