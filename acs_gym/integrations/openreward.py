"""OpenReward (ORS): problems as an environment whose every tool call has a reward
(`pip install 'acs-gym[openreward]'`).

A call's reward is by how much it improved the best score, so those of an episode add up to that; it is
the turn-level reward of `tlgrpo`, told to whichever trainer asks.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from acs_gym.simulation.pool import Simulator
from acs_gym.task import DEFAULT_PDK
from acs_gym.tools.definitions import FINISH, HISTORY, OPERATING_POINT, SIMULATE
from acs_gym.tools.problem import SPLITS, Problem, ProblemSplit, Work, circuits_of, problems

try:
    from anyio import to_thread
    from openreward.environments import Environment, Split, TextBlock, ToolOutput, tool
    from pydantic import BaseModel
except ImportError as error:
    raise ImportError(
        f"{__name__} needs OpenReward; run: pip install 'acs-gym[openreward]'"
    ) from error


class Simulate(BaseModel):
    """Designs, each an object with all parameters of the circuit and their values."""

    designs: list[dict[str, float | str]]


class OperatingPoint(BaseModel):
    """The number of a design; null for the last one simulated."""

    design: int | None = None


class Finish(BaseModel):
    """What was achieved, in a sentence."""

    summary: str


class SizingEnvironment(Environment):
    """The problems of one PDK; a subclass sets what is to be different.

    Attributes:
        number: problems a split.
        tasks: ids; those of the split that the PDK has where empty.
    """

    pdk: ClassVar[str] = DEFAULT_PDK
    budget: ClassVar[int] = 10
    number: ClassVar[int] = 1000
    tasks: ClassVar[tuple[str, ...]] = ()
    simulator: ClassVar[Simulator | None] = None

    def __init__(self, task_spec: Any = None, secrets: dict[str, str] | None = None) -> None:
        super().__init__(task_spec or {}, secrets or {})
        self._problem = Problem.from_record(task_spec["problem"])
        self._work = Work(self._problem, simulator=self.simulator)

    @classmethod
    def list_splits(cls) -> list[Split]:
        kinds = {"train": "train"}
        there = (split for split in SPLITS if cls.tasks or circuits_of(split, cls.pdk))
        return [Split(name=split, type=kinds.get(split, "test")) for split in there]

    @classmethod
    def list_tasks(cls, split: ProblemSplit) -> list[dict[str, Any]]:
        found = problems(split, cls.number, tasks=cls.tasks, pdk=cls.pdk, budget=cls.budget)
        return [{"id": f"{split}-{k}", "problem": p.record()} for k, p in enumerate(found)]

    def get_prompt(self) -> list[TextBlock]:
        return [TextBlock(text=m["content"]) for m in self._problem.messages()]

    @tool
    async def simulate(self, args: Simulate) -> ToolOutput:
        """Simulate one or several designs; each costs one of the budget. Answers with every metric, the
        score, and the specs that are missed."""
        return await self._call(SIMULATE, args.model_dump())

    @tool
    async def operating_point(self, args: OperatingPoint) -> ToolOutput:
        """DC operating point of every transistor of a design that was simulated: id, gm, gm/id, vgs, vds,
        vdsat, the margin to the triode region. Free."""
        return await self._call(OPERATING_POINT, args.model_dump())

    @tool
    async def history(self) -> ToolOutput:
        """Every design simulated so far, with its score and metrics. Free."""
        return await self._call(HISTORY, {})

    @tool(exclusive=True)
    async def finish(self, args: Finish) -> ToolOutput:
        """End the work. The best design simulated counts; what is left of the budget is lost."""
        return await self._call(FINISH, args.model_dump())

    async def _call(self, name: str, arguments: dict[str, Any]) -> ToolOutput:
        step = await to_thread.run_sync(partial(self._work.call, name, arguments))
        blocks = [TextBlock(text=step.answer.text)]
        return ToolOutput(blocks=blocks, reward=step.improvement, finished=step.done)
