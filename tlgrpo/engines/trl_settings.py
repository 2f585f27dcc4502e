"""A training run's settings as TRL's."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from trl import GRPOConfig

from tlgrpo.config import ConfigError, TrainConfig

# What our settings decide; another value would break groups or credit.
_OURS = {
    "num_generations": "group",
    "num_iterations": "epochs",
    "max_completion_length": "action_tokens",
    "temperature": "temperature",
    "gradient_accumulation_steps": "problems, turns and group",
    "generation_batch_size": "problems, turns and group",
    "steps_per_generation": "problems, turns and group",
    "scale_rewards": "normalise",
    "reward_weights": "normalise",
    "shuffle_dataset": "the order of the problems",
    "top_p": "sampling from the whole distribution",
    "top_k": "sampling from the whole distribution",
    "min_p": "sampling from the whole distribution",
    "repetition_penalty": "sampling from the whole distribution",
}


def grpo_config(config: TrainConfig, output_dir: Path, **arguments: Any) -> GRPOConfig:
    """Our settings as TRL's. Raises ConfigError."""
    for name, setting in _OURS.items():
        if name in arguments:
            raise ConfigError(f"{name} is decided by the training settings ({setting})")
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # As torchrun and accelerate launch set it.
    if config.problems % processes:
        raise ConfigError(
            f"problems: {config.problems} do not divide by {processes} processes; an episode "
            "stays in one"
        )
    total = config.problems * config.turns * config.group // processes
    rows_at_once = arguments.setdefault("per_device_train_batch_size", config.group)
    if total % rows_at_once:
        raise ConfigError(
            f"per_device_train_batch_size: {rows_at_once} does not divide the {total} rows of a "
            "process (problems x turns x group / processes)"
        )
    decided = {
        "num_generations": config.group,
        "num_iterations": config.epochs,
        "steps_per_generation": total // rows_at_once,
        "gradient_accumulation_steps": total // rows_at_once,
        "max_completion_length": config.action_tokens,
        "temperature": config.temperature,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": None,
        "repetition_penalty": 1.0,
        "scale_rewards": "none",
        "reward_weights": [0.0, 1.0],
        "shuffle_dataset": False,
    }
    chosen = {
        "loss_type": "dapo" if config.aggregation == "tokens" else "grpo",
        "epsilon": config.clip_low,
        "epsilon_high": config.clip_high,
        "beta": config.kl,
        "entropy_coef": config.entropy_bonus,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": config.warmup_updates,
        "max_grad_norm": config.max_gradient_norm,
        "weight_decay": config.weight_decay,
        "seed": config.seed,
        "bf16": config.policy.dtype == "bfloat16",
        "logging_steps": 1,
        "max_steps": most_updates(config) * config.epochs,
        "save_steps": config.checkpoint_every,
        "report_to": "none",
    }
    found = GRPOConfig(output_dir=str(output_dir), **(chosen | arguments | decided))
    if found.world_size != processes:
        raise ConfigError(
            f"TRL sees {found.world_size} processes, the environment says {processes}; start the "
            "script by accelerate launch or torchrun"
        )
    return found


def most_updates(config: TrainConfig) -> int:
    """That the simulations can last for: when every problem is solved at the first turn."""
    return math.ceil(config.simulations / (config.problems * config.group))
