"""Everything that decides a training run: one record, from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from acs_gym.wording import first_problem
from tlgrpo.advantage import Normalise

Algorithm = Literal["tl-grpo", "grpo"]


class ConfigError(ValueError):
    """A setting that is wrong; the message names the file, the field and what is allowed."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DomainConfig(_Record):
    """What is trained on.

    Attributes:
        name: `circuits`, `sizing`, `chat-circuits`, `brief-circuits`, `ballistics`, or
            `package.module:factory` of one of your own.
        arguments: of the domain's factory.
    """

    name: str
    arguments: dict[str, Any] = {}


class PolicyConfig(_Record):
    """The model.

    Attributes:
        path: a folder with a `transformers` causal LM and its tokenizer; None makes a tiny one.
        layers, width, heads, kv_heads: of the tiny Qwen3-style model.
        codec: `words` for a policy with the domain's own vocabulary, `lines` for one that reads a line
            of such words at a time (the domain `sizing`), `chat` for a model with a chat template.
        lora_rank: train a low-rank adapter of that rank through peft instead of all weights; 0 does
            not.
        dtype: of the weights; `bfloat16` on a GPU.
        device: `cpu`, `cuda`.
    """

    path: Path | None = None
    layers: PositiveInt = 4
    width: PositiveInt = 96
    heads: PositiveInt = 4
    kv_heads: PositiveInt = 2
    codec: Literal["words", "lines", "chat"] = "words"
    lora_rank: Annotated[int, Field(ge=0)] = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"


class SftConfig(_Record):
    """The warm start: from demonstrations that are simulated for it, or from a bank.

    Attributes:
        banks: a folder of `tlgrpo.bank`, whose designs are labels in hindsight (the domain
            `brief-circuits`); None simulates demonstrations.
        batch_tokens: packed tokens of a step.
    """

    episodes: Annotated[int, Field(ge=0)] = 2048
    epochs: PositiveInt = 3
    batch_tokens: PositiveInt = 1024
    learning_rate: PositiveFloat = 3e-3
    banks: Path | None = None


class TrainConfig(_Record):
    """A training run.

    Attributes:
        start_from: a folder with a policy's weights (of a run, or of `tlgrpo.pretrained`) that training
            begins with, instead of a warm start of its own.
        algorithm: `tl-grpo` groups the actions of one history, `grpo` whole episodes of one
            problem.
        turns: K, turns of an episode.
        group: G, actions sampled of each history (tl-grpo) or episodes of each problem (grpo).
        problems: of an update.
        simulations: when to stop; every sibling counts, in both algorithms.
        turn_reward: of a turn, for tl-grpo: its own `score` (as published), or `improvement`:
            max(best so far, score).
        episode_reward: of an episode, for grpo: its `best`, `last` or `mean` turn; or `later`: each
            turn is worth its own score and the later ones discounted by `gamma`.
        solved_bonus: added to a score that leaves nothing to improve.
        continuation: which sibling the episode goes on with: a `random` one (as published) or the
            `best`.
        normalise: what becomes of a group's rewards, see `tlgrpo.advantage.group_advantages`.
        best_of: the k of `max@k`.
        rounds: how often an update samples anew, with further problems, for those whose groups have
            no spread; all simulations are charged. 1 learns from what comes.
        epsilon: added to the standard deviation.
        clip_low, clip_high: of the probability ratio.
        aggregation: average over `tokens`, or first within each action.
        epochs: passes over each batch of episodes.
        entropy_bonus, kl: coefficients; 0 turns them off. KL is to the policy after the warm start, or,
            with an adapter, to the model under it.
        micro_tokens: packed tokens of one forward pass; gradients add up to the whole batch.
        stop_when_solved: end an episode that cannot be improved.
        waves: parts of a batch that are sampled in turn, so that one is simulated while the next is
            sampled.
    """

    name: str = "run"
    seed: int = 0
    domain: DomainConfig
    policy: PolicyConfig = PolicyConfig()
    sft: SftConfig = SftConfig()
    start_from: Path | None = None
    algorithm: Algorithm = "tl-grpo"
    turns: PositiveInt = 5
    group: Annotated[int, Field(ge=2)] = 8
    problems: PositiveInt = 8
    simulations: PositiveInt = 25_600
    turn_reward: Literal["score", "improvement"] = "improvement"
    episode_reward: Literal["best", "last", "mean", "later"] = "best"
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.4
    solved_bonus: Annotated[float, Field(ge=0)] = 1.0
    continuation: Literal["random", "best"] = "random"
    normalise: Normalise = "std"
    best_of: Annotated[int, Field(ge=2)] = 4
    rounds: PositiveInt = 1
    epsilon: PositiveFloat = 1e-4
    clip_low: Annotated[float, Field(gt=0, lt=1)] = 0.2
    clip_high: PositiveFloat = 0.2
    aggregation: Literal["tokens", "actions"] = "tokens"
    epochs: PositiveInt = 1
    learning_rate: PositiveFloat = 2e-4
    warmup_updates: Annotated[int, Field(ge=0)] = 10
    max_gradient_norm: PositiveFloat = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    entropy_bonus: Annotated[float, Field(ge=0)] = 0.0
    kl: Annotated[float, Field(ge=0)] = 0.0
    temperature: PositiveFloat = 1.0
    action_tokens: PositiveInt = 64
    micro_tokens: PositiveInt = 4_096
    stop_when_solved: bool = True
    waves: PositiveInt = 2
    workers: Annotated[int, Field(ge=0)] = 0
    checkpoint_every: PositiveInt = 20
    save_rollouts_every: Annotated[int, Field(ge=0)] = 0
    mismatch_allowed: PositiveFloat = 1e-3

    @model_validator(mode="after")
    def _best_of_a_group(self) -> Self:
        if self.normalise == "max@k" and self.best_of > self.group:
            raise ValueError(f"best_of is {self.best_of}; it is at most group, {self.group}")
        return self

    @classmethod
    def read(cls, path: Path, changes: dict[str, Any] | None = None) -> TrainConfig:
        """From a TOML file, with some settings replaced by dotted name. Raises ConfigError."""
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None
        for name, value in (changes or {}).items():
            table = data
            *parents, last = name.split(".")
            for parent in parents:
                table = table.setdefault(parent, {})
            table[last] = value
        return cls.of(data, str(path))

    @classmethod
    def of(cls, data: dict[str, Any], where: str) -> TrainConfig:
        """From plain values; `where` names their source in a ConfigError."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            problem = first_problem(error)
            if problem.kind == "extra_forbidden":
                raise ConfigError(f"{where}: no setting {problem.place!r}") from None
            raise ConfigError(f"{where}: {problem}") from None
