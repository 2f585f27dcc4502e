"""Tiny chat models for tests: random weights, a small BPE vocabulary, and the kinds of templates."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import acs_gym
from tlgrpo.domains.chat_circuits import opening, write_action
from tlgrpo.tokens import CHATML, read_conversation

TASK = "ACS-OTA5T-v0"
END, PAD = "<|im_end|>", "<|endoftext|>"

_ENDS = (
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' + began }}{% endif %}"
)
_EACH = "{% for m in messages %}{% set c = m.content %}"
_WRITES = "{{ '<|im_start|>' + m.role + '\\n' + c + '<|im_end|>\\n' }}"
_IS_THOUGHT = "{% if m.role == 'assistant' and '</think>' in c %}"


def _template(each: str, began: str = "") -> str:
    return f"{{% set began = {began!r} %}}" + each + _ENDS


PLAIN = _template(_EACH + _WRITES)
# Every earlier turn without its reasoning.
STRIPS = _template(
    _EACH + _IS_THOUGHT + "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}" + _WRITES
)
# As Qwen3 does: reasoning is kept since the last question, and a tool's answer is none.
SINCE_QUESTION = (
    "{% set q = namespace(last=-1) %}{% for m in messages %}"
    "{% if m.role == 'user' and not m.content.startswith('<tool_response>') %}"
    "{% set q.last = loop.index0 %}{% endif %}{% endfor %}"
) + _template(
    _EACH
    + _IS_THOUGHT
    + "{% set thought = c.split('</think>')[0].split('<think>')[-1].strip('\\n') %}"
    + "{% set c = c.split('</think>')[-1].lstrip('\\n') %}"
    + "{% if loop.index0 > q.last %}"
    + "{% set c = '<think>\\n' + thought + '\\n</think>\\n\\n' + c %}{% endif %}{% endif %}"
    + _WRITES
)
# The same, and it opens the reasoning for the model.
OPENS_REASONING = SINCE_QUESTION.replace("began = ''", "began = '<think>\\n'")
_NO_THOUGHT = "<think>\\n\\n</think>\\n\\n"
# An empty reasoning before each reply, kept or forgotten once it is an earlier turn.
KEEPS_EMPTY = CHATML.replace("opening = ''", f"opening = '{_NO_THOUGHT}'")
FORGETS_EMPTY = PLAIN.replace("began = ''", f"began = '{_NO_THOUGHT}'")
NUMBERED = PLAIN.replace("m.role", "(m.role if loop.last else m.role + loop.index | string)")
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role here') }}{% endif %}"
    + PLAIN
)
NO_END = PLAIN.replace("c + '<|im_end|>\\n'", "c + '\\n'")


@lru_cache(maxsize=1)
def _vocabulary() -> str:
    """A byte-level BPE of some 800 tokens, as `tokenizers` writes it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    task = acs_gym.make_task(TASK, pdk="generic")
    rng = np.random.default_rng(0)
    texts = [m["content"] for m in read_conversation(opening(task, 3))]
    texts += [write_action(task, task.space.sample(rng)) for _ in range(20)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str())


def chat_tokenizer(template: str | None = CHATML, *, end: Any = END, pad: str | None = PAD) -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_vocabulary()), eos_token=end, pad_token=pad
    )
    others = [t for t in ("<|im_start|>", END, PAD) if t not in fast.get_vocab()]
    fast.add_special_tokens({"additional_special_tokens": others})
    fast.chat_template = template
    return fast


def save_chat_model(folder: Path, tokenizer: Any | None = None, *, seed: int = 0) -> Path:
    """A Qwen3-style model of 0.05 M parameters with its tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = tokenizer or chat_tokenizer()
    shape = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, max_position_embeddings=8192,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        Qwen3ForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
