"""The wire to an OpenAI-compatible server: a request, its answer or why there is none, and no more.

What is the server's fault is `TryAgain`, what it will never take is `Refused`. Streaming is not used.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from agents.config import LlmConfig
from agents.model import is_count
from agents.refusals import Refusal

_RETRIED_STATUS = (408, 409, 425, 429, 500, 502, 503, 504, 529)
# How a list of models names the tokens of a context: vLLM and SGLang, gateways, Groq, LM Studio.
_CONTEXT_NAMES = ("max_model_len", "context_length", "context_window", "max_context_length")
_LIST_S = 5.0


class TryAgain(Exception):
    """The server's fault; `after` seconds are what it asked for, 0 when it did not."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Refused(Exception):
    """The server takes no such request, however often it is sent."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


class OpenAIClient:
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

        Raises TryAgain, Refused.
        """
        openai = self._openai
        try:
            return self._within(
                seconds,
                lambda c: c.post(path, body=dict(request), cast_to=object),
            )
        except (FutureTimeout, openai.APITimeoutError):
            raise TryAgain(f"{self.where} did not answer within {seconds:.3g} s") from None
        except openai.APIStatusError as error:
            response = error.response
            refusal = Refusal.of(error.status_code, response.text, response.reason_phrase)
            known = refusal.too_long or refusal.no_tools or refusal.no_role or refusal.no_money
            if refusal.status in _RETRIED_STATUS and not known:
                said = clean(f"{self.where}: {status_of(refusal)}: {refusal.words}")
                raise TryAgain(said, _retry_after(error)) from None
            raise Refused(refusal) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise TryAgain(f"{self.where} cannot be reached: {clean(str(cause))}") from None
        except (openai.OpenAIError, ValueError) as error:  # A body that is no JSON is a ValueError.
            raise TryAgain(
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


def status_of(refusal: Refusal) -> str:
    """How its status is told."""
    return "an error" if refusal.status == 200 else f"HTTP {refusal.status}"


def _retry_after(error: Any) -> float:
    try:
        seconds = float(error.response.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < math.inf else 0.0
