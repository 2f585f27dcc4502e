"""What an MCP client starts as its server: copies lines between the client and the harness.

    python -I -S bridge.py SOCKET

The harness answers at a Unix socket in the agent's folder, because that is what reaches out of a network
namespace, and because the client's own child inherits no descriptor. Standard library only. The
harness's first line is empty when it listens to this client, and says why when it does not.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading

_REFUSED = -32600
_CHUNK = 1 << 16


def main(path: str) -> int:
    """Copy until the harness closes; the exit code is 1 when it does not listen."""
    folder, name = os.path.split(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as harness:
        try:
            os.chdir(folder or ".")  # A socket's path may be too long; its name is not.
            harness.connect(name)
            answers = harness.makefile("rb", buffering=0)
            refusal = answers.readline().decode().strip()
        except OSError as error:
            refusal = f"the harness cannot be reached at {path}: {error.strerror}"
        if refusal:
            return _refuse(refusal)
        threading.Thread(target=_copy_requests, args=(harness,), daemon=True).start()
        while data := answers.read(_CHUNK):
            _write_all(1, data)
    return 0


def _copy_requests(harness: socket.socket) -> None:
    try:
        while data := os.read(0, _CHUNK):
            harness.sendall(data)
        harness.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # The harness is done, which ends this program.


def _refuse(why: str) -> int:
    """Answer the client's first request with the reason, so that it need not wait for one."""
    print(why, file=sys.stderr, flush=True)
    try:
        identity = json.loads(sys.stdin.buffer.readline()).get("id")
    except (ValueError, AttributeError, RecursionError):
        identity = None
    error = {"code": _REFUSED, "message": why}
    line = json.dumps({"jsonrpc": "2.0", "id": identity, "error": error})
    _write_all(1, line.encode() + b"\n")
    return 1


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    code = main(sys.argv[1])
    # The thread may be waiting for standard input, and only the end of the process ends that.
    os._exit(code)
