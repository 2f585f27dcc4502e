"""Training a chat model on circuits: updates, adapters, runs that go on, and the example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import acs_gym
from acs_gym.simulation.pool import InProcessSimulator
from tests.tlgrpo.chat_models import TASK, save_chat_model
from tlgrpo.checkpoint import latest
from tlgrpo.config import TrainConfig
from tlgrpo.domains.chat_circuits import ChatCircuits, write_action
from tlgrpo.evaluate import evaluate_run
from tlgrpo.loop import Trainer
from tlgrpo.policy import load_policy
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.samplers.scripted import ScriptedSampler
from tlgrpo.sft import demonstrate
from tlgrpo.tree import history_before

EXAMPLE = Path(__file__).parents[2] / "examples" / "tlgrpo" / "chat_lora.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_chat_model(tmp_path_factory.mktemp("model"))


def run_settings(folder, **changes) -> TrainConfig:
    base: dict[str, Any] = {
        "domain": {
            "name": "tlgrpo.domains.chat_circuits:ChatCircuits",
            "arguments": {"tasks": [TASK], "pdk": "generic", "budget": 2, "workers": 1},
        },
        "policy": {"path": str(folder), "codec": "chat"},
        "sft": {"episodes": 0}, "turns": 2, "group": 2, "problems": 2, "simulations": 8,
        "action_tokens": 6, "warmup_updates": 0, "learning_rate": 1e-3, "checkpoint_every": 1,
    }  # fmt: skip
    return TrainConfig.of(base | changes, "test")


def chat(folder, **changes):
    return {"path": str(folder), "codec": "chat"} | changes


@pytest.mark.parametrize(
    "changes",
    [{}, {"lora_rank": 2}, {"lora_rank": 2, "dtype": "bfloat16"}],
    ids=["all weights", "adapter", "adapter on bfloat16"],
)
@pytest.mark.parametrize("algorithm", ["tl-grpo", "grpo"])
def test_an_update_moves_the_weights_that_are_trained(folder, tmp_path, algorithm, changes):
    config = run_settings(
        folder, policy=chat(folder, **changes), algorithm=algorithm, mismatch_allowed=1e9, kl=0.1
    )
    trainer = Trainer(config, tmp_path)
    codec, rng = trainer.policy.codec, np.random.default_rng(0)
    task = acs_gym.make_task(TASK, pdk="generic")

    def says(history, k):
        text = write_action(task, task.space.sample(rng))
        return [*codec.tokenizer(text)["input_ids"], codec.end]

    trainer.sampler = ScriptedSampler(says, log_prob=-6.0)
    before = {n: p.detach().clone() for n, p in trainer.policy.model.named_parameters()}
    numbers = trainer.step()
    assert numbers["invalid_share"] == 0 and numbers["gradient_norm"] > 0
    assert numbers["simulations"] == 8 and numbers["best_of_episode"] > 0
    moved = {n for n, p in trainer.policy.model.named_parameters() if not torch.equal(p, before[n])}
    # Of a fresh adapter the half that is zero learns first, since the other's gradient is zero.
    expected = {n for n in before if "lora_B" in n or not changes}
    assert moved == expected


@pytest.mark.parametrize("rank", [0, 2])
def test_a_run_is_trained_resumed_and_evaluated(folder, tmp_path, rank):
    """Sampling is the model's own; the learner agrees with it to rounding."""
    policy = chat(folder, lora_rank=rank)
    sft = {"episodes": 2, "epochs": 1, "batch_tokens": 5000}
    config = run_settings(folder, policy=policy, simulations=16, sft=sft)
    interrupted = Trainer(config, tmp_path).run()
    rows = [next(interrupted)]
    interrupted.close()
    rows += Trainer(config, tmp_path).run()
    assert [row["update"] for row in rows] == [1, 2]
    assert all(row["mismatch"] < 1e-3 for row in rows)
    kept = torch.load(latest(tmp_path) / "state.pt", weights_only=True)["weights"]
    assert all("lora_" in name for name in kept) is bool(rank)
    found = evaluate_run(tmp_path, problems=2)
    assert found.problems == 2 and len(found.best_at) == 2 and found.invalid == 1


def test_every_history_is_what_the_sampler_was_given(folder):
    domain = ChatCircuits([TASK], pdk="generic", budget=3, simulator=InProcessSimulator())
    policy = load_policy(folder)
    codec = policy.codec

    class Listening(HfSampler):
        asked: list[list[int]] = []  # noqa: RUF012

        def sample(self, histories, count):
            self.asked += [list(h) for h in histories]
            return super().sample(histories, count)

    sampler = Listening(policy.model, end=codec.end, pad=codec.pad, action_tokens=4, seed=0)
    episodes = roll_out(
        domain, codec, sampler, [domain.problem(k, "train") for k in range(2)],
        Plan(turns=3, group=2, per_turn=True, waves=1), rng=np.random.default_rng(0),
    )  # fmt: skip
    expected = [history_before(e, turn) for turn in range(3) for e in episodes]
    assert sampler.asked == expected


def test_the_example_is_a_run_of_this_domain(folder, tmp_path):
    changes = {
        "policy.path": str(folder), "policy.device": "cpu", "policy.dtype": "float32",
        "action_tokens": 4, "group": 2, "problems": 1, "simulations": 2,
    }  # fmt: skip
    config = TrainConfig.read(EXAMPLE, changes)
    assert config.domain.arguments["budget"] == config.turns
    trainer = Trainer(config, tmp_path)
    assert trainer.domain.name == "chat-circuits"
    assert trainer.step()["simulations"] == 2 * config.turns


def test_demonstrations_observe_what_the_turns_before_them_led_to(folder):
    domain = ChatCircuits([TASK], pdk="generic", budget=3, simulator=InProcessSimulator())
    (episode,) = demonstrate(domain, load_policy(folder), 1, 3, np.random.default_rng(0))
    for number, node in enumerate(episode.main_line, start=1):
        assert f'"results":[{{"design":{number},' in node.reaction.observation
        assert f'"simulations_left":{3 - number}' in node.reaction.observation
    assert [n.reaction.score for n in episode.main_line] == sorted(
        n.reaction.score for n in episode.main_line
    )
