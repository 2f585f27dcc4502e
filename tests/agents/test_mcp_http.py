"""The MCP server over HTTP: who is let in, how a session ends, and how many there may be."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

import acs_gym
from acs_gym.tools.answers import design_text
from agents.mcp import over_http
from tests.agents.mcp_process import (
    HELLO,
    PATIENCE_S,
    SMALL,
    ServerProcess,
    all_gone,
    http_server,
    tool_call,
)

TASK = acs_gym.make_task("ota5t", pdk="generic")
SIMULATE = tool_call(2, "simulate", {"designs": [design_text(TASK, TASK.reference or {})]})
JSON_RPC = {"jsonrpc": "2.0"}


class Said(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: str


class Caller:
    """Requests without a client, with the token that the server printed."""

    def __init__(self, entry: dict[str, Any], server: ServerProcess) -> None:
        self.address, self.server = urlsplit(entry["url"]).netloc, server
        self.token = entry["headers"]

    def ask(
        self,
        message: dict[str, Any] | None = None,
        *,
        method: str = "POST",
        path: str = "/mcp",
        **headers: str,
    ) -> Said:
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_S)
        usual = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        body = None if message is None else json.dumps(JSON_RPC | message)
        connection.request(method, path, body, usual | self.token | headers)
        try:
            answer = connection.getresponse()
            return Said(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()

    def session(self) -> dict[str, str]:
        """The header of a session that has shaken hands."""
        hello, initialized = HELLO
        said = self.ask(hello)
        assert said.status == 200, said
        header = {"Mcp-Session-Id": said.headers["Mcp-Session-Id"]}
        assert self.ask(initialized, **header).status == 202
        return header

    def leave(self, session: dict[str, str]) -> None:
        assert self.ask(method="DELETE", **session).status == 200


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with http_server(*SMALL, "--budget", "5") as (entry, server):
        yield Caller(entry, server)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize("path", ["/mcp", "/"])
def test_without_its_token_no_request_is_answered(caller, method, path):
    (right,) = caller.token.values()
    for wrong in ("", "Bearer ", "Bearer x", right[:-1], right + "x", right.upper(), "Basic x:y",
                  right.replace("Bearer ", ""), "Bearer \xe9"):  # fmt: skip
        said = caller.ask(HELLO[0], method=method, path=path, Authorization=wrong)
        assert said.status == 401 and said.headers["WWW-Authenticate"].startswith("Bearer"), wrong
        assert "Authorization: Bearer TOKEN" in json.loads(said.body)["error"]["message"]
        assert right.removeprefix("Bearer ") not in said.body


def test_no_two_runs_have_the_same_token():
    tokens = {over_http.new_token() for _ in range(100)}
    assert len(tokens) == 100 and min(map(len, tokens)) >= 43


def test_a_web_page_cannot_reach_the_server_through_a_name_of_its_own(caller):
    asked = {"id": 1, "method": "tools/list"}
    assert caller.ask(asked, Host="evil.example").status == 421
    assert caller.ask(asked, Origin="http://evil.example").status == 403
    # Let through, and then told that it opened no session.
    assert caller.ask(asked, Origin=f"http://{caller.address}").status == 400


def test_a_client_that_leaves_ends_its_session_and_frees_the_simulators(caller):
    session, other = caller.session(), caller.session()
    assert '"all_specs_met' in caller.ask(SIMULATE, **session).body.replace("\\", "")
    workers = caller.server.workers()
    caller.leave(session)
    assert caller.ask(SIMULATE, **session).status == 404
    assert all_gone(workers)
    history = caller.ask(tool_call(3, "history", {}), **other)
    assert '"simulations_left":4' in history.body.replace("\\", "")
    caller.leave(other)


def test_no_more_sessions_are_opened_than_a_few_and_one_that_ends_makes_room(caller):
    first, *others = [caller.session() for _ in range(over_http.MAX_SESSIONS)]
    refused = caller.ask(HELLO[0])
    assert refused.status == 503 and "Too many open sessions" in refused.body
    assert caller.ask(tool_call(3, "history", {}), **first).status == 200
    caller.leave(first)
    for session in [*others, caller.session()]:
        caller.leave(session)


def test_a_session_that_is_silent_is_closed_and_its_simulators_are_freed():
    with http_server(*SMALL, "--budget", "5", "--idle", "1") as (entry, server):
        caller = Caller(entry, server)
        session = caller.session()
        caller.ask(SIMULATE, **session)
        assert all_gone(server.workers())
        time.sleep(1.2)  # A second after its last request at the latest.
        assert caller.ask(SIMULATE, **session).status == 404
        assert caller.ask(SIMULATE, **caller.session()).status == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.0.2.7", False), ("lab.example", False)],
)  # fmt: skip
def test_requests_must_name_the_machine_wherever_it_listens(host, loopback):
    assert over_http.is_loopback(host) is loopback
    settings = over_http.security(host)
    assert settings.enable_dns_rebinding_protection
    assert {"localhost:*", "127.0.0.1:*"} <= set(settings.allowed_hosts)
    assert not {"*", ":*", "0.0.0.0:*", "[::]:*"} & set(settings.allowed_hosts)
    assert settings.allowed_origins == [f"http://{h}" for h in settings.allowed_hosts]
