"""The socket in an agent's folder that its MCP clients connect to, one client at a time."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time
from pathlib import Path

from acs_gym.tools.mcp import NAME
from leaderboard.wire.channel import Channel, ChannelClosed, Silent
from leaderboard.wire.isolation.confined import Confined

CONFIG, CONFIG_VARIABLE, SOCKET = "mcp.json", "ACS_GYM_MCP_CONFIG", "acs-gym.sock"
BRIDGE = (sys.executable, "-I", "-S", str(Path(__file__).with_name("bridge.py")))
# What its processes said before they were ended is read for that long.
_LAST_LINES_S = 5.0
_LISTENING, _TAKEN = b"\n", b"another MCP client is connected; close that one first\n"


class McpListener:
    """A channel whose other end may leave and come again, as long as the command runs.

    Attributes:
        clients: how many were accepted.
        refused: how many were not, because another was there.
    """

    def __init__(self) -> None:
        self.clients = self.refused = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection: socket.socket | None = None
        self._channel: Channel | None = None
        self._ended = False

    def open(self, folder: Path) -> dict[str, str]:
        """Listen in `folder`, and put `mcp.json` there; the variable that names it."""
        _bind(self._listener, folder)
        self._listener.listen()
        self._listener.setblocking(False)
        program, *arguments = (*BRIDGE, str(folder / SOCKET))
        servers = {NAME: {"command": program, "args": arguments}}
        (folder / CONFIG).write_text(json.dumps({"mcpServers": servers}, indent=2) + "\n")
        return {CONFIG_VARIABLE: str(folder / CONFIG)}

    def receive(self, confined: Confined, patience_s: float) -> bytes | None:
        """The next line of whoever is connected; None for one that is too long.

        Raises Silent when there was none within `patience_s` seconds, and ChannelClosed when the command
        has ended and all that it said has been read.
        """
        deadline = time.monotonic() + patience_s
        while True:
            if self._channel is not None:
                try:
                    return self._channel.receive(0.0)
                except ChannelClosed:
                    self._disconnect()
                except Silent:
                    pass
            if self._ended and self._channel is None:
                raise ChannelClosed
            ready = self._wait(confined, deadline)
            if not ready:
                raise ChannelClosed if self._ended else Silent
            if confined.report in ready and confined.has_ended():
                self._ended = True
                deadline = time.monotonic() + _LAST_LINES_S
            # Only when nothing came from the one that is connected, who may just have left.
            elif self._listener.fileno() in ready and self._connection_fileno() not in ready:
                self._accept()

    def send(self, line: bytes, patience_s: float) -> None:
        """Write a line to whoever is connected, if anybody still is. Raises Silent."""
        if self._channel is not None:
            with contextlib.suppress(ChannelClosed):  # Found again by the next `receive`.
                self._channel.send(line, patience_s)

    def close(self) -> None:
        self._disconnect()
        self._listener.close()

    def _wait(self, confined: Confined, deadline: float) -> set[int]:
        poll = select.poll()
        descriptors = [self._connection_fileno()]
        if not self._ended:
            descriptors += [self._listener.fileno(), confined.report]
        for descriptor in descriptors:
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        return {d for d, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}

    def _connection_fileno(self) -> int:
        return -1 if self._connection is None else self._connection.fileno()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # It has left already.
            return
        taken = self._connection is not None
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.send(_TAKEN if taken else _LISTENING)
        if taken:
            self.refused += 1
            connection.close()
            return
        self.clients += 1
        self._connection = connection
        self._channel = Channel(connection.fileno(), connection.fileno())

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._channel = None


def _bind(listener: socket.socket, folder: Path) -> None:
    try:
        listener.bind(str(folder / SOCKET))
    except OSError:
        # The path is longer than a socket's may be (about 100 bytes); through a descriptor it is not.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
        finally:
            os.close(descriptor)
