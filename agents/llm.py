"""The reference language-model agent: a chat model with a simulator as its tool.

`python -m agents.llm --task ACS-OpAmp-v0 --model ...` runs it once, `--agents llm:my_model.toml` of the
leaderboard ranks it. A turn is a request: the model's calls are carried out by a `Toolbox` and
answered, until it finishes, the budget or a cap is used up, or it stops getting anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acs_gym.session import Session
from acs_gym.tools.definitions import HISTORY, definitions
from acs_gym.tools.toolbox import ToolAnswer, Toolbox
from agents.config import LlmConfig
from agents.dialogue import Dialogue
from agents.limits import LimitReached
from agents.model import ChatModel, Message, Reply, ToolCall, read_json
from agents.prompts import BEGIN, system_prompt
from agents.text_format import read_calls, write_answers

# Turns in a row in which nothing is simulated, after which a model is not getting anywhere.
IDLE_TURNS_ALLOWED = 8
TRANSCRIPT = "transcript.jsonl"
_NO_CALL = (
    "Nothing was called. Call a tool: simulate to try designs, finish when you are done. "
    "{left} simulations are left."
)
_CUT_OFF = (
    "Your reply was cut off at its length limit before a call was complete. "
    "Be brief and call a tool."
)


class LlmAgent:
    """One model, one conversation.

    Args:
        config: the model and its settings; None takes them from the environment.
        model: another model than the configured server, e.g. a replay.
        transcript: where to write the transcript; the leaderboard sets it through `keep_files_in`.
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
            messages = _opening(session, self.settings)
            dialogue.ended = _converse(dialogue, messages, session, self.settings)
            dialogue.note(messages)


def _opening(session: Session, settings: LlmConfig) -> list[Message]:
    prompt = system_prompt(
        session.task,
        session.remaining,
        tool_format=settings.tool_format,
        tools=definitions(session.task),
    )
    return [{"role": "system", "content": prompt}, {"role": "user", "content": BEGIN}]


def _converse(
    dialogue: Dialogue, messages: list[Message], session: Session, settings: LlmConfig
) -> str:
    """The turns, appended to `messages`. Returns why they ended."""
    toolbox = Toolbox(session)
    tools = [] if settings.tool_format == "text" else toolbox.definitions
    idle = 0
    for _ in range(_turns(session, settings)):
        if not session.remaining:
            return "the budget is used up"
        try:
            reply = dialogue.ask(messages, tools, summary=lambda: toolbox.call(HISTORY, {}).text)
        except LimitReached as limit:
            return str(limit)
        messages.append(_echo(reply, settings))
        before = len(session.history)
        said, answers = carry_out(reply, toolbox)
        messages += said
        if any(answer.finished for answer in answers):
            return "the model finished"
        idle = 0 if len(session.history) > before else idle + 1
        if idle >= IDLE_TURNS_ALLOWED:
            return f"{idle} turns in a row simulated nothing"
    return "the cap on turns is reached"


def carry_out(reply: Reply, toolbox: Toolbox) -> tuple[list[Message], list[ToolAnswer]]:
    """(the messages that answer a reply, what its calls gave). The same in training."""
    as_text, calls = _calls_of(reply)
    answers = [toolbox.call(call.name, _arguments(call)) for call in calls]
    return _answer(reply, calls, [a.text for a in answers], as_text, toolbox.session), answers


def _turns(session: Session, settings: LlmConfig) -> int:
    if settings.max_turns is not None:
        return settings.max_turns
    limit = session.budget
    return 10_000 if limit is None else 4 * limit + 10


def _calls_of(reply: Reply) -> tuple[bool, tuple[ToolCall, ...]]:
    """(whether they stood in the text, the calls). A server that parses no calls leaves them there."""
    if reply.calls:
        return False, reply.calls
    _, calls = read_calls(reply.text)
    return bool(calls), calls


def _arguments(call: ToolCall) -> object:
    return read_json(call.arguments) if call.readable else call.arguments


def _echo(reply: Reply, settings: LlmConfig) -> Message:
    message = reply.to_message(with_reasoning=settings.send_reasoning)
    if not reply.text and not reply.calls:
        # Many servers refuse an assistant message with nothing in it.
        message["content"] = "(no reply)"
    return message


def _answer(
    reply: Reply,
    calls: tuple[ToolCall, ...],
    answers: list[str],
    as_text: bool,
    session: Session,
) -> list[Message]:
    if not calls:
        text = _CUT_OFF if reply.truncated else _NO_CALL.format(left=f"{session.remaining:g}")
        return [{"role": "user", "content": text}]
    if as_text:
        return [{"role": "user", "content": write_answers(answers)}]
    return [
        {"role": "tool", "tool_call_id": call.id, "content": answer}
        for call, answer in zip(calls, answers, strict=True)
    ]
