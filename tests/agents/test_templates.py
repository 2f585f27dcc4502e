"""Servers whose chat template knows fewer roles, and servers that read only a part of a prompt."""

import json

import pytest

from agents.chat_server import ChatServer, completion, respond
from agents.config import LlmConfig
from agents.llm import LlmAgent
from agents.model import Reply
from agents.prompt_counts import PromptCounts
from agents.refusals import Refusal
from agents.text_format import write_calls
from agents.transcript.records import read_transcript
from agents.transcript.replay import replay
from tests.agents.policies import Walk

ALTERNATE = "Conversation roles must alternate user/assistant/user/assistant/..."


def gemma(messages, tools):
    if messages[0]["role"] == "system":
        return "System role not supported"
    return alternating(messages)


def llama_2(messages, tools):
    return alternating(messages[1:] if messages[0]["role"] == "system" else messages)


def mistral_of_old(messages, tools):
    if any(m["role"] not in ("user", "assistant") for m in messages):
        return "Only user and assistant roles are supported!"
    return alternating(messages)


def alternating(messages):
    for number, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[number % 2]:
            return ALTERNATE
    return ""


FORMS = {
    "vLLM": lambda said: (400, {"object": "error", "message": said, "type": "BadRequestError"}),
    "llama.cpp": lambda said: (500, {"error": {"code": 500, "message": f"Jinja Exception: {said}"}}),
    "LM Studio": lambda said: (400, {"error": f'Error rendering prompt with jinja template: "{said}"'}),
}  # fmt: skip


class Templated(ChatServer):
    """A model whose template refuses some conversations, and writes no calls but as text."""

    def __init__(self, task, template, form):
        self.walk, self.template, self.form, self.refused = Walk(task), template, form, []
        super().__init__(self.as_text, "m")

    def as_text(self, messages, tools):
        reply = self.walk(messages, tools)
        if tools:
            return reply
        return Reply(text=write_calls(reply.text, reply.calls))

    def handle(self, handler, body):
        request = json.loads(body)
        if said := self.template(request["messages"], request.get("tools")):
            self.refused.append(request)
            respond(handler, *self.form(said))
        else:
            super().handle(handler, body)


def notes_of(path):
    return [r.message for r in read_transcript(path) if r.type == "note"]


def run(server, task, path, budget=3, **settings):
    settings = {"model": "m", "base_url": server.url, "retries": 0} | settings
    with server, task.session(budget) as session:
        LlmAgent(LlmConfig(**settings), transcript=path).run(session)
    return session


@pytest.mark.parametrize(
    ("template", "form"),
    [*zip((gemma, llama_2, mistral_of_old), FORMS.values(), strict=True)],
    ids=["Gemma, vLLM", "Llama 2, llama.cpp", "Mistral of old, LM Studio"],
)
def test_what_a_template_refuses_is_said_in_roles_that_it_knows(task, template, form, tmp_path):
    server = Templated(task, template, form)
    session = run(server, task, tmp_path / "t")
    walk = Walk(task)
    for number, evaluation in enumerate(session.history):
        assert evaluation.design == pytest.approx(walk.design(number), rel=1e-4)
    assert session.remaining == 0 and len(server.refused) <= 2
    last = server.requests[-1]
    assert "tools" not in last and alternating(last["messages"][template is llama_2 :]) == ""
    first = "\n".join(m["content"] for m in last["messages"][:2])
    assert "# Specs" in first and "# Tools" in first and "Begin." in first
    notes = notes_of(tmp_path / "t")
    assert sum("--tool-format text" in note for note in notes) == 1
    assert sum("no system message" in note for note in notes) == (template is not llama_2)
    assert replay(tmp_path / "t").equal


def test_a_template_that_refuses_everything_is_asked_three_times_and_named(task, tmp_path):
    server = Templated(task, lambda m, t: "System role not supported", FORMS["llama.cpp"])
    with pytest.raises(Exception, match=r"System role not supported.*--chat-template"):
        run(server, task, tmp_path / "t", retries=3)
    assert len(server.refused) == 3


@pytest.mark.parametrize(
    ("status", "said", "of_tools"),
    [
        (400, "System role not supported", False),
        (422, "Template error: invalid operation: System role not supported (in <string>:1)", False),
        (400, "After the optional system message, conversation roles must alternate", False),
        (400, "Only user and assistant roles are supported, with the exception of an initial optional "
              "system message!", False),
        (400, "Developer instruction is not enabled for models/gemma-3-27b-it", False),
        (400, "Unsupported value: 'messages[0].role' does not support 'system' with this model.", False),
        (422, "body.messages.0.role: Input should be 'user' or 'assistant'", False),
        (400, "Unexpected role 'user' after role 'tool'", True),
        (400, "Invalid role: tool", True),
    ],
)  # fmt: skip
def test_refusals_of_a_role_are_known_by_their_words(status, said, of_tools):
    refusal = Refusal.of(status, json.dumps({"error": {"message": said}}))
    assert refusal.no_role and refusal.of_tools is of_tools


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "your role is not allowed to use this model"),
        (500, "internal error"),
        (400, "this model does not support tools"),
        (
            400,
            "This model's maximum context length is 4096 tokens, not enough for the system message",
        ),
        (400, "Unsupported parameter: 'max_tokens' is not supported with this model."),
    ],
)
def test_other_refusals_are_of_no_role(status, said):
    assert not Refusal.of(status, json.dumps({"error": {"message": said}})).no_role


class Cutting(ChatServer):
    """Reads as many tokens of a prompt as its context has, and says nothing."""

    def __init__(self, policy, context):
        super().__init__(policy, "m")
        self.context = context

    def handle(self, handler, body):
        messages = json.loads(body)["messages"]
        raw = completion(self.policy(messages, []), self.name, messages)
        tokens = sum(len(m["content"] or "") for m in messages) // 4
        raw["usage"]["prompt_tokens"] = min(tokens, self.context)
        respond(handler, 200, raw)


@pytest.mark.parametrize(
    ("context", "says"),
    [
        (300, "counts 300 tokens in a prompt of"),
        (900, "counts 900 tokens in a prompt, and counted"),
    ],
    ids=["from the beginning", "as it grows"],
)
def test_a_server_that_cuts_prompts_off_is_told_of_once(task, context, says, tmp_path):
    run(Cutting(Walk(task), context), task, tmp_path / "t", budget=8)
    (note,) = notes_of(tmp_path / "t")
    assert says in note and "OLLAMA_CONTEXT_LENGTH" in note and "now 32000" in note


def test_a_server_that_reads_everything_is_not_doubted(task, tmp_path):
    run(Cutting(Walk(task), 10**6), task, tmp_path / "t", budget=4)
    assert notes_of(tmp_path / "t") == []


def test_a_conversation_that_was_shortened_proves_nothing():
    counts, long = PromptCounts(), "every word counts " * 100
    user = [{"role": "user", "content": long}]
    assert not counts.doubt([*user, {"role": "user", "content": long}], 900)
    assert not counts.doubt(user, 450)  # Another conversation.
    added = [*user, {"role": "assistant", "content": long}, {"role": "tool", "content": "short"}]
    assert not counts.doubt(added, 452)  # A template may leave replies out.
    assert not counts.doubt([*added, {"role": "user", "content": "more"}], 455)
    assert "before 1805 characters were added" in counts.doubt([*added, *user], 560)
    assert not counts.doubt([*added, *user, *user], 1100)
