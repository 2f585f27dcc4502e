"""The tools as an MCP server offers them: one set for every server of ours, whatever speaks to it.

Both servers of the name `acs-gym` are made of this, `python -m agents.mcp` for a person's client and the
leaderboard's for `mcp:` agents: same names, schemas, descriptions, answers, resources and meter. Knows
what messages of the Model Context Protocol hold (https://modelcontextprotocol.io/specification), and no
transport.
"""

from __future__ import annotations

import json
from typing import Any

from acs_gym.session import Session
from acs_gym.tools.answers import json_text
from acs_gym.tools.definitions import FINISH, HISTORY, READ_ONLY
from acs_gym.tools.statement import SEEDS, statement, task_record
from acs_gym.tools.toolbox import ToolAnswer, Toolbox, ToolRefused

NAME, TITLE = "acs-gym", "ACS-Gym"
STATEMENT, RECORD = "acs-gym://task", "acs-gym://task.json"
_FINISHED = f"the work was finished, so nothing is simulated any more; {HISTORY} still answers"


class McpTools:
    """What a server offers of a session, whichever clients share it.

    Attributes:
        finished: a client called `finish`, which closed the session.
        instructions: the task in words, with the budget that there was at the start.
        record: the same for a program: task, budget (null for no limit), seed below 2**32.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.finished = False
        budget, task = session.remaining, session.task
        self.title = f"{task.title} on {task.pdk_name}, {task.tier}"
        self.instructions = statement(task, budget)
        self.record: dict[str, Any] = {
            "task": task_record(task),
            "budget": None if session.meter.limit is None else int(budget),
            "seed": session.seed % SEEDS,
        }
        self._toolbox = Toolbox(session)

    def tools(self) -> list[dict[str, Any]]:
        """As the answer to `tools/list` has them."""
        functions = [d["function"] for d in self._toolbox.definitions]
        return [
            {
                "name": f["name"],
                "description": f["description"],
                "inputSchema": f["parameters"],
                "annotations": {
                    "readOnlyHint": f["name"] in READ_ONLY,
                    "destructiveHint": f["name"] == FINISH,
                    "openWorldHint": False,
                },
            }
            for f in functions
        ]

    def call(self, name: str, arguments: object) -> ToolAnswer:
        """Carry out a call, as `Toolbox.call` does.

        `simulate` is charged; `operating_point` and `history` never are. `finish` ends the session: from
        then on `history` alone is answered, from memory, and everything else refused.
        """
        if self.finished and name != HISTORY:
            return self._toolbox.refuse(ToolRefused(_FINISHED))
        answer = self._toolbox.call(name, arguments)
        if answer.finished:
            self.finished = True
            self.session.close()
        return answer

    def resources(self) -> list[dict[str, Any]]:
        """As the answer to `resources/list` has them: the task in words, and as a record."""
        words = "Circuit, parameters, specs and budget."
        numbers = "The same for a program: bounds, grids, targets and seed, all values in SI units."
        return [
            _resource("task", STATEMENT, self.title, words, "text/markdown"),
            _resource("task.json", RECORD, self.title, numbers, "application/json"),
        ]

    def contents(self, uri: str) -> dict[str, Any] | None:
        """A resource as the answer to `resources/read` has it; None when there is none at `uri`."""
        texts = {STATEMENT: self.instructions, RECORD: json_text(self.record)}
        for resource in self.resources():
            if resource["uri"] == uri:
                return {"uri": uri, "mimeType": resource["mimeType"], "text": texts[uri]}
        return None


def result(answer: ToolAnswer) -> dict[str, Any]:
    """An answer as that to `tools/call` has it: as text, and structured alike.

    What could not be carried out is a result too, because models are shown those, and not the protocol's
    errors.
    """
    return {
        "content": [{"type": "text", "text": answer.text}],
        "structuredContent": json.loads(answer.text),
        "isError": answer.refused,
    }


def no_resource(uri: str) -> str:
    """What is said of a resource that is not there."""
    return f"no resource {uri[:80]!r}; those there are: {STATEMENT}, {RECORD}"


def _resource(name: str, uri: str, title: str, description: str, kind: str) -> dict[str, Any]:
    return {
        "uri": uri, "name": name, "title": title, "description": description, "mimeType": kind,
    }  # fmt: skip
