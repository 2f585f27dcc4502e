"""A model behind any OpenAI-compatible server: OpenAI, vLLM, llama.cpp, Ollama, `transformers serve`.

What is the server's fault is tried again with growing pauses, what it takes in another form is asked for
in that form (`taken_forms`), what it does not take at all is said in its own words with what to try, and
no reply is taken as anything but what it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import tenacity

from acs_gym.tools.reading import read_json
from agents.config import LlmConfig
from agents.model import Allowance, ContextTooLong, Message, ModelError, Reply, ToolDefinition
from agents.openai_client import OpenAIClient, Refused, TryAgain, status_of
from agents.prompt_counts import PromptCounts
from agents.refusals import Refusal
from agents.replies import not_a_reply, read_reply
from agents.responses import PATH as RESPONSES
from agents.responses import completion_of, request_of
from agents.taken_forms import NoRoom, TakenForms, prompt_estimate

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
# What a server may ask us to wait, by Retry-After.
_LONGEST_RETRY_AFTER_S = 120.0
_CHAT = "/chat/completions"
_MODELS_NAMED = 5
_CUT_OFF = (
    "{doubt}; it seems to cut long prompts off without saying so. Give it a longer context (Ollama "
    "OLLAMA_CONTEXT_LENGTH, LM Studio its context length, llama.cpp -c), or send less: "
    "--context-tokens (context_tokens), now {context}. A server that merely leaves what it had in its "
    "cache out of its count is in order"
)


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
        self._client = OpenAIClient(config, self._key)
        self._noted: set[str] = set()
        self._counts = PromptCounts()
        self._doubted = False
        # OpenAI's reasoning models know the one name only, many other servers the other only.
        self._forms = TakenForms(
            "max_completion_tokens" if config.base_url is None else "max_tokens"
        )

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
            request = self._forms.request(self.config, self.seed, messages, tools, limits.tokens)
            try:
                raw, taken = self._answer(request, start, limits)
                break
            except Refused as refused:
                attempts += 1
                left = limits.seconds - (time.monotonic() - start)
                note = self._adapted(refused.refusal, request, limits.tokens, left)
                if not note or note in notes:  # What was tried once does not help.
                    raise self._error(refused.refusal, request) from None
                notes.append(note)
        self._forms.answered = True
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
            counted = reply.tokens.prompt / max(1, prompt_estimate(request))
            self._forms.per_estimate = max(self._forms.per_estimate, counted)
        return reply

    def _answer(
        self, request: Mapping[str, Any], start: float, limits: Allowance
    ) -> tuple[dict[str, Any], int]:
        """(the body of a reply, how many attempts it took). Raises ModelError, Refused."""
        pauses = tenacity.wait_exponential_jitter(
            multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S, jitter=_FIRST_PAUSE_S
        )

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            asked = error.after if isinstance(error, TryAgain) else 0.0
            if asked > 0:
                return min(asked, _LONGEST_RETRY_AFTER_S)
            return float(pauses(state))

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TryAgain),
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

    def _adapted(
        self, refusal: Refusal, request: Mapping[str, Any], wanted: int, seconds: float
    ) -> str:
        """Ask otherwise from now on. Returns what was changed, empty where nothing can be.

        Raises ContextTooLong where the prompt leaves no room for a reply.
        """

        def context_of() -> int | None:
            return self._client.context_of(self.config.model, seconds)

        try:
            return self._forms.adapt(refusal, request, wanted, context_of)
        except NoRoom as error:
            raise self._too_long(refusal, error.fits) from None

    def _too_long(self, refusal: Refusal, fits: int | None) -> ContextTooLong:
        return ContextTooLong(
            self._clean(
                f"{self._client.where}: {status_of(refusal)}: {refusal.words}; start the server with a "
                "longer context (vLLM --max-model-len, SGLang --context-length, llama.cpp -c, "
                "Ollama OLLAMA_CONTEXT_LENGTH), or ask for shorter replies with --reply-tokens"
            ),
            fits=fits,
        )

    def _error(self, refusal: Refusal, request: Mapping[str, Any]) -> ModelError:
        """What is said of a refusal, with what to try."""
        if refusal.too_long:
            return self._too_long(refusal, None)
        said = f"{self._client.where}: {status_of(refusal)}: {refusal.words}"
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
                raise Refused(refusal)
        if why := not_a_reply(raw):
            raise TryAgain(why)
        return cast(dict[str, Any], raw)

    def _clean(self, text: str) -> str:
        """Without the key, which some servers quote in their errors."""
        return text.replace(self._key, "[key]") if len(self._key) > 3 else text
