"""The scripted chat server, streaming where it is asked to, as frameworks do."""

from __future__ import annotations

import json

from agents.chat_server import ChatServer, completion, respond


class StreamingServer(ChatServer):
    """A reply is one piece of a stream; a second has what it cost."""

    def handle(self, handler, body):
        request = json.loads(body)
        if not request.get("stream"):
            super().handle(handler, body)
            return
        with self._lock:
            self.requests.append(request)
            try:
                reply = self.policy(request["messages"], request.get("tools", []))
            except Exception as error:  # noqa: BLE001 - the client has to hear of it, whatever it is
                respond(handler, 400, {"error": {"message": f"the policy failed: {error!r}"}})
                return
        whole = completion(reply, self.name, request["messages"])
        (choice,), usage = whole.pop("choices"), whole.pop("usage")
        delta = choice.pop("message")
        for number, call in enumerate(delta.get("tool_calls", ())):
            call["index"] = number
        head = whole | {"object": "chat.completion.chunk"}
        pieces = [
            head | {"choices": [choice | {"delta": delta}]},
            head | {"choices": [], "usage": usage},
        ]
        text = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
        data = text.encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
