"""Turn-level GRPO on TRL's trainer, with a training run's settings.

On one machine:

    python examples/tlgrpo/trl_train.py examples/tlgrpo/ballistics.toml runs/trl

With a vLLM server that TRL sends the weights to after every step, and the model shared out over GPUs by
FSDP (docs/tlgrpo-engines.md has the server's command):

    accelerate launch --num_processes 4 --use_fsdp --fsdp_version 2 \
        examples/tlgrpo/trl_train.py run.toml runs/trl --trl use_vllm=true --trl vllm_mode='"server"' \
        --trl vllm_server_base_url='"http://127.0.0.1:8000"'

The same command with --resume goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from tlgrpo.config import TrainConfig
from tlgrpo.domains import build_domain
from tlgrpo.engines.trl import tlgrpo_trainer
from tlgrpo.policy import build_policy
from tlgrpo.sft import demonstrate, train_sft


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn-level GRPO on TRL")
    parser.add_argument("config", type=Path, help="TOML file of settings, as for tlgrpo.train")
    parser.add_argument("out", type=Path, help="folder of the run")
    parser.add_argument(
        "--trl", metavar="NAME=JSON", action="append", default=[], help="of TRL's GRPOConfig"
    )
    parser.add_argument("--resume", action="store_true", help="from the last checkpoint")
    given = parser.parse_args()
    config = TrainConfig.read(given.config)
    domain = build_domain(config.domain)
    # Every process makes the same policy; the trainer puts it where it belongs.
    placed = config.policy.model_copy(update={"device": "cpu"})
    policy = build_policy(placed, domain.grammar(), config.seed)
    if config.sft.episodes and not given.resume:
        rng = np.random.default_rng(config.seed)
        shown = demonstrate(domain, policy, config.sft.episodes, config.turns, rng, first=1_000_000)
        losses = list(train_sft(policy, shown, config.sft, rng))
        print(f"warm start: {losses[0]:.3f} to {losses[-1]:.3f} nats a token")
    trainer = tlgrpo_trainer(config, policy, domain, given.out, **_arguments(given.trl))
    trainer.train(resume_from_checkpoint=given.resume)
    trainer.save_model(str(given.out / "policy"))


def _arguments(texts: list[str]) -> dict[str, Any]:
    pairs = (text.partition("=") for text in texts)
    return {name: json.loads(value) for name, _, value in pairs}


if __name__ == "__main__":
    main()
