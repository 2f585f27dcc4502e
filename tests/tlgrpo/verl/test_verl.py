"""verl's own classes with our loop, worker, manager and estimator, on the CPU: everything of a step but
its servers and its learners, which need a GPU.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl has an environment of its own; run make test-verl")

import torch
from hydra.errors import InstantiationException

from tests.tlgrpo.verl.conftest import GROUP, PROBLEMS, TURNS, Server, overrides
from tlgrpo.advantage import group_advantages
from tlgrpo.config import ConfigError, TrainConfig
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.engines import verl as engine
from tlgrpo.engines.credit import turn_uid

ROWS = TURNS * GROUP


def loop_of(config: Any, folder: Path, server: Any) -> Any:
    """As verl's worker makes one."""
    import hydra
    from omegaconf import OmegaConf
    from transformers import AutoTokenizer
    from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap

    (described,) = OmegaConf.load(folder / "loop.yaml")
    return hydra.utils.instantiate(
        config=described,
        trainer_config=DictConfigWrap(config=config),
        server_manager=server,
        tokenizer=AutoTokenizer.from_pretrained(folder / "policy"),
        processor=None,
        hf_model_type="qwen3",
        dataset_cls=None,
        data_config=DictConfigWrap(config.data),
        tools=ToolListWrap([]),
    )


SAMPLING = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": -1,
    "repetition_penalty": 1.0,
    "logprobs": True,
}


def run(loop: Any, running: Any, number: int = 0) -> list[Any]:
    import asyncio

    kwargs = {"extra_info": {"index": number}, "global_steps": 1, "uid": "u", "session_id": 0}

    async def start() -> list[Any]:
        return await loop.run(dict(SAMPLING), **kwargs)

    return asyncio.run_coroutine_threadsafe(start(), running).result(60)


def test_an_episode_is_a_row_an_action_in_order(config, folder, running):
    server = Server(folder / "policy")
    rows = run(loop_of(config, folder, server), running)
    assert [row.extra_fields["turn"] for row in rows] == [
        t for t in range(TURNS) for _ in range(GROUP)
    ]
    for turn in range(TURNS):
        group = rows[turn * GROUP : (turn + 1) * GROUP]
        assert len({tuple(row.prompt_ids) for row in group}) == 1
    assert len({tuple(row.prompt_ids) for row in rows}) == TURNS
    for row in rows:
        assert row.response_mask == [1] * len(row.response_ids)
        assert len(row.response_logprobs) == len(row.response_ids)


def test_histories_are_the_ids_that_were_asked_with(config, folder, running):
    server = Server(folder / "policy")
    rows = run(loop_of(config, folder, server), running)
    assert sorted(tuple(r.prompt_ids) for r in rows) == sorted(ids for ids, _ in server.asked)
    policy = server.policy
    start = policy.codec.prompt(Ballistics().problem(0, "train").prompt)
    assert rows[0].prompt_ids == start
    for _, sent in server.asked:
        assert sent["stop_token_ids"] == [policy.codec.end] and sent["ignore_eos"] is True
        assert sent["max_tokens"] == 8 and sent["top_p"] == 1.0 and sent["logprobs"] is True


def test_every_row_has_the_reward_of_its_own_turn(config, folder, running):
    rows = run(loop_of(config, folder, Server(folder / "policy")), running)
    assert len({row.reward_score for row in rows}) > 2
    fields = rows[0].as_dict()
    assert float(fields["rm_scores"].sum()) == pytest.approx(rows[0].reward_score)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"log_probs": None}, "no log-probability"), ({"stop_reason": "aborted"}, "no whole action")],
)
def test_an_answer_that_cannot_be_trained_on_is_refused(config, folder, running, changes, said):
    loop = loop_of(config, folder, Server(folder / "policy", changes))
    with pytest.raises((ConfigError, RuntimeError), match=said):
        run(loop, running)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 4), ("top_p", 0.9), ("top_k", 20), ("temperature", 0.7), ("calculate_log_probs", False),
     ("response_length", 4)],
)  # fmt: skip
def test_a_rollout_that_samples_otherwise_is_refused(config, folder, name, value):
    changed = config.copy()
    changed.actor_rollout_ref.rollout[name] = value
    with pytest.raises(InstantiationException, match=rf"actor_rollout_ref\.rollout\.{name} is"):
        loop_of(changed, folder, Server(folder / "policy"))


def test_verl_knows_the_estimator_and_it_is_ours():
    from tensordict import TensorDict
    from verl.protocol import DataProto
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

    rng = np.random.default_rng(0)
    rewards = rng.random((PROBLEMS, TURNS, GROUP))
    mask = torch.ones(rewards.size, 5, dtype=torch.long)
    mask[:, 3:] = 0
    tokens = torch.zeros(rewards.size, 5)
    tokens[:, 2] = torch.tensor(rewards.reshape(-1), dtype=torch.float32)
    uids = [
        turn_uid(f"u{p}", t) for p in range(PROBLEMS) for t in range(TURNS) for _ in range(GROUP)
    ]
    keys = [f"u{p}_{k}_0" for p in range(PROBLEMS) for k in range(ROWS)]
    order = rng.permutation(len(uids))  # verl balances rows over its learners.
    data = DataProto(
        batch=TensorDict(
            {"token_level_rewards": tokens[order], "response_mask": mask[order]}, [len(uids)]
        ),
        non_tensor_batch={"uid": np.array([uids[k] for k in order], dtype=object)},
    )
    found = compute_advantage_for_multi_trajectories(
        data, batch_keys=[keys[k] for k in order], adv_estimator="tl_grpo", config={}
    )
    own = np.stack([group_advantages(g) for g in rewards.reshape(-1, GROUP)]).reshape(-1)
    assert np.allclose(found.batch["advantages"][:, 0], own[order], atol=1e-5)
    assert (found.batch["advantages"][:, 3:] == 0).all()


def test_verl_accepts_the_configuration(config):
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    validate_config(config, need_reference_policy(config), need_critic(config))


def test_the_problems_are_a_data_set_that_verl_reads(config, folder):
    from transformers import AutoTokenizer
    from verl.utils.dataset.rl_dataset import RLHFDataset

    settings = TrainConfig.read(folder / "run.toml")
    engine.write_problems(settings, folder / "problems.parquet", 6, first=4)
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    read = RLHFDataset([str(folder / "problems.parquet")], tokenizer, config.data)
    assert [read[k]["extra_info"]["index"] for k in range(len(read))] == list(range(4, 10))


def test_through_workers_queue_and_buffer_each_row_keeps_its_reward_and_its_group(
    config, folder, queue
):
    """From a batch of prompts to the trainer's advantages, all by verl's own code."""
    from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.utils import tensordict_utils

    manager = engine.TurnLoopManager.create(config=config, llm_client=Server(folder / "policy"))
    uids = [f"prompt{k}" for k in range(PROBLEMS)]
    batch = tensordict_utils.get_tensordict(
        {
            "uid": np.array(uids, dtype=object),
            "raw_prompt": np.array([[{"role": "user", "content": "-"}]] * PROBLEMS, dtype=object),
            "extra_info": np.array([{"index": k} for k in range(PROBLEMS)], dtype=object),
            "index": np.arange(PROBLEMS),
        }
    )
    tensordict_utils.assign_non_tensor_data(batch, "global_steps", 7)
    queue.kv_batch_put(
        keys=uids, partition_id="train",
        tags=[{"is_prompt": True, "status": "pending", "global_steps": 7}] * PROBLEMS,
    )  # fmt: skip
    manager.generate_sequences(batch)
    deadline = time.monotonic() + 120
    while any(queue.kv_list("train")["train"][u]["status"] in ("pending", "running") for u in uids):
        assert time.monotonic() < deadline, queue.kv_list("train")
        time.sleep(0.1)

    buffer = ReplayBuffer(
        trainer_mode="sync", trainer_config=config.trainer, max_off_policy_threshold=None,
        max_off_policy_strategy="drop", sampler_kwargs={}, poll_interval=0.1,
    )  # fmt: skip
    sampled, _ = buffer.sample(global_steps=7, partition_id="train", batch_size=PROBLEMS)
    assert len(sampled.keys) == PROBLEMS * ROWS
    data = queue.kv_batch_get(keys=sampled.keys, partition_id="train")
    groups = defaultdict(list)
    for k, uid in enumerate(data["uid"]):
        groups[str(uid)].append(k)
    assert sorted(groups) == sorted(turn_uid(u, t) for u in uids for t in range(TURNS))
    rewards = [float(r.sum()) for r in data["rm_scores"].unbind()]
    histories = [tuple(p.tolist()) for p in data["prompts"].unbind()]
    for members in groups.values():
        assert len(members) == GROUP and len({histories[k] for k in members}) == 1
    assert len(set(rewards)) > 3

    # verl fills a batch up to what divides by its learners, with rows of no tokens.
    filled = upsample_batch_to_divisible_size(sampled, 7, eos_token_id=1)
    assert len(filled.keys) == 28
    # What the learners would add, which need a GPU.
    known = queue.kv_batch_get(
        keys=filled.keys, partition_id="train", select_fields=["rollout_log_probs"]
    )
    queue.kv_batch_put(
        keys=filled.keys, partition_id="train",
        fields=tensordict_utils.get_tensordict({"old_log_probs": known["rollout_log_probs"]}),
    )  # fmt: skip
    metrics: dict[str, Any] = {}
    PPOTrainer._compute_advantage(SimpleNamespace(config=config), filled, metrics)
    kept = queue.kv_batch_get(keys=filled.keys, partition_id="train", select_fields=["advantages"])
    found = [float(a[0]) for a in kept["advantages"].unbind()]
    assert found[len(sampled.keys) :] == [0.0] * 4
    for members in groups.values():
        own = group_advantages([rewards[k] for k in members])
        assert np.allclose([found[k] for k in members], own, atol=1e-4)


def test_the_example_says_what_is_tested_here(folder):
    """Every setting that decides what is trained is in the script that users start from."""
    script = (Path(__file__).parents[3] / "examples/tlgrpo/verl_train.sh").read_text()
    names = {o.partition("=")[0] for o in overrides(folder)}
    missing = {n for n in names if n not in script} - {
        "actor_rollout_ref.rollout.agent.num_workers"
    }
    assert not missing
