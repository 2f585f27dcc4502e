"""Looks for the harness' environment: in its own, and in that of every process it can see."""

import os

from raw import call, hello

hello()
found = [f"{k}={v}".encode() for k, v in os.environ.items()]
for process in os.listdir("/proc"):
    if process.isdigit():
        try:
            with open(f"/proc/{process}/environ", "rb") as stream:
                found += stream.read().split(b"\0")
        except OSError:
            pass
for entry in found:
    print(entry.decode("utf-8", "replace"))
print("looked at", len(found), "variables", flush=True)
call("finish")
