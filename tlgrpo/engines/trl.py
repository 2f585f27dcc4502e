"""Training on TRL's `GRPOTrainer`: accelerate, DeepSpeed, FSDP and vLLM come with it.

TRL compares rows that stand `num_generations` together. Here each turn of each episode is a prompt,
so its rows are the actions sampled from one history: turn-level GRPO without a trainer of our own.
`rollout_func` makes whole episodes and returns their rows; credit is given here, by the code of
`tlgrpo.loop`, and handed over as rewards that TRL only has to leave as they are (`scale_rewards` is
"none", and a group's advantages add up to 0).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

try:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
except ImportError as error:
    raise ImportError(f"{error}; training on TRL needs pip install 'acs-gym[trl,train]'") from None

from tlgrpo.config import ConfigError, TrainConfig
from tlgrpo.credit import assign
from tlgrpo.domain import Domain
from tlgrpo.engines.rows import BatchRow, rows
from tlgrpo.engines.trl_settings import grpo_config, most_updates
from tlgrpo.loop import plan_of
from tlgrpo.policy import Policy
from tlgrpo.rollout import roll_out
from tlgrpo.samplers.base import Sampler
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.samplers.vllm import VllmSampler
from tlgrpo.tree import save_episodes, total_simulations

REWARD, ADVANTAGE = "turn_reward", "turn_advantage"


def tlgrpo_trainer(
    config: TrainConfig,
    policy: Policy,
    domain: Domain,
    output_dir: Path,
    *,
    sampler: Sampler | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    **grpo_arguments: Any,
) -> GRPOTrainer:
    """A trainer to call `train()` of. It stops once `config.simulations` are spent.

    Args:
        config: as for `tlgrpo.loop`; `sft` is not done here, `waves` and `micro_tokens` are not used.
        policy: already warm-started where that is wanted.
        output_dir: of TRL's checkpoints, each a folder that `load_policy` reads.
        sampler: another one than the model itself, or than the vLLM server that `use_vllm` names.
        grpo_arguments: of TRL's `GRPOConfig`: `per_device_train_batch_size` (rows of one forward
            pass), `deepspeed`, `fsdp`, `use_vllm`, `report_to`, ...

    Raises ConfigError for an argument that contradicts `config` or does not divide the batch.
    """
    arguments = grpo_config(config, output_dir, **grpo_arguments)
    if arguments.use_vllm and arguments.vllm_mode != "server":
        raise ConfigError(
            f"vllm_mode is {arguments.vllm_mode!r}: only 'server' is supported; start one by "
            "vllm serve and give vllm_server_base_url"
        )
    rollout = Rollout(config, policy, domain, Path(output_dir), sampler)
    prompts = [
        _prompt(number, turn)
        for number in range(most_updates(config) * config.problems)
        for turn in range(config.turns)
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
        return GRPOTrainer(
            model=policy.model,
            reward_funcs=[turn_reward, turn_advantage],
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=policy.tokenizer,
            callbacks=[_Budget(rollout), *callbacks],
            rollout_func=rollout,
        )


def turn_reward(*, turn_reward: list[float | None], **_: Any) -> list[float | None]:
    """What each action was worth, for the log; None where a row stands for none."""
    return turn_reward


def turn_advantage(
    *,
    turn_advantage: list[float | None],
    numbers: list[dict[str, float]],
    log_metric: Any,
    **_: Any,
) -> list[float | None]:
    """Each action's advantage, which is what TRL trains on."""
    for name, value in numbers[0].items():
        log_metric(name, value)
    return turn_advantage


class Rollout:
    """TRL's `rollout_func`: whole episodes of the problems that its prompts name.

    Attributes:
        simulations: spent by all processes together.
    """

    def __init__(
        self,
        config: TrainConfig,
        policy: Policy,
        domain: Domain,
        folder: Path,
        sampler: Sampler | None = None,
    ) -> None:
        self.config, self.codec, self.domain = config, policy.codec, domain
        self.folder, self._sampler = folder, sampler
        self._server: VllmSampler | None = None
        self.simulations = 0

    def __call__(self, prompts: Sequence[str], trainer: GRPOTrainer) -> dict[str, Any]:
        config, accelerator = self.config, trainer.accelerator
        problems = [
            self.domain.problem(number, "train")
            for number in problem_numbers(prompts, config.turns, config.group)
        ]
        # From nothing but these three, so that a resumed run samples what it would have.
        step, process = trainer.state.global_step, accelerator.process_index
        seeds = np.random.SeedSequence((config.seed, process, step)).generate_state(2)
        episodes = roll_out(
            self.domain,
            self.codec,
            self._sampler or self._own_sampler(trainer, int(seeds[0] % 2**31)),
            problems,
            plan_of(config),
            rng=np.random.default_rng(seeds[1]),
            version=step,
        )
        groups = assign(episodes, config)
        spent = torch.tensor(total_simulations(episodes), device=accelerator.device)
        self.simulations += int(accelerator.reduce(spent, reduction="sum"))
        if config.save_rollouts_every and step % config.save_rollouts_every == 0:
            save_episodes(episodes, self.folder / "rollouts" / f"{step:06d}-{process}.jsonl")
        nodes = [n for e in episodes for n in e.nodes]
        numbers = {
            "simulations": self.simulations,
            "dead_groups": groups.dead,
            "idle_groups": groups.idle,
            "best_of_episode": float(np.mean([e.best for e in episodes])),
            "solved": float(np.mean([e.solved for e in episodes])),
            "invalid_share": float(np.mean([not n.reaction.valid for n in nodes])),
        }
        found = rows(episodes, config, end=self.codec.end)
        if len(found) != len(prompts):
            raise AssertionError(f"{len(found)} rows for {len(prompts)} prompts")
        return _columns(found) | {"numbers": [numbers] * len(found)}

    def _own_sampler(self, trainer: GRPOTrainer, seed: int) -> Sampler:
        """A sampler of the weights as they are now: the vLLM server that TRL has just sent them to, or
        the model itself.
        """
        config, arguments = self.config, cast(GRPOConfig, trainer.args)
        if arguments.use_vllm:
            url = arguments.vllm_server_base_url or (
                f"http://{arguments.vllm_server_host}:{arguments.vllm_server_port}"
            )
            self._server = self._server or VllmSampler(
                url,
                end=self.codec.end,
                action_tokens=config.action_tokens,
                temperature=config.temperature,
            )
            return self._server
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            raise ConfigError(
                "no process holds all of a sharded model to sample from; start a vLLM server and "
                "give use_vllm=True, vllm_mode='server', vllm_server_base_url=..."
            )
        return HfSampler(
            trainer.accelerator.unwrap_model(trainer.model),
            end=self.codec.end,
            pad=self.codec.pad,
            action_tokens=config.action_tokens,
            temperature=config.temperature,
            seed=seed,
        )


class _Budget(TrainerCallback):
    """Ends the training when the simulations are spent, and writes into the log how many were."""

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        logged = [entry["simulations"] for entry in state.log_history if "simulations" in entry]
        self._rollout.simulations = int(logged[-1]) if logged else 0

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        # Exact, where TRL averages over the steps of a line. The history is saved with a checkpoint, so
        # that a resumed run goes on counting.
        for entry in (logs, state.log_history[-1]):
            entry["simulations"] = self._rollout.simulations

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        spent = self._rollout.simulations >= self._rollout.config.simulations
        if spent and state.global_step % self._rollout.config.epochs == 0:
            control.should_training_stop = True


def problem_numbers(prompts: Sequence[str], turns: int, group: int) -> list[int]:
    """The problems of a process's share of a batch. Raises ValueError when its rows are not whole
    episodes in order, as they are not when something shuffled them.
    """
    size = turns * group
    numbers = []
    for start in range(0, len(prompts), size):
        block = list(prompts[start : start + size])
        number = block[0].split()[1]
        expected = [_prompt(int(number), turn) for turn in range(turns) for _ in range(group)]
        if block != expected:
            raise ValueError(
                f"rows {start} to {start + len(block) - 1} are not the {turns} turns x {group} "
                f"actions of one episode: {block[:3]} ..."
            )
        numbers.append(int(number))
    return numbers


def _prompt(number: int, turn: int) -> str:
    """Names a row; the policy never reads it."""
    return f"problem {number} turn {turn}"


def _columns(found: Sequence[BatchRow]) -> dict[str, Any]:
    return {
        "prompt_ids": [list(r.history) for r in found],
        "completion_ids": [list(r.ids) for r in found],
        "logprobs": [list(r.log_probs) for r in found],
        "env_mask": [[int(r.trained)] * len(r.ids) for r in found],
        REWARD: [r.reward for r in found],
        ADVANTAGE: [r.advantage for r in found],
    }
