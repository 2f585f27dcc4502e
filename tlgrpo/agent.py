"""A trained policy as an agent of the leaderboard: `--agents tlgrpo:runs/my_run`.

It plays episodes of as many turns as it was trained with, one action a turn, until the budget is used
up or every spec is met. A text that is no design is sampled again; after some in a row a uniformly
random design takes its place, so that a collapsed policy costs no time without end.

A policy of the domain `sizing` is told every episode several times, parameters and specs in another
order each time. What is tried is the median of its answers, parameter by parameter, for as long as each
design is the best so far; after one that is not, one of the answers. Being told more often costs no
simulation, and one order that misleads the policy does no harm.
Where the policy moves from the best design so far, an episode after the first begins with the best one
of all, as if it had been tried in its first turn.

On a circuit that it was not trained on, a policy of that domain goes on from what needs no policy: the
first designs are those that the training circuits suggest, parameter by parameter of the same role
(`tlgrpo.memory.suggested`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation
from acs_gym.session import Session
from acs_gym.task import Task
from tlgrpo.checkpoint import CheckpointError, read_config
from tlgrpo.config import TrainConfig
from tlgrpo.pretrained import NAME, shipped, weights_file
from tlgrpo.tokens import Codec, LineCodec

if TYPE_CHECKING:
    from tlgrpo.samplers.hf import HfSampler

_TRIES = 10
# Odd, so that a median is one of the answers.
_TELLINGS = 15


class TlgrpoAgent:
    """The policy of a run's last checkpoint, of its warm start where it has none, or of one checkpoint.

    Args:
        checkpoint: folder of a run, of a checkpoint or of `tlgrpo.pretrained`; `pretrained` for the
            package's own.
        turns: of an episode; None takes those of the training.
        tellings: of an episode in the domain `sizing`; 1 tries what is sampled.
        suggestions: whether first designs are suggested on a circuit that it was not trained on, in
            that domain.

    Attributes:
        replaced: designs of the last run that were drawn at random, the policy having none.

    Raises CheckpointError where there is none.
    """

    track = "metrics"
    deterministic = True

    def __init__(
        self,
        checkpoint: str,
        *,
        turns: int | None = None,
        tellings: int = _TELLINGS,
        suggestions: bool = True,
    ) -> None:
        self.folder = shipped() if checkpoint == NAME else Path(checkpoint)
        self.settings: TrainConfig = read_config(self.folder)
        if self.settings.domain.name not in ("circuits", "sizing"):
            raise CheckpointError(
                f"{self.folder}: was trained on {self.settings.domain.name}, not on circuits or "
                "sizing; a chat model is ranked by serving it and running the agent `llm` in its "
                "text format"
            )
        self.place = weights_file(self.folder)
        self.turns = turns or self.settings.turns
        sizing = self.settings.domain.name == "sizing"
        self.tellings = tellings if sizing else 1
        self.suggestions = suggestions and sizing
        self.replaced = 0

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour: the training's settings and the checkpoint's weights."""
        import hashlib

        digest = hashlib.sha256(self.place.read_bytes()).hexdigest()
        return {
            "algorithm": self.settings.algorithm,
            "update": self.place.parent.name,
            "turns": self.turns,
            "tellings": self.tellings,
            "suggestions": self.suggestions,
            "weights": digest,
            "trained_on": list(self.trained_on),
        }

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Ids of the circuits."""
        return tuple(self.settings.domain.arguments.get("tasks", ()))

    def run(
        self,
        session: Session,
        episodes: int | None = None,
        conditions: Sequence[str] | None = None,
    ) -> None:
        """Until the budget is used up, or for so many episodes.

        Args:
            conditions: the name of one, at which alone designs are simulated; all by default.

        Raises CheckpointError for a task that the policy has no words for.
        """
        import torch

        from tlgrpo.domains import build_domain
        from tlgrpo.evaluate import trained_policy
        from tlgrpo.samplers.hf import HfSampler
        from tlgrpo.tokens import mask_of

        torch.set_num_threads(1)
        settings = self.settings
        domain = build_domain(settings.domain)
        policy = trained_policy(self.place, settings, domain)
        codec = policy.codec
        sampler = HfSampler(
            policy.model,
            end=codec.end,
            pad=codec.pad,
            action_tokens=settings.action_tokens,
            temperature=settings.temperature,
            seed=session.seed % 2**31,
            answer=mask_of(domain, codec),
        )
        rng = np.random.default_rng(session.seed)
        self.replaced = 0
        rounds: Iterable[int] = itertools.count() if episodes is None else range(episodes)
        try:
            if settings.domain.name == "sizing":
                self._fill_forms(session, sampler, codec, rng, rounds, conditions)
            else:
                self._write_texts(session, sampler, policy, rng, rounds, conditions)
        except _Unreadable as error:
            raise CheckpointError(
                f"{self.folder}: the policy cannot read {session.task.id}: {error}"
            ) from None

    def _write_texts(
        self,
        session: Session,
        sampler: HfSampler,
        policy: Any,
        rng: np.random.Generator,
        rounds: Iterable[int],
        conditions: Sequence[str] | None,
    ) -> None:
        """Episodes of the domain `circuits`, whose actions are free text."""
        from tlgrpo.domains.circuits import circuit_problem, reaction_to, read_design
        from tlgrpo.sft import written
        from tlgrpo.tokens import continued

        task, codec = session.task, policy.codec
        prompt = _read(codec, circuit_problem(task).prompt)
        for _ in rounds:
            history = list(prompt)
            for _ in range(self.turns):
                if not session.remaining:
                    return
                for _ in range(_TRIES):
                    [[drawn]] = sampler.sample([history], 1)
                    ids = drawn.ids
                    design = read_design(task, codec.action(ids))
                    if design is not None:
                        break
                else:
                    self.replaced += 1
                    text = _random_text(task, rng)
                    ids = (*written(policy, text), codec.end)
                    design = read_design(task, text)
                assert design is not None
                evaluation = _simulated(session, design, conditions)
                if evaluation.feasible:
                    return
                history += [*ids, *continued(codec, ids, reaction_to(task, evaluation).observation)]

    def _fill_forms(
        self,
        session: Session,
        sampler: HfSampler,
        codec: Codec,
        rng: np.random.Generator,
        rounds: Iterable[int],
        conditions: Sequence[str] | None,
    ) -> None:
        """Episodes of the domain `sizing`, told several times, whose actions are forms."""
        assert isinstance(codec, LineCodec)  # Of this domain, `mask_of` takes no other.
        # One telling is in the order of the circuit's folder.
        orders = [None] if self.tellings == 1 else range(self.tellings)
        told = [_Telling(session.task, self.settings, codec, order) for order in orders]
        first = []
        if self.suggestions and session.task.id not in self.trained_on:
            first = told[0].suggested()
        improving = True
        tried: set[bytes] = set()
        best: tuple[NDArray[np.int64], Evaluation] | None = None
        for _ in rounds:
            for one in told:
                one.begin(best)
            turns = self.turns if best is None else max(1, self.turns - 1)
            for _ in range(turns):
                if not session.remaining:
                    return
                if first:
                    chosen = first.pop(0)
                else:
                    answers = sampler.fill([t.history for t in told], 1, [t.form for t in told])
                    pairs = zip(told, answers, strict=True)
                    found = np.array([one.levels(answer.ids) for one, [answer] in pairs])
                    chosen = np.median(found, axis=0).astype(np.int64)
                    if not improving or chosen.tobytes() in tried:
                        chosen = found[rng.integers(len(found))]
                tried.add(chosen.tobytes())
                evaluation = _simulated(session, told[0].design(chosen), conditions)
                if evaluation.feasible:
                    return
                improving = best is None or evaluation.score > best[1].score
                if improving:
                    best = chosen, evaluation
                for one in told:
                    one.add(chosen, evaluation)


def _simulated(session: Session, design: Design, conditions: Sequence[str] | None) -> Evaluation:
    """Of one condition, as if that were all there is."""
    found = session.simulate(design, conditions=conditions)
    if conditions is None or (at := found.by_condition.get(conditions[0])) is None:
        return found
    return Evaluation.judged(found.design, at.status, at.metrics, session.task.specs)


class _Unreadable(ValueError):
    """What a policy has no words for."""


def _read(codec: Codec, prompt: str) -> list[int]:
    try:
        return codec.prompt(prompt)
    except ValueError as error:
        raise _Unreadable(error) from None


def _random_text(task: Task, rng: np.random.Generator) -> str:
    from tlgrpo.domains.circuits import LEVELS
    from tlgrpo.domains.levels import write_assignments

    return write_assignments({n: int(rng.integers(LEVELS)) for n in task.space.names})


class _Telling:
    """An episode of the domain `sizing` in one order of parameters and specs.

    Levels are in the order of the task's space, shape (parameters,).

    Attributes:
        history: ids of all that was said so far.
    """

    def __init__(
        self, task: Task, settings: TrainConfig, codec: LineCodec, order: int | None
    ) -> None:
        from tlgrpo.domains.sizing import tell

        arguments = settings.domain.arguments
        self._values = arguments.get("values", "levels")
        self._reward = arguments.get("reward", "score")
        self._codec, self._told = codec, tell(task, order)
        self._prompt = self._told.prompt(self._values)
        self._ids = _read(codec, self._prompt)
        self.begin(None)

    def begin(self, best: tuple[NDArray[np.int64], Evaluation] | None) -> None:
        """A new episode; a policy that moves is told the best design of those before."""
        from tlgrpo.domain import Problem, State

        self._state = State(Problem(self._told.task.id, self._prompt))
        self.history = list(self._ids)
        if best is not None and self._values == "moves":
            self.add(*best)

    @property
    def form(self) -> list[int]:
        """The lines of the next action."""
        lines = self._told.form(self._told.incumbent(self._state))
        return [self._codec.line(line) for line in lines]

    def levels(self, ids: Sequence[int]) -> list[int]:
        """What an action tries."""
        read = self._told.read(self._codec.action(ids), self._told.incumbent(self._state))
        assert read is not None  # A form that was filled is a design.
        found = np.empty(len(read), dtype=np.int64)
        found[list(self._told.parameters)] = read
        return found.tolist()

    def suggested(self) -> list[NDArray[np.int64]]:
        """What the training circuits suggest, see `tlgrpo.memory`."""
        from tlgrpo.memory import suggested

        return suggested(self._told)

    def design(self, levels: NDArray[np.int64]) -> Design:
        return self._told.design(self._listed(levels))

    def add(self, levels: NDArray[np.int64], evaluation: Evaluation) -> None:
        """A turn: an action that tries these levels, and what is observed of it."""
        from tlgrpo.domains.sizing import reaction_to
        from tlgrpo.tokens import continued

        codec, state = self._codec, self._state
        at = self._told.incumbent(state)
        text = self._told.write(self._listed(levels), self._values, at)
        reaction = reaction_to(self._told, evaluation, state.best, self._reward)
        ids = (*codec.prompt(text), codec.end)
        self.history += [*ids, *continued(codec, ids, reaction.observation)]
        self._state = state.after(text, reaction)

    def _listed(self, levels: NDArray[np.int64]) -> list[int]:
        return [int(levels[k]) for k in self._told.parameters]
