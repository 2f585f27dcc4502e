"""Prints 64 MB, then works on."""

import os

from raw import call, hello

design = hello()
for _ in range(1024):
    os.write(1, b"x" * 65535 + b"\n")
call("simulate", designs=[design])
call("finish")
