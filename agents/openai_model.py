"""A model behind any OpenAI-compatible server: OpenAI, vLLM, llama.cpp, Ollama, `transformers serve`.

Everything that goes wrong on the wire is dealt with here: what is the server's fault is tried again
with growing pauses, what a server takes in another form is asked for in that form, what it does not take
at all is said in its own words, and no reply is taken as anything but what it is. Streaming is not used.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from typing import Any, cast

import tenacity

from acs_gym.tools.reading import read_json
from agents.config import LlmConfig
from agents.model import (
    Allowance,
    ContextTooLong,
    Message,
    ModelError,
    Reply,
    ToolDefinition,
    estimate_tokens,
    is_count,
)
from agents.prompt_counts import PromptCounts
from agents.refusals import Refusal
from agents.replies import not_a_reply, read_reply
from agents.responses import PATH as RESPONSES
from agents.responses import completion_of, request_of
from agents.roles import has_tools, in_turns, without_system, without_tools

_RETRIED_STATUS = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
# What a server may ask us to wait, by Retry-After.
_LONGEST_RETRY_AFTER_S = 120.0
_CHAT = "/chat/completions"
_LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
# A reply that is to hold a design with its reasons; with less room than that the prompt has to give way.
_USEFUL_REPLY = 256
# By which a prompt may be longer than it is taken for, once the server has counted one.
_MARGIN, _MARGIN_TOKENS = 0.02, 16
# How a list of models names the tokens of a context: vLLM and SGLang, gateways, Groq, LM Studio.
_CONTEXT_NAMES = ("max_model_len", "context_length", "context_window", "max_context_length")
_LIST_S = 5.0
_MODELS_NAMED = 5
_CUT_OFF = (
    "{doubt}; it seems to cut long prompts off without saying so. Give it a longer context (Ollama "
    "OLLAMA_CONTEXT_LENGTH, LM Studio its context length, llama.cpp -c), or send less: "
    "--context-tokens (context_tokens), now {context}. A server that merely leaves what it had in its "
    "cache out of its count is in order"
)


class _TryAgain(Exception):
    """The server's fault; `after` seconds are what it asked for, 0 when it did not."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class _Refused(Exception):
    """The server takes no such request, however often it is sent."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


@dataclass(slots=True)
class _Known:
    """What a server was found to take, which holds for the rest of the run.

    Attributes:
        length_field: the name that the longest reply goes by.
        strict: whether tools may be marked so.
        system, tools: whether there may be a system message, tool calls and messages of tools.
        answered: whether it has taken a request.
        longest_reply, context: tokens; None where nothing is known.
        per_estimate: tokens that the server counts for one of `estimate_tokens`.
    """

    length_field: str
    strict: bool = True
    system: bool = True
    tools: bool = True
    answered: bool = False
    longest_reply: int | None = None
    context: int | None = None
    per_estimate: float = 1.0

    def allows(self, wanted: int, estimate: int) -> int:
        """Tokens to ask for, given how many the prompt is estimated to have."""
        if self.longest_reply is not None:
            wanted = min(wanted, self.longest_reply)
        if self.context is None:
            return wanted
        prompt = math.ceil(estimate * self.per_estimate * (1 + _MARGIN)) + _MARGIN_TOKENS
        return min(wanted, max(self.context - prompt, _USEFUL_REPLY))


class OpenAIModel:
    """A chat model over HTTP.

    What a server refuses because it knows the request in another form is asked for in that form, once,
    and from then on: the other name of the longest reply, tools without `strict`, a reply that fits the
    context, roles that the model's template has. The reply's notes say so, and, once, that the server
    seems to read only a part of what it is sent.

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
        self._noted: set[str] = set()
        self._counts = PromptCounts()
        self._doubted = False
        # OpenAI's reasoning models know the one name only, many other servers the other only.
        self._known = _Known("max_completion_tokens" if config.base_url is None else "max_tokens")

    def close(self) -> None:
        self._client.close()

    def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolDefinition], *, limits: Allowance
    ) -> Reply:
        """One reply, after as many attempts as the configuration allows.

        Raises ModelError when there is none, ContextTooLong when the messages are too long.
        """
        start = time.monotonic()
        attempts, notes = 0, list[str]()
        while True:
            request = self._request(messages, tools, limits)
            try:
                raw, taken = self._answer(request, start, limits)
                break
            except _Refused as refused:
                attempts += 1
                left = limits.seconds - (time.monotonic() - start)
                note = self._adapt(refused.refusal, request, limits.tokens, left)
                if not note or note in notes:  # What was tried once does not help.
                    raise self._error(refused.refusal, request) from None
                notes.append(note)
        self._known.answered = True
        reply = read_reply(
            raw, request["messages"], attempts + taken, time.monotonic() - start,
            tuple(note for note in notes if note not in self._noted),
        )  # fmt: skip
        self._noted.update(notes)
        if not reply.tokens.estimated and reply.tokens.prompt:
            doubt = self._counts.doubt(request["messages"], reply.tokens.prompt)
            if doubt and not self._doubted:
                self._doubted = True
                said = _CUT_OFF.format(doubt=doubt, context=self.config.context_tokens)
                reply = replace(reply, notes=(*reply.notes, said))
            # Upwards alone: some servers leave out what they had in their cache.
            counted = reply.tokens.prompt / max(1, _estimate(request))
            self._known.per_estimate = max(self._known.per_estimate, counted)
        return reply

    def _answer(
        self, request: Mapping[str, Any], start: float, limits: Allowance
    ) -> tuple[dict[str, Any], int]:
        """(the body of a reply, how many attempts it took). Raises ModelError, _Refused."""
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
        return raw, int(attempts.statistics.get("attempt_number", 1))

    def _request(
        self, messages: Sequence[Message], tools: Sequence[ToolDefinition], limits: Allowance
    ) -> dict[str, Any]:
        config, known = self.config, self._known
        sent = list(messages) if known.tools else without_tools(messages, tools)
        if not known.system:
            sent = without_system(sent)
        if not (known.system and known.tools):
            sent = in_turns(sent)
        request: dict[str, Any] = {"model": config.model, "messages": sent}
        optional = {"temperature": config.temperature, "top_p": config.top_p}
        request |= {k: v for k, v in optional.items() if v is not None}
        if config.seeded:
            request["seed"] = self.seed % 2**31
        if tools and known.tools:
            request["tools"] = list(tools) if known.strict else [_without_strict(t) for t in tools]
        request[known.length_field] = known.allows(limits.tokens, _estimate(request))
        return request | config.extra_body

    def _adapt(
        self, refusal: Refusal, request: Mapping[str, Any], wanted: int, seconds: float
    ) -> str:
        """Ask otherwise from now on. Returns what was changed, empty where nothing can be.

        Raises ContextTooLong where the prompt leaves no room for a reply.
        """
        known = self._known
        asked = request.get(known.length_field, wanted)
        if known.strict and "tools" in request and refusal.no_strict:
            known.strict = False
            return "the server takes no strict in a tool, so it is left out"
        if refusal.no_role and (note := self._other_roles(refusal, request)):
            return note
        longest = refusal.longest_reply
        if longest is not None and longest < asked and (refusal.too_long or refusal.status == 400):
            known.longest_reply = longest
            return f"replies are {longest} tokens at most, not {wanted}: the server allows no more"
        for field, other in (_LENGTH_FIELDS, _LENGTH_FIELDS[::-1]):
            if known.length_field == field and refusal.refuses_field(field):
                known.length_field = other
                return f"the server takes no {field}, so {other} is sent"
        if not refusal.too_long:
            return ""
        context = refusal.context or self._client.context_of(self.config.model, seconds)
        if context is None:
            raise self._too_long(refusal, None)
        estimate = _estimate(request)
        prompt = refusal.prompt
        if prompt is None:  # Ours is on the high side; it must not rule out what may well fit.
            prompt = min(estimate, context - max(_USEFUL_REPLY, context // 4))
        known.context, known.per_estimate = context, prompt / max(1, estimate)
        if context - prompt < min(_USEFUL_REPLY, wanted):
            room = context - min(wanted, context // 4)
            raise self._too_long(refusal, int(room / known.per_estimate))
        if known.allows(wanted, estimate) >= asked:
            raise self._too_long(refusal, None)
        return (
            f"replies are shortened to what the server's context of {context} tokens leaves beside the "
            "prompt"
        )

    def _other_roles(self, refusal: Refusal, request: Mapping[str, Any]) -> str:
        """Leave out of the conversation what its template may not know. Returns what, empty where that is
        nothing."""
        known, messages = self._known, request["messages"]
        system = known.system and any(m["role"] == "system" for m in messages)
        tools = known.tools and ("tools" in request or has_tools(messages))
        # A server that has taken a system message already is at odds with what came since.
        if tools and (refusal.of_tools or not system or (known.answered and has_tools(messages))):
            known.tools = False
            return (
                "the model's chat template takes no messages of tools, so tools, calls and answers are "
                "written as text, as with --tool-format text"
            )
        if system:
            known.system = False
            return (
                "the model's chat template takes no system message, so its text begins the first message "
                "of the user"
            )
        return ""

    def _too_long(self, refusal: Refusal, fits: int | None) -> ContextTooLong:
        return ContextTooLong(
            self._clean(
                f"{self._client.where}: {_status(refusal)}: {refusal.words}; start the server with a "
                "longer context (vLLM --max-model-len, SGLang --context-length, llama.cpp -c, "
                "Ollama OLLAMA_CONTEXT_LENGTH), or ask for shorter replies with --reply-tokens"
            ),
            fits=fits,
        )

    def _error(self, refusal: Refusal, request: Mapping[str, Any]) -> ModelError:
        """What is said of a refusal, with what to try."""
        if refusal.too_long:
            return self._too_long(refusal, None)
        said = f"{self._client.where}: {_status(refusal)}: {refusal.words}"
        return ModelError(self._clean(said + self._advice(refusal, request)))

    def _advice(self, refusal: Refusal, request: Mapping[str, Any]) -> str:
        config = self.config
        if refusal.status in (401, 403):
            state = "is set" if self._key else "is not set"
            return (
                f"; check the key in the environment variable {config.api_key_env}, which {state}"
            )
        if refusal.no_money:
            return "; the account of the key has nothing left to spend"
        if "tools" in request and refusal.no_tools:
            return (
                '; try --tool-format text (tool_format = "text" in the settings), which needs no tool '
                "calling, or start the server with a parser of tool calls"
            )
        if refusal.no_role:
            return (
                "; the model's chat template takes no such messages: start the server with another "
                "(vLLM, SGLang --chat-template, llama.cpp --chat-template-file)"
            )
        if refusal.no_path:
            served = ", ".join(self._client.models()[:_MODELS_NAMED])
            return "; check model and base_url (which usually ends in /v1)" + (
                f"; the server has: {served}" if served else ""
            )
        for name in ("temperature", "top_p", "seed", *config.extra_body):
            if name in request and refusal.refuses_field(name):
                setting = {"seed": "seeded"}.get(name, name)
                return f"; leave {setting} out of the settings"
        return ""

    def _attempt(
        self, request: Mapping[str, Any], start: float, limits: Allowance
    ) -> dict[str, Any]:
        left = limits.seconds - (time.monotonic() - start)
        if left <= 0:
            raise ModelError("the cap on seconds is used up")
        seconds = min(self.config.timeout_s, left)
        if self.config.api == "responses":
            body = request_of(request)
            raw = completion_of(self._client.post(RESPONSES, body, seconds, self._clean))
        else:
            raw = self._client.post(_CHAT, request, seconds, self._clean)
        if isinstance(raw, str):  # JSON that goes by the name of text.
            raw = read_json(raw) or raw
        if isinstance(raw, dict) and raw.get("error"):
            refusal = Refusal.of(200, json.dumps(raw))
            if refusal.too_long or refusal.no_tools or refusal.no_role or refusal.no_path:
                raise _Refused(refusal)
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
        self.where = config.base_url or "OpenAI's server"
        self._build: Callable[[], Any] = lambda: openai.OpenAI(
            api_key=key or "none", base_url=config.base_url, max_retries=0
        )
        self._open = self._build()

    def close(self) -> None:
        self._open.close()

    def post(
        self, path: str, request: Mapping[str, Any], seconds: float, clean: Callable[[str], str]
    ) -> object:
        """The body of the server's answer, whatever JSON it is.

        Raises _TryAgain, _Refused.
        """
        openai = self._openai
        try:
            return self._within(
                seconds,
                lambda c: c.post(path, body=dict(request), cast_to=object),
            )
        except (FutureTimeout, openai.APITimeoutError):
            raise _TryAgain(f"{self.where} did not answer within {seconds:.3g} s") from None
        except openai.APIStatusError as error:
            response = error.response
            refusal = Refusal.of(error.status_code, response.text, response.reason_phrase)
            known = refusal.too_long or refusal.no_tools or refusal.no_role or refusal.no_money
            if refusal.status in _RETRIED_STATUS and not known:
                said = clean(f"{self.where}: {_status(refusal)}: {refusal.words}")
                raise _TryAgain(said, _retry_after(error)) from None
            raise _Refused(refusal) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise _TryAgain(f"{self.where} cannot be reached: {clean(str(cause))}") from None
        except (openai.OpenAIError, ValueError) as error:  # A body that is no JSON is a ValueError.
            raise _TryAgain(
                f"{self.where} answered something unreadable: {clean(str(error))[:200]}"
            ) from None

    def models(self, seconds: float = _LIST_S) -> list[str]:
        """The names of the server's models; none where it does not tell."""
        return [str(entry["id"]) for entry in self._listed(seconds) if "id" in entry]

    def context_of(self, model: str, seconds: float) -> int | None:
        """Tokens of a model's context, where the server's list of models has them."""
        entries = self._listed(min(seconds, _LIST_S))
        ours = [e for e in entries if e.get("id") == model] or entries[:1]
        counts = (e.get(name) for e in ours for name in _CONTEXT_NAMES)
        return next((c for c in counts if is_count(c) and c > 0), None)

    def _listed(self, seconds: float) -> list[dict[str, Any]]:
        try:
            data = self._within(seconds, lambda c: c.get("/models", cast_to=object))
        except Exception:  # noqa: BLE001 - asked for advice only; what was refused is said anyway
            return []
        entries = data.get("data") if isinstance(data, dict) else None
        return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []

    def _within(self, seconds: float, send: Callable[[Any], object]) -> object:
        """What a request gives, which is given up at a deadline, however slowly it dribbles in."""
        done: Future[object] = Future()
        client = self._open

        def work() -> None:
            try:
                done.set_result(send(client.with_options(timeout=seconds)))
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


def _estimate(request: Mapping[str, Any]) -> int:
    """Tokens of a request's prompt, tools included, on the high side."""
    return estimate_tokens([*request["messages"], *(dict(t) for t in request.get("tools", ()))])


def _without_strict(tool: ToolDefinition) -> dict[str, Any]:
    function = {k: v for k, v in tool["function"].items() if k != "strict"}
    return {**tool, "function": function}


def _status(refusal: Refusal) -> str:
    return "an error" if refusal.status == 200 else f"HTTP {refusal.status}"


def _retry_after(error: Any) -> float:
    try:
        seconds = float(error.response.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < math.inf else 0.0
