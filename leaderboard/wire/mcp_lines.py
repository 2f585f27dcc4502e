"""What is answered to each line of an MCP client: the tools of `acs_gym.tools`, on one run's budget.

https://modelcontextprotocol.io/specification describes the protocol: of it, what a server of tools and
resources needs, in every revision that begins with a handshake. Its lines are as strict as those of
`stdio:`, and the rules are those of `Exchange`. Knows no process and no descriptor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

import acs_gym
from acs_gym.tools import mcp
from acs_gym.tools.definitions import FINISH
from leaderboard.wire import messages as m
from leaderboard.wire.exchange import Exchange, Refused, failure, success, unknown, validated
from leaderboard.wire.exchange import parsed as parsed_line

REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
# Where a client, a program that knows what its model cost, says so: beside the arguments of `finish`.
USAGE: Final = "acs-gym/usage"
_NOT_FOUND = -32002  # MCP's own code for a resource.


class _Envelope(BaseModel):
    """What is looked at of a message, to which each revision may add."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Client(_Envelope):
    name: str
    version: str = ""


class _Handshake(_Envelope):
    protocolVersion: str  # As the protocol spells it.
    clientInfo: _Client


class _Meta(_Envelope):
    usage: m.ClaimedUsage | None = Field(default=None, alias=USAGE)


class _ToolCall(_Envelope):
    name: m.Name
    arguments: dict[str, Any] | None = None
    meta: _Meta | None = Field(default=None, alias="_meta")


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
        late: tools called after `finish`; none of them simulated.
    """

    exchange: Exchange
    revision: str = ""
    late: int = 0
    tools: mcp.McpTools = field(init=False)
    _methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self.tools = mcp.McpTools(self.exchange.session)
        self._methods = {
            "initialize": self._initialize,
            "ping": lambda _: {},
            "tools/list": lambda _: {"tools": self.tools.tools()},
            "tools/call": self._call_tool,
            "resources/list": lambda _: {"resources": self.tools.resources()},
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
            "serverInfo": {"name": mcp.NAME, "title": mcp.TITLE, "version": acs_gym.__version__},
            "instructions": self.tools.instructions,
        }

    def _call_tool(self, params: dict[str, Any]) -> dict[str, Any]:
        asked = validated(_ToolCall, params, m.INVALID_PARAMS)
        if self.exchange.agent is None:
            raise Refused(m.NOT_INITIALIZED, "send initialize first")
        usage = None if asked.meta is None else asked.meta.usage
        if usage is not None and asked.name != FINISH:
            raise Refused(m.INVALID_PARAMS, f"{USAGE} is said once, with {FINISH}, all in all")
        if self.tools.finished:
            self.late += 1
            return mcp.result(self.tools.call(asked.name, asked.arguments or {}))
        answer = self.exchange.use(self.tools, asked.name, asked.arguments or {})
        if answer.finished:
            self.exchange.end(m.Finish(usage=usage))
        return mcp.result(answer)

    def _read(self, params: dict[str, Any]) -> dict[str, Any]:
        uri = validated(_Reading, params, m.INVALID_PARAMS).uri
        contents = self.tools.contents(uri)
        if contents is None:
            raise Refused(_NOT_FOUND, mcp.no_resource(uri))
        return {"contents": [contents]}
