"""A model behind any OpenAI-compatible server: OpenAI, vLLM, llama.cpp, Ollama, `transformers serve`.

Everything that goes wrong on the wire is dealt with here: what is the server's fault is tried again
with growing pauses, what is the request's is said in words, and no reply is taken as anything but what it
is. Streaming is not used.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeGuard, cast

import tenacity

from agents.config import LlmConfig
from agents.model import (
    Allowance,
    ContextTooLong,
    Message,
    ModelError,
    Reply,
    TokenCount,
    ToolCall,
    ToolDefinition,
)

_THINKING = re.compile(r"\A\s*(?:<think>)?(.*?)</think>", re.DOTALL)
_UNFINISHED_THINKING = re.compile(r"\A\s*<think>(.*)\Z", re.DOTALL)
_RETRIED_STATUS = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
# What a server may ask us to wait, by Retry-After.
_LONGEST_RETRY_AFTER_S = 120.0
_TOO_LONG = re.compile(
    r"context|maximum.{0,20}length|too long|too many tokens|exceed", re.IGNORECASE
)
# A token of English and numbers is about four characters; three leaves room.
CHARACTERS_PER_TOKEN = 3


class _TryAgain(Exception):
    """The server's fault; `after` seconds are what it asked for, 0 when it did not."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class OpenAIModel:
    """A chat model over HTTP.

    Args:
        config: which server and model, and how.
        seed: sent when `config.seeded`.

    Raises ConfigError without a key that is needed, ImportError (saying what to install) without the
    `openai` package.
    """

    def __init__(self, config: LlmConfig, *, seed: int = 0) -> None:
        self.config = config
        self.seed = seed
        self._key = config.api_key()
        self._client = _Client(config, self._key)

    def close(self) -> None:
        self._client.close()

    def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolDefinition], *, limits: Allowance
    ) -> Reply:
        """One reply, after as many attempts as the configuration allows.

        Raises ModelError when there is none, ContextTooLong when the messages are too long.
        """
        start = time.monotonic()
        request = self._request(messages, tools, limits)

        pauses = tenacity.wait_exponential_jitter(
            multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S, jitter=_FIRST_PAUSE_S
        )

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            asked = error.after if isinstance(error, _TryAgain) else 0.0
            if asked > 0:
                return min(asked, _LONGEST_RETRY_AFTER_S)
            return float(pauses(state))

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self.config.retries + 1),
                tenacity.stop_before_delay(min(limits.seconds, 1e9)),
            ),
            wait=pause,
        )
        try:
            raw = attempts(self._attempt, request, start, limits)
        except tenacity.RetryError as error:
            count = error.last_attempt.attempt_number
            why = error.last_attempt.exception()
            raise ModelError(self._clean(f"no reply after {count} attempts: {why}")) from None
        number = int(attempts.statistics.get("attempt_number", 1))
        return read_reply(raw, request["messages"], number, time.monotonic() - start)

    def _request(
        self, messages: Sequence[Message], tools: Sequence[ToolDefinition], limits: Allowance
    ) -> dict[str, Any]:
        config = self.config
        # OpenAI's reasoning models know the one name only, many other servers the other only.
        length = "max_completion_tokens" if config.base_url is None else "max_tokens"
        request: dict[str, Any] = {
            "model": config.model,
            "messages": list(messages),
            length: limits.tokens,
        }
        optional = {"temperature": config.temperature, "top_p": config.top_p}
        request |= {k: v for k, v in optional.items() if v is not None}
        if config.seeded:
            request["seed"] = self.seed % 2**31
        if tools:
            request["tools"] = list(tools)
        return request | config.extra_body

    def _attempt(
        self, request: Mapping[str, Any], start: float, limits: Allowance
    ) -> dict[str, Any]:
        left = limits.seconds - (time.monotonic() - start)
        if left <= 0:
            raise ModelError("the cap on seconds is used up")
        raw = self._client.post(request, min(self.config.timeout_s, left), self._clean)
        if why := not_a_reply(raw):
            raise _TryAgain(why)
        return cast(dict[str, Any], raw)

    def _clean(self, text: str) -> str:
        """Without the key, which some servers quote in their errors."""
        return text.replace(self._key, "[key]") if len(self._key) > 3 else text


class _Client:
    """The `openai` package, kept to a deadline that it has no notion of."""

    def __init__(self, config: LlmConfig, key: str) -> None:
        try:
            import openai
        except ImportError as error:
            raise ImportError(
                f"{error}; the language-model agents need pip install 'acs-gym[llm]'"
            ) from None
        self._openai = openai
        self._where = config.base_url or "OpenAI's server"
        self._build: Callable[[], Any] = lambda: openai.OpenAI(
            api_key=key or "none", base_url=config.base_url, max_retries=0
        )
        self._open = self._build()

    def close(self) -> None:
        self._open.close()

    def post(
        self, request: Mapping[str, Any], seconds: float, clean: Callable[[str], str]
    ) -> object:
        """The body of the server's answer, whatever JSON it is.

        Raises _TryAgain, ModelError, ContextTooLong.
        """
        openai = self._openai
        try:
            return self._within(seconds, request)
        except (FutureTimeout, openai.APITimeoutError):
            raise _TryAgain(f"{self._where} did not answer within {seconds:.3g} s") from None
        except openai.APIStatusError as error:
            self._refused(error, clean)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise _TryAgain(f"{self._where} cannot be reached: {clean(str(cause))}") from None
        except (openai.OpenAIError, ValueError) as error:  # A body that is no JSON is a ValueError.
            raise _TryAgain(
                f"{self._where} answered something unreadable: {clean(str(error))[:200]}"
            ) from None
        raise AssertionError("not reached")

    def _within(self, seconds: float, request: Mapping[str, Any]) -> object:
        """A request that is given up at a deadline, however slowly its answer dribbles in."""
        done: Future[object] = Future()
        client = self._open

        def work() -> None:
            try:
                answer = client.with_options(timeout=seconds).post(
                    "/chat/completions", body=dict(request), cast_to=object
                )
                done.set_result(answer)
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                done.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            return done.result(seconds + 1.0)
        except FutureTimeout:
            # The thread ends when its connection does.
            with contextlib.suppress(Exception):
                client.close()
            self._open = self._build()
            raise

    def _refused(self, error: Any, clean: Callable[[str], str]) -> None:
        status = int(error.status_code)
        said = clean(_words(error))
        if status in _RETRIED_STATUS:
            raise _TryAgain(f"{self._where}: HTTP {status}: {said}", _retry_after(error)) from None
        if status in (400, 413, 422) and _TOO_LONG.search(said):
            raise ContextTooLong(f"{self._where}: HTTP {status}: {said}") from None
        advice = {
            401: "; check the key in the environment variable",
            403: "; check the key in the environment variable",
            404: "; check model and base_url (which usually ends in /v1)",
        }.get(status, "")
        raise ModelError(f"{self._where}: HTTP {status}: {said}{advice}") from None


def not_a_reply(raw: object) -> str:
    """Why a body is no chat completion with something in it; empty when it is one."""
    if not isinstance(raw, dict):
        return f"the answer is no JSON object: {str(raw)[:200]!r}"
    if raw.get("error"):
        return f"the server says: {json.dumps(raw['error'])[:300]}"
    choices = raw.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return "the answer holds no choices"
    if not isinstance(choices[0].get("message"), dict):
        return "the answer holds no message"
    return ""


def read_reply(
    raw: Mapping[str, Any], messages: Sequence[Message], attempts: int = 1, seconds: float = 0.0
) -> Reply:
    """A chat completion as a Reply; what servers differ in is settled here."""
    choice = raw["choices"][0]
    message = choice["message"]
    text = _text_of(message.get("content"))
    reasoning = _text_of(message.get("reasoning_content") or message.get("reasoning"))
    if not reasoning and "</think>" in text:
        match = _THINKING.match(text)
        if match is not None:
            reasoning, text = match[1].strip(), text[match.end() :].lstrip()
    elif not reasoning and (match := _UNFINISHED_THINKING.match(text)) is not None:
        reasoning, text = match[1].strip(), ""
    calls = tuple(_calls(message))
    usage = raw.get("usage")
    return Reply(
        text=text,
        reasoning=reasoning,
        calls=calls,
        finish_reason=str(choice.get("finish_reason") or ""),
        tokens=_tokens(usage, messages, text + reasoning + "".join(c.arguments for c in calls)),
        attempts=attempts,
        seconds=seconds,
    )


def estimate_tokens(messages: Sequence[Message]) -> int:
    """How many tokens messages are, on the high side, where no tokenizer is at hand."""
    return sum(len(json.dumps(m, ensure_ascii=False)) for m in messages) // CHARACTERS_PER_TOKEN


def _calls(message: Mapping[str, Any]) -> list[ToolCall]:
    found = []
    entries = message.get("tool_calls")
    for number, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
        entry = entry if isinstance(entry, dict) else {}
        function = entry.get("function")
        function = function if isinstance(function, dict) else {}
        arguments = function.get("arguments", "")
        # Ollama gives an object where the format has its text.
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        name = function.get("name")
        found.append(
            ToolCall(
                id=str(entry.get("id") or f"call_{number}"),
                name=_plain(name) if isinstance(name, str) else "",
                arguments=_plain(written) or "{}",
            )
        )
    return found


def _text_of(content: object) -> str:
    """A message's content, which may be a list of parts."""
    if isinstance(content, str):
        return _plain(content)
    if isinstance(content, list):
        parts = (p.get("text") for p in content if isinstance(p, dict))
        return _plain("".join(p for p in parts if isinstance(p, str)))
    return ""


def _plain(text: str) -> str:
    """Without half a surrogate pair, which no next request could carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _tokens(usage: object, messages: Sequence[Message], reply: str) -> TokenCount:
    if isinstance(usage, dict):
        read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if _is_count(read) and _is_count(written):
            return TokenCount(read, written)
    return TokenCount(
        estimate_tokens(messages), math.ceil(len(reply) / CHARACTERS_PER_TOKEN), estimated=True
    )


def _words(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        said = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
        if said:
            return " ".join(str(said).split())[:400]
    return " ".join(str(error.message).split())[:400]


def _retry_after(error: Any) -> float:
    try:
        seconds = float(error.response.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < math.inf else 0.0
