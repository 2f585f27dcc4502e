"""What a policy is trained on: iterative optimisation told in text. The protocol, and nothing of
circuits.

A domain gives problems, each fixed for an episode. A turn is a text (the action) and what came of
it (the reaction). A state is a value, so branching from one is free: several actions may be tried
from the same history, and nothing has to be restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Split = Literal["train", "held-out"]


@dataclass(frozen=True, slots=True)
class Reaction:
    """What one action came to.

    Attributes:
        score: in [0, 1]; 0 for what is no action.
        solved: nothing better is possible.
        observation: the text that the policy reads next.
        valid: whether the text was an action at all. One that was not is charged like every other.
    """

    score: float
    solved: bool
    observation: str
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Problem:
    """What is asked for in an episode.

    Attributes:
        key: names it; equal keys are equal problems.
        prompt: the text that the policy reads first.
    """

    key: str
    prompt: str


@dataclass(frozen=True, slots=True)
class State:
    """A moment of an episode: the problem and the turns so far."""

    problem: Problem
    turns: tuple[tuple[str, Reaction], ...] = ()

    @property
    def best(self) -> float:
        """The best score so far; 0 before any turn."""
        return max((reaction.score for _, reaction in self.turns), default=0.0)

    @property
    def solved(self) -> bool:
        return any(reaction.solved for _, reaction in self.turns)

    def after(self, action: str, reaction: Reaction) -> State:
        """The state one turn later."""
        return State(self.problem, (*self.turns, (action, reaction)))


class Domain(Protocol):
    """The environment's side of training."""

    @property
    def name(self) -> str: ...

    def problem(self, seed: int, split: Split) -> Problem:
        """The problem of that number; a pure function. The splits share none."""

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        """What each action comes to in its state, all at once; a reaction is a pure function of the two.

        Must not raise for any text."""

    def grammar(self) -> tuple[str, ...]:
        """Every word of prompts, actions and observations, for a tokenizer of its own."""

    def random_action(self, problem: Problem, rng: np.random.Generator) -> str:
        """An action by chance, in the form the policy is to write: for demonstrations and baselines."""

    def vary(self, problem: Problem, action: str, rng: np.random.Generator) -> str:
        """A valid action near a valid one: for demonstrations."""
