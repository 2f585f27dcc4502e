"""Episodes: actions sampled, simulated and put into trees.

Turn-level sampling: at every turn G actions are sampled from one history and simulated at once; the
episode goes on with one of them. Trajectory sampling: G episodes of one problem, one action a turn.
Both are one loop, over `lines` of one episode each.

A batch is worked on in waves: while the actions of one wave are simulated, those of the next are
sampled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlgrpo.domain import Domain, Problem, Reaction, State
from tlgrpo.samplers.base import FormSampler, Sampled, Sampler
from tlgrpo.tokens import Codec, continued, forms_of
from tlgrpo.tree import Episode, Node


@dataclass(frozen=True, slots=True)
class Plan:
    """How episodes are sampled; see `TrainConfig`."""

    turns: int
    group: int
    per_turn: bool
    continuation: Literal["random", "best"] = "random"
    stop_when_solved: bool = True
    waves: int = 2


def roll_out(
    domain: Domain,
    codec: Codec,
    sampler: Sampler,
    problems: Sequence[Problem],
    plan: Plan,
    *,
    rng: np.random.Generator,
    version: int = 0,
) -> list[Episode]:
    """Whole episodes: one a problem (turn-level), or `group` a problem, in order (trajectories).

    `rng` chooses the sibling that an episode goes on with.
    """
    copies = 1 if plan.per_turn else plan.group
    count = plan.group if plan.per_turn else 1
    episodes = [
        Episode(problem, tuple(codec.prompt(problem.prompt)), version=version)
        for problem in problems
        for _ in range(copies)
    ]
    groups = itertools.count()
    waves = [w for w in _split(episodes, plan.waves) if w]
    with ThreadPoolExecutor(1) as simulator:
        waiting = [_Wave(w, domain, codec, count, groups.__next__) for w in waves]
        for _ in range(plan.turns):
            for wave in waiting:
                # The answer of the wave's last turn was computed while the others were sampled.
                wave.settle(rng, plan)
                wave.sample(sampler, simulator)
        for wave in waiting:
            wave.settle(rng, plan)
    return episodes


class _Wave:
    """Some episodes that are sampled and simulated together."""

    def __init__(
        self,
        episodes: Sequence[Episode],
        domain: Domain,
        codec: Codec,
        count: int,
        next_group: Callable[[], int],
    ) -> None:
        self.episodes, self.domain, self.codec = episodes, domain, codec
        self.count, self.next_group = count, next_group
        self.alive = list(episodes)
        self._sampled: list[list[Sampled]] = []
        self._texts: list[list[str]] = []
        self._answer: Future[list[Reaction]] | None = None

    def sample(self, sampler: Sampler, simulator: ThreadPoolExecutor) -> None:
        """Sample a turn of every episode that goes on, and have it simulated."""
        if not self.alive:
            return
        histories, states = [e.history for e in self.alive], [e.state for e in self.alive]
        forms = forms_of(self.domain, self.codec, states)
        if forms is None:
            self._sampled = sampler.sample(histories, self.count)
        else:
            if not isinstance(sampler, FormSampler):
                raise TypeError(f"{type(sampler).__name__} fills no forms; use HfSampler")
            self._sampled = sampler.fill(histories, self.count, forms)
        self._texts = [[self.codec.action(s.ids) for s in group] for group in self._sampled]
        tries: list[tuple[State, str]] = []
        for state, texts in zip(states, self._texts, strict=True):
            tries += [(state, text) for text in texts]
        self._answer = simulator.submit(self.domain.evaluate, tries)

    def settle(self, rng: np.random.Generator, plan: Plan) -> None:
        """Put the simulated turn into the trees."""
        if self._answer is None:
            return
        reactions = iter(self._answer.result())
        self._answer = None
        for episode, sampled, texts in zip(self.alive, self._sampled, self._texts, strict=True):
            best = episode.state.best
            group, turn = self.next_group(), len(episode.turns)
            nodes = [
                Node(turn, group, s.ids, s.log_probs, text, next(reactions), best)
                for s, text in zip(sampled, texts, strict=True)
            ]
            chosen = nodes[_choice(nodes, plan, rng)]
            chosen.on_main_line = True
            episode.turns.append(nodes)
            ends = len(episode.turns) == plan.turns
            if not ends and not (plan.stop_when_solved and chosen.reaction.solved):
                observation = continued(self.codec, chosen.ids, chosen.reaction.observation)
                episode.observations.append(tuple(observation))
        self.alive = [e for e in self.alive if len(e.observations) == len(e.turns)]


def _choice(nodes: Sequence[Node], plan: Plan, rng: np.random.Generator) -> int:
    if len(nodes) == 1:
        return 0
    if plan.continuation == "best":
        return max(range(len(nodes)), key=lambda k: nodes[k].reaction.score)
    return int(rng.integers(len(nodes)))


def _split(episodes: Sequence[Episode], parts: int) -> list[list[Episode]]:
    return [list(episodes[k::parts]) for k in range(parts)]
