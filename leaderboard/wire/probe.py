"""What the `subprocess` tier really holds on this machine, found by trying to get out of it."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from leaderboard.wire.isolation import TIER, Isolation, start

_PROBE_S = 20.0


@lru_cache(maxsize=4)
def probe(isolation: Isolation | None = None) -> dict[str, Any]:
    """What an agent cannot do on this machine, found by trying, once a process.

    `network_cut`: no connection to a listener on this machine. `harness_hidden`: neither the
    environment of the harness nor a signal to it. `files_read_only`: nothing written outside its own
    folder. `descendants_end`: a process that left its session is gone afterwards. `limits`: the
    resource limits that were set. All false or empty when the probe could not run.
    """
    command = [sys.executable, "-I", "-S", "-c", _PROBE]
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryDirectory(prefix="acs-gym-probe-") as outside,
        open(os.devnull, "wb") as nowhere,
    ):
        question = {
            "port": listener.getsockname()[1],
            "pid": os.getpid(),
            "outside": str(Path(outside) / "file"),
        }
        confined = start(command, isolation or Isolation(), nowhere.fileno())
        witness = os.dup(confined.read)
        try:
            os.write(confined.write, json.dumps(question).encode() + b"\n")
            got_out = _probe_answer(confined.read)
        finally:
            confined.close()
        # Whoever is left holds the other end of this pipe.
        ended = _all_gone(witness)
        os.close(witness)
    tried = got_out is not None
    got_out = got_out or []
    return {
        "tier": TIER,
        "network_cut": tried and "connect" not in got_out,
        "harness_hidden": tried and "environ" not in got_out and "signal" not in got_out,
        "files_read_only": tried and "write" not in got_out,
        "descendants_end": tried and ended,
        "limits": sorted(n for n, done in confined.holds.items() if done and n in _LIMITS),
    }


_LIMITS = frozenset(Isolation().limits())

# Runs inside: tries to get out, leaves a process behind, and says what it managed to do.
_PROBE = """
import json, os, socket, time
with open(3) as stream:
    question = json.loads(stream.readline())
def connect():
    socket.create_connection(("127.0.0.1", question["port"]), timeout=2).close()
def environ():
    with open("/proc/%d/environ" % question["pid"], "rb") as stream:
        stream.read()
def signal():
    os.kill(question["pid"], 0)
def write():
    open(question["outside"], "w").close()
got_out = []
for attempt in (connect, environ, signal, write):
    try:
        attempt()
        got_out.append(attempt.__name__)
    except OSError:
        pass
if os.fork() == 0:
    os.setsid()
    time.sleep(600)
os.write(4, json.dumps(got_out).encode() + b"\\n")
"""


def _probe_answer(descriptor: int) -> list[str] | None:
    """The line that the probe wrote; None when there is none."""
    data, deadline = b"", time.monotonic() + _PROBE_S
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000) or not (chunk := os.read(descriptor, 4096)):
            return None
        data += chunk
    return list(json.loads(data))


def _all_gone(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000)) and os.read(descriptor, 1) == b""
