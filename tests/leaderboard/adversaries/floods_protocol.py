"""Writes without end to the protocol's descriptor: one long line, or many short ones."""

import os
import sys

from raw import call, hello

call("simulate", designs=[hello()])
chunk = {"line": b"x" * 65536, "lines": b"x\n" * 32768}[sys.argv[1]]
while True:
    os.write(4, chunk)
