"""OpenAI's Responses format: the same agent, over a server that knows nothing else."""

from __future__ import annotations

import json
import math

import pytest
from openai.types.responses import Response

from agents.chat_server import ChatServer, respond
from agents.config import LlmConfig
from agents.llm import LlmAgent
from agents.model import Allowance
from agents.openai_model import OpenAIModel


def says(*items, **more):
    """A body as the `openai` package knows it."""
    body = {
        "id": "resp_1", "object": "response", "created_at": 0, "model": "m", "output": list(items),
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "status": "completed",
        "usage": {
            "input_tokens": 900, "output_tokens": 30, "total_tokens": 930,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 9},
        },
    } | more  # fmt: skip
    Response.model_validate(body)
    return body


def text(words):
    part = {"type": "output_text", "text": words, "annotations": []}
    return {
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [part],
    }  # fmt: skip


def call(name, arguments):
    return {
        "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
        "arguments": json.dumps(arguments),
    }  # fmt: skip


THOUGHT = {
    "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "wider"}],
}  # fmt: skip


class ResponsesServer(ChatServer):
    """Gives out `bodies`, one a request."""

    def __init__(self, bodies):
        super().__init__(lambda messages, tools: None, "m")
        self.bodies = list(bodies)

    def handle(self, handler, body):
        if handler.path != "/v1/responses":
            respond(handler, 404, {"error": {"message": f"no {handler.path}"}})
            return
        self.requests.append(json.loads(body))
        respond(handler, 200, self.bodies.pop(0))


def test_the_agent_sizes_over_it(task, in_process):
    design = task.space.from_unit([0.5] * len(task.space))
    bodies = [
        says(THOUGHT, text("The middle."), call("simulate", {"designs": [design]})),
        says(call("finish", {"summary": "done"})),
    ]
    with ResponsesServer(bodies) as server:
        agent = LlmAgent(LlmConfig(model="m", base_url=server.url, api="responses"))
        with task.session(5, simulator=in_process) as session:
            agent.run(session)
    assert agent.ended == "the model finished" and session.meter.used == 1
    first, second = server.requests
    assert not first["store"] and first["max_output_tokens"] and "messages" not in first
    assert first["tools"][0]["name"] == "simulate" and first["tools"][0]["type"] == "function"
    assert [item.get("role") or item["type"] for item in second["input"]] == [
        "system", "user", "assistant", "function_call", "function_call_output",
    ]  # fmt: skip
    assert second["input"][-1]["call_id"] == second["input"][-2]["call_id"] == "call_1"


def asked(body):
    with ResponsesServer([body]) as server:
        config = LlmConfig(model="m", base_url=server.url, api="responses")
        model = OpenAIModel(config)
        try:
            return model.reply(
                [{"role": "user", "content": "?"}], [], limits=Allowance(99, math.inf)
            )
        finally:
            model.close()


def test_text_reasoning_and_tokens_come_apart():
    reply = asked(says(THOUGHT, text("Yes.")))
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Yes.", "wider", "stop")
    assert (reply.tokens.prompt, reply.tokens.completion) == (900, 30)


def test_a_reply_that_was_cut_off_is_known_as_one():
    details = {"reason": "max_output_tokens"}
    assert asked(says(text("The"), status="incomplete", incomplete_details=details)).truncated


@pytest.mark.parametrize(("api", "there"), [("chat", False), ("responses", True)])
def test_results_of_the_chat_format_keep_their_identity(api, there):
    assert ("api" in LlmConfig(model="m", api=api).identity()) is there
