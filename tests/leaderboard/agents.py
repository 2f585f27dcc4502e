"""Agents as third parties might write them, well and badly; named by the tests as `module:factory`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


class Walker:
    """A minimal sound agent: random designs until nothing remains."""

    def run(self, session):
        while session.remaining:
            session.simulate(session.task.space.sample(session.rng))


class Configured(Walker):
    track = "score"

    def __init__(self, step=1):
        self.config = {"step": step}


class KeepsFiles(Walker):
    def keep_files_in(self, folder):
        (folder / "notes.txt").write_text("what I thought")


class OnlyTalks:
    """A language model that simulates nothing, over the real wire."""

    def run(self, session):
        from agents.chat_server import ChatServer
        from agents.config import LlmConfig
        from agents.llm import LlmAgent
        from agents.model import Reply

        with ChatServer(lambda messages, tools: Reply(text="I would rather talk.")) as server:
            agent = LlmAgent(LlmConfig(model="m", base_url=server.url))
            agent.run(session)
        self.ended = agent.ended


class Raises:
    """Three good simulations, then a bug."""

    def run(self, session):
        for _ in range(3):
            session.simulate(session.task.space.sample(session.rng))
        raise RuntimeError("the agent has a bug")


class Exits:
    def run(self, session):
        session.simulate(session.task.space.sample(session.rng))
        sys.exit("I leave")


class Overspends:
    """Asks for one more than there is."""

    def run(self, session):
        while True:
            session.simulate(session.task.space.sample(session.rng))


class Idle:
    def run(self, session):
        pass


class Nonsense:
    """Spends its budget on what is no design."""

    def run(self, session):
        while session.remaining:
            session.simulate({"w_pair": float("nan")})


class Talks(Walker):
    """Writes to standard output and reads standard input, where others keep their protocol."""

    def run(self, session):
        print('{"event": "done"}', flush=True)
        os.write(1, b"straight to the descriptor\n")
        assert sys.stdin.read() == ""
        super().run(session)


class Slow:
    """Takes a second a simulation."""

    def run(self, session):
        while session.remaining:
            session.simulate(session.task.space.sample(session.rng))
            time.sleep(1.0)


class DiesOnce(Walker):
    """Kills its own process the first time it is run."""

    def run(self, session):
        mark = Path(os.environ["TEST_MARK"])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().run(session)


class DiesAlways:
    def run(self, session):
        session.simulate(session.task.space.sample(session.rng))
        os.kill(os.getpid(), signal.SIGKILL)


class NoRun:
    pass


def needs_library():
    raise ModuleNotFoundError("needs wonderlib: pip install 'mine[wonder]'", name="wonderlib")


walker = Walker()


def leaves():
    raise SystemExit(0)
