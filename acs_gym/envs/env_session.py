"""An environment's side of its `Session`: whose it is, what is left of it, when to start anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gymnasium.error import ClosedEnvironmentError

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation
from acs_gym.session import BudgetExhausted, Session
from acs_gym.task import Task

if TYPE_CHECKING:
    from acs_gym.simulation.readout import Waveforms


class EnvSession:
    """A session as one environment uses it; every simulation of the environment goes through it.

    Args:
        task: what is simulated; a given session must be about the same.
        session: somebody else's, which stays open; or None for one of our own.
        budget: simulations for a session of our own, or None for unlimited.
        workers: simulation processes for a session of our own.
    """

    def __init__(
        self, task: Task, session: Session | None, budget: int | None, workers: int
    ) -> None:
        if session is not None and budget is not None:
            raise ValueError("give either a session, which brings its own budget, or a budget")
        if session is not None and session.task.program.key != task.program.key:
            raise ValueError(
                f"the session is about {session.task.program.name}, "
                f"this environment about {task.program.name}"
            )
        self._task = task
        self._workers = workers
        self._metered = session is not None or budget is not None
        self._owned = session is None
        self.session = task.session(budget, workers=workers) if session is None else session
        self.closed = False
        self._drawn: tuple[list[Mapping[str, float]], list[Waveforms]] = ([], [])

    @property
    def remaining(self) -> float:
        """Designs that can still be simulated; inf without a limit."""
        unlimited = self.session.budget is None
        return math.inf if unlimited else float(self.session.remaining)

    def check_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one")

    def simulate(self, designs: Sequence[Design]) -> list[Evaluation]:
        """All of them, in one batch. Raises BudgetExhausted, charging nothing, if they don't fit."""
        if len(designs) > self.remaining:
            raise BudgetExhausted(
                f"this step simulates {len(designs)} and the budget of "
                f"{self.session.budget} simulations covers {self.remaining:g} more; neither "
                "reset() nor restore() gives any back"
            )
        return self.session.simulate(list(designs))

    def forget(self) -> None:
        """Start anew, if nothing is metered: a session remembers all that it simulated."""
        if not self._metered:
            self.session = self._task.session(None, workers=self._workers)

    def waveforms(self, designs: Sequence[Mapping[str, float]]) -> list[Waveforms]:
        """For drawing designs that were paid for: simulated once more, without charge."""
        if self._drawn[0] != list(designs):
            from acs_gym.simulation.pool import Job, shared_pool
            from acs_gym.simulation.uncharged import simulate_uncharged

            simulator = self.session.simulator or shared_pool(self._workers)
            jobs = [Job(self._task.program, design, waveforms=True) for design in designs]
            outcomes = simulate_uncharged(jobs, simulator)
            self._drawn = (list(designs), [outcome.waveforms for outcome in outcomes])
        return self._drawn[1]

    def close(self) -> None:
        """Safe to call twice; a session that was handed in stays open."""
        if self._owned:
            self.session.close()
        self.closed = True

    # --- copies ---------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> EnvSession:
        """For a copy of the environment in this process; a budget is one meter for both."""
        session = self.session if self._metered else None
        twin = EnvSession(self._task, session, None, self._workers)
        twin.closed = self.closed
        memo[id(self.session)] = twin.session  # Gymnasium notes a given one down elsewhere, too.
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Everything but processes: the meter goes along as it stands, the simulator does not."""
        meter = self.session.meter
        return {
            "task": self._task,
            "workers": self._workers,
            "metered": self._metered,
            "meter": (meter.limit, meter.used),
            "closed": self.closed,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        limit, used = state["meter"]
        # The copy's meter is its own, even where the original's was somebody else's.
        self.__init__(state["task"], None, limit, state["workers"])  # type: ignore[misc]
        self._metered = state["metered"]
        self.session.meter.used = used
        if state["closed"]:
            self.close()
