"""The servers that people run: what each refuses in its own words is asked for as it takes it, or said.

Bodies and phrases are those of the servers named; the wire is real.
"""

import json
import math

import pytest

from agents.chat_server import ChatServer
from agents.config import LlmConfig
from agents.model import Allowance, ContextTooLong, ModelError, Reply
from agents.openai_model import OpenAIModel
from agents.refusals import Refusal, words_of
from tests.agents.faulty import one_call

HELLO = [{"role": "system", "content": "x" * 3000}, {"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {"name": "simulate", "strict": True, "parameters": {"type": "object"}},
}
SAYS = one_call("simulate", {"designs": [{"w": 1}]})
PROMPT, CONTEXT = 900, 4096


class Picky(ChatServer):
    """Answers what `refuses(request)` gives no (status, body) for. A body may be text or bytes."""

    def __init__(self, refuses, listed=(), policy=lambda messages, tools: SAYS):
        super().__init__(policy, "m")
        self.refuses, self.listed, self.asked = refuses, listed, []

    def models(self):
        return [*self.listed] or super().models()

    def handle(self, handler, body):
        request = json.loads(body)
        self.asked.append(request)
        refusal = self.refuses(request)
        if refusal is None:
            return super().handle(handler, body)
        status, said = refusal
        data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "text/plain")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
        return None


def model_of(server, **settings):
    settings = {"model": "m", "base_url": server.url, "timeout_s": 5, "retries": 0} | settings
    return OpenAIModel(LlmConfig(**settings))


def ask(model, tokens=4096, tools=(TOOL,)):
    return model.reply(HELLO, tools, limits=Allowance(tokens, math.inf))


def refusal_of(refuses, **settings):
    """The error of a server that refuses everything with this."""
    with Picky(lambda r: refuses) as server, pytest.raises(ModelError) as error:
        ask(model_of(server, **settings))
    return str(error.value)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": {"message": "no such thing", "type": "invalid", "code": None}}, "no such thing"),
        ({"object": "error", "message": "no such thing", "code": 400}, "no such thing"),
        ({"error": "no such thing", "error_type": "validation"}, "no such thing"),
        ({"detail": "no such thing"}, "no such thing"),
        ({"detail": [{"loc": ["body", "n"], "msg": "no number"}]}, "body.n: no number"),
        ({"message": {"detail": [{"loc": ["n"], "msg": "no number"}]}}, "n: no number"),
        ({"status": 400, "error": "Bad Request", "message": "no such thing"}, "no such thing"),
        ([{"error": {"code": 400, "message": "no such thing"}}], "no such thing"),
        (
            {"error": {"message": "Provider returned error",
                       "metadata": {"raw": '{"error": {"message": "no such thing"}}'}}},
            "Provider returned error: no such thing",
        ),
        ('"no such thing"', "no such thing"),
        ("no\nsuch   thing", "no such thing"),
        ("<html><style>b {}</style><title>502</title><h1>no such thing", "502 no such thing"),
        ({"weird": 3}, '{"weird": 3}'),
        ("", "Bad Request"),
    ],
)  # fmt: skip
def test_a_reason_is_shown_whatever_its_form(body, says):
    assert f"HTTP 400: {says}" in refusal_of((400, body))


def test_a_page_is_shortened():
    assert len(words_of("<!DOCTYPE html><p>" + "so long " * 500)) < 250


# How servers say that prompt and reply together are longer than their context.
TOO_MUCH = [
    "This model's maximum context length is {context} tokens. However, you requested {sum} tokens "
    "({prompt} in the messages, {reply} in the completion). Please reduce the length.",
    "'max_tokens' or 'max_completion_tokens' is too large: {reply}. This model's maximum context length "
    "is {context} tokens and your request has {prompt} input tokens ({reply} > {context} - {prompt}).",
    "Requested token count exceeds the model's maximum context length of {context} tokens. You requested "
    "a total of {sum} tokens: {prompt} tokens from the input messages and {reply} for the completion.",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {context}. Given: {prompt} "
    "`inputs` tokens and {reply} `max_new_tokens`",
    "You passed {prompt} input tokens and requested {reply} output tokens. However, the model's context "
    "length is only {context} tokens.",
]


def limited(phrase, context=CONTEXT, prompt=PROMPT):
    def refuses(request):
        reply = request["max_tokens"]
        if prompt + reply <= context:
            return None
        said = phrase.format(context=context, prompt=prompt, reply=reply, sum=prompt + reply)
        return 400, {"object": "error", "message": said, "code": 400}

    return refuses


@pytest.mark.parametrize(
    "phrase", TOO_MUCH, ids=["vLLM", "vLLM 0.10", "SGLang", "TGI", "vLLM 0.15"]
)
def test_a_reply_is_shortened_to_what_the_servers_context_leaves(phrase):
    with Picky(limited(phrase)) as server:
        model = model_of(server)
        first, second = ask(model), ask(model)
    asked = [r["max_tokens"] for r in server.asked]
    assert len(asked) == 3 and asked[0] == 4096  # Refused once, and never again.
    assert CONTEXT - PROMPT - 100 < asked[1] <= CONTEXT - PROMPT
    assert "context of 4096 tokens" in first.notes[0] and first.attempts == 2
    assert second.notes == () and first.calls == SAYS.calls


def test_a_context_that_the_refusal_does_not_name_is_looked_up():
    phrase = "the request exceeds what this model can take: too many tokens"
    listed = [{"id": "other", "max_model_len": 1}, {"id": "m", "max_model_len": CONTEXT}]
    with Picky(limited(phrase), listed) as server:
        assert "context of 4096 tokens" in ask(model_of(server)).notes[0]


def test_a_prompt_that_leaves_no_room_is_too_long_and_says_what_would_fit():
    with Picky(limited(TOO_MUCH[0], prompt=4000)) as server, pytest.raises(ContextTooLong) as error:
        ask(model_of(server))
    assert "--max-model-len" in str(error.value) and "4000 in the messages" in str(error.value)
    # In our estimate of tokens, which is another than the server's.
    assert 0 < error.value.fits < 1100 and len(server.asked) == 1


@pytest.mark.parametrize(
    "phrase",
    [
        "max_tokens is too large: 4096. This model supports at most 512 completion tokens, whereas you "
        "provided 4096.",
        "`max_tokens` must be less than or equal to `512`, the maximum value for `max_tokens`",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 512]",
        "max_tokens: 4096 > 512, which is the maximum allowed number of output tokens for m",
    ],
    ids=["OpenAI", "Groq", "DeepSeek", "Anthropic"],
)
def test_a_servers_longest_reply_is_kept_to(phrase):
    def refuses(request):
        return (400, {"error": {"message": phrase}}) if request["max_tokens"] > 512 else None

    with Picky(refuses) as server:
        reply = ask(model_of(server))
    assert server.asked[1]["max_tokens"] == 512 and "512 tokens at most" in reply.notes[0]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                              "'max_completion_tokens' instead.", "param": "max_tokens"}},
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_tokens"],
                     "msg": "Extra inputs are not permitted"}]},
    ],
    ids=["OpenAI", "a gateway"],
)  # fmt: skip
def test_the_other_name_of_the_longest_reply_is_tried_and_remembered(body):
    with Picky(lambda r: (400, body) if "max_tokens" in r else None) as server:
        model = model_of(server)
        reply = ask(model)
        ask(model)
    assert [("max_tokens" in r, r.get("max_completion_tokens")) for r in server.asked] == [
        (True, None), (False, 4096), (False, 4096)
    ]  # fmt: skip
    assert "max_completion_tokens is sent" in reply.notes[0]


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "tools", 0, "function", "strict"],
                     "msg": "Extra inputs are not permitted"}]},
        [{"error": {"message": "Invalid JSON payload received. Unknown name \"strict\" at "
                               "'tools[0].function': Cannot find field."}}],
        {"error": {"message": "Unknown parameter", "param": "tools[0].function.strict"}},
    ],
    ids=["Mistral", "Gemini", "a gateway"],
)  # fmt: skip
def test_tools_go_without_strict_where_that_alone_is_refused(body):
    def refuses(request):
        return (422, body) if "strict" in request["tools"][0]["function"] else None

    with Picky(refuses) as server:
        model = model_of(server)
        reply = ask(model)
        ask(model)
    assert len(server.asked) == 3 and "no strict" in reply.notes[0]
    without = {k: v for k, v in TOOL["function"].items() if k != "strict"}
    assert server.asked[1]["tools"] == [{"type": "function", "function": without}]


@pytest.mark.parametrize(
    "refused",
    [
        (400, {"message": '"auto" tool choice requires --enable-auto-tool-choice and '
                          "--tool-call-parser to be set"}),
        (400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"}),
        (500, {"error": {"code": 500, "message": "tools param requires --jinja flag"}}),
        (500, {"code": 500, "message": "Unsupported param: tools", "type": "server_error"}),
        (404, {"error": {"message": "No endpoints found that support tool use.", "code": 404}}),
        (422, {"error": "Tool error: function calling is not available"}),
        (200, {"error": "this model does not support tools"}),
    ],
    ids=["vLLM", "Ollama", "llama.cpp", "llama.cpp of old", "OpenRouter", "TGI", "in a success"],
)  # fmt: skip
def test_where_tools_are_refused_the_text_format_is_named(refused):
    said = refusal_of(refused, retries=3)
    assert "--tool-format text" in said and "tool" in said.split("; try")[0].lower()


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        ((401, {"error": {"message": "bad key"}}), "OPENAI_API_KEY, which is not set"),
        ((404, {"detail": "Not Found"}), "ends in /v1); the server has: m"),
        ((200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}), "ends in /v1"),
        ((402, {"error": {"message": "pay"}}), "nothing left to spend"),
        ((429, {"error": {"message": "You exceeded your current quota"}}), "nothing left to spend"),
        ((400, {"error": {"message": "Unsupported value: 'temperature' does not support 0.5"}}),
         "leave temperature out"),
    ],
)  # fmt: skip
def test_what_to_try_is_said(refused, says, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert says in refusal_of(refused, temperature=0.5, retries=3)


def test_a_refusal_that_nothing_helps_is_asked_once_more_at_most():
    body = {"error": {"message": "'strict' is not supported, nor is anything else"}}
    with Picky(lambda r: (400, body)) as server, pytest.raises(ModelError, match="nor is anything"):
        ask(model_of(server))
    assert len(server.asked) == 2


def test_a_busy_server_is_no_server_that_refuses():
    assert not Refusal.of(500, '{"error": "internal error in the tool server"}').no_tools
    assert not Refusal.of(503, "context length exceeded").too_long
    assert Reply().notes == ()
