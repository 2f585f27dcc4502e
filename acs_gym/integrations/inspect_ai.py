"""Inspect AI: problems as a task, `inspect eval acs_gym/sizing` (`pip install 'acs-gym[inspect]'`).

A sample is a problem. The solver lets the model call the tools; the scorer believes none of it and
simulates the best design again, through a session of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from acs_gym.task import DEFAULT_PDK
from acs_gym.tools.definitions import FINISH, HISTORY, OPERATING_POINT, SIMULATE
from acs_gym.tools.problem import Problem, ProblemSplit, Step, Work, problems

try:
    from anyio import to_thread
    from inspect_ai import Task, task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import (
        ChatMessageSystem,
        ChatMessageUser,
        execute_tools,
        get_model,
    )
    from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
    from inspect_ai.solver import Generate, Solver, TaskState, solver
    from inspect_ai.tool import ToolDef, ToolParams
except ImportError as error:
    raise ImportError(f"{__name__} needs Inspect; run: pip install 'acs-gym[inspect]'") from error

# Turns in a row without a call, after which a model is not getting anywhere.
IDLE_TURNS_ALLOWED = 3
_NO_CALL = "Nothing was called. Call a tool: simulate to try designs, finish when you are done."


@task
def sizing(
    split: ProblemSplit = "held-out-targets",
    number: int = 20,
    tasks: str | Sequence[str] = (),
    pdk: str = DEFAULT_PDK,
    budget: int = 10,
    seed: int = 0,
) -> Task:
    """Size circuits against sampled targets; arguments as those of `acs_gym.tools.problem.problems`.

    Args:
        tasks: ids, as a list or with commas; all of the split by default.
    """
    names = [name for name in tasks.split(",") if name] if isinstance(tasks, str) else tasks
    found = problems(split, number, tasks=names, pdk=pdk, budget=budget, seed=seed)
    return sizing_of(found)


def sizing_of(given: Sequence[Problem]) -> Task:
    """The task of problems of your own."""
    samples = [sample(problem, number) for number, problem in enumerate(given, start=1)]
    return Task(MemoryDataset(samples, name="acs-gym"), solver=with_tools(), scorer=resimulated())


def sample(problem: Problem, number: int) -> Sample:
    """What the model is told, and the problem in `metadata`."""
    system, user = problem.messages()
    return Sample(
        id=f"{problem.task}-{number}",
        input=[
            ChatMessageSystem(content=system["content"]),
            ChatMessageUser(content=user["content"]),
        ],
        target="every spec met",
        metadata={"problem": problem.to_json()},
    )


@solver
def with_tools() -> Solver:
    """The model calls tools until it finishes, meets every spec, or has spent the budget."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        work = Work(Problem.from_json(state.metadata["problem"]))
        tools, idle = tools_of(work), 0
        while not work.done and not state.completed and idle < IDLE_TURNS_ALLOWED:
            state.output = await get_model().generate(state.messages, tools=tools)
            state.messages.append(state.output.message)
            if state.output.message.tool_calls:
                answers, _ = await execute_tools(state.messages, tools)
                state.messages.extend(answers)
                idle = 0
            else:
                state.messages.append(ChatMessageUser(content=_NO_CALL))
                idle += 1
            # As it goes, so that a sample that a limit of Inspect's cuts off is scored too.
            state.store.set("design", None if work.best is None else dict(work.best.design))
            state.store.set("simulations", work.session.meter.used)
        return state

    return solve


@scorer(
    metrics={"score": [mean(), stderr()], "solved": [mean(), stderr()], "simulations": [mean()]}
)
def resimulated() -> Scorer:
    """The best design, simulated again: its score in [0, 1], whether it meets every spec (1 or 0), and
    what was spent to find it.
    """

    async def score(state: TaskState, target: Target) -> Score:
        problem, design = Problem.from_json(state.metadata["problem"]), state.store.get("design")
        spent = state.store.get("simulations", 0)
        if design is None:
            nothing = {"score": 0.0, "solved": 0, "simulations": spent}
            return Score(value=nothing, explanation="nothing was simulated")
        work = Work(problem)
        step = await to_thread.run_sync(partial(work.call, SIMULATE, {"designs": [design]}))
        solved = int(work.best is not None and work.best.feasible)
        return Score(
            value={"score": work.score, "solved": solved, "simulations": spent},
            answer=str(design),
            explanation=step.answer.text,
        )

    return score


def tools_of(work: Work) -> list[ToolDef]:
    """The tools of every other model, at work on one attempt."""

    async def call(name: str, arguments: dict[str, Any]) -> str:
        # In a thread: other samples wait for their models meanwhile.
        step: Step = await to_thread.run_sync(partial(work.call, name, arguments))
        return step.answer.text

    async def simulate(designs: list[dict[str, Any]]) -> str:
        return await call(SIMULATE, {"designs": designs})

    async def operating_point(design: int | None = None) -> str:
        return await call(OPERATING_POINT, {"design": design})

    async def history() -> str:
        return await call(HISTORY, {})

    async def finish(summary: str = "") -> str:
        return await call(FINISH, {"summary": summary})

    functions = (simulate, operating_point, history, finish)
    told = {d["function"]["name"]: d["function"] for d in work.toolbox.definitions}
    return [
        ToolDef(
            function,
            name=function.__name__,
            description=told[function.__name__]["description"],
            parameters=ToolParams.model_validate(told[function.__name__]["parameters"]),
        )
        for function in functions
    ]
