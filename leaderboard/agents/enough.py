"""An agent that stops soon after every spec is met, whatever agent it is that searches.

enough:composite-ei             what `acs-gym size` runs
enough:scbo:my_sizing.toml
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acs_gym.session import BudgetExhausted, Call, Session
from acs_gym.task import Task
from leaderboard.contract import (
    Agent,
    agent_config,
    agent_ended,
    agent_isolation,
    agent_track,
    check_task,
    offer_folder,
)

NAME = "enough"
# Of the budget: what is still spent on margin once every spec is met.
FURTHER = 0.1


class Enough:
    """Runs `agent` in a session whose budget ends a tenth of it after the first design that meets all."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        # Stopping is as repeatable as what is stopped; replays ask for agents by their own name.
        self.deterministic = False

    @property
    def config(self) -> Mapping[str, Any]:
        return {"agent": dict(agent_config(self._agent)), "further": FURTHER}

    @property
    def track(self) -> str:
        return agent_track(self._agent)

    @property
    def ended(self) -> str:
        return agent_ended(self._agent)

    def isolation_record(self) -> Mapping[str, Any]:
        return agent_isolation(self._agent)

    def keep_files_in(self, folder: Path) -> None:
        offer_folder(self._agent, folder)

    def check(self, task: Task) -> None:
        check_task(self._agent, task)

    def run(self, session: Session) -> None:
        """Raises what the agent's own run raises, but for a budget that was ended here."""
        told = session.on_call
        last: float | None = None

        def on_call(call: Call) -> None:
            nonlocal last
            if told is not None:
                told(call)
            if last is None and call.evaluation.complete and call.evaluation.feasible:
                last = session.meter.used + FURTHER * (session.budget or 0)
            if last is not None and session.meter.used >= last:
                session.meter.end()

        session.on_call = on_call
        try:
            self._agent.run(session)
        except BudgetExhausted:
            if last is None:
                raise
        finally:
            session.on_call = told
