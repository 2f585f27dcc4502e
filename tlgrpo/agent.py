"""A trained policy as an agent of the leaderboard: `--agents tlgrpo:runs/my_run`.

It plays episodes of as many turns as it was trained with, one sampled action a turn, until the
budget is used up or every spec is met. A text that is no design is sampled again; after some in a
row a uniformly random design takes its place, so that a collapsed policy costs no time without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from acs_gym.session import Session
from tlgrpo.checkpoint import CheckpointError, latest, read_config
from tlgrpo.config import TrainConfig

_TRIES = 10


class TlgrpoAgent:
    """The policy of a run's last checkpoint, or of one checkpoint.

    Args:
        checkpoint: folder of a run or of a checkpoint.
        turns: of an episode; None takes those of the training.

    Attributes:
        replaced: designs of the last run that were drawn at random, the policy having none.

    Raises CheckpointError where there is none.
    """

    track = "metrics"

    def __init__(self, checkpoint: str, *, turns: int | None = None) -> None:
        self.folder = Path(checkpoint)
        self.settings: TrainConfig = read_config(self.folder)
        place = self.folder if (self.folder / "state.pt").exists() else latest(self.folder)
        if place is None:
            raise CheckpointError(f"{self.folder}: no checkpoint of a training run is here")
        if self.settings.domain.name != "circuits":
            raise CheckpointError(
                f"{self.folder}: was trained on {self.settings.domain.name}, not on circuits; a chat "
                "model is ranked by serving it and running the agent `llm` in its text format"
            )
        self.place = place
        self.turns = turns or self.settings.turns
        self.replaced = 0

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour: the training's settings and the checkpoint's weights."""
        import hashlib

        digest = hashlib.sha256((self.place / "state.pt").read_bytes()).hexdigest()
        return {
            "algorithm": self.settings.algorithm,
            "update": self.place.name,
            "turns": self.turns,
            "weights": digest,
            "trained_on": list(self.settings.domain.arguments.get("tasks", ())),
        }

    def run(self, session: Session) -> None:
        """Raises CheckpointError for a task that the policy has no words for."""
        import torch

        from tlgrpo.domains import build_domain
        from tlgrpo.domains.circuits import LEVELS, circuit_problem, reaction_to, read_design
        from tlgrpo.domains.levels import write_assignments
        from tlgrpo.evaluate import trained_policy
        from tlgrpo.samplers.hf import HfSampler
        from tlgrpo.sft import written
        from tlgrpo.tokens import continued

        torch.set_num_threads(1)
        settings = self.settings
        policy = trained_policy(self.place, settings, build_domain(settings.domain))
        codec = policy.codec
        sampler = HfSampler(
            policy.model,
            end=codec.end,
            pad=codec.pad,
            action_tokens=settings.action_tokens,
            temperature=settings.temperature,
            seed=session.seed % 2**31,
        )
        rng = np.random.default_rng(session.seed)
        problem = circuit_problem(session.task)
        self.replaced = 0
        try:
            prompt = codec.prompt(problem.prompt)
        except ValueError as error:
            raise CheckpointError(
                f"{self.folder}: the policy cannot read {session.task.id}: {error}"
            ) from None
        while session.remaining:
            history = list(prompt)
            for _ in range(self.turns):
                for _ in range(_TRIES):
                    ids = sampler.sample([history], 1)[0][0].ids
                    design = read_design(session.task, codec.action(ids))
                    if design is not None:
                        break
                else:
                    self.replaced += 1
                    names = session.task.space.names
                    text = write_assignments({n: int(rng.integers(LEVELS)) for n in names})
                    ids = (*written(policy, text), codec.end)
                    design = read_design(session.task, text)
                assert design is not None
                evaluation = session.simulate(design)
                reaction = reaction_to(session.task, evaluation)
                if evaluation.feasible or not session.remaining:
                    return
                history += [*ids, *continued(codec, ids, reaction.observation)]
