"""What an agent is: anything with `run(session)`. That is a third party's whole obligation.

    class MyAgent:
        def run(self, session):
            while session.remaining:
                session.simulate(session.task.space.sample(session.rng))

Optional attributes, looked at once before the run:

    config   a JSON-able mapping of what decides the agent's behaviour (model, temperature, sizes);
             part of a result's identity, so that changing it runs the cell again
    keep_files_in(folder)  called with a folder of the cell's own, for whatever a reader of the result
             may want to see of the run (a transcript)
    check(task)  called for every task before anything runs; raises ValueError where the agent cannot
             work on it, with the reason
    deterministic  True where the same answers always lead to the same designs: such an agent of this
             package is asked again by `leaderboard.verify`
    ended    after the run, why it ended, in words: the message of a cell in which nothing was simulated
    track    `score` when the agent looks at the score alone; `metrics`, the default, otherwise
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from acs_gym.session import Session
from acs_gym.task import Task
from leaderboard.errors import LeaderboardError
from leaderboard.wire.isolation.levels import Inprocess

TRACKS = ("score", "metrics")
_LONGEST_MESSAGE = 4000


@runtime_checkable
class Agent(Protocol):
    """Something that spends a session's budget."""

    def run(self, session: Session) -> None:
        """Simulate through `session` until satisfied or until nothing remains.

        Called once, on a fresh agent. It reports nothing: the harness picks the best design
        simulated and simulates it again. May raise; what was simulated until then counts.
        """


def agent_config(agent: Agent) -> Mapping[str, Any]:
    """The agent's declared configuration. Raises LeaderboardError when it is no JSON object."""
    config = getattr(agent, "config", {})
    if not isinstance(config, Mapping):
        raise LeaderboardError(f"{type(agent).__name__}.config is no mapping: {config!r:.80}")
    try:
        json.dumps(dict(config), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LeaderboardError(f"{type(agent).__name__}.config is not JSON: {error}") from None
    return dict(config)


def agent_isolation(agent: Agent) -> Mapping[str, Any]:
    """What keeps the agent apart from the harness: `level`, and what was found to hold."""
    record = getattr(agent, "isolation_record", None)
    return dict(record()) if callable(record) else Inprocess().record()


def check_task(agent: Agent, task: Task) -> None:
    """Raises LeaderboardError where the agent says that it cannot work on the task."""
    if callable(check := getattr(agent, "check", None)):
        try:
            check(task)
        except ValueError as error:
            raise LeaderboardError(str(error)) from None


def offer_folder(agent: Agent, folder: Path) -> None:
    """Tell the agent where its files go, if it wants to know."""
    if callable(keep := getattr(agent, "keep_files_in", None)):
        folder.mkdir(parents=True, exist_ok=True)
        keep(folder)


def agent_ended(agent: Agent) -> str:
    """Why the agent's run ended, in its own words and shortened; empty where it says nothing."""
    ended = getattr(agent, "ended", "")
    return ended[:_LONGEST_MESSAGE] if isinstance(ended, str) else ""


def agent_track(agent: Agent) -> str:
    """`score` or `metrics`. Raises LeaderboardError for anything else."""
    track = getattr(agent, "track", "metrics")
    if track not in TRACKS:
        raise LeaderboardError(
            f"{type(agent).__name__}.track is {track!r:.80}; use one of: {', '.join(TRACKS)}"
        )
    return str(track)
