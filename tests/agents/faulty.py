"""An OpenAI-compatible server that misbehaves in every way that servers and models do."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from agents.chat_server import ChatServer, Policy, completion, respond
from agents.model import Reply, ToolCall

Handler = BaseHTTPRequestHandler
Fault = Callable[["FaultyServer", Handler, dict[str, Any]], None]


class FaultyServer(ChatServer):
    """Misbehaves by the faults given, in turn or at random, before it behaves.

    Args:
        script: one entry a request, None to behave; afterwards it behaves.
        share: of the further requests that go wrong, by a generator seeded with `seed`.
    """

    def __init__(
        self,
        policy: Policy,
        script: Sequence[Fault | None] = (),
        *,
        share: float = 0.0,
        seed: int = 0,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(policy)
        self._script = list(script)
        self._share, self._faults, self._rng = share, list(faults), random.Random(seed)
        self.misbehaved: list[str] = []
        self.keys: list[str] = []

    def handle(self, handler: Handler, body: bytes) -> None:
        self.keys.append(handler.headers.get("Authorization", ""))
        fault = None
        if self._script:
            fault = self._script.pop(0)
        elif self._faults and self._rng.random() < self._share:
            fault = self._rng.choice(self._faults)
        if fault is None:
            super().handle(handler, body)
        else:
            self.misbehaved.append(fault.__name__)
            fault(self, handler, json.loads(body))


def _status(code: int, message: str, **headers: str) -> Fault:
    def fault(_server: FaultyServer, handler: Handler, _request: dict[str, Any]) -> None:
        respond(handler, code, {"error": {"message": message}}, **headers)

    fault.__name__ = f"http_{code}"
    return fault


def _says(change: Callable[[dict[str, Any], Reply], Any], name: str) -> Fault:
    """The right reply of the policy, spoilt on its way."""

    def fault(server: FaultyServer, handler: Handler, request: dict[str, Any]) -> None:
        reply = server.policy(request["messages"], request.get("tools", []))
        body = completion(reply, server.name, request["messages"])
        respond(handler, 200, change(body, reply))

    fault.__name__ = name
    return fault


def _message(change: Callable[[dict[str, Any]], None], name: str) -> Fault:
    def spoil(body: dict[str, Any], _reply: Reply) -> dict[str, Any]:
        change(body["choices"][0]["message"])
        return body

    return _says(spoil, name)


def _calls(change: Callable[[dict[str, Any]], None], name: str) -> Fault:
    def spoil(message: dict[str, Any]) -> None:
        for call in message.get("tool_calls", []):
            change(call)

    return _message(spoil, name)


def dropped(_server: FaultyServer, handler: Handler, _request: dict[str, Any]) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def half_a_body(server: FaultyServer, handler: Handler, request: dict[str, Any]) -> None:
    reply = server.policy(request["messages"], request.get("tools", []))
    body = json.dumps(completion(reply, server.name, request["messages"])).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    dropped(server, handler, request)


def not_json(_server: FaultyServer, handler: Handler, _request: dict[str, Any]) -> None:
    body = b'{"choices": [{"mess'
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def html_page(_server: FaultyServer, handler: Handler, _request: dict[str, Any]) -> None:
    body = b"<html><body>gateway error</body></html>"
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def hangs(_server: FaultyServer, handler: Handler, _request: dict[str, Any]) -> None:
    """Longer than the time-out of the tests."""
    time.sleep(3.0)
    handler.close_connection = True


def dribbles(_server: FaultyServer, handler: Handler, _request: dict[str, Any]) -> None:
    """A byte now and then, so that no time-out between two bytes ever passes."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        for _ in range(40):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass
    handler.close_connection = True


def context_too_long(_server: FaultyServer, handler: Handler, _request: dict[str, Any]) -> None:
    text = (
        "This model's maximum context length is 1000 tokens, but the request has 1200 input tokens"
    )
    respond(handler, 400, {"error": {"message": text, "code": "context_length_exceeded"}})


def without_usage(body: dict[str, Any], _reply: Reply) -> dict[str, Any]:
    del body["usage"]
    return body


def _half(call: dict[str, Any]) -> None:
    text = call["function"]["arguments"]
    call["function"]["arguments"] = text[: len(text) // 2]


def as_text(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """Calls in the text, as a server without a tool parser leaves them."""
    from agents.text_format import write_calls

    body["choices"][0]["message"] = {
        "role": "assistant",
        "content": write_calls(reply.text, reply.calls),
    }
    return body


busy = _status(429, "slow down", Retry_After="0.01")
broken = _status(500, "internal error")
overloaded = _status(503, "overloaded")
error_in_200 = _says(lambda b, r: {"error": {"message": "upstream failed"}}, "error_in_200")
no_choices = _says(lambda b, r: b | {"choices": []}, "no_choices")
null_message = _says(
    lambda b, r: b | {"choices": [{"index": 0, "message": None, "finish_reason": "stop"}]},
    "null_message",
)
a_list = _says(lambda b, r: [b], "a_list")
half_the_arguments = _calls(_half, "half_the_arguments")
unknown_tool = _calls(lambda c: c["function"].update(name="simulat"), "unknown_tool")
no_name = _calls(lambda c: c["function"].pop("name"), "no_name")
no_function = _calls(lambda c: c.pop("function"), "no_function")
arguments_are_a_list = _calls(
    lambda c: c["function"].update(arguments="[1, 2]"), "arguments_are_a_list"
)
arguments_hold_nan = _calls(
    lambda c: c["function"].update(arguments='{"designs": [{"w_pair": NaN}]}'), "arguments_hold_nan"
)
arguments_are_deep = _calls(
    lambda c: c["function"].update(arguments="[" * 100_000), "arguments_are_deep"
)
out_of_range = _calls(
    lambda c: c["function"].update(
        arguments=json.dumps({"designs": [{"w_pair": "1 km", "nonsense": 3}]})
    ),
    "out_of_range",
)
says_nothing = _message(
    lambda m: (m.pop("tool_calls", None), m.update(content=None)), "says_nothing"
)
only_talks = _message(
    lambda m: (m.pop("tool_calls", None), m.update(content="Let me think about it.")), "only_talks"
)

# The server's fault: tried again, and the model never hears of it.
SERVER_FAULTS: tuple[Fault, ...] = (
    busy, broken, overloaded, dropped, half_a_body, not_json, html_page, error_in_200, no_choices,
    null_message, a_list,
)  # fmt: skip
# The model's fault: it is told.
MODEL_FAULTS: tuple[Fault, ...] = (
    half_the_arguments, unknown_tool, no_name, no_function, arguments_are_a_list,
    arguments_hold_nan, arguments_are_deep, out_of_range, says_nothing, only_talks,
)  # fmt: skip
# Odd, and understood all the same.
ODDITIES: tuple[Fault, ...] = (
    _says(without_usage, "without_usage"),
    _says(as_text, "as_text"),
    _calls(lambda c: c.pop("id"), "no_id"),
    _calls(
        lambda c: c["function"].update(arguments=json.loads(c["function"]["arguments"])),
        "arguments_are_an_object",
    ),
    _message(lambda m: m.update(content=[{"type": "text", "text": "Parts."}]), "content_in_parts"),
    _message(lambda m: m.update(content="<think>hm</think>So:"), "thinks_in_its_text"),
    _message(lambda m: m.update(reasoning="hm", reasoning_content=None), "reasoning_field"),
)


def one_call(name: str, arguments: object, text: str = "") -> Reply:
    """A reply with one call."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Reply(text=text, calls=(ToolCall("call_a", name, written),))
