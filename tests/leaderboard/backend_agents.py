"""Agents for tests of backends: they leave files where a test on the same machine can see them."""

from __future__ import annotations

import os
import time


class Gated:
    """Simulates once, then waits for a file called `gate` beside the cells.

    Every attempt adds a line with its process id to `attempts` in the cell's folder.
    """

    def keep_files_in(self, folder):
        self.gate = folder.parent / "gate"
        with (folder / "attempts").open("a") as stream:
            stream.write(f"{os.getpid()}\n")

    def run(self, session):
        session.simulate(session.task.space.sample(session.rng))
        while not self.gate.exists():
            time.sleep(0.05)
        while session.remaining:
            session.simulate(session.task.space.sample(session.rng))
