"""How a language-model agent is set up: one record, from a TOML file or from flags.

It holds everything that decides the agent's behaviour, so it is part of a result's identity. It never
holds a key: that comes from the environment variable it names.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from acs_gym.wording import did_you_mean, first_problem

ENVIRONMENT_MODEL, ENVIRONMENT_BASE_URL = "ACS_GYM_LLM_MODEL", "ACS_GYM_LLM_BASE_URL"
# The last word of a name that holds a secret; `max_tokens` and `stop_token_ids` hold none.
_SECRET_WORDS = frozenset(
    ("key", "apikey", "token", "secret", "password", "passwd", "auth", "authorization", "bearer",
     "credential", "credentials")
)  # fmt: skip
_SECRET_VALUE = re.compile(r"^(bearer |basic |sk-|hf_|gh[pousr]_|xox[a-z]-|AKIA)", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NO_SECRETS = (
    "a key does not belong into a file or a command line; put it into an environment variable and name "
    "that as api_key_env"
)


class ConfigError(ValueError):
    """A setting that is wrong or missing; the message names it, the file, and what is allowed."""


class LlmConfig(BaseModel):
    """Settings of a model and of the agents that talk to it.

    Attributes:
        model: as the server names it.
        base_url: of an OpenAI-compatible server, e.g. `http://127.0.0.1:8000/v1`; None is OpenAI's.
        api_key_env: the environment variable that holds the key; a local server needs none.
        api: `chat` for `/chat/completions`, which nearly every server has, or `responses` for OpenAI's
            `/responses`.
        tool_format: `tools`, or `text` for a model or server without tool calling; `brief` has no tools
            at all: a prompt of 350 tokens and replies of `name=value ...`, for small models.
        temperature, top_p: sent only when given; reasoning models refuse them.
        seeded: send the session's seed, where the server knows the field.
        reply_tokens: the longest reply, reasoning included.
        context_tokens: the longest prompt; older turns are left out beyond it.
        extra_body: further fields of the request, for what only one server has.
        send_reasoning: give a model its own earlier reasoning back.
        timeout_s: for one request. retries: of a request that failed for the server's reasons.
        max_turns: None is four a simulation and ten more.
        max_tokens, max_money (US dollars), max_seconds: hard caps of a run; None is none.
        prices: a price table instead of the one that comes with the package.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: Annotated[str, Field(min_length=1)]
    base_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] = "OPENAI_API_KEY"
    api: Literal["chat", "responses"] = "chat"
    tool_format: Literal["tools", "text", "brief"] = "tools"
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seeded: bool = False
    reply_tokens: PositiveInt = 4096
    context_tokens: Annotated[int, Field(ge=1024)] = 32_000
    extra_body: dict[str, Any] = {}
    send_reasoning: bool = False
    timeout_s: PositiveFloat = 120.0
    retries: Annotated[int, Field(ge=0, le=20)] = 6
    max_turns: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    max_money: PositiveFloat | None = None
    max_seconds: PositiveFloat | None = None
    prices: Path | None = None

    @classmethod
    def read(cls, path: Path) -> LlmConfig:
        """From a TOML file. Raises ConfigError naming the file, the field and what is allowed."""
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None
        config = cls.of(data, str(path))
        if config.prices is not None:  # Relative to the file that names it.
            config = config.model_copy(update={"prices": path.parent / config.prices})
        return config

    @classmethod
    def of(cls, data: Mapping[str, Any], where: str) -> LlmConfig:
        """From plain values; `where` names their source in a ConfigError."""
        for name, value in data.items():
            known = name in cls.model_fields
            if (name == "extra_body" or not known) and (secret := _secret(name, value)):
                raise ConfigError(f"{where}: {secret}: {_NO_SECRETS}")
        if isinstance(url := data.get("base_url"), str) and (secret := _secret_of_url(url)):
            raise ConfigError(f"{where}: base_url: {secret}: {_NO_SECRETS}")
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            problem = first_problem(error)
            place = problem.place
            if problem.kind == "extra_forbidden":
                hint = did_you_mean(place, cls.model_fields)
                settings = ", ".join(cls.model_fields)
                raise ConfigError(
                    f"{where}: no setting {place!r}; {hint}settings: {settings}"
                ) from None
            if problem.kind == "missing":
                raise ConfigError(f"{where}: {place} is missing") from None
            raise ConfigError(f"{where}: {problem}") from None

    @classmethod
    def from_environment(cls) -> LlmConfig:
        """The settings of an agent named without a file: ACS_GYM_LLM_MODEL and ACS_GYM_LLM_BASE_URL."""
        model = os.environ.get(ENVIRONMENT_MODEL)
        if not model:
            raise ConfigError(
                "which model? Give --model, a TOML file of settings with a line "
                f'model = "..." (llm:my_model.toml on the leaderboard), or set {ENVIRONMENT_MODEL}, '
                f"and {ENVIRONMENT_BASE_URL} for a server of your own"
            )
        data: dict[str, Any] = {"model": model}
        if url := os.environ.get(ENVIRONMENT_BASE_URL):
            data["base_url"] = url
        return cls.of(data, "environment")

    def api_key(self) -> str:
        """From the environment. Raises ConfigError when OpenAI's own server would need it."""
        key = os.environ.get(self.api_key_env, "")
        if not key and self.base_url is None:
            raise ConfigError(
                f"the environment variable {self.api_key_env} is not set; it holds the key of the "
                "server. For a server of your own give base_url"
            )
        return key

    def identity(self) -> dict[str, Any]:
        """What decides the agent's behaviour, JSON-able, for a result's identity."""
        data = self.model_dump(mode="json", exclude_none=True, exclude={"prices", "api_key_env"})
        if self.api == "chat":  # As it was before there was another; results keep their identity.
            del data["api"]
        return data | ({"prices": self.prices.name} if self.prices else {})


def _secret(name: str, value: object) -> str:
    """The dotted name of what looks like a secret in a setting; empty where nothing does."""
    if isinstance(value, Mapping):
        found = (_secret(str(k), v) for k, v in value.items())
        return next((f"{name}.{f}" for f in found if f), "")
    if isinstance(value, list | tuple):
        return next((f"{name}.{f}" for v in value if (f := _secret("item", v))), "")
    words = [word.lower() for word in _WORDS.findall(name)]
    named = bool(words) and words[-1] in _SECRET_WORDS
    return name if isinstance(value, str) and (named or _SECRET_VALUE.match(value)) else ""


def _secret_of_url(url: str) -> str:
    """What looks like a secret in an address."""
    try:
        parts = urlsplit(url)
    except ValueError:  # Said of the field itself.
        return ""
    if "@" in parts.netloc:
        return "a user or a password before the host"
    return next((found for k, v in parse_qsl(parts.query) if (found := _secret(k, v))), "")
