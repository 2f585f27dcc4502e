"""A run's conversation with a model: asks it, keeps to the caps, and writes everything down.

What every language-model agent shares. The rule that keeps the context within its limit is `fit`: the
first messages always stay (the task), the latest turns stay, and whole turns in between are left out,
oldest first, with a note of what was found in them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acs_gym.evaluation import Evaluation
from acs_gym.session import Session
from agents.config import LlmConfig
from agents.limits import LimitReached, Spending, price_of, read_prices
from agents.model import (
    ChatModel,
    ContextTooLong,
    Message,
    ModelError,
    Reply,
    ToolDefinition,
    estimate_tokens,
)
from agents.openai_model import OpenAIModel
from agents.transcript.records import (
    Call,
    End,
    Fault,
    Note,
    Replied,
    Said,
    Simulated,
    Start,
    TranscriptWriter,
)

# How often a prompt that a server calls too long is halved before giving up.
_SHORTENINGS = 4
# The words before a summary.
_NOTE_TOKENS = 16


class Dialogue:
    """A model, its meter and its transcript, for one session.

    Use as a context manager: leaving it writes how the run ended.

    Args:
        agent: the agent's id, for the transcript.
        config: the agent's settings.
        session: simulations, and where tokens and money are logged.
        transcript: the file to write, or None.
        model: another model than the configured server, e.g. a replay.
        extra: more of the agent's settings, for the transcript.
    """

    def __init__(
        self,
        agent: str,
        config: LlmConfig,
        session: Session,
        *,
        transcript: Path | None = None,
        model: ChatModel | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = config
        self.session = session
        self.ended = ""
        price = price_of(config.model, read_prices(config.prices))
        replayed = model is not None
        self.spending = Spending(
            price,
            config.max_tokens,
            None if replayed else config.max_money,
            # Time passes otherwise in a replay, which ends where its transcript does.
            None if replayed else config.max_seconds,
        )
        self._own = OpenAIModel(config, seed=session.seed) if model is None else None
        self.model: ChatModel = model or _given(self._own)
        self._context = config.context_tokens
        self._seen = len(session.history)
        self._ours = self._own_clock()
        self._written: list[Message] = []
        secret = config.api_key() if model is None else ""
        self._transcript = TranscriptWriter(transcript, secret=secret)
        task = session.task
        self._transcript.write(
            Start(
                agent=agent,
                task=task.id,
                task_digest=task.digest,
                pdk=task.pdk_name,
                tier=task.tier,
                specs=task.specs.targets,
                budget=session.budget,
                seed=session.seed,
                workers=session.workers,
                config=config.identity() | dict(extra or {}),
                started=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        )

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.note_simulations()
        if error is not None:
            self.ended = f"{type(error).__name__}: {error}"
        best = self.session.best
        used = self.spending
        self._transcript.write(
            End(
                reason=self.ended or "the agent returned",
                score=None if best is None else best.score,
                feasible=best is not None and best.feasible,
                simulations=self.session.meter.used,
                replies=used.requests,
                prompt_tokens=used.tokens.prompt,
                completion_tokens=used.tokens.completion,
                usd=round(used.money, 6),
                seconds=round(used.seconds, 3),
            )
        )
        self._transcript.close()
        if self._own is not None:
            self._own.close()

    def ask(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolDefinition] = (),
        *,
        summary: Callable[[int], str] | None = None,
    ) -> Reply:
        """The model's reply to these messages, shortened by `fit` where they are too long.

        Args:
            summary: what is known from the turns that are left out, in so many tokens if possible; asked
                only when some are.

        Raises LimitReached when a cap leaves no room, ModelError when there is no reply.
        """
        self.note_simulations()
        self._write(messages)
        fixed = estimate_tokens([dict(t) for t in tools])
        for _ in range(_SHORTENINGS):
            sent = fit(messages, self._context - fixed, summary)
            allowance = self.spending.allow(estimate_tokens(sent) + fixed, self.config.reply_tokens)
            before = time.monotonic()
            ours = self._own_clock() - self._ours
            try:
                reply = self.model.reply(sent, tools, limits=allowance)
            except ContextTooLong as error:
                self._transcript.write(Fault(kind="context", message=str(error)))
                tried = min(self._context, estimate_tokens(sent) + fixed)
                less = tried // 2 if error.fits is None else min(error.fits, tried - 1)
                self._context = max(1, less)
                shorter = fit(messages, self._context - fixed, summary)
                if estimate_tokens(shorter) >= estimate_tokens(sent):
                    raise
                continue
            except ModelError as error:
                self._transcript.write(Fault(kind="model", message=str(error)))
                raise
            self._count(reply, time.monotonic() - before, ours)
            self._ours = self._own_clock()
            return reply
        raise ModelError("the server calls even the shortest form of the conversation too long")

    def note(self, messages: Sequence[Message]) -> None:
        """Write what the model will not be asked about any more: the answers to its last calls."""
        self.note_simulations()
        self._write(messages)

    def remark(self, readings: Sequence[str]) -> None:
        """Write what was read otherwise than the model wrote it."""
        for reading in readings:
            self._transcript.write(Note(kind="reading", message=reading))

    def note_simulations(self) -> None:
        """Write the evaluations that the session has and the transcript has not."""
        for evaluation in self.session.history[self._seen :]:
            self._seen += 1
            self._transcript.write(Simulated.of(self._seen, evaluation))

    def _own_clock(self) -> float:
        """Seconds that do not pass while the simulator works."""
        return time.monotonic() - self.session.usage.simulator_seconds

    def _count(self, reply: Reply, seconds: float, ours: float) -> None:
        for note in reply.notes:
            self._transcript.write(Note(kind="request", message=note))
        cost = self.spending.add(reply.tokens)
        self.session.log_usage(tokens=reply.tokens.total, money=cost)
        self._transcript.write(
            Replied(
                content=reply.text,
                reasoning=reply.reasoning,
                calls=tuple(Call(id=c.id, name=c.name, arguments=c.arguments) for c in reply.calls),
                finish_reason=reply.finish_reason,
                prompt_tokens=reply.tokens.prompt,
                completion_tokens=reply.tokens.completion,
                tokens_estimated=reply.tokens.estimated,
                usd=cost,
                attempts=reply.attempts,
                seconds=round(seconds, 4),
                agent_seconds=round(ours, 4),
            )
        )

    def _write(self, messages: Sequence[Message]) -> None:
        """Write the messages that were not in the request before; the model's own are replies."""
        same = 0
        for old, new in zip(self._written, messages, strict=False):
            if old is not new:
                break
            same += 1
        for message in messages[same:]:
            if message["role"] != "assistant":
                self._transcript.write(
                    Said(
                        role=message["role"],
                        content=message["content"],
                        tool_call_id=message.get("tool_call_id", ""),
                        name=message.get("name", ""),
                    )
                )
        self._written = list(messages)


@dataclass(frozen=True, slots=True)
class _Turn:
    """An assistant message and what answered it, which belong together."""

    messages: tuple[Message, ...]


def fit(
    messages: Sequence[Message], limit: int, summary: Callable[[int], str] | None = None
) -> list[Message]:
    """The messages, or as many of them as `limit` estimated tokens hold.

    What stands before the first assistant message stays. A turn is an assistant message and what
    answers it; the last one stays, and of the others as many of the latest as fit. A user message in
    place of those left out says so, with `summary(tokens)` that are left beside first messages and last
    turn.
    """
    if estimate_tokens(messages) <= limit:
        return list(messages)
    starts = [k for k, m in enumerate(messages) if m["role"] == "assistant"]
    if len(starts) < 2:
        return list(messages)
    head = list(messages[: starts[0]])
    turns = [
        _Turn(tuple(messages[a:b]))
        for a, b in zip(starts, [*starts[1:], len(messages)], strict=True)
    ]
    note = "Earlier turns are left out to save room."
    room = limit - estimate_tokens([*head, {"role": "user", "content": note}, *turns[-1].messages])
    if summary is not None:
        note += " What was simulated so far:\n" + summary(max(0, room - _NOTE_TOKENS))
    left_out: Message = {"role": "user", "content": note}
    room = limit - estimate_tokens([*head, left_out])
    kept: list[_Turn] = []
    for turn in reversed(turns):
        room -= estimate_tokens(turn.messages)
        if kept and room < 0:
            break
        kept.insert(0, turn)
    return [*head, left_out, *(m for turn in kept for m in turn.messages)]


def best_so_far(evaluations: Sequence[Evaluation], count: int) -> list[tuple[int, Evaluation]]:
    """(number, evaluation) of the `count` best, worst first, as a prompt lists them."""
    numbered = sorted(enumerate(evaluations, start=1), key=lambda pair: (pair[1].score, -pair[0]))
    return numbered[-count:]


def _given(model: OpenAIModel | None) -> OpenAIModel:
    assert model is not None
    return model


__all__ = ["Dialogue", "LimitReached", "ModelError", "best_so_far", "fit"]
