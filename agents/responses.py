"""The Responses format of OpenAI, as the chat format that the agents speak. Pure.

Only what is sent and what comes back is translated; that a server is asked again, and in which form, is
the same for both (`openai_model`). Nothing is kept on the server (`store` is false), so a reply's
reasoning is not given back to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agents.model import Message

PATH = "/responses"
_LENGTHS = ("max_tokens", "max_completion_tokens")
_FINISHED = {"max_output_tokens": "length", "content_filter": "content_filter"}


def request_of(chat: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request, of one in the chat format; fields that only one server has stay."""
    others = {k: v for k, v in chat.items() if k not in ("messages", "tools", *_LENGTHS)}
    request = {"store": False, **others}
    request["input"] = [item for message in chat["messages"] for item in _items(message)]
    if "tools" in chat:
        request["tools"] = [{"type": "function", **tool["function"]} for tool in chat["tools"]]
    for name in _LENGTHS:
        if name in chat:
            request["max_output_tokens"] = chat[name]
    return request


def completion_of(body: object) -> object:
    """A response as a chat completion; what is none is given back as it is."""
    if not isinstance(body, dict) or not isinstance(body.get("output"), list):
        return body
    items = [item for item in body["output"] if isinstance(item, dict)]
    calls = [
        {
            "id": item.get("call_id") or item.get("id"),
            "function": {"name": item.get("name"), "arguments": item.get("arguments", "")},
        }
        for item in items
        if item.get("type") == "function_call"
    ]
    details = body.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    usage = body.get("usage")
    completion: dict[str, Any] = {
        "choices": [
            {
                "message": {
                    "content": "".join(_texts(items, "message", "content")),
                    "reasoning": "\n".join(_texts(items, "reasoning", "summary", "content")),
                    "tool_calls": calls,
                },
                "finish_reason": _FINISHED.get(reason or "", "tool_calls" if calls else "stop"),
            }
        ]
    }
    if isinstance(usage, dict):
        completion["usage"] = {
            "prompt_tokens": usage.get("input_tokens"),
            "completion_tokens": usage.get("output_tokens"),
        }
    return completion | ({"error": body["error"]} if body.get("error") else {})


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message["role"] == "tool":
        call, output = message["tool_call_id"], message["content"]
        yield {"type": "function_call_output", "call_id": call, "output": output}
        return
    if message.get("content"):
        yield {"role": message["role"], "content": message["content"]}
    for call in message.get("tool_calls", ()):
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _texts(items: list[dict[str, Any]], kind: str, *fields: str) -> Iterator[str]:
    for item in items:
        if item.get("type") == kind:
            for field in fields:
                parts = item.get(field)
                for part in parts if isinstance(parts, list) else ():
                    text = part.get("text", part.get("refusal")) if isinstance(part, dict) else None
                    if isinstance(text, str):
                        yield text
