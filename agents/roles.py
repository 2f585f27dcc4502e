"""Conversations for chat templates that know fewer roles than system, user, assistant and tool. Pure.

Templates of Gemma, of Llama 2 and of Mistral's first models refuse a system message, tool messages, or
two messages of one role in a row, each in words of its own (`Refusal.no_role`). What they refuse is said
here in the roles that every template has, and in the text format that the agents read anyway.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.model import Message, ToolCall, ToolDefinition
from agents.text_format import instructions, write_answers, write_calls


def has_tools(messages: Sequence[Message]) -> bool:
    """Whether there are messages of tools, or calls of them."""
    return any(m["role"] == "tool" or m.get("tool_calls") for m in messages)


def without_tools(messages: Sequence[Message], tools: Sequence[ToolDefinition]) -> list[Message]:
    """The first message says how to call the tools; calls and answers stand in the text."""
    found: list[Message] = []
    answers: list[str] = []

    def told() -> None:
        if answers:
            found.append({"role": "user", "content": write_answers(answers)})
            answers.clear()

    for message in messages:
        if message["role"] == "tool":
            answers.append(message["content"])
            continue
        told()
        if message.get("tool_calls"):
            calls = [
                ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
                for call in message["tool_calls"]
            ]
            text = write_calls(message["content"] or "", calls)
            kept = {k: v for k, v in message.items() if k != "tool_calls"}
            message = kept | {"content": text}
        found.append(message)
    told()
    if tools and found:
        found[0] = found[0] | {"content": f"{found[0]['content']}\n\n{instructions(tools)}"}
    return found


def without_system(messages: Sequence[Message]) -> list[Message]:
    """What the system says is the beginning of what the user says first."""
    return [m | {"role": "user"} if m["role"] == "system" else m for m in messages]


def in_turns(messages: Sequence[Message]) -> list[Message]:
    """Messages of one role in a row are one message, so that roles alternate; those of tools are left."""
    found: list[Message] = []
    for message in messages:
        last = found[-1] if found else None
        if last is not None and last["role"] == message["role"] and not has_tools([last, message]):
            found[-1] = last | {"content": f"{last['content']}\n\n{message['content']}"}
        else:
            found.append(message)
    return found
