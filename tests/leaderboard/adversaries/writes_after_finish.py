"""Asks for more once it has finished, and stays."""

import json
import time

from raw import call, hello, send

design = hello()
call("simulate", designs=[design])
call("finish")
request = {"jsonrpc": "2.0", "id": 9, "method": "simulate", "params": {"designs": [design]}}
for _ in range(3):
    send(json.dumps(request).encode())
time.sleep(600)
