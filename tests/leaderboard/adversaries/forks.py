"""Leaves fifty children that sleep, each in a session of its own, some of them orphans already."""

import os
import time

from raw import call, hello

design = hello()
started = 0
for number in range(50):
    try:
        child = os.fork()
    except OSError:
        break
    if child == 0:
        os.setsid()
        if number % 2 and os.fork():
            os._exit(0)
        time.sleep(600)
        os._exit(0)
    started += 1
call("simulate", designs=[design])
print(started, flush=True)
call("finish")
