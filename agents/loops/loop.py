"""What the loops have in common: how one is built, asked, simulated, and when it ends.

A step asks the model until its answer can be used: an answer that cannot is sent back with what is
wrong with it, `repairs` times at most. What then stands in for the model is the loop's affair, and
is named in the transcript.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation
from acs_gym.session import Session
from agents.config import LlmConfig
from agents.dialogue import Dialogue
from agents.limits import LimitReached
from agents.llm import TRANSCRIPT
from agents.loops.proposals import Key, Proposals, plain
from agents.model import ChatModel, Message, Reply
from baselines.agent import UNCHARGED_CALLS_ALLOWED, SimulatorUnavailable
from baselines.failures import teaches
from baselines.initial import split_seed

# In the unit cube: how far a step away from the best design goes at first, and at last.
_NEAR, _FAR = 0.05, 1.0
_REDRAWS = 64
# Apart from the streams that `baselines` draws from the same seed.
_STREAM = 2
_CUT_OFF = "it was cut off at its length limit, so be brief; "


class Answer(Protocol):
    """What was read from a reply: something usable, or a complaint."""

    @property
    def usable(self) -> bool: ...

    @property
    def complaint(self) -> str: ...

    @property
    def readings(self) -> tuple[str, ...]: ...


A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; part of an agent's identity.

    Attributes:
        repairs: times, at most, that an unusable answer is sent back in one step.
    """

    repairs: int = 3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0 if name == "repairs" else 1
            if isinstance(value, int) and value < least:
                raise ValueError(f"{name} is at least {least}, got {value}")


S = TypeVar("S", bound=Sizes)


class Work:
    """A session and a dialogue at work on each other.

    Attributes:
        stand_ins: numbers of the designs simulated in place of the model's.
        unusable: steps in a row without a usable answer.
    """

    def __init__(self, session: Session, dialogue: Dialogue, settings: LlmConfig, sizes: Sizes):
        self.session, self.dialogue = session, dialogue
        self.task, self.space = session.task, session.task.space
        self.settings, self.sizes = settings, sizes
        self.seeds = split_seed(session.seed)
        self.stand_ins: list[int] = []
        self.unusable = 0
        self._rng = np.random.default_rng((self.seeds.method, _STREAM))
        self._uncharged = 0

    @property
    def remaining(self) -> int:
        """Designs that can still be simulated."""
        return int(self.session.remaining)

    @property
    def over(self) -> str:
        """Why nothing more is to be done; empty while there is."""
        if any(e.feasible for e in self.session.history):
            return "all specs are met"
        return "" if self.remaining else "the budget is used up"

    @property
    def given_up(self) -> str:
        """Why a run ends whose model answers nothing usable."""
        return f"{self.unusable} steps in a row had no usable answer"

    @property
    def known(self) -> set[Key]:
        """The keys of the designs simulated."""
        return {self.space.key(e.design) for e in self.session.history if teaches(e)}

    def simulate(self, designs: Sequence[Design]) -> list[Evaluation]:
        """Simulate a batch. Raises SimulatorUnavailable after three in a row that nobody charged."""
        before = self.session.remaining
        evaluations = self.session.simulate(list(designs))
        self._uncharged = self._uncharged + 1 if self.session.remaining == before else 0
        if self._uncharged >= UNCHARGED_CALLS_ALLOWED:
            raise SimulatorUnavailable(
                f"{self._uncharged} batches in a row were not simulated: "
                f"{evaluations[-1].message or 'no reason given'}"
            )
        return evaluations

    def ask(self, messages: Sequence[Message], read: Callable[[str], A], answer_format: str) -> A:
        """The first usable answer of a step, or the last unusable one.

        Raises LimitReached at a cap, ModelError when the model cannot be talked to.
        """
        talk = list(messages)
        for attempt in range(self.sizes.repairs + 1):
            reply = self._reply(talk)
            answer = read(reply.text)
            self.dialogue.remark(answer.readings)
            if answer.usable:
                self.unusable = 0
                return answer
            if attempt < self.sizes.repairs:
                why = (_CUT_OFF if reply.truncated else "") + answer.complaint
                text = f"Your answer cannot be used: {why}. Nothing was simulated. {answer_format}."
                talk += [
                    {"role": "assistant", "content": plain(reply.text) or "(no reply)"},
                    {"role": "user", "content": plain(text)},
                ]
        self.unusable += 1
        return answer

    def carry_out(self, answer: Proposals) -> str:
        """Simulate what an answer proposes, or one random step from the best design in its place.

        Returns what the model is to know of it with the next request.
        """
        if answer.usable:
            self.simulate(answer.designs)
            return f"Of your last answer: {answer.complaint}.\n" if answer.complaint else ""
        number = self.stand_in([self.step_from_best()])
        return (
            f"Your last answer could not be used: {answer.complaint}. In its place a random step from "
            f"the best design was simulated, design {number}.\n"
        )

    def stand_in(self, designs: Sequence[Design]) -> int:
        """Simulate designs in place of the model's. Returns the number of the first."""
        first = len(self.session.history) + 1
        self.stand_ins += range(first, first + len(designs))
        self.simulate(designs)
        return first

    def step_from_best(self) -> Design:
        """A new design beside the best one so far, drawn from the session's seed."""
        done = [e for e in self.session.history if teaches(e)]
        if not done:
            return self.space.sample(self._rng)
        centre = self.space.to_unit(max(done, key=lambda e: e.score).design)
        known = self.known
        for sigma in np.geomspace(_NEAR, _FAR, _REDRAWS):
            step = sigma * self._rng.standard_normal(len(self.space))
            design = self.space.from_unit(np.clip(centre + step, 0.0, 1.0))
            if self.space.key(design) not in known:
                break
        return design

    def _reply(self, messages: Sequence[Message]) -> Reply:
        turns = self.settings.max_turns
        if turns is not None and self.dialogue.spending.requests >= turns:
            raise LimitReached(f"the cap of {turns} turns is reached")
        return self.dialogue.ask(messages)


class LoopAgent(ABC, Generic[S]):
    """One of the loops as an agent.

    Args:
        config: the model and its settings; None takes them from the environment.
        model: another model than the configured server, e.g. a replay.
        transcript: where to write the transcript; the leaderboard sets it through `keep_files_in`.
        sizes: of the loop; None takes its defaults.

    Attributes:
        ended: why the run ended, after it.
    """

    id: ClassVar[str]
    track: ClassVar[str] = "metrics"
    default_sizes: ClassVar[Any]

    def __init__(
        self,
        config: LlmConfig | None = None,
        *,
        model: ChatModel | None = None,
        transcript: Path | None = None,
        sizes: S | None = None,
    ) -> None:
        self.settings = LlmConfig.from_environment() if config is None else config
        self.sizes: S = self.default_sizes if sizes is None else sizes
        self.model = model
        self.transcript = transcript
        self.ended = ""
        if model is None:
            self.settings.api_key()

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour; part of a result's identity."""
        return self.settings.identity() | asdict(self.sizes)

    def keep_files_in(self, folder: Path) -> None:
        """Where the harness wants the files of this run."""
        self.transcript = folder / TRANSCRIPT

    def run(self, session: Session) -> None:
        """Work until every spec is met, the budget is used up or a cap is reached.

        Raises ModelError when the model cannot be talked to, SimulatorUnavailable when the simulator
        cannot, and ValueError for a session without a budget.
        """
        if session.budget is None:
            raise ValueError(f"{self.id} needs a session with a budget; this one has no limit")
        with Dialogue(
            self.id, self.settings, session,
            transcript=self.transcript, model=self.model, extra=asdict(self.sizes),
        ) as dialogue:  # fmt: skip
            work = Work(session, dialogue, self.settings, self.sizes)
            try:
                ended = self._work(work) if work.remaining else work.over
            except LimitReached as limit:
                ended = str(limit)
            if work.stand_ins:
                ended += f"; not the model's: designs {', '.join(map(str, work.stand_ins))}"
            self.ended = dialogue.ended = ended

    @abstractmethod
    def _work(self, work: Work) -> str:
        """The loop, with at least one simulation left. Returns why it ended."""
