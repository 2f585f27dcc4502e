"""Minari (`make test-minari`): what is written is what a policy would have seen, read back by Minari."""

from __future__ import annotations

import numpy as np
import pytest

import acs_gym
from acs_gym import SizingEnv
from acs_gym.simulation.pool import InProcessSimulator
from tests.frameworks.page import code_of

minari = pytest.importorskip("minari")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def test_an_optimiser_s_history_is_the_episode_of_a_policy_that_proposes_the_same():
    from acs_gym.integrations.minari import write

    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    rng = np.random.default_rng(0)
    with InProcessSimulator() as simulator, task.session(3, simulator=simulator) as session:
        for _ in range(3):
            session.simulate(task.space.sample(rng))
        write("acs-gym/ota5t/random-v0", task, [session.history], algorithm="random")
        (episode,) = minari.load_dataset("acs-gym/ota5t/random-v0").iterate_episodes()
        env = SizingEnv(task, max_turns=3, session=task.session(simulator=simulator))
        seen = [env.reset(seed=0)[0]]
        rewards = []
        for action in episode.actions:
            observation, reward, *_ = env.step(action)
            seen.append(observation)
            rewards.append(reward)
    assert np.allclose(episode.rewards, rewards) and list(episode.truncations) == [
        False,
        False,
        True,
    ]
    for name, values in episode.observations.items():
        assert np.allclose(values, [o[name] for o in seen], atol=1e-5), name


def test_the_page_s_code_runs(capsys):
    exec(code_of("Minari"), {})
    assert "5 steps" in capsys.readouterr().out
