"""A trained policy as an agent of the leaderboard: `--agents tlgrpo:runs/my_run`.

It plays episodes of as many turns as it was trained with, one sampled action a turn, until the
budget is used up or every spec is met. Where the policy moves from the best design so far, an episode
after the first begins with the best one of all, as if it had been tried in its first turn. A text that
is no design is sampled again; after some in a row a uniformly random design takes its place, so that a
collapsed policy costs no time without end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation
from acs_gym.session import Session
from acs_gym.task import Task
from tlgrpo.checkpoint import CheckpointError, read_config
from tlgrpo.config import TrainConfig
from tlgrpo.pretrained import NAME, shipped, weights_file
from tlgrpo.tokens import Codec, LineCodec

_TRIES = 10


class TlgrpoAgent:
    """The policy of a run's last checkpoint, of its warm start where it has none, or of one checkpoint.

    Args:
        checkpoint: folder of a run, of a checkpoint or of `tlgrpo.pretrained`; `pretrained` for the
            package's own.
        turns: of an episode; None takes those of the training.

    Attributes:
        replaced: designs of the last run that were drawn at random, the policy having none.

    Raises CheckpointError where there is none.
    """

    track = "metrics"

    def __init__(self, checkpoint: str, *, turns: int | None = None) -> None:
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
            "weights": digest,
            "trained_on": list(self.settings.domain.arguments.get("tasks", ())),
        }

    def run(self, session: Session, episodes: int | None = None) -> None:
        """Until the budget is used up, or for so many episodes.

        Raises CheckpointError for a task that the policy has no words for.
        """
        import torch

        from tlgrpo.domains import build_domain
        from tlgrpo.evaluate import trained_policy
        from tlgrpo.samplers.hf import HfSampler
        from tlgrpo.sft import written
        from tlgrpo.tokens import continued, mask_of

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
        talk: _Sizing | _Circuits = (
            _Sizing(session.task, settings)
            if settings.domain.name == "sizing"
            else _Circuits(session.task)
        )
        self.replaced = 0
        try:
            prompt = codec.prompt(talk.prompt)
        except ValueError as error:
            raise CheckpointError(
                f"{self.folder}: the policy cannot read {session.task.id}: {error}"
            ) from None
        rounds: Iterable[int] = itertools.count() if episodes is None else range(episodes)
        for _ in rounds:
            if not session.remaining:
                return
            history = list(prompt)
            turns = self.turns
            if (best := talk.begin()) is not None:
                text, observation = best
                ids = (*written(policy, text), codec.end)
                history += [*ids, *continued(codec, ids, observation)]
                turns = max(1, turns - 1)
            for _ in range(turns):
                form = talk.form(codec)
                for _ in range(_TRIES):
                    drawn = (
                        sampler.sample([history], 1)
                        if form is None
                        else sampler.fill([history], 1, [form])
                    )
                    ids = drawn[0][0].ids
                    text = codec.action(ids)
                    design = talk.design(text)
                    if design is not None:
                        break
                else:
                    self.replaced += 1
                    text = talk.random(rng)
                    ids = (*written(policy, text), codec.end)
                    design = talk.design(text)
                assert design is not None
                evaluation = session.simulate(design)
                observation = talk.told(text, evaluation)
                if evaluation.feasible or not session.remaining:
                    return
                history += [*ids, *continued(codec, ids, observation)]


class _Circuits:
    """A session in the words of the domain `circuits`."""

    def __init__(self, task: Task) -> None:
        from tlgrpo.domains.circuits import circuit_problem

        self.task, self.prompt = task, circuit_problem(task).prompt

    def begin(self) -> tuple[str, str] | None:
        """An episode has no memory here."""
        return None

    def form(self, codec: Codec) -> list[int] | None:
        """Its actions are free text."""
        return None

    def design(self, text: str) -> Design | None:
        from tlgrpo.domains.circuits import read_design

        return read_design(self.task, text)

    def random(self, rng: np.random.Generator) -> str:
        from tlgrpo.domains.circuits import LEVELS
        from tlgrpo.domains.levels import write_assignments

        return write_assignments({n: int(rng.integers(LEVELS)) for n in self.task.space.names})

    def told(self, text: str, evaluation: Evaluation) -> str:
        from tlgrpo.domains.circuits import reaction_to

        return reaction_to(self.task, evaluation).observation


class _Sizing:
    """A session in the words of the domain `sizing`, in the order of the circuit's folder."""

    def __init__(self, task: Task, settings: TrainConfig) -> None:
        from tlgrpo.domains.sizing import tell

        arguments = settings.domain.arguments
        self.values = arguments.get("values", "levels")
        self.reward = arguments.get("reward", "score")
        self._told = tell(task)
        self.prompt = self._told.prompt(self.values)
        self._best: tuple[list[int], Evaluation] | None = None
        self.begin()

    def begin(self) -> tuple[str, str] | None:
        """A new episode: the best design of those before as an action, and what is observed of it."""
        from tlgrpo.domain import Problem, State
        from tlgrpo.domains.sizing import reaction_to

        self._state = State(Problem(self._told.task.id, self.prompt))
        if self._best is None or self.values != "moves":
            return None
        levels, evaluation = self._best
        text = self._told.write(levels, self.values, self._told.start)
        reaction = reaction_to(self._told, evaluation, 0.0, self.reward)
        self._state = self._state.after(text, reaction)
        return text, reaction.observation

    def design(self, text: str) -> Design | None:
        levels = self._levels(text)
        return None if levels is None else self._told.design(levels)

    def random(self, rng: np.random.Generator) -> str:
        from tlgrpo.domains.sizing import LEVELS

        levels = rng.integers(LEVELS, size=len(self._told.parameters)).tolist()
        return self._told.write(levels, self.values, self._told.incumbent(self._state))

    def form(self, codec: Codec) -> list[int] | None:
        assert isinstance(codec, LineCodec)  # Of this domain, `mask_of` takes no other.
        lines = self._told.form(self._told.incumbent(self._state))
        return [codec.line(line) for line in lines]

    def _levels(self, text: str) -> list[int] | None:
        return self._told.read(text, self._told.incumbent(self._state))

    def told(self, text: str, evaluation: Evaluation) -> str:
        from tlgrpo.domains.sizing import reaction_to

        levels = self._levels(text)
        if levels is not None and (self._best is None or evaluation.score > self._best[1].score):
            self._best = levels, evaluation
        reaction = reaction_to(self._told, evaluation, self._state.best, self.reward)
        self._state = self._state.after(text, reaction)
        return reaction.observation
