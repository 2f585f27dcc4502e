"""Agents for tests of backends: they leave files where a test on the same machine can see them."""

from __future__ import annotations

import atexit
import os
import time
from typing import ClassVar

from acs_gym.design import DesignSpace


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


class Hog:
    """Never lets go of 300 MiB, and makes every design of its process the same one."""

    held: ClassVar[list[bytearray]] = []

    def run(self, session):
        self.held.append(bytearray(b"\1") * (300 << 20))
        middle = session.task.space.sample(session.rng)
        DesignSpace.sample = lambda _self, _rng: middle
        while session.remaining:
            session.simulate(middle)


class EndsSlowly:
    """Simulates what it may; its process says in a file `ended`, half a second after its last word."""

    def keep_files_in(self, folder):
        atexit.register(lambda: (time.sleep(0.5), (folder / "ended").touch()))

    def run(self, session):
        while session.remaining:
            session.simulate(session.task.space.sample(session.rng))
