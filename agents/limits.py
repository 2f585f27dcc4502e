"""What a run may spend on a model beside simulations: tokens, money, time. Hard caps.

Asked before every request, so that a cap is never passed: a reply's length is limited to what is left,
and a request whose prompt alone would pass the cap is not sent.
"""

from __future__ import annotations

import importlib.resources
import math
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, TypeAdapter, ValidationError

from acs_gym.wording import first_problem
from agents.model import Allowance, TokenCount

# A reply shorter than this can hold no useful call; better to stop than to pay for it.
SHORTEST_REPLY = 32


class LimitReached(Exception):
    """A cap does not allow another request; the message says which. Ends a run, is no error."""


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: NonNegativeFloat
    completion: NonNegativeFloat

    def of(self, tokens: TokenCount) -> float:
        """US dollars."""
        return (tokens.prompt * self.prompt + tokens.completion * self.completion) * 1e-6


class PriceUnknown(ValueError):
    """A cap on money needs a price, and the table has none for the model."""


def read_prices(path: Path | None = None) -> dict[str, Price]:
    """Model -> price, from a TOML file; None is the table that comes with the package.

    Raises ValueError naming the file and what is wrong with it.
    """
    where = str(path or "prices.toml")
    try:
        if path is None:
            text = importlib.resources.files("agents").joinpath("prices.toml").read_text("utf-8")
        else:
            text = path.read_text(encoding="utf-8")
        return TypeAdapter(dict[str, Price]).validate_python(tomllib.loads(text)["usd_per_million"])
    except OSError as error:
        raise ValueError(f"{where}: cannot be read: {error.strerror}") from None
    except KeyError:
        raise ValueError(f"{where}: has no table [usd_per_million]") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: {error}") from None
    except ValidationError as error:
        raise ValueError(f"{where}: usd_per_million.{first_problem(error)}") from None


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """A model's price: its own, or that of the longest name it starts with and a `-` after it
    (`gpt-4.1-2025-04-14` is `gpt-4.1`); None when there is none."""
    name = model.rpartition("/")[2]
    for key in sorted(prices, key=len, reverse=True):
        if model == key or name == key or name.startswith(f"{key}-20"):
            return prices[key]
    return None


@dataclass(slots=True)
class Spending:
    """The meter of one run.

    Args:
        price: of the model; None counts no money.
        max_tokens, max_money, max_seconds: caps; None is none.
    """

    price: Price | None = None
    max_tokens: int | None = None
    max_money: float | None = None
    max_seconds: float | None = None
    tokens: TokenCount = field(default_factory=TokenCount)
    money: float = 0.0
    requests: int = 0
    _start: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.max_money is not None and self.price is None:
            raise PriceUnknown(
                "max_money needs the model's price; add it to a price table and name that as prices"
            )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def allow(self, prompt_tokens: int, reply_tokens: int) -> Allowance:
        """What the next reply may use, given how long its prompt is and how long it may be at most.

        Raises LimitReached when the caps leave too little for a reply.
        """
        left = float(reply_tokens)
        if self.max_tokens is not None:
            left = min(left, self.max_tokens - self.tokens.total - prompt_tokens)
        if self.max_money is not None and self.price is not None:
            after_prompt = self.max_money - self.money - self.price.of(TokenCount(prompt_tokens))
            if self.price.completion > 0:
                left = min(left, after_prompt / (self.price.completion * 1e-6))
            elif after_prompt < 0:
                left = 0
        if left < min(SHORTEST_REPLY, reply_tokens):
            cap = (
                f"{self.max_tokens} tokens, {self.tokens.total} used"
                if self.max_tokens is not None and left <= self.max_tokens - self.tokens.total
                else f"{self.max_money} dollars, {self.money:.4f} spent"
            )
            raise LimitReached(f"the cap leaves no room for another reply: {cap}")
        seconds = math.inf if self.max_seconds is None else self.max_seconds - self.seconds
        if seconds <= 0:
            raise LimitReached(f"the cap of {self.max_seconds:g} s is used up")
        return Allowance(int(left), seconds)

    def add(self, tokens: TokenCount) -> float:
        """Count a reply. Returns what it cost, in dollars."""
        cost = self.price.of(tokens) if self.price is not None else 0.0
        self.tokens = TokenCount(
            self.tokens.prompt + tokens.prompt,
            self.tokens.completion + tokens.completion,
            self.tokens.estimated or tokens.estimated,
        )
        self.money += cost
        self.requests += 1
        return cost
