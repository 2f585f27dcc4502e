"""A policy plays one episode, then an optimiser goes on from what it tried: `tlgrpo:RUN+METHOD`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acs_gym.session import Session
from acs_gym.task import Task
from baselines.agent import spend
from baselines.initial import split_seed
from baselines.registry import get_method
from tlgrpo.agent import TlgrpoAgent


class PolicyStart:
    """All simulations are charged to one budget.

    Args:
        run: of the policy, as of `TlgrpoAgent`.
        method: of `baselines`.

    Raises CheckpointError where there is no policy, KeyError for an unknown method.
    """

    track = "metrics"

    def __init__(self, run: str, method: str) -> None:
        self.policy, self.method = TlgrpoAgent(run), get_method(method)
        self.method.require()

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour beside the seed."""
        return {"policy": dict(self.policy.config), "method": self.method.name}

    def check(self, task: Task) -> None:
        """Raises ValueError where the method is not for this task."""
        self.method.check(task)

    def run(self, session: Session) -> None:
        """Raises what policy and method raise."""
        self.policy.run(session, episodes=1)
        tried = [dict(e.design) for e in session.history]
        seed = split_seed(session.seed).method
        method = self.method.for_task(session.task, seed=seed, initial=tried)
        method.tell(session.history)
        spend(session, method)
