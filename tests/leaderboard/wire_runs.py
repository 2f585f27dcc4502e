"""Running a command as an agent on the analytic task, for the tests of the wire."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from acs_gym.session import Session
from acs_gym.task import make_task
from leaderboard.agents.analytic import AnalyticSimulator
from leaderboard.wire.command import LOG, RECORD, CommandAgent
from leaderboard.wire.exchange import Patience
from leaderboard.wire.isolation.levels import Subprocess
from leaderboard.wire.mcp import McpAgent
from leaderboard.wire.stdio import StdioAgent

ADVERSARIES = Path(__file__).parent / "adversaries"
EXAMPLES = Path(__file__).parents[2] / "examples" / "third_party"
PATIENT = Patience(start_s=60, answer_s=60, leave_s=30)
SHORT = Patience(start_s=60, answer_s=1, leave_s=1)
BUDGET = 6


@dataclass(frozen=True)
class Run:
    """What a run left. `error`: what `run` raised; None when it returned."""

    session: Session
    error: Exception | None
    log: str
    record: dict

    @property
    def said(self) -> list:
        """The lines of JSON in the log."""
        return [json.loads(line) for line in self.log.splitlines()]


def task():
    return make_task("ACS-OTA5T-v0", pdk="generic")


def analytic_session(budget: int | None = BUDGET, seed: int = 1) -> Session:
    sized = task()
    return sized.session(budget, seed=seed, simulator=AnalyticSimulator(sized))


def drive(
    command: str,
    folder: Path,
    *,
    kind: type[CommandAgent] = StdioAgent,
    patience: Patience = PATIENT,
    isolation: Subprocess | None = None,
    budget: int = BUDGET,
    seed: int = 1,
) -> Run:
    """Run a command to its end."""
    agent = kind(command, patience=patience, isolation=isolation)
    agent.keep_files_in(folder)
    error = None
    with analytic_session(budget, seed) as session:
        try:
            agent.run(session)
        except Exception as raised:  # noqa: BLE001 - it is what the test is about
            error = raised
    record = json.loads((folder / RECORD).read_text())
    return Run(session, error, (folder / LOG).read_text(), record)


def impatient_with_one_that_hangs() -> StdioAgent:
    """A factory for `--agents`; ten minutes are too long for a test."""
    return StdioAgent(adversary("hangs"), patience=SHORT)


def impatient_with_a_client_that_hangs() -> McpAgent:
    return McpAgent(adversary("mcp_misbehaves", "hangs"), patience=SHORT)


def one_that_tampers_without_namespaces() -> StdioAgent:
    """Forges what lies in the folder TEST_RUNS."""
    command = adversary("tampers", os.environ["TEST_RUNS"])
    return StdioAgent(command, isolation=Subprocess(namespaces=False))


def adversary(name: str, *arguments: object) -> str:
    """The command line of an adversary."""
    return shlex.join([sys.executable, str(ADVERSARIES / f"{name}.py"), *map(str, arguments)])


def environment_with(folder: Path, *distributions: str) -> str:
    """An environment of the agent's own that has these installed, as its author has one: its Python.

    Their files are copied from ours. Of a container, ours is not seen.
    """
    import venv
    from importlib import metadata

    from packaging.requirements import Requirement

    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    todo, done = [Requirement(name) for name in distributions], set[str]()
    while todo:
        wanted = todo.pop()
        if str(wanted) in done:
            continue
        done.add(str(wanted))
        try:
            found = metadata.distribution(wanted.name)
        except metadata.PackageNotFoundError:  # For another platform, or optional.
            continue
        extras = [{"extra": extra} for extra in ("", *wanted.extras)]
        todo += [
            needed
            for needed in map(Requirement, found.requires or ())
            if needed.marker is None or any(map(needed.marker.evaluate, extras))
        ]
        for file in found.files or ():
            where = site / str(file)
            if file.suffix != ".pyc" and ".." not in file.parts:
                where.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError, FileExistsError):
                    shutil.copyfile(file.locate(), where)
    return str(folder / "bin" / "python")


def running(token: str) -> list[str]:
    """Processes of this machine with a word in their command line; those that are dead apart."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if token.encode() in command:
            found.append(process)
    return found
