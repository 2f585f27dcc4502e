"""A server that speaks vLLM's completions format on a tiny model, and can be told to speak it badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tlgrpo.samplers.hf import HfSampler


class CompletionsServer:
    """Answers as vLLM does: `n` choices a prompt, prompt after prompt; seed + k for the k-th.

    Attributes:
        requests: bodies of the completions that were asked for.
        statuses: answered first, one a request, before any completion.
        spoil: changes an answer before it is sent.
    """

    def __init__(self, policy: Any, seed: int = 0) -> None:
        self.policy, self._lock, self._drawn = policy, threading.Lock(), seed
        self.requests: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.spoil: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.url = ""

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        choices: list[dict[str, Any]] = []
        with self._lock:
            for prompt in body["prompt"]:
                for k in range(body["n"]):
                    self._drawn += 1
                    seed = body["seed"] + k if "seed" in body else self._drawn
                    choices.append(self._choice(body, prompt, seed, len(choices)))
        return {"object": "text_completion", "model": body["model"], "choices": choices}

    def _choice(self, body: dict[str, Any], prompt: list[int], seed: int, index: int) -> dict:
        sampler = HfSampler(
            self.policy.model, end=body["stop_token_ids"][0], pad=self.policy.codec.pad,
            action_tokens=body["max_tokens"], temperature=body["temperature"], seed=seed,
        )  # fmt: skip
        action = sampler.sample([prompt], 1)[0][0]
        tokens = [f"token_id:{k}" for k in action.ids]
        return {
            "index": index,
            "text": self.policy.codec.action(action.ids),
            "finish_reason": "stop" if action.ids[-1] == sampler.end else "length",
            "logprobs": {
                "tokens": tokens,
                "token_logprobs": list(action.log_probs),
                "top_logprobs": [{t: p} for t, p in zip(tokens, action.log_probs, strict=True)],
                "text_offset": [0] * len(tokens),
            },
            "prompt_token_ids": prompt,
            "token_ids": list(action.ids),
        }


@contextmanager
def serving(server: CompletionsServer) -> Iterator[CompletionsServer]:
    """On a free port of the loopback address, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, {"data": [{"id": "tiny"}]} if self.path == "/v1/models" else {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != "/v1/completions":
                self._answer(404, {"error": {"message": f"no {self.path}"}})
                return
            server.requests.append(body)
            if server.statuses:
                status = server.statuses.pop(0)
                self._answer(status, {"error": {"message": f"status {status} it is"}})
                return
            self._answer(200, server.spoil(server.complete(body)))

        def _answer(self, status: int, body: Any) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
