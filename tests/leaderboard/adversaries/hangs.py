"""Simulates once, then says nothing more; nor does it end when asked to."""

import signal
import time

from raw import call, hello

signal.signal(signal.SIGTERM, signal.SIG_IGN)
call("simulate", designs=[hello()])
while True:
    time.sleep(60)
