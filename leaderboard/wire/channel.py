"""Lines over two descriptors, with a limit on their length and on how long one waits for the other."""

from __future__ import annotations

import os
import select
import time

from leaderboard.wire.messages import MAX_LINE

_CHUNK = 1 << 16


class ChannelClosed(Exception):
    """The other side closed its end."""


class Silent(Exception):
    """The other side said (or took) nothing for too long."""


class Channel:
    """Our ends of a conversation: lines are read from `read` and written to `write`."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._pending = bytearray()
        self._searched = 0
        self._skipping = False
        os.set_blocking(write, False)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(read, select.POLLIN)
        self._writable.register(write, select.POLLOUT)

    def receive(self, patience_s: float) -> bytes | None:
        """The next line without its newline; None for each MAX_LINE bytes of one that is longer.

        Raises Silent when no line was completed within `patience_s` seconds, and ChannelClosed.
        """
        deadline = time.monotonic() + patience_s
        while True:
            if (end := self._pending.find(b"\n", self._searched)) >= 0:
                line = bytes(self._pending[:end])
                del self._pending[: end + 1]
                self._searched = 0
                if not self._skipping:
                    return line if len(line) <= MAX_LINE else None
                self._skipping = False  # That was the rest of a line already complained of.
                continue
            if len(self._pending) > MAX_LINE:
                self._pending.clear()
                self._searched, self._skipping = 0, True
                return None
            self._searched = len(self._pending)
            if not self._readable.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise Silent
            try:
                data = os.read(self._read, _CHUNK)
            except ConnectionResetError:
                raise ChannelClosed from None
            if not data:
                raise ChannelClosed
            self._pending += data

    def send(self, line: bytes, patience_s: float) -> None:
        """Write a line. Raises Silent when the other side does not read it, and ChannelClosed."""
        deadline = time.monotonic() + patience_s
        left = memoryview(line)
        while left:
            try:
                left = left[os.write(self._write, left) :]
            except BlockingIOError:
                if not self._writable.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise Silent from None
            except (BrokenPipeError, ConnectionResetError):
                raise ChannelClosed from None
