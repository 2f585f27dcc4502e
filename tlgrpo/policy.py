"""The model that is trained: a tiny one of our own, or any `transformers` causal LM from a folder."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlgrpo.config import ConfigError, PolicyConfig
from tlgrpo.tokens import (
    Codec,
    LineCodec,
    WordCodec,
    read_codec,
    word_tokenizer,
    words_of_a_line,
)

_LONGEST = 8192
_ADAPTER, _MODEL = "adapter_config.json", "config.json"
_TOKENIZER = ("tokenizer*", "vocab*", "*.model")
# Words that count: levels, moves, sizes, margins. Numbers of a list (#0) are names.
_NUMBERED = re.compile(r"(=|by|~|\.|)([+-]?\d+)")
_ALIKE = 4.0  # Over how many numbers words are alike.


@dataclass(frozen=True, slots=True)
class Policy:
    """A model with the way it reads and writes."""

    model: Any
    tokenizer: Any
    codec: Codec

    @property
    def device(self) -> torch.device:
        parameter: Tensor = next(self.model.parameters())
        return parameter.device

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def save(self, folder: Path) -> None:
        """As a `transformers` model folder (with peft, as an adapter folder)."""
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def weights(self) -> dict[str, Tensor]:
        """What training changes, in its own precision: every weight, or those of the adapter."""
        if not _adapted(self.model):
            return dict(self.model.state_dict())
        return {n: p.detach() for n, p in self.model.named_parameters() if p.requires_grad}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` gave. Raises RuntimeError where it is of another model."""
        if differing := self.weights().keys() ^ weights.keys():
            raise RuntimeError(f"the weights are of another model: {min(differing)} is not in both")
        self.model.load_state_dict(weights, strict=not _adapted(self.model))


def build_policy(config: PolicyConfig, grammar: Sequence[str], seed: int) -> Policy:
    """The policy that a run starts from. Raises ConfigError for a folder that holds no model."""
    if config.path is None:
        if config.codec == "chat":
            raise ConfigError("policy.codec: a policy without a path has `words` or `lines`")
        policy = tiny_policy(config, grammar, seed)
        policy.model.to(dtype=getattr(torch, config.dtype))
    else:
        policy = load_policy(config.path, config)
    model = _with_adapter(policy.model, config, seed)
    return Policy(model.to(device=config.device), policy.tokenizer, policy.codec)


def reference_of(model: Any) -> Callable[..., Any]:
    """What a KL penalty compares with: a frozen copy, or of a model with an adapter the one under it,
    which takes no memory.
    """
    if not _adapted(model):
        frozen: Callable[..., Any] = copy.deepcopy(model).eval().requires_grad_(False)
        return frozen

    @torch.no_grad()
    def without_adapter(**inputs: Any) -> Any:
        was_training = model.training
        model.eval()
        try:
            with model.disable_adapter():
                return model(**inputs)
        finally:
            model.train(was_training)

    return without_adapter


def tiny_policy(config: PolicyConfig, grammar: Sequence[str], seed: int) -> Policy:
    """A randomly initialised Qwen3-style model with one token a word of `grammar`."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    lines = config.codec == "lines"
    tokenizer = word_tokenizer(grammar, "lines" if lines else "words")
    codec = (LineCodec if lines else WordCodec)(tokenizer)
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
        embedding: Any = model.get_input_embeddings()
        _order_numbers(embedding.weight, tokenizer.get_vocab())
    return Policy(_reading(model, codec), tokenizer, codec)


class LineEmbedding(torch.nn.Embedding):
    """What the ids of `LineCodec` mean: the sum of a line's words, each with signs of its place.

    The signs, fixed and drawn by chance, tell the places apart: a range from 1 to 9 is none from 9 to
    1. A line of one word is that word, as the tied output has it. It has no weights but the words', so
    that a saved policy is an ordinary model folder.
    """

    signs: Tensor

    def __init__(self, words: torch.nn.Embedding) -> None:
        super().__init__(words.num_embeddings, words.embedding_dim, _weight=words.weight)
        self.weight = words.weight
        places = words_of_a_line(self.num_embeddings)
        drawn = torch.randint(
            2, (places, self.embedding_dim), generator=torch.Generator().manual_seed(0)
        )
        drawn[0] = 1
        self.register_buffer("signs", 2.0 * drawn - 1.0, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Shape (..., width) of ids of shape (...)."""
        base = self.num_embeddings + 1
        rest = torch.where(ids < self.num_embeddings, ids + 1, ids - self.num_embeddings)
        places = base ** torch.arange(len(self.signs), device=ids.device)
        digits = rest[..., None] // places % base
        words = super().forward((digits - 1).clamp(min=0)) * self.signs.to(self.weight.dtype)
        return (words * (digits > 0)[..., None]).sum(-2)


def _reading(model: Any, codec: Codec) -> Any:
    """The model with the embedding that its codec asks for."""
    if isinstance(codec, LineCodec):
        model.set_input_embeddings(LineEmbedding(model.get_input_embeddings()))
    return model


@torch.no_grad()
def _order_numbers(embedding: Tensor, vocabulary: Mapping[str, int]) -> None:
    """Words that count the same thing begin as draws of a smooth random function of their number.

    So neighbours begin alike, and what is learnt of one level is learnt of those beside it; of as many
    words that are all different, a policy has to learn the order first. Each word's size stays as it is.
    """
    families: dict[str, dict[float, int]] = {}
    # A tokenizer's vocabulary comes in another order in every process.
    for word, place in sorted(vocabulary.items(), key=lambda item: item[1]):
        if found := _NUMBERED.fullmatch(word):
            families.setdefault(found[1], {})[float(found[2])] = place
    for numbers in families.values():
        at = torch.tensor(list(numbers), dtype=torch.float64)
        alike = torch.exp(-0.5 * ((at[:, None] - at) / _ALIKE) ** 2)
        covariance = 0.3 + 0.6 * alike + 0.1 * torch.eye(len(at), dtype=torch.float64)
        drawn = torch.linalg.cholesky(covariance) @ torch.randn(
            len(at), embedding.shape[1], dtype=torch.float64
        )
        places = list(numbers.values())
        embedding[places] = (drawn * embedding[places].double().std()).to(embedding.dtype)


def load_policy(folder: Path, config: PolicyConfig | None = None) -> Policy:
    """A saved policy: a model folder, or an adapter folder, which names its model.

    Without `config` the codec is what the tokenizer says (`chat` where there is a chat template), and
    weights are of the precision they were saved in. Raises ConfigError naming the folder.
    """
    from safetensors import SafetensorError

    dtype = getattr(torch, config.dtype) if config is not None else "auto"
    try:
        codec = read_codec(_checked(folder), config.codec if config is not None else None)
        model = _reading(_load(folder, dtype), codec)
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(f"{folder}: holds no policy: {error}") from None
    rows = model.get_input_embeddings().weight.shape[0]
    if len(codec.tokenizer) > rows:
        raise ConfigError(
            f"{folder}: holds no policy: the tokenizer has {len(codec.tokenizer)} tokens, the model "
            f"embeds {rows}"
        )
    return Policy(model, codec.tokenizer, codec)


def _checked(folder: Path) -> Path:
    if not folder.is_dir():
        raise OSError("there is no such folder; a model of a hub has to be downloaded first")
    if not any((folder / name).exists() for name in (_MODEL, _ADAPTER)):
        raise OSError(f"there is neither {_MODEL} (a model) nor {_ADAPTER} (an adapter)")
    # Without its files `transformers` makes up an empty tokenizer.
    if not any(path for pattern in _TOKENIZER for path in folder.glob(pattern)):
        raise OSError("there is no tokenizer")
    return folder


def _load(folder: Path, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    def load(place: Path) -> Any:
        return AutoModelForCausalLM.from_pretrained(place, local_files_only=True, dtype=dtype)

    if not (folder / _ADAPTER).exists():
        return load(folder)
    peft = _peft()
    base = Path(peft.PeftConfig.from_pretrained(folder).base_model_name_or_path or "")
    if not base.is_dir():
        raise OSError(f"{_ADAPTER} names the model {str(base)!r}, which is no folder")
    return peft.PeftModel.from_pretrained(load(base), folder, is_trainable=True)


def _with_adapter(model: Any, config: PolicyConfig, seed: int) -> Any:
    """The model with the adapter that the configuration asks for."""
    if _adapted(model):
        rank = model.peft_config[model.active_adapter].r
        if config.lora_rank != rank:
            raise ConfigError(
                f"policy.lora_rank: {config.path} holds an adapter of rank {rank}; set it to {rank} to "
                "go on with that, or merge the adapter into its model first"
            )
        return model
    if not config.lora_rank:
        return model
    peft = _peft()
    # What an adapter folder says of its model has to be true wherever it is read.
    if config.path is not None:
        model.name_or_path = str(config.path.resolve())
    lora = peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=2 * config.lora_rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft asks transformers by a name that it is about to give up; a user can do nothing about it.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(seed)
        # The adapter is in float32 whatever the model is in, so that small steps are not lost.
        return peft.get_peft_model(model, lora)


def _adapted(model: Any) -> bool:
    return hasattr(model, "peft_config") and hasattr(model, "disable_adapter")


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ConfigError(f"policy.lora_rank: {error}; pip install 'acs-gym[train]'") from None
    return peft
