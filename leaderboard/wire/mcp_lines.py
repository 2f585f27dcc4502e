"""What is answered to each line of an MCP client: the three methods of protocol v1 as tools.

https://modelcontextprotocol.io/specification describes the protocol: of it, what a server of tools and
one resource needs, in every revision that begins with a handshake. Its lines are as strict as those of
`stdio:`, the rules are those of `Exchange`, and what a tool is given and gives are the records of
messages.py. Knows no process and no descriptor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import acs_gym
from leaderboard.wire import messages as m
from leaderboard.wire.exchange import Exchange, Refused, failure, success, unknown, validated
from leaderboard.wire.exchange import parsed as parsed_line
from leaderboard.wire.strict_json import encode, quote

REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
RESOURCE = "acs-gym://task"
TASK = "task"
_NAME, _TITLE = "acs-gym", "ACS-Gym"
_NOT_FOUND = -32002  # MCP's own code for a resource.
_OVER = "the run has finished; nothing more is simulated"


class TaskQuestion(BaseModel):
    """What is to be done: parameters with their bounds, specs, budget, seed. Costs nothing."""

    model_config = ConfigDict(extra="forbid")


class _Envelope(BaseModel):
    """What is looked at of a message, to which each revision may add."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Client(_Envelope):
    name: str
    version: str = ""


class _Handshake(_Envelope):
    protocolVersion: str  # As the protocol spells it.
    clientInfo: _Client


class _ToolCall(_Envelope):
    name: m.Name
    arguments: dict[str, Any] | None = None


class _Reading(_Envelope):
    uri: str


class _Request(_Envelope):
    jsonrpc: Literal["2.0"]
    method: m.Name
    id: m.Id | None = None
    params: dict[str, Any] = Field(default_factory=dict)


@dataclass(slots=True)
class McpConversation:
    """One run's conversation with MCP clients, who share it.

    Attributes:
        revision: of MCP, as last agreed on; empty before that.
        late: tools called after `finish`, none of which was carried out.
    """

    exchange: Exchange
    revision: str = ""
    late: int = 0
    opening: m.Initialize = field(init=False)
    _methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self.opening = m.initialize(self.exchange.session, self.exchange.track)
        self._methods = {
            "initialize": self._initialize,
            "ping": lambda _: {},
            "tools/list": lambda _: {"tools": tools()},
            "tools/call": self._call_tool,
            "resources/list": lambda _: {"resources": [self._resource()]},
            "resources/templates/list": lambda _: {"resourceTemplates": []},
            "resources/read": self._read,
        }

    def reply(self, line: bytes | None) -> bytes | None:
        """The line to answer with; None for a notification. `line` None: one that was too long.

        Raises as `Exchange.reply` does.
        """
        identity: int | str | None = None
        try:
            value = parsed_line(line, "An MCP server takes one JSON-RPC object a line")
            request = validated(_Request, value, m.INVALID_REQUEST)
            identity = request.id
            if identity is None or request.method != "tools/call":
                self.exchange.count_idle()
            if identity is None:
                return None
            if (method := self._methods.get(request.method)) is None:
                # No error of the agent's: clients ask for what a server may have.
                error = unknown("method", request.method, self._methods, m.UNKNOWN_METHOD)
                return failure(identity, error)
            result = method(request.params)
        except Refused as refused:
            self.exchange.count_error(refused)
            return failure(identity, refused)
        return success(identity, result)

    def _initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        asked = validated(_Handshake, params, m.INVALID_PARAMS)
        client = asked.clientInfo
        if self.exchange.agent is None:
            name = client.name[:100] or "unnamed"
            self.exchange.agent = m.Hello(name=name, version=client.version[:100])
        self.revision = (
            asked.protocolVersion if asked.protocolVersion in REVISIONS else REVISIONS[-1]
        )
        return {
            "protocolVersion": self.revision,
            "capabilities": {"tools": {}, "resources": {}},
            "serverInfo": {"name": _NAME, "title": _TITLE, "version": acs_gym.__version__},
            "instructions": self._instructions(),
        }

    def _call_tool(self, params: dict[str, Any]) -> dict[str, Any]:
        asked = validated(_ToolCall, params, m.INVALID_PARAMS)
        if self.exchange.agent is None:
            raise Refused(m.NOT_INITIALIZED, "send initialize first")
        if asked.name not in (TASK, *m.METHODS):
            raise unknown("tool", asked.name, (TASK, *m.METHODS), m.INVALID_PARAMS)
        if self.exchange.finish is not None:
            self.late += 1
            return _said(_OVER, is_error=True)
        try:
            return _gave(self._carry_out(asked.name, asked.arguments or {}))
        except Refused as refused:
            # As a tool's result, because models are shown those, and not the protocol's errors.
            self.exchange.count_error(refused)
            return _said(f"{refused} ({refused.code})", is_error=True)

    def _carry_out(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name != TASK:
            return self.exchange.call(name, arguments)
        validated(TaskQuestion, arguments, m.INVALID_PARAMS)
        self.exchange.count_idle()
        self.exchange.forgive()
        return self.opening.model_dump()

    def _read(self, params: dict[str, Any]) -> dict[str, Any]:
        uri = validated(_Reading, params, m.INVALID_PARAMS).uri
        if uri != RESOURCE:
            raise Refused(_NOT_FOUND, f"no resource {quote(uri)}; the one there is: {RESOURCE}")
        contents = {
            "uri": RESOURCE,
            "mimeType": "application/json",
            "text": _text(self.opening.model_dump()),
        }
        return {"contents": [contents]}

    def _resource(self) -> dict[str, Any]:
        return {
            "uri": RESOURCE,
            "name": TASK,
            "title": self.opening.task.title,
            "description": "Parameters, specs, budget and seed, as the tool `task` gives them.",
            "mimeType": "application/json",
        }

    def _instructions(self) -> str:
        task, budget = self.opening.task, self.opening.budget
        return (
            f"Size a circuit: {task.title}, {task.pdk}, {task.tier}. Call `task` for its parameters "
            "(with bounds, in SI units) and the specs to meet. "
            f"Call `simulate` with designs; {budget} may be simulated in all, each is charged, failed "
            "ones too, and the best one simulated counts. When every spec is met or nothing remains, "
            "call `finish`."
        )


def tools() -> list[dict[str, Any]]:
    """The tools as `tools/list` gives them: `task`, and the methods of protocol v1."""
    methods = [_tool(name, given, gives) for name, (given, gives) in m.METHODS.items()]
    return [_tool(TASK, TaskQuestion, m.Initialize), *methods]


def _tool(name: str, given: type[BaseModel], gives: type[BaseModel]) -> dict[str, Any]:
    question, answer = given.model_json_schema(), gives.model_json_schema()
    return {
        "name": name,
        "description": " ".join(question.pop("description").split()),
        "inputSchema": question,
        "outputSchema": answer,
        "annotations": {
            "readOnlyHint": name in (TASK, "status"),
            "destructiveHint": name == "finish",
            "openWorldHint": False,
        },
    }


def _gave(result: dict[str, Any]) -> dict[str, Any]:
    """Structured, and as the text that older clients look at."""
    return {**_said(_text(result), is_error=False), "structuredContent": result}


def _said(text: str, *, is_error: bool) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _text(value: Any) -> str:
    return encode(value).decode().rstrip()
