"""The model that is trained: a tiny one of our own, or any `transformers` causal LM from a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tlgrpo.config import ConfigError, PolicyConfig
from tlgrpo.tokens import ChatCodec, Codec, WordCodec, read_codec, word_tokenizer

_LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Policy:
    """A model with the way it reads and writes."""

    model: Any
    tokenizer: Any
    codec: Codec

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def save(self, folder: Path) -> None:
        """As a `transformers` model folder (with peft, as an adapter folder)."""
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def build_policy(config: PolicyConfig, grammar: Sequence[str], seed: int) -> Policy:
    """The policy that a run starts from. Raises ConfigError for a folder that holds no model."""
    if config.path is None:
        if config.codec != "words":
            raise ConfigError("policy.codec: a policy without a path has the codec `words`")
        policy = tiny_policy(config, grammar, seed)
    else:
        policy = load_policy(config.path, config)
    model = policy.model.to(device=config.device, dtype=getattr(torch, config.dtype))
    if config.lora_rank:
        model = _adapter(model, config.lora_rank)
    return Policy(model, policy.tokenizer, policy.codec)


def tiny_policy(config: PolicyConfig, grammar: Sequence[str], seed: int) -> Policy:
    """A randomly initialised Qwen3-style model with one token a word of `grammar`."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = word_tokenizer(grammar)
    codec = WordCodec(tokenizer)
    if config.width % config.heads or config.heads % config.kv_heads:
        raise ConfigError("policy: width must divide by heads, and heads by kv_heads")
    shape = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=3 * config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.width // config.heads,
        max_position_embeddings=_LONGEST,
        tie_word_embeddings=True,
        pad_token_id=codec.pad,
        eos_token_id=codec.end,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(shape)
    return Policy(model, tokenizer, codec)


def load_policy(folder: Path, config: PolicyConfig | None = None) -> Policy:
    """A saved policy, full or an adapter. Raises ConfigError naming the folder."""
    from transformers import AutoModelForCausalLM

    kind = config.codec if config is not None else "words"
    try:
        codec = read_codec(folder, kind)
        if (folder / "adapter_config.json").exists():
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(folder, local_files_only=True)
        else:
            model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: holds no policy: {error}") from None
    assert isinstance(codec, (WordCodec, ChatCodec))
    return Policy(model, codec.tokenizer, codec)


def _adapter(model: Any, rank: int) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ConfigError(f"policy.lora_rank: {error}; pip install 'acs-gym[train]'") from None
    return get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    )
