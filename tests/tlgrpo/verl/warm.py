"""A policy that writes actions mostly, in a second."""

from __future__ import annotations

import numpy as np

from tlgrpo.config import SftConfig
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.policy import Policy
from tlgrpo.sft import demonstrate, train_sft


def warmed(policy: Policy, turns: int) -> Policy:
    rng = np.random.default_rng(0)
    episodes = demonstrate(Ballistics(), policy, 128, turns, rng, first=1_000_000)
    settings = SftConfig(epochs=5, batch_tokens=256, learning_rate=1e-2)
    assert list(train_sft(policy, episodes, settings, rng))[-1] < 2
    return policy
