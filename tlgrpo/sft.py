"""The warm start: a policy learns the form of the task from demonstrations made without any
teacher.

A demonstration is an episode of random and varied actions, put in rising order of score, so that
what follows a history is likely to be better than what is in it. Nothing is known of solutions but
what simulation said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from tlgrpo.config import SftConfig
from tlgrpo.domain import Domain, Problem, Reaction, State
from tlgrpo.learner import token_log_probs
from tlgrpo.packing import collate, micro_batches, pack
from tlgrpo.policy import Policy
from tlgrpo.tree import Episode, Node

_CANDIDATES = 3  # Tries a turn of a demonstration.
_CHUNK = 64


def demonstrate(
    domain: Domain,
    policy: Policy,
    count: int,
    turns: int,
    rng: np.random.Generator,
    *,
    first: int = 0,
) -> list[Episode]:
    """Episodes of problems `first`, `first + 1`, ... of the training split.

    Each has `turns` actions: of `turns` times three candidates (one third random, the others
        variations of the best so far), the best, in rising order.
    """
    found = []
    for start in range(0, count, _CHUNK):
        problems = [
            domain.problem(first + k, "train") for k in range(start, min(start + _CHUNK, count))
        ]
        found += _together(domain, policy, problems, turns, rng)
    return found


def _together(
    domain: Domain,
    policy: Policy,
    problems: Sequence[Problem],
    turns: int,
    rng: np.random.Generator,
) -> list[Episode]:
    tried: list[list[tuple[str, Reaction]]] = [[] for _ in problems]
    for step in range(turns * _CANDIDATES):
        actions = []
        for problem, known in zip(problems, tried, strict=True):
            good = [(o.score, a) for a, o in known if o.valid]
            if step % _CANDIDATES == 0 or not good:
                actions.append(domain.random_action(problem, rng))
            else:
                actions.append(domain.vary(problem, max(good)[1], rng))
        states = [State(p) for p in problems]
        reactions = domain.evaluate(list(zip(states, actions, strict=True)))
        for known, action, reaction in zip(tried, actions, reactions, strict=True):
            known.append((action, reaction))
    chosen = [sorted(known, key=lambda t: t[1].score)[-turns:] for known in tried]
    states = [State(p) for p in problems]
    for turn in range(turns):
        # Once more, after the turns before it: what is observed may tell of them.
        actions = [turns_of[turn][0] for turns_of in chosen]
        reactions = domain.evaluate(list(zip(states, actions, strict=True)))
        triples = zip(states, actions, reactions, strict=True)
        states = [state.after(action, reaction) for state, action, reaction in triples]
    return [_episode(policy, state.problem, state.turns) for state in states]


def _episode(policy: Policy, problem: Problem, turns: Sequence[tuple[str, Reaction]]) -> Episode:
    """A demonstration as a tree of one line. The one place where an action's text becomes ids: nobody
    sampled it."""
    codec = policy.codec
    episode = Episode(problem, tuple(codec.prompt(problem.prompt)))
    best = 0.0
    for number, (text, reaction) in enumerate(turns):
        ids = (*written(policy, text), codec.end)
        episode.turns.append(
            [
                Node(
                    number,
                    number,
                    ids,
                    (0.0,) * len(ids),
                    text,
                    reaction,
                    best,
                    on_main_line=True,
                    advantage=1.0,
                )
            ]
        )
        best = max(best, reaction.score)
        if number + 1 < len(turns):
            episode.observations.append(tuple(codec.observation(reaction.observation)))
    return episode


def written(policy: Policy, text: str) -> list[int]:
    """The ids of an action that was not sampled."""
    from tlgrpo.tokens import WordCodec

    if isinstance(policy.codec, WordCodec):
        return policy.codec.prompt(text)
    return list(policy.tokenizer(text, add_special_tokens=False)["input_ids"])


def train_sft(
    policy: Policy, episodes: Sequence[Episode], config: SftConfig, rng: np.random.Generator
) -> Iterator[float]:
    """Maximum likelihood of the actions that have an advantage. Yields each step's loss, in nats a token
    of them."""
    packed = [pack(e) for e in episodes]
    parts = micro_batches(packed, config.batch_tokens)
    steps = len(parts) * config.epochs
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min((k + 1) / (0.1 * steps + 1), (steps - k) / (0.9 * steps + 1))
    )
    policy.model.train()
    for _ in range(config.epochs):
        for k in rng.permutation(len(parts)):
            batch = collate(
                [packed[i] for i in parts[k]], pad=policy.codec.pad, device=str(policy.device)
            )
            log_probs, _ = token_log_probs(policy.model, batch)
            loss = -(batch.advantage * log_probs).sum() / batch.advantage.sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            yield float(loss.detach())
