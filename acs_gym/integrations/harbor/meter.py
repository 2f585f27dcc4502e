"""The tools over HTTP, for one agent in the container beside: `python -m ...harbor.meter`.

`POST /TOOL` with a JSON object answers with the text that a model is given. One attempt for the life of
the process, one call at a time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from acs_gym import program
from acs_gym.simulation.pool import Simulator
from acs_gym.tools.problem import Problem, Work
from acs_gym.tools.reading import read_json

HOST, PORT = "127.0.0.1", 8700
# A call is some designs; what is larger is none.
_LONGEST = 1 << 20


def server(
    problem: Problem, host: str = HOST, port: int = PORT, *, simulator: Simulator | None = None
) -> HTTPServer:
    """A server that listens; `serve_forever` answers. Port 0 is any free one."""
    work = Work(problem, simulator=simulator)

    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_GET(self) -> None:
            self._answer(200, '{"ready":true}')

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _LONGEST:
                self._answer(
                    413, f'{{"error":"a call is a JSON text of at most {_LONGEST} bytes"}}'
                )
                return
            body = self.rfile.read(int(length)).decode("utf-8", "replace")
            step = work.call(self.path.removeprefix("/"), read_json(body))
            self._answer(200, step.answer.text)

        def _answer(self, status: int, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return HTTPServer((host, port), Handler)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: PROBLEM.json, `--host`, `--port`."""
    parser = argparse.ArgumentParser(prog="python -m acs_gym.integrations.harbor.meter")
    parser.add_argument("problem", type=Path)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=PORT)
    given = parser.parse_args(arguments)
    problem = Problem.from_json(given.problem.read_text(encoding="utf-8"))
    server(problem, given.host, given.port).serve_forever()


if __name__ == "__main__":
    program.start()
    main()
