"""OpenEnv: problems as a server of its HTTP and WebSocket protocol (`pip install 'acs-gym[openenv]'`).

`python -m acs_gym.integrations.openenv --pdk generic` serves on this machine alone, a bounded number of
sessions, and ends by itself when nobody has called for a while. A step is one tool call; its reward is by
how much it improved the best score, so the rewards of an episode add up to that.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from acs_gym import program
from acs_gym.simulation.pool import Simulator
from acs_gym.task import DEFAULT_PDK
from acs_gym.tools.problem import SPLITS, Problem, ProblemSplit, Work, circuits_of, problem_of

try:
    import uvicorn
    from fastapi import FastAPI
    from openenv.core.env_server import Action, Environment, Observation, State
    from openenv.core.env_server.http_server import create_app
    from openenv.core.env_server.types import ConcurrencyConfig
    from pydantic import Field
except ImportError as error:
    raise ImportError(f"{__name__} needs OpenEnv; run: pip install 'acs-gym[openenv]'") from error

HOST, PORT = "127.0.0.1", 8000
# Of each split; targets are drawn, so there is no natural end.
TASKS_A_SPLIT = 1000
SESSIONS, SESSION_IDLE_S, SERVER_IDLE_S = 8, 600.0, 3600.0
SNAPSHOT, RESTORE = "snapshot", "restore"
ToolName = Literal["simulate", "operating_point", "history", "finish", "snapshot", "restore"]


class SizingAction(Action):
    """One call.

    `simulate` takes `designs`, `operating_point` the number of a `design`, `restore` a `state`.
    """

    tool: ToolName
    arguments: dict[str, Any] = Field(default_factory=dict)


class SizingObservation(Observation):
    """What is told after a reset (the task in words) or a call (one JSON object).

    `reward` is the improvement of the best score; `metadata` of a reset has the tools' schemas.
    """

    text: str = ""
    best_score: float = Field(0.0, ge=0, le=1)
    simulations_left: int = Field(0, ge=0)


class SizingState(State):
    """Which problem it is, and how far the work on it is."""

    split: str = ""
    index: int = 0
    problem: dict[str, Any] = Field(default_factory=dict)
    best_score: float = 0.0
    best_design: dict[str, float] | None = None
    simulations: int = 0


class SizingEnvironment(Environment[SizingAction, SizingObservation, SizingState]):
    """A session: one problem at a time, `reset(split=, index=)` or `reset(seed=)` chooses which.

    Args:
        tasks: ids; those of the split that the PDK has, by default.
        simulator: another one than the workers that all sessions share.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True
    last_call: float = 0.0

    def __init__(
        self,
        pdk: str = DEFAULT_PDK,
        budget: int = 10,
        tasks: Sequence[str] = (),
        simulator: Simulator | None = None,
    ) -> None:
        super().__init__()
        self._pdk, self._budget, self._tasks = pdk, budget, tuple(tasks)
        self._simulator = simulator
        self._work: Work | None = None
        self._state = SizingState()

    def list_splits(self) -> list[str]:
        return [split for split in SPLITS if self._tasks or circuits_of(split, self._pdk)]

    def num_tasks(self, split: str) -> int:
        return TASKS_A_SPLIT if split in self.list_splits() else 0

    def get_task(self, split: ProblemSplit, index: int) -> dict[str, Any]:
        """The problem as a record. Raises IndexError beyond the last one."""
        return self._problem(split, index).record() | {"id": f"{split}-{index}"}

    def get_task_range(
        self, split: ProblemSplit, start: int | None = None, stop: int | None = None
    ) -> list[dict[str, Any]]:
        wanted = range(self.num_tasks(split))[start:stop]
        return [self.get_task(split, index) for index in wanted]

    def list_tasks(self, split: ProblemSplit) -> list[dict[str, Any]]:
        """The first 20; `num_tasks` says how many there are."""
        return self.get_task_range(split, 0, 20)

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        split: ProblemSplit = "train",
        index: int | None = None,
        **_: Any,
    ) -> SizingObservation:
        """Begin a problem: the one of `index`, else that of `seed`, else the first."""
        self._called()
        number = (seed or 0) % TASKS_A_SPLIT if index is None else index
        problem = self._problem(split, number)
        self._work = work = Work(problem, simulator=self._simulator)
        self._state = SizingState(
            episode_id=episode_id, split=split, index=number, problem=problem.record()
        )
        tools = [definition["function"] for definition in work.toolbox.definitions]
        system, _begin = problem.messages()
        return self._told(system["content"], 0.0, metadata={"tools": tools})

    def step(
        self, action: SizingAction, timeout_s: float | None = None, **_: Any
    ) -> SizingObservation:
        """One call. Raises RuntimeError before the first reset."""
        self._called()
        if (work := self._work) is None:
            raise RuntimeError("reset comes before the first step")
        reward = 0.0
        if action.tool == SNAPSHOT:
            text = work.snapshot()
        elif action.tool == RESTORE:
            text = work.restore(str(action.arguments.get("state", "")))
        else:
            step = work.call(action.tool, action.arguments)
            text, reward = step.answer.text, step.improvement
        self._state.step_count += 1
        return self._told(text, reward)

    @property
    def state(self) -> SizingState:
        if (work := self._work) is not None:
            self._state.best_score = work.score
            self._state.best_design = None if work.best is None else dict(work.best.design)
            self._state.simulations = work.session.meter.used
        return self._state

    def close(self) -> None:
        if self._work is not None:
            self._work.session.close()

    def _problem(self, split: ProblemSplit, index: int) -> Problem:
        if not 0 <= index < TASKS_A_SPLIT:
            raise IndexError(f"index is 0 to {TASKS_A_SPLIT - 1}, got {index}")
        return problem_of(split, index, tasks=self._tasks, pdk=self._pdk, budget=self._budget)

    def _told(self, text: str, reward: float, **more: Any) -> SizingObservation:
        assert self._work is not None
        return SizingObservation(
            text=text,
            reward=reward,
            done=self._work.done,
            best_score=self._work.score,
            simulations_left=int(self._work.session.remaining),
            **more,
        )

    @staticmethod
    def _called() -> None:
        SizingEnvironment.last_call = time.monotonic()


def app(
    pdk: str = DEFAULT_PDK,
    budget: int = 10,
    tasks: Sequence[str] = (),
    simulator: Simulator | None = None,
) -> FastAPI:
    """The server's application, for uvicorn; at most `SESSIONS` sessions at a time."""
    return create_app(
        partial(SizingEnvironment, pdk, budget, tuple(tasks), simulator),
        SizingAction,
        SizingObservation,
        env_name="acs_gym",
        state_cls=SizingState,
        concurrency_config=ConcurrencyConfig(
            max_concurrent_envs=SESSIONS, session_timeout=SESSION_IDLE_S
        ),
    )


def serve(
    application: FastAPI, *, host: str = HOST, port: int = PORT, idle_s: float = SERVER_IDLE_S
) -> None:
    """Serve until nobody has called for `idle_s` seconds, or until interrupted.

    Args:
        host: whoever reaches it can make this machine simulate; only a container gives another one.
    """
    server = uvicorn.Server(uvicorn.Config(application, host=host, port=port, log_level="warning"))
    SizingEnvironment.last_call = time.monotonic()

    def watch() -> None:
        while not server.should_exit:
            left = SizingEnvironment.last_call + idle_s - time.monotonic()
            server.should_exit = left <= 0
            time.sleep(min(1.0, max(left, 0.01)))

    threading.Thread(target=watch, daemon=True).start()
    server.run()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m acs_gym.integrations.openenv")
    parser.add_argument("--pdk", default=DEFAULT_PDK)
    parser.add_argument("--budget", type=int, default=10, help="designs an episode")
    parser.add_argument("--tasks", default="", help="ids with commas; all of the split by default")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument(
        "--idle", type=float, default=SERVER_IDLE_S, help="seconds; ends after them"
    )
    given = parser.parse_args(arguments)
    names = [name for name in given.tasks.split(",") if name]
    serve(app(given.pdk, given.budget, names), host=given.host, port=given.port, idle_s=given.idle)


if __name__ == "__main__":
    program.start()
    main()
