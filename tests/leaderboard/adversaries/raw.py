"""The protocol without manners: what the adversaries share. Standard library only."""

import json
import os

_replies = None


def receive():
    global _replies
    if _replies is None:
        _replies = os.fdopen(3, "rb", closefd=False)
    line = _replies.readline()
    return json.loads(line) if line else None


def send(line):
    """Write bytes, and a newline."""
    data = line + b"\n"
    while data:
        data = data[os.write(4, data) :]


def call(method, **params):
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    send(json.dumps(message).encode())
    return receive()


def hello():
    """Answer initialize; the task's smallest design, a poor one."""
    params = receive()["params"]
    send(b'{"jsonrpc":"2.0","id":1,"result":{"name":"adversary"}}')
    return smallest(params["task"])


def smallest(task):
    return {p["name"]: p["low"] for p in task["parameters"]}


def say(value):
    """For the test, in the log."""
    print(json.dumps(value), flush=True)
