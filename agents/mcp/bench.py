"""One session for the life of the process, and the one thread that works on it.

Knows nothing of MCP. Calls come from any number of clients and are carried out one after the other
in the thread that calls `work`. That is the main thread, so that a signal ends a simulation where it
stands, while the clients are talked to in another.
"""

from __future__ import annotations

import json
from concurrent.futures import Future
from queue import SimpleQueue
from typing import NamedTuple

from acs_gym.session import Session
from agents.tools import HISTORY, OPERATING_POINT, SIMULATE, ToolAnswer, Toolbox

_FINISHED = (
    f"the work was finished, so nothing is simulated any more; {HISTORY} and {OPERATING_POINT} "
    "still answer"
)


class _Asked(NamedTuple):
    name: str
    arguments: object
    answer: Future[ToolAnswer]


class Bench:
    """The tools of a session, one call at a time.

    Attributes:
        finished: a client said that it is done.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.finished = False
        self._toolbox = Toolbox(session)
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()

    def ask(self, name: str, arguments: object) -> Future[ToolAnswer]:
        """Have a call carried out; from any thread.

        Cancelling the future drops a call that is still waiting. One that was begun is carried out
        whoever has left, so what it simulates is in the history. The future raises what
        `Toolbox.call` raises.
        """
        answer: Future[ToolAnswer] = Future()
        self._asked.put(_Asked(name, arguments, answer))
        return answer

    def work(self) -> None:
        """Carry out what is asked, in order, until `stop`."""
        while (asked := self._asked.get()) is not None:
            if not asked.answer.set_running_or_notify_cancel():
                continue
            try:
                answer = self._carry_out(asked.name, asked.arguments)
            except Exception as error:  # noqa: BLE001 - handed to the one who asked
                asked.answer.set_exception(error)
            else:
                asked.answer.set_result(answer)

    def stop(self) -> None:
        """Let `work` return, after what was asked before; from any thread."""
        self._asked.put(None)

    def _carry_out(self, name: str, arguments: object) -> ToolAnswer:
        if self.finished and name == SIMULATE:
            return ToolAnswer(json.dumps({"error": _FINISHED}), refused=True)
        answer = self._toolbox.call(name, arguments)
        self.finished = self.finished or answer.finished
        return answer
