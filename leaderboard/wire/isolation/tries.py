"""The program that `probe.py` runs in a level of isolation: tries to get out, and says what it managed.

    python -I -S tries.py NAMED     (NAMED: a file that its command names, as an agent's would)

What there is to be reached comes as a line of JSON on descriptor 3; the names of the attempts that were
carried out go to descriptor 4. It leaves a process behind. Standard library only, no import of this
package: in a container it is alone.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import fcntl
import json
import os
import shutil
import socket
import sys
import time
from typing import Any

LIBC = ctypes.CDLL(None)


class Tries:
    """One method an attempt; it raises OSError where the attempt is refused."""

    def __init__(self, there: dict[str, Any], named: str) -> None:
        self.there, self.named = there, named

    def connect(self) -> None:
        socket.create_connection(("127.0.0.1", self.there["port"]), timeout=2).close()

    def environ(self) -> None:
        with open(f"/proc/{self.there['pid']}/environ", "rb") as stream:
            stream.read()

    def signal(self) -> None:
        os.kill(self.there["pid"], 0)

    def read(self) -> None:
        open(self.there["unnamed"]).close()

    def write(self) -> None:
        with open(self.there["unnamed"], "a") as stream:
            stream.write("forged")

    def write_named(self) -> None:
        with open(self.named, "a") as stream:
            stream.write("forged")

    def unix(self) -> None:
        with socket.socket(socket.AF_UNIX) as out:
            out.connect(self.there["socket"])

    def fifo(self) -> None:
        os.close(os.open(self.there["fifo"], os.O_WRONLY | os.O_NONBLOCK))

    def terminal(self) -> None:
        os.close(os.open(self.there.get("terminal", ""), os.O_WRONLY | os.O_NOCTTY))

    def lock(self) -> None:
        with open(self.named) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def package(self) -> None:
        open(self.there["package"]).close()

    def program(self) -> None:
        found = shutil.which("ngspice")
        if found is None or not os.path.getsize(found):
            raise OSError

    def library(self) -> None:
        ctypes.CDLL(ctypes.util.find_library("ngspice") or "libngspice.so.0")

    def key(self) -> None:
        name = self.there["key"].encode()
        self._call("keyctl", self.there["search"], self.there["keyring"], b"user", name, 0)

    def io_uring(self) -> None:
        self._call("io_uring_setup", 1, ctypes.create_string_buffer(256))

    def folder(self) -> None:
        size = os.statvfs(".")
        if size.f_blocks * size.f_frsize <= self.there["folder_bytes"]:
            raise OSError

    def namespace(self) -> None:
        """The last of them, since it changes what this process is."""
        self._call("unshare", self.there["new_user"])

    def _call(self, name: str, *arguments: Any) -> None:
        number = self.there["calls"].get(name)
        if number is None or LIBC.syscall(number, *arguments) < 0:
            raise OSError


def main() -> None:
    with open(3) as stream:
        tries = Tries(json.loads(stream.readline()), sys.argv[1])
    done = []
    for name in (n for n in vars(Tries) if not n.startswith("_")):
        try:
            getattr(tries, name)()
            done.append(name)
        except OSError:
            pass
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    os.write(4, json.dumps(done).encode() + b"\n")


if __name__ == "__main__":
    main()
