"""Does not answer initialize."""

import time

time.sleep(600)
