"""A chat model of our own behind the OpenAI wire format, on loopback: no model needed.

`llm-scripted` is served by it, so that the whole path from prompt to score is gone through without a
paid model; the tests make it misbehave. Not for the network: it binds to 127.0.0.1 and knows no key.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agents.model import Message, Reply, ToolDefinition, estimate_tokens

Policy = Callable[[Sequence[Message], Sequence[ToolDefinition]], Reply]
_LARGEST_REQUEST = 64 * 2**20


class ChatServer:
    """Serves `policy` at `url` while used as a context manager.

    Args:
        policy: messages and tools in, a reply out; called once a request, one at a time.
        name: of the model.
    """

    def __init__(self, policy: Policy, name: str = "scripted") -> None:
        self.policy, self.name = policy, name
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 2**16  # Head and body in one packet; in two, the second waits for an ACK.

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(min(length, _LARGEST_REQUEST))
                server.handle(self, body)

            def do_GET(self) -> None:
                respond(self, 200, {"object": "list", "data": server.models()})

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: what matters is in the transcript."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def models(self) -> list[dict[str, Any]]:
        """What `GET /v1/models` lists."""
        return [{"id": self.name, "object": "model"}]

    def handle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer one request. The place for a subclass to misbehave."""
        try:
            request = json.loads(body)
            messages, tools = request["messages"], request.get("tools", [])
        except (ValueError, KeyError, TypeError):
            respond(handler, 400, {"error": {"message": "the body is no chat request"}})
            return
        if not handler.path.endswith("/chat/completions"):
            respond(handler, 404, {"error": {"message": f"no {handler.path}"}})
            return
        with self._lock:
            self.requests.append(request)
            try:
                reply = self.policy(messages, tools)
            except Exception as error:  # noqa: BLE001 - the client has to hear of it, whatever it is
                said = f"{type(error).__name__}: {error}"
                respond(handler, 400, {"error": {"message": f"the policy failed: {said}"}})
                return
        respond(handler, 200, completion(reply, self.name, messages))


def completion(reply: Reply, model: str, messages: Sequence[Message]) -> dict[str, Any]:
    """A reply as the body of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in reply.calls
        ]
    prompt = estimate_tokens(messages)
    answer = estimate_tokens([message])
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": reply.finish_reason or ("tool_calls" if reply.calls else "stop"),
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": prompt + answer,
        },
    }


def respond(handler: BaseHTTPRequestHandler, status: int, data: object, **headers: str) -> None:
    """Write a JSON response."""
    body = json.dumps(data).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
