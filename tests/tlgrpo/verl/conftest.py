"""verl on this machine's CPU: its configuration, a small policy in a folder, and its queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tlgrpo.conftest import SMALL
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.policy import Policy, load_policy, tiny_policy
from tlgrpo.samplers.hf import HfSampler

TURNS, GROUP, PROBLEMS = 3, 4, 2
SETTINGS = f"""
turns = {TURNS}
group = {GROUP}
problems = {PROBLEMS}
action_tokens = 8
stop_when_solved = false
seed = 3
[domain]
name = "ballistics"
"""


class Server:
    """verl's client of its servers, answered by a policy in a folder; travels to other processes."""

    def __init__(self, folder: Path, changes: dict[str, Any] | None = None) -> None:
        self.folder, self.changes = folder, changes or {}
        self.asked: list[tuple[tuple[int, ...], dict[str, Any]]] = []
        self._drawn = 0

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]
    ) -> Any:
        from verl.workers.rollout.replica import TokenOutput

        await asyncio.sleep(0)
        if not hasattr(self, "policy"):
            self.policy: Policy = load_policy(self.folder, SMALL)
        self.asked.append((tuple(prompt_ids), sampling_params))
        self._drawn += 1
        sampler = HfSampler(
            self.policy.model, end=sampling_params["stop_token_ids"][0],
            pad=self.policy.codec.pad, action_tokens=sampling_params["max_tokens"],
            temperature=sampling_params["temperature"], seed=self._drawn,
        )  # fmt: skip
        action = sampler.sample([prompt_ids], 1)[0][0]
        values = {
            "token_ids": list(action.ids), "log_probs": list(action.log_probs),
            "extra_fields": {"min_global_steps": 7, "max_global_steps": 7},
        }  # fmt: skip
        return TokenOutput(**(values | self.changes))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy, settings and verl's description of the loop."""
    from tests.tlgrpo.verl.warm import warmed

    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("verl")
    policy = warmed(tiny_policy(SMALL, Ballistics().grammar(), seed=0), TURNS)
    policy.tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    policy.save(place / "policy")
    (place / "run.toml").write_text(SETTINGS)
    (place / "loop.yaml").write_text(
        "- name: tl_grpo\n"
        "  _target_: tlgrpo.engines.verl.TurnAgentLoop\n"
        f"  settings: {place / 'run.toml'}\n"
    )
    return place


def overrides(folder: Path) -> list[str]:
    """What verl is told, as on its command line."""
    return [
        "algorithm.adv_estimator=tl_grpo",
        "+actor_rollout_ref.rollout.agent.agent_loop_manager_class="
        "tlgrpo.engines.verl.TurnLoopManager",
        "actor_rollout_ref.rollout.agent.default_agent_loop=tl_grpo",
        f"actor_rollout_ref.rollout.agent.agent_loop_config_path={folder / 'loop.yaml'}",
        "actor_rollout_ref.rollout.agent.num_workers=1",
        "actor_rollout_ref.rollout.name=vllm",
        "actor_rollout_ref.rollout.n=1",
        "actor_rollout_ref.rollout.calculate_log_probs=true",
        "actor_rollout_ref.rollout.prompt_length=256",
        "actor_rollout_ref.rollout.response_length=8",
        f"actor_rollout_ref.model.path={folder / 'policy'}",
        "actor_rollout_ref.actor.use_dynamic_bsz=true",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROBLEMS * TURNS * GROUP}",
        f"data.train_batch_size={PROBLEMS}",
        f"data.train_files={folder / 'problems.parquet'}",
        f"data.val_files={folder / 'problems.parquet'}",
        "data.return_raw_chat=true",
        "trainer.n_gpus_per_node=1",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
    ]


@pytest.fixture(scope="session")
def config(folder: Path) -> Any:
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides(folder))


@pytest.fixture(scope="session")
def queue() -> Iterator[Any]:
    """verl's queue between its loops and its trainer, on a Ray of this machine."""
    import ray
    import transfer_queue

    # The queue's own processes claim a core each; they need none to speak of.
    ray.init(
        num_cpus=8, include_dashboard=False, logging_level="ERROR", _node_ip_address="127.0.0.1"
    )
    transfer_queue.init()
    yield transfer_queue
    transfer_queue.close()
    ray.shutdown()


@pytest.fixture
def running() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread, as a worker has one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
