"""The reference language-model agent: a chat model with a simulator as its tool.

`python -m agents.llm --task ACS-OpAmp-v0 --model ...` runs it once, `--agents llm:my_model.toml` of the
leaderboard ranks it. A turn is a request: what the model asks for is carried out and answered in the form
of the conversation (tool calls, or in brief), until it finishes, the budget or a cap is used up, or it
stops getting anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from acs_gym.session import Session
from agents.brief import BriefForm
from agents.config import LlmConfig
from agents.dialogue import Dialogue
from agents.form import Carried, Form
from agents.limits import LimitReached
from agents.model import ChatModel, Message, Reply
from agents.tool_form import ToolForm

# Turns in a row in which nothing is simulated, after which a model is not getting anywhere.
IDLE_TURNS_ALLOWED = 8
TRANSCRIPT = "transcript.jsonl"
# What a run without a simulation says of its turns: the latest kinds of them, each in so many characters.
_TOLD, _TOLD_CHARACTERS = 3, 240


class LlmAgent:
    """One model, one conversation.

    Args:
        config: the model and its settings; None takes them from the environment.
        model: another model than the configured server, e.g. a replay.
        transcript: where to write the transcript; the leaderboard sets it through `keep_files_in`.

    Attributes:
        ended: why the run ended, after it; with what the model did where nothing was simulated.
    """

    id = "llm"
    track = "metrics"

    def __init__(
        self,
        config: LlmConfig | None = None,
        *,
        model: ChatModel | None = None,
        transcript: Path | None = None,
    ) -> None:
        self.settings = LlmConfig.from_environment() if config is None else config
        self.model = model
        self.transcript = transcript
        self.ended = ""
        if model is None:
            self.settings.api_key()

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour; part of a result's identity."""
        return self.settings.identity()

    def keep_files_in(self, folder: Path) -> None:
        """Where the harness wants the files of this run."""
        self.transcript = folder / TRANSCRIPT

    def run(self, session: Session) -> None:
        """Talk until done. Raises ModelError when the model cannot be talked to."""
        with Dialogue(
            self.id, self.settings, session, transcript=self.transcript, model=self.model
        ) as dialogue:
            form = _form(session, self.settings)
            messages = form.opening()
            self.ended = dialogue.ended = _converse(
                dialogue, form, messages, session, self.settings
            )
            dialogue.note(messages)


def _form(session: Session, settings: LlmConfig) -> Form:
    kind = settings.tool_format
    return BriefForm(session) if kind == "brief" else ToolForm(session, kind)


def _converse(
    dialogue: Dialogue,
    form: Form,
    messages: list[Message],
    session: Session,
    settings: LlmConfig,
) -> str:
    """The turns, appended to `messages`. Returns why they ended, and what was done in vain."""
    turns: list[_Turn] = []
    before = len(session.history)
    ended = _talk(dialogue, form, messages, session, settings, turns)
    return ended if len(session.history) > before else _in_vain(ended, turns, settings)


def _talk(
    dialogue: Dialogue,
    form: Form,
    messages: list[Message],
    session: Session,
    settings: LlmConfig,
    turns: list[_Turn],
) -> str:
    """The turns, appended to `turns` too. Returns why they ended."""
    idle = 0
    for _ in range(_turns(session, settings)):
        if not session.remaining:
            return "the budget is used up"
        try:
            reply = dialogue.ask(messages, form.tools, summary=form.history)
        except LimitReached as limit:
            return str(limit)
        messages.append(_echo(reply, settings))
        before = len(session.history)
        done = form.carry_out(reply)
        dialogue.remark(done.readings)
        messages += done.messages
        turns.append(_Turn(reply, done))
        if done.ended:
            return done.ended
        idle = 0 if len(session.history) > before else idle + 1
        if idle >= IDLE_TURNS_ALLOWED:
            return f"{idle} turns in a row simulated nothing"
    return "the cap on turns is reached"


class _Turn(NamedTuple):
    reply: Reply
    done: Carried

    def __str__(self) -> str:
        """What the model did, in a few words."""
        reply, calls = self.reply, self.done.calls
        refused = next((k for k, a in enumerate(self.done.answers) if a.refused), None)
        if refused is not None:
            name = calls[refused].name or "a call without a name"
            return f"{name} was refused: {_short(self.done.answers[refused].refusal)}"
        if calls:
            return f"it called {' and '.join(call.name for call in calls)}"
        cut_off = "was cut off at its length limit and " if reply.truncated else ""
        said = f"wrote {_short(reply.text)!r}" if reply.text else "wrote nothing"
        thought = " but its reasoning" if reply.reasoning and not reply.text else ""
        did = f"it {cut_off}{said}{thought}"
        refusal = self.done.refusal
        return f"{did}; {refusal}" if refusal else f"{did}, and called no tool"


def _in_vain(ended: str, turns: Sequence[_Turn], settings: LlmConfig) -> str:
    """Why a run ended in which nothing was simulated, what the model did, what may help. On one line."""
    counts: dict[str, int] = {}
    for turn in turns:
        counts[str(turn)] = counts.get(str(turn), 0) + 1
    latest = list(counts.items())[-_TOLD:]
    said = "; ".join(f"{what} ({n} of {len(turns)} turns)" for what, n in latest)
    text = ended if ended.endswith("simulated nothing") else f"{ended}; nothing was simulated"
    text = f"{text}: {said}" if said else text
    return ". ".join((text, *_hints(turns, settings)))


def _hints(turns: Sequence[_Turn], settings: LlmConfig) -> Iterator[str]:
    if any(turn.reply.truncated for turn in turns):
        yield f"Longer replies may help: --reply-tokens (reply_tokens), now {settings.reply_tokens}"
    if turns and settings.tool_format == "tools" and not any(turn.done.calls for turn in turns):
        yield (
            "If the model or the server knows no tool calls, try --tool-format text "
            '(tool_format = "text")'
        )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TOLD_CHARACTERS else line[:_TOLD_CHARACTERS] + "..."


def _turns(session: Session, settings: LlmConfig) -> int:
    if settings.max_turns is not None:
        return settings.max_turns
    limit = session.budget
    return 10_000 if limit is None else 4 * limit + 10


def _echo(reply: Reply, settings: LlmConfig) -> Message:
    message = reply.to_message(with_reasoning=settings.send_reasoning)
    if not reply.text and not reply.calls:
        # Many servers refuse an assistant message with nothing in it.
        message["content"] = "(no reply)"
    return message
