"""verifiers (v1): problems as a taskset, whose tools every harness of verifiers reaches over MCP
(`pip install 'acs-gym[verifiers]'`).

A rollout has a tool server of its own, with one attempt in it. What the attempt is worth goes back in the
rollout's state, which the agent cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from acs_gym import program
from acs_gym.simulation.pool import Simulator
from acs_gym.task import DEFAULT_PDK
from acs_gym.tools.definitions import FINISH, HISTORY, OPERATING_POINT, SIMULATE
from acs_gym.tools.problem import Problem, ProblemSplit, Work, problems

try:
    import verifiers.v1 as vf
    from pydantic import Field
except ImportError as error:
    raise ImportError(
        f"{__name__} needs verifiers; run: pip install 'acs-gym[verifiers]'"
    ) from error


class SizingState(vf.State):
    """What the tool server says of the attempt.

    Attributes:
        improvements: by how much each call improved the best score; they add up to it.
    """

    improvements: tuple[float, ...] = ()
    best_score: float = 0.0
    best_design: dict[str, float] | None = None
    solved: bool = False
    simulations: int = 0


class SizingData(vf.TaskData):
    """A row: the problem's record, beside the prompts that are made of it."""

    problem: dict[str, Any]


class SizingToolset(vf.Toolset[vf.ToolsetConfig, SizingState]):
    """The four tools. Their names stand alone, as for every other model."""

    TOOL_PREFIX = None
    simulator: Simulator | None = None

    async def setup_task(self, task: SizingData) -> None:
        self._work = Work(Problem.from_record(task.problem), simulator=self.simulator)

    @vf.tool
    def simulate(self, designs: list[dict[str, float | str]]) -> str:
        """Simulate one or several designs; each costs one of the budget. Answers with every metric, the
        score, and the specs that are missed."""
        return self._call(SIMULATE, {"designs": designs})

    @vf.tool
    def operating_point(self, design: int | None = None) -> str:
        """DC operating point of every transistor of a design that was simulated: id, gm, gm/id, vgs, vds,
        vdsat, the margin to the triode region. Its number, or null for the last one. Free."""
        return self._call(OPERATING_POINT, {"design": design})

    @vf.tool
    def history(self) -> str:
        """Every design simulated so far, with its score and metrics. Free."""
        return self._call(HISTORY, {})

    @vf.tool
    def finish(self, summary: str) -> str:
        """End the work. The best design simulated counts; what is left of the budget is lost."""
        return self._call(FINISH, {"summary": summary})

    def _call(self, name: str, arguments: dict[str, Any]) -> str:
        work, state = self._work, self.state
        step = work.call(name, arguments)
        state.improvements = (*state.improvements, step.improvement)
        state.best_score = work.score
        state.simulations = work.session.meter.used
        if work.best is not None:
            state.best_design, state.solved = dict(work.best.design), work.best.feasible
        return step.answer.text


class SizingTaskConfig(vf.TaskConfig):
    tools: vf.ToolsetConfig = vf.ToolsetConfig()


class SizingTask(vf.Task[SizingData, SizingState, SizingTaskConfig]):
    """Worth the best score, in [0, 1]."""

    @classmethod
    def toolsets(cls, config: SizingTaskConfig) -> list[vf.Toolset]:
        return [SizingToolset(config.tools)]

    @vf.reward(weight=1.0)
    async def best_score(self, trace: vf.Trace) -> float:
        return float(sum(trace.state.improvements))

    @vf.metric
    async def solved(self, trace: vf.Trace) -> float:
        return float(trace.state.solved)

    @vf.metric
    async def simulations(self, trace: vf.Trace) -> float:
        return float(trace.state.simulations)


class SizingConfig(vf.TasksetConfig):
    """The arguments of `acs_gym.tools.problem.problems`; `vf-eval` reads lists, no other sequences."""

    split: ProblemSplit = "train"
    number: int = 100
    tasks: list[str] = Field(default_factory=list)
    pdk: str = DEFAULT_PDK
    budget: int = 10
    seed: int = 0
    task: SizingTaskConfig = SizingTaskConfig()


class SizingTaskset(vf.Taskset[SizingTask, SizingConfig]):
    """What `vf-eval acs-gym-circuits` loads (`examples/verifiers`)."""

    def load(self) -> Iterator[SizingTask]:
        c = self.config
        given = problems(c.split, c.number, tasks=c.tasks, pdk=c.pdk, budget=c.budget, seed=c.seed)
        for number, problem in enumerate(given):
            system, begin = (m["content"] for m in problem.messages())
            data = SizingData(
                id=f"{c.split}-{number}", name=problem.task, system_prompt=system, prompt=begin,
                problem=problem.record(),
            )  # fmt: skip
            yield SizingTask(data, c.task)


__all__ = ["SizingTaskset"]

if __name__ == "__main__":
    program.start()
    SizingToolset.run()
