"""One session for the life of the process, and the one thread that works on it.

Knows no transport. Calls come from any number of clients and are carried out one after the other
in the thread that calls `work`. That is the main thread, so that a signal ends a simulation where it
stands, while the clients are talked to in another.
"""

from __future__ import annotations

from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import NamedTuple

from acs_gym.session import Session
from acs_gym.simulation.pool import Simulator
from acs_gym.tools.mcp import McpTools
from acs_gym.tools.toolbox import ToolAnswer


class _Asked(NamedTuple):
    name: str
    arguments: object
    answer: Future[ToolAnswer]


class _Left(NamedTuple):
    """A client's session has ended."""


class Bench:
    """The tools of a session, one call at a time.

    Args:
        simulator: what the session simulates with. Its processes are ended when a client's session has
            ended, when the work is finished, and when nothing was asked for `idle_s` seconds; the next
            simulation starts new ones.
    """

    def __init__(self, session: Session, simulator: Simulator, idle_s: float) -> None:
        self.tools = McpTools(session)
        self._simulator, self._idle_s = simulator, idle_s
        self._asked: SimpleQueue[_Asked | _Left | None] = SimpleQueue()

    @property
    def session(self) -> Session:
        return self.tools.session

    def ask(self, name: str, arguments: object) -> Future[ToolAnswer]:
        """Have a call carried out; from any thread.

        Cancelling the future drops a call that is still waiting. One that was begun is carried out
        whoever has left, so what it simulates is in the history. The future raises what
        `McpTools.call` raises.
        """
        answer: Future[ToolAnswer] = Future()
        self._asked.put(_Asked(name, arguments, answer))
        return answer

    def left(self) -> None:
        """A client's session has ended: after what was asked before, simulators are freed."""
        self._asked.put(_Left())

    def stop(self) -> None:
        """Let `work` return, after what was asked before; from any thread."""
        self._asked.put(None)

    def work(self) -> None:
        """Carry out what is asked, in order, until `stop`."""
        while (asked := self._next()) is not None:
            if isinstance(asked, _Left):
                self._simulator.close()
            elif asked.answer.set_running_or_notify_cancel():
                self._carry_out(asked)

    def _next(self) -> _Asked | _Left | None:
        try:
            return self._asked.get(timeout=self._idle_s)
        except Empty:
            self._simulator.close()
        return self._asked.get()

    def _carry_out(self, asked: _Asked) -> None:
        try:
            answer = self.tools.call(asked.name, asked.arguments)
        except Exception as error:  # noqa: BLE001 - handed to the one who asked
            asked.answer.set_exception(error)
            return
        if answer.finished:
            self._simulator.close()
        asked.answer.set_result(answer)
