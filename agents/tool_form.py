"""A conversation with the simulator as a tool: calls in the chat format's own field, or in the text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from acs_gym.session import Session
from acs_gym.tools.answers import json_text
from acs_gym.tools.definitions import HISTORY
from acs_gym.tools.toolbox import ToolAnswer, Toolbox
from agents.form import Carried
from agents.model import (
    CHARACTERS_PER_TOKEN,
    Message,
    Reply,
    ToolCall,
    ToolDefinition,
    read_arguments,
)
from agents.prompts import BEGIN, ToolFormat, system_prompt
from agents.text_format import read_calls, write_answers

# Before a tool's name: OpenAI's models and Kimi, Gemini.
_NAMESPACE = re.compile(r"(?:functions?|tools?|default_api)\.(\w+)(?::\d+)?")
_NO_CALL = (
    "Nothing was called. Call a tool: simulate to try designs, finish when you are done. "
    "{left} simulations are left."
)
_CUT_OFF = (
    "Your reply was cut off at its length limit before a call was complete. "
    "Be brief and call a tool."
)


class ToolForm:
    """See `Form`. With the format `text` the first message says how to call the tools."""

    def __init__(self, session: Session, tool_format: ToolFormat) -> None:
        self._toolbox, self._format = Toolbox(session), tool_format

    @property
    def tools(self) -> Sequence[ToolDefinition]:
        return [] if self._format == "text" else self._toolbox.definitions

    def opening(self) -> list[Message]:
        session = self._toolbox.session
        prompt = system_prompt(
            session.task,
            session.remaining,
            tool_format=self._format,
            tools=self._toolbox.definitions,
        )
        return [{"role": "system", "content": prompt}, {"role": "user", "content": BEGIN}]

    def carry_out(self, reply: Reply) -> Carried:
        return carry_out(reply, self._toolbox)

    def history(self, tokens: int) -> str:
        """What the tool `history` answers; of more designs than there is room for, the best."""
        text = self._toolbox.call(HISTORY, {}).text
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


def carry_out(reply: Reply, toolbox: Toolbox) -> Carried:
    """Carry out a reply's calls. The same in training."""
    as_text, written = calls_of(reply)
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
    ended = "the model finished" if any(answer.finished for answer in answers) else ""
    return Carried(messages, tuple(calls), answers, tuple(readings), ended=ended)


def _tool_meant(name: str, tools: Sequence[str]) -> str:
    """A tool's name without what some models put before and behind it, as in `functions.simulate:0`."""
    match = _NAMESPACE.fullmatch(name)
    return match[1] if match is not None and match[1] in tools else name


def calls_of(reply: Reply) -> tuple[bool, tuple[ToolCall, ...]]:
    """(whether they stood in the text, the calls). A server that parses no calls leaves them there."""
    if reply.calls:
        return False, reply.calls
    _, calls = read_calls(reply.text)
    return bool(calls), calls


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
