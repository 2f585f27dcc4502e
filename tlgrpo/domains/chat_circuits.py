"""Sizing circuits as the `llm` agent does it in its text format: the same problems as `circuits`,
told and answered word for word as in evaluation.

The prompt is the agent's system message and its first user message. An action is a reply, reasoning
included: its calls are carried out by the agent's own toolbox on a session of its own, and what the
agent would answer is the observation. So a policy of this domain is evaluated by serving it and
running the agent: `tool_format = "text"`, `send_reasoning = true` for one that reasons, and a budget
of as many simulations as it was trained with.

A reply simulates one design, which is what training charges for. A call that would simulate another
is refused like one beyond the budget, and a reply in which nothing is simulated is no action: it
scores 0 and is charged as every other. The other tools may be called; they cost an agent nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from acs_gym.evaluation import Evaluation
from acs_gym.session import BudgetExhausted, Session
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task
from acs_gym.tools.answers import design_text
from acs_gym.tools.definitions import SIMULATE, definitions
from acs_gym.tools.toolbox import Toolbox
from agents.model import Reply, ToolCall
from agents.prompts import BEGIN, system_prompt
from agents.replies import read_reply
from agents.text_format import write_calls
from agents.tool_form import carry_out
from tlgrpo.domain import Problem, Reaction, Split, State
from tlgrpo.domains.circuits import Circuits
from tlgrpo.tokens import CUT_OFF, write_conversation

# Outcomes that are kept, so that what led to a state is not simulated again.
_REMEMBERED = 20_000


class ChatCircuits(Circuits):
    """Tasks of one PDK, for a model with a chat template.

    Args:
        tasks: ids; the problem's number chooses one in turn.
        pdk: a PDK of `acs_gym.pdk_names()`.
        budget: simulations that the prompt promises; give it as many as an episode has turns.
        workers: simulation processes; 0 is one a core.
        simulator: another one than the pool that is shared.
    """

    name = "chat-circuits"

    def __init__(
        self,
        tasks: Sequence[str] = ("ACS-OTA5T-v0",),
        pdk: str = "sky130",
        budget: int = 5,
        workers: int = 0,
        simulator: Simulator | None = None,
    ) -> None:
        super().__init__(tasks, pdk, workers, simulator=simulator)
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
            raise ValueError(f"budget is a number of simulations >= 1, got {budget!r}")
        self.budget = budget
        self._simulated: dict[_Key, Outcome] = {}

    def problem(self, seed: int, split: Split) -> Problem:
        """With the targets that `circuits` has for that number."""
        drawn = super().problem(seed, split)
        return Problem(drawn.key, opening(self.task_of(drawn), self.budget))

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        """Every design simulated at once; equal designs once."""
        return [_reaction(text, evaluation) for text, evaluation in self._carried_out(tries)]

    def grammar(self) -> tuple[str, ...]:
        """None: the policy comes with a vocabulary."""
        return ()

    def random_action(self, problem: Problem, rng: np.random.Generator) -> str:
        task = self.task_of(problem)
        return write_action(task, task.space.sample(rng))

    def vary(self, problem: Problem, action: str, rng: np.random.Generator) -> str:
        """Some parameters move, by some 12 % of their range."""
        ((_, evaluation),) = self._carried_out([(State(problem), action)])
        task = self.task_of(problem)
        if evaluation is None:
            return self.random_action(problem, rng)
        units = task.space.to_unit(evaluation.design)
        moves = rng.normal(0.0, 0.12, len(units)) * (rng.random(len(units)) < 0.5)
        return write_action(task, task.space.from_unit(np.clip(units + moves, 0.0, 1.0)))

    def _carried_out(
        self, tries: Sequence[tuple[State, str]]
    ) -> list[tuple[str, Evaluation | None]]:
        """(what the agent answers, what was simulated) of each try.

        A conversation that needs an outcome which is not known stops there; once all have said what
        they need, that is simulated, and they are taken up anew.
        """
        found: dict[int, tuple[str, Evaluation | None]] = {}
        while len(found) < len(tries):
            lookup = _Lookup(self._simulated)
            for k, (state, text) in enumerate(tries):
                if k in found:
                    continue
                try:
                    found[k] = self._conversed(state, text, lookup)
                except _Unknown:
                    continue
            if jobs := lookup.missing:
                outcomes = simulate_uncharged(list(jobs.values()), self._simulator)
                self._simulated |= zip(jobs, outcomes, strict=True)
        while len(self._simulated) > _REMEMBERED:
            del self._simulated[next(iter(self._simulated))]
        return [found[k] for k in range(len(tries))]

    def _conversed(
        self, state: State, text: str, simulator: Simulator
    ) -> tuple[str, Evaluation | None]:
        task = self.task_of(state.problem)
        grant = _OneAReply()
        session = Session(task, self.budget * task.cost, simulator=simulator, admit=grant)
        toolbox = Toolbox(session)
        for earlier, _ in state.turns:
            _replied(toolbox, grant, earlier)
        return _replied(toolbox, grant, text)


def opening(task: Task, budget: int) -> str:
    """The prompt: the messages with which the agent begins."""
    system = system_prompt(task, budget, tool_format="text", tools=definitions(task))
    return write_conversation(
        [{"role": "system", "content": system}, {"role": "user", "content": BEGIN}]
    )


def write_action(task: Task, design: Mapping[str, float]) -> str:
    """A reply that simulates a design."""
    arguments = json.dumps({"designs": [design_text(task, design)]}, ensure_ascii=False)
    return write_calls("", [ToolCall("", SIMULATE, arguments)])


def read_action(text: str) -> Reply:
    """A reply as the agent gets it from a server that leaves reasoning and calls in the text."""
    said = text.removesuffix(CUT_OFF)
    choice = {
        "message": {"content": said},
        "finish_reason": "stop" if said == text else "length",
    }
    return read_reply({"choices": [choice]}, ())


def _replied(toolbox: Toolbox, grant: _OneAReply, text: str) -> tuple[str, Evaluation | None]:
    grant.used = 0
    reply = read_action(text)
    done = carry_out(reply, toolbox)
    (message,) = done.messages
    evaluations = [e for answer in done.answers for e in answer.evaluations]
    return message["content"], evaluations[0] if evaluations else None


def _reaction(observation: str, evaluation: Evaluation | None) -> Reaction:
    if evaluation is None:
        return Reaction(0.0, False, observation, valid=False)
    return Reaction(evaluation.score, evaluation.feasible, observation)


class _OneAReply:
    """What a session admits: one design a reply, at whose beginning `used` is 0."""

    used = 0

    def __call__(self, designs: int) -> None:
        if self.used + designs > 1:
            raise BudgetExhausted("one design a reply; nothing was simulated")
        self.used += designs


_Key = tuple[object, ...]


def _key(job: Job) -> _Key:
    """What decides a job's outcome."""
    parts = (job.design, job.conditions, job.mismatch)
    return (job.program.key, job.waveforms, *(tuple(p.items()) for p in parts))


class _Unknown(Exception):
    """An outcome is asked for that was not simulated yet."""


class _Lookup(Simulator):
    """Known outcomes in the place of a simulator; notes the jobs that lack one."""

    def __init__(self, known: Mapping[_Key, Outcome]) -> None:
        self.known = known
        self.missing: dict[_Key, Job] = {}

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        missing = {key: job for job in jobs if (key := _key(job)) not in self.known}
        if missing:
            self.missing |= missing
            raise _Unknown
        return [self.known[_key(job)] for job in jobs]
