"""Small policies and trees that the tests share."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from tlgrpo.config import PolicyConfig, TrainConfig
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.policy import Policy, tiny_policy
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.tree import Episode

SMALL = PolicyConfig(layers=2, width=32, heads=2, kv_heads=1)


def settings(**changes: object) -> TrainConfig:
    """A training run that takes a second."""
    base = {
        "domain": {"name": "ballistics"}, "policy": SMALL.model_dump(),
        "sft": {"episodes": 0}, "turns": 3, "group": 4, "problems": 4, "simulations": 96,
        "action_tokens": 8, "warmup_updates": 2,
    }  # fmt: skip
    return TrainConfig.of(base | changes, "test")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def domain() -> Ballistics:
    return Ballistics()


@pytest.fixture
def policy(domain: Ballistics) -> Policy:
    return tiny_policy(SMALL, domain.grammar(), seed=0)


def sampler_of(policy: Policy, *, seed: int = 0, temperature: float = 1.0) -> HfSampler:
    return HfSampler(
        policy.model, end=policy.codec.end, pad=policy.codec.pad, action_tokens=8,
        temperature=temperature, seed=seed,
    )  # fmt: skip


def sampled_episodes(
    policy: Policy, domain: Ballistics, *, per_turn: bool = True, problems: int = 3, seed: int = 0
) -> list[Episode]:
    plan = Plan(turns=3, group=4, per_turn=per_turn)
    return roll_out(
        domain, policy.codec, sampler_of(policy, seed=seed),
        [domain.problem(k, "train") for k in range(problems)], plan,
        rng=np.random.default_rng(seed),
    )  # fmt: skip


def give_advantages(episodes: list[Episode], seed: int = 0) -> None:
    """Random ones, since those of an untrained policy are nearly all 0."""
    rng = np.random.default_rng(seed)
    for episode in episodes:
        for node in episode.nodes:
            node.advantage = float(rng.normal())
