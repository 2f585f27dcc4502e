"""Everything a Python agent needs to speak ACS-Gym's protocol v1. Copy this file; it imports nothing.

with connect("my agent") as session:
    while session.remaining:
        session.simulate(my_design(session.task))
"""

import json
import os


class Refused(Exception):
    """A call that was not carried out; the message says what is allowed. Nothing was charged."""


class Session:
    """task, budget, seed: what is to be done. remaining: designs left. usage: what was spent."""

    def __init__(self, name, version):
        self._read = os.fdopen(3, encoding="utf-8", closefd=False)
        params = json.loads(self._read.readline())["params"]
        self.task, self.seed, self.budget = params["task"], params["seed"], params["budget"]
        self.remaining, self.usage, self._id, self._finished = self.budget, {}, 0, False
        self._send({"id": 1, "result": {"name": name, "version": version}})

    def simulate(self, designs, **more):
        """A design (a dict) gives its evaluation, a list a list. by_condition=True: with every corner."""
        one = isinstance(designs, dict)
        result = self._call("simulate", dict(more, designs=[designs] if one else designs))
        self.remaining = result["remaining"]
        return result["evaluations"][0] if one else result["evaluations"]

    def finish(self, **params):
        """End the run. Optional: recommendation (a design), usage ({"tokens": 0, "money": 0.0})."""
        self._finished = True
        return self._call("finish", params)

    def _call(self, method, params):
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        answer = json.loads(self._read.readline() or '{"error": {"message": "the run is over"}}')
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        return answer["result"]

    def _send(self, message):
        line = (json.dumps(dict(message, jsonrpc="2.0"), allow_nan=False) + "\n").encode()
        while line:
            line = line[os.write(4, line) :]

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error is None and not self._finished:
            self.finish(**({"usage": self.usage} if self.usage else {}))


def connect(name="agent", version=""):
    return Session(name, version)
