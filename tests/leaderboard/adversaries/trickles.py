"""Writes a byte now and then, and never ends its line."""

import os
import time

from raw import hello

hello()
while True:
    os.write(4, b" ")
    time.sleep(0.05)
