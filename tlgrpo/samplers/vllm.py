"""Sampling from a vLLM server, in token ids only.

`POST /v1/completions` takes histories as ids and gives back the sampled ids with their log-probabilities
(`return_token_ids`, vLLM 0.10.2 and later). The chat endpoint takes text, which would have to be encoded
again; it is never used.

A server fills in what a request leaves out from the model's `generation_config.json` (Qwen3's says
top_p = 0.95, top_k = 20), so everything that shapes the distribution is sent. Its log-probabilities are
those at temperature 1 unless it was started with `--logprobs-mode processed_logprobs`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tlgrpo.samplers.base import Sampled

_RETRIED_STATUS = (408, 409, 425, 429, 500, 502, 503, 504)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_AT_ONCE = 32  # Requests under way, of a seeded sampler.
_TOKEN_PREFIX = "token_id:"


class SamplerError(RuntimeError):
    """The server cannot be sampled from; the message says why and what to do."""


class _TryAgain(Exception):
    """The server's fault, and perhaps not for long."""


class VllmSampler:
    """Samples from a server's model; all histories in one request.

    Args:
        base_url: e.g. `http://127.0.0.1:8000`, with or without `/v1`.
        end: the token that ends an action; no other token does.
        action_tokens: the longest action.
        model: as served; None takes the server's first.
        temperature: see the module about its log-probabilities.
        seed: makes each history a request of its own, since a server gives the same seed to every
            prompt of a request, so that equal histories would get equal actions. None lets the server
            draw; faster, and other actions every time.
        api_key: where the server wants one.
        timeout_s: without an answer, before the request is made again.
        retries: after the first attempt.

    Raises ImportError, saying what to install, without the `openai` package.
    """

    def __init__(
        self,
        base_url: str,
        *,
        end: int,
        action_tokens: int,
        model: str | None = None,
        temperature: float = 1.0,
        seed: int | None = None,
        api_key: str = "none",
        timeout_s: float = 600.0,
        retries: int = 4,
    ) -> None:
        try:
            import openai
            import tenacity
        except ImportError as error:
            raise ImportError(
                f"{error}; sampling from a server needs pip install 'acs-gym[llm]'"
            ) from None
        self._openai, self._tenacity = openai, tenacity
        self.url = base_url.rstrip("/").removesuffix("/v1") + "/v1"
        self.end, self.action_tokens, self.temperature = end, action_tokens, temperature
        self.retries, self._model = retries, model
        self._rng = None if seed is None else np.random.default_rng(seed)
        self._client = openai.OpenAI(
            api_key=api_key, base_url=self.url, max_retries=0, timeout=timeout_s
        )

    def close(self) -> None:
        self._client.close()

    @property
    def model(self) -> str:
        """The model's name at the server. Raises SamplerError when it serves none."""
        if self._model is None:
            answer = self._retried(lambda: self._client.get("/models", cast_to=object))
            try:
                self._model = str(answer["data"][0]["id"])
            except (KeyError, IndexError, TypeError):
                raise SamplerError(f"{self.url}/models names no model: {answer!r:.200}") from None
        return self._model

    def sample(self, histories: Sequence[Sequence[int]], count: int) -> list[list[Sampled]]:
        """See `Sampler`. Raises SamplerError."""
        if not histories:
            return []
        if self._rng is None:
            return self._request(histories, count, None)
        # A server adds 0 to count - 1 to the seed for the actions of one prompt.
        seeds = [int(s) for s in self._rng.integers(2**31 - count, size=len(histories))]
        with ThreadPoolExecutor(min(_AT_ONCE, len(histories))) as pool:
            found = pool.map(lambda h, s: self._request([h], count, s)[0], histories, seeds)
            return list(found)

    def _request(
        self, histories: Sequence[Sequence[int]], count: int, seed: int | None
    ) -> list[list[Sampled]]:
        body = {
            "model": self.model,
            "prompt": [[int(k) for k in history] for history in histories],
            "n": count,
            "max_tokens": self.action_tokens,
            "temperature": self.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            # A model may have further end tokens, which would end an action that cannot be continued.
            "ignore_eos": True,
            "stop_token_ids": [self.end],
            "logprobs": 0,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        } | ({} if seed is None else {"seed": seed})

        def attempt() -> list[list[Sampled]]:
            answer = self._client.post("/completions", body=body, cast_to=object)
            if not isinstance(answer, dict):
                raise _TryAgain(f"the answer is no JSON object: {answer!r:.200}")
            return read_actions(answer, histories, count)

        return self._retried(attempt)  # type: ignore[no-any-return]

    def _retried(self, attempt: Any) -> Any:
        tenacity = self._tenacity
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            stop=tenacity.stop_after_attempt(self.retries + 1),
            wait=tenacity.wait_exponential_jitter(
                multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S, jitter=_FIRST_PAUSE_S
            ),
        )
        try:
            return attempts(self._attempt, attempt)
        except tenacity.RetryError as error:
            number = error.last_attempt.attempt_number
            why = error.last_attempt.exception()
            raise SamplerError(f"{self.url}: no actions after {number} attempts: {why}") from None
        except SamplerError as error:
            raise SamplerError(f"{self.url}: {error}") from None

    def _attempt(self, attempt: Any) -> Any:
        openai = self._openai
        try:
            return attempt()
        except openai.APITimeoutError:
            raise _TryAgain("no answer in time") from None
        except openai.APIStatusError as error:
            said = f"HTTP {error.status_code}: {' '.join(str(error.message).split())[:400]}"
            if error.status_code in _RETRIED_STATUS:
                raise _TryAgain(said) from None
            advice = {
                401: "; give api_key",
                404: "; is base_url a vLLM server, and model one that it serves?",
            }.get(error.status_code, "")
            raise SamplerError(said + advice) from None
        except openai.APIConnectionError as error:
            raise _TryAgain(f"cannot be reached: {error.__cause__ or error}") from None
        except (openai.OpenAIError, ValueError) as error:  # A body that is no JSON: ValueError.
            raise _TryAgain(f"unreadable answer: {error!s:.200}") from None


def read_actions(
    answer: Mapping[str, Any], histories: Sequence[Sequence[int]], count: int
) -> list[list[Sampled]]:
    """The actions of a completions answer, by history. Raises SamplerError naming what is missing."""
    choices = answer.get("choices")
    expected = len(histories) * count
    if not isinstance(choices, list) or len(choices) != expected:
        got = f"{len(choices)} choices" if isinstance(choices, list) else "no list of choices"
        raise SamplerError(
            f"the answer holds {got}, asked for {len(histories)} histories x {count} actions"
        )
    by_index = {
        c["index"]: c for c in choices if isinstance(c, dict) and type(c.get("index")) is int
    }
    if by_index.keys() != set(range(expected)):
        raise SamplerError(f"the choices are not numbered 0 to {expected - 1} by `index`")
    return [
        [
            _action(by_index[h * count + k], f"choices[{h * count + k}]", history)
            for k in range(count)
        ]
        for h, history in enumerate(histories)
    ]


def _action(choice: Mapping[str, Any], where: str, history: Sequence[int]) -> Sampled:
    if choice.get("finish_reason") not in ("stop", "length"):
        # E.g. `abort`, when the weights were changed meanwhile: only a part of an action.
        raise _TryAgain(f"{where} finished by {choice.get('finish_reason')!r}")
    sent = _ids(choice.get("prompt_token_ids"), f"{where}.prompt_token_ids")
    if sent != tuple(int(k) for k in history):
        raise SamplerError(
            f"{where}.prompt_token_ids are not the ids that were sent ({len(sent)} for "
            f"{len(history)}): the server changes prompts, so its samples cannot be trained on"
        )
    ids = _ids(choice.get("token_ids"), f"{where}.token_ids")
    if not ids:
        raise SamplerError(f"{where}.token_ids is empty")
    log_probs = _log_probs(choice.get("logprobs"), ids, f"{where}.logprobs")
    return Sampled(ids, log_probs)


def _ids(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(k) is int for k in value):
        raise SamplerError(
            f"{where} is no list of token ids ({value!r:.60}); vLLM gives them from 0.10.2 on "
            "(return_token_ids), other servers may not"
        )
    return tuple(value)


def _log_probs(value: object, ids: Sequence[int], where: str) -> tuple[float, ...]:
    if not isinstance(value, dict):
        raise SamplerError(
            f"{where} is missing: the server gives no log-probabilities, which training needs"
        )
    tokens, numbers = value.get("tokens"), value.get("token_logprobs")
    if tokens != [f"{_TOKEN_PREFIX}{k}" for k in ids]:
        raise SamplerError(
            f"{where}.tokens do not name the sampled ids as {_TOKEN_PREFIX}ID ({tokens!r:.80})"
        )
    if not isinstance(numbers, list) or len(numbers) != len(ids):
        raise SamplerError(f"{where}.token_logprobs are not one a token ({numbers!r:.60})")
    for k, number in enumerate(numbers):
        if type(number) not in (int, float) or not math.isfinite(number) or number > 1e-3:
            raise SamplerError(f"{where}.token_logprobs[{k}] is no log-probability: {number!r}")
    return tuple(float(n) for n in numbers)
