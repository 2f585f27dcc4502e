"""One simulation worker: an engine in a process of its own, spoken to over a pipe.

libngspice may exit, crash or loop for ever on a sizing nobody thought of; in here that costs one
process. The worker is started as a plain subprocess (`python -c`, not multiprocessing), so a user's
script needs no `if __name__ == "__main__"` guard to simulate.

Messages are pickles over two inherited pipes, parent to worker: `("program", program)` once per
program, then `("run", [(tag, key, order), ...])`; worker to parent: one `(tag, outcome)`
per design, as soon as it is known.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from multiprocessing.connection import Connection
from typing import Any

from acs_gym.simulation.driver import SimulatorDied, SimulatorNotFound
from acs_gym.simulation.engine import Engine

EXIT_SIMULATOR_DIED = 71
EXIT_NO_SIMULATOR = 72


def main(read_fd: int, write_fd: int, lifeline_fd: int, folder: str, driver: str) -> None:
    """Serve until the parent closes the pipe. Called in the worker process only."""
    # ^C belongs to the parent, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(lifeline_fd, folder), daemon=True).start()
    os.chdir(folder)
    tempfile.tempdir = folder
    requests = Connection(read_fd, writable=False)
    replies = Connection(write_fd, readable=False)
    try:
        engine = Engine(driver)
    except SimulatorNotFound as error:
        replies.send(("no_simulator", str(error)))
        os._exit(EXIT_NO_SIMULATOR)
    try:
        _serve(engine, requests, replies)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(engine: Engine, requests: Connection, replies: Connection) -> None:
    programs: dict[str, Any] = {}
    while True:
        try:
            kind, payload = requests.recv()
        except (EOFError, OSError):
            return
        if kind == "program":
            programs[payload.key] = payload
            continue
        for tag, key, order in payload:
            try:
                outcome = engine.simulate(programs[key], order)
            except SimulatorDied as error:
                print(f"worker: {error}", file=sys.stderr)
                os._exit(EXIT_SIMULATOR_DIED)
            try:
                replies.send((tag, outcome))
            except (BrokenPipeError, OSError):
                return


def _die_with_parent(lifeline_fd: int, folder: str) -> None:
    """End this process, even in the middle of a simulation, when the parent is gone.

    The parent holds the other end of this pipe and never writes; end-of-file means that it is
    gone, however it went. ctypes releases the GIL, so this runs while ngspice does.
    """
    while os.read(lifeline_fd, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
