"""`python -m agents.mcp` as a client or a person starts it, and the official client to talk to it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

ROOT = Path(__file__).parents[2]
# A simulation of this circuit takes some hundredths of a second, with one worker one at a time.
SMALL = ("--task", "ota5t", "--pdk", "generic", "--workers", "1")
PATIENCE_S = 90.0
T = TypeVar("T")


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "agents.mcp", *options]


def run(*options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The server with nothing on its standard input, to its end."""
    return subprocess.run(
        command(*options), cwd=ROOT, env={**os.environ, **(env or {})}, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def alive(pid: int) -> bool:
    """Whether a process runs still; one that died and waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def all_gone(pids: list[int]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if not any(map(alive, pids)):
            return True
        time.sleep(0.02)
    return False


def _is_worker(pid: str) -> bool:
    try:
        return b"acs_gym.simulation.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class ServerProcess:
    """A server that is killed with this block at the latest; its standard error is read as it comes."""

    def __init__(self, *options: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command(*options), cwd=ROOT, env={**os.environ, **(env or {})}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put("")

    def line_with(self, text: str) -> str:
        """The next line on standard error that holds `text`."""
        while line := self._lines.get(timeout=PATIENCE_S):
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was never said, but {''.join(self.said)}")

    def client_config(self) -> dict[str, Any]:
        """The server's entry in the configuration that it prints."""
        self.line_with("configuration:")
        text = ""
        while (line := self._lines.get(timeout=PATIENCE_S)) and line != "}\n":
            text += line
        (entry,) = json.loads(text + line)["mcpServers"].values()
        return entry

    def end(self) -> tuple[int, str]:
        """(exit code, the rest of standard error), once it has ended."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        rest = []
        while line := self._lines.get(timeout=PATIENCE_S):
            rest.append(line)
        return code, "".join(rest)

    def send(self, *messages: dict[str, Any]) -> None:
        """JSON-RPC messages on standard input, without a client."""
        assert self.process.stdin is not None
        for message in messages:
            self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def workers(self) -> list[int]:
        """Process ids of its simulation workers, once there are some: a call has then begun.

        Looking for libraries starts processes too, so not every child is one.
        """
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if found := [int(p) for p in children.read_text().split() if _is_worker(p)]:
                return found
            time.sleep(0.02)
        raise AssertionError("no worker was ever started")

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


HELLO: tuple[dict[str, Any], ...] = (
    {
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        },
    },
    {"method": "notifications/initialized"},
)


def tool_call(number: int, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A JSON-RPC request to call a tool."""
    return {
        "id": number,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }


@contextlib.contextmanager
def http_server(*options: str) -> Iterator[tuple[dict[str, Any], ServerProcess]]:
    """(what it says a client is to be told, of its URL and its token; the process)."""
    with ServerProcess(*options, "--http", "--port", "0") as server:
        yield server.client_config(), server


def http_client(entry: dict[str, Any], mode: str = "auto") -> Client:
    """The official client, told what a server printed."""

    @contextlib.asynccontextmanager
    async def transport() -> AsyncIterator[Any]:
        async with (
            httpx2.AsyncClient(headers=entry["headers"], timeout=PATIENCE_S) as client,
            streamable_http_client(entry["url"], http_client=client) as streams,
        ):
            yield streams

    return Client(transport(), mode=mode)


@contextlib.contextmanager
def serving(transport: str, mode: str, *options: str) -> Iterator[Callable[[], Client]]:
    """What makes a client of a server; over stdio every client has a server of its own."""
    if transport == "stdio":
        first, *rest = command(*options)
        parameters = StdioServerParameters(command=first, args=rest, cwd=ROOT)
        yield lambda: Client(parameters, mode=mode)
    else:
        with http_server(*options) as (entry, _):
            yield lambda: http_client(entry, mode)


def within_patience(talk: Callable[[], Awaitable[T]]) -> T:
    """What `talk` gives; TimeoutError when it hangs."""

    async def limited() -> T:
        with anyio.fail_after(PATIENCE_S):
            return await talk()

    return anyio.run(limited)


async def call(client: Client, name: str, **arguments: Any) -> tuple[bool, dict[str, Any]]:
    """(was it refused, the answer)."""
    result = await client.call_tool(name, arguments)
    (content,) = result.content
    return result.is_error, json.loads(content.text)
