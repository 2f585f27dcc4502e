"""The reference language-model agent: a chat model with a simulator as its tool.

`python -m agents.llm --task ACS-OpAmp-v0 --model ...` runs it once, `--agents llm:my_model.toml` of the
leaderboard ranks it. A turn is a request: the model's calls are carried out by a `Toolbox` and
answered, until it finishes, the budget or a cap is used up, or it stops getting anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from acs_gym.session import Session
from acs_gym.tools.answers import json_text
from acs_gym.tools.definitions import HISTORY, definitions
from acs_gym.tools.toolbox import ToolAnswer, Toolbox
from agents.config import LlmConfig
from agents.dialogue import Dialogue
from agents.limits import LimitReached
from agents.model import (
    CHARACTERS_PER_TOKEN,
    ChatModel,
    Message,
    Reply,
    ToolCall,
    read_arguments,
)
from agents.prompts import BEGIN, system_prompt
from agents.text_format import read_calls, write_answers

# Turns in a row in which nothing is simulated, after which a model is not getting anywhere.
IDLE_TURNS_ALLOWED = 8
TRANSCRIPT = "transcript.jsonl"
# Before a tool's name: OpenAI's models and Kimi, Gemini.
_NAMESPACE = re.compile(r"(?:functions?|tools?|default_api)\.(\w+)(?::\d+)?")
# What a run without a simulation says of its turns: the latest kinds of them, each in so many characters.
_TOLD, _TOLD_CHARACTERS = 3, 240
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
            messages = _opening(session, self.settings)
            self.ended = dialogue.ended = _converse(dialogue, messages, session, self.settings)
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
    """The turns, appended to `messages`. Returns why they ended, and what was done in vain."""
    turns: list[_Turn] = []
    before = len(session.history)
    ended = _talk(dialogue, messages, session, settings, turns)
    return ended if len(session.history) > before else _in_vain(ended, turns, settings)


def _talk(
    dialogue: Dialogue,
    messages: list[Message],
    session: Session,
    settings: LlmConfig,
    turns: list[_Turn],
) -> str:
    """The turns, appended to `turns` too. Returns why they ended."""
    toolbox = Toolbox(session)
    tools = [] if settings.tool_format == "text" else toolbox.definitions
    idle = 0
    for _ in range(_turns(session, settings)):
        if not session.remaining:
            return "the budget is used up"
        try:
            reply = dialogue.ask(messages, tools, summary=partial(_history, toolbox))
        except LimitReached as limit:
            return str(limit)
        messages.append(_echo(reply, settings))
        before = len(session.history)
        done = carry_out(reply, toolbox)
        dialogue.remark(done.readings)
        messages += done.messages
        turns.append(_Turn(reply, done))
        if any(answer.finished for answer in done.answers):
            return "the model finished"
        idle = 0 if len(session.history) > before else idle + 1
        if idle >= IDLE_TURNS_ALLOWED:
            return f"{idle} turns in a row simulated nothing"
    return "the cap on turns is reached"


def _history(toolbox: Toolbox, tokens: int) -> str:
    """What `history` answers; of more designs than so many estimated tokens hold, the best."""
    text = toolbox.call(HISTORY, {}).text
    # As it stands in a message, where quotes are escaped.
    longest = CHARACTERS_PER_TOKEN * tokens
    if len(json.dumps(text)) <= longest:
        return text
    data = json.loads(text)
    rows = data.pop("designs")
    kept, length = set[int](), 0
    for number in sorted(range(len(rows)), key=lambda k: -rows[k]["score"]):
        length += len(json.dumps(json_text(rows[number])))
        if kept and length > longest:
            break
        kept.add(number)
    best = [row for k, row in enumerate(rows) if k in kept]
    return json_text({"designs": best, "worse_ones_left_out": len(rows) - len(best), **data})


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
        return f"it {cut_off}{said}{thought}, and called no tool"


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


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of a reply.

    Attributes:
        messages: that answer it.
        calls: of the reply, in order, with the names of tools that were meant.
        answers: to the calls.
        readings: what was read otherwise than it was written, in words; the model is not told.
    """

    messages: list[Message]
    calls: tuple[ToolCall, ...]
    answers: list[ToolAnswer]
    readings: tuple[str, ...]


def carry_out(reply: Reply, toolbox: Toolbox) -> Carried:
    """Carry out a reply's calls. The same in training."""
    as_text, written = _calls_of(reply)
    calls, answers, readings = [], list[ToolAnswer](), list[str]()
    for call in written:
        name = _tool_meant(call.name, toolbox.names)
        arguments, wrapped = read_arguments(call.arguments)
        answer = toolbox.call(name, arguments)
        form = (call.form,) if call.form else ()
        named = () if name == call.name else (f"it was called {call.name}",)
        readings += [f"{name}: {said}" for said in (*form, *named, *wrapped, *answer.readings)]
        calls.append(replace(call, name=name))
        answers.append(answer)
    messages = _answer(reply, tuple(calls), [a.text for a in answers], as_text, toolbox.session)
    return Carried(messages, tuple(calls), answers, tuple(readings))


def _tool_meant(name: str, tools: Sequence[str]) -> str:
    """A tool's name without what some models put before and behind it, as in `functions.simulate:0`."""
    match = _NAMESPACE.fullmatch(name)
    return match[1] if match is not None and match[1] in tools else name


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
