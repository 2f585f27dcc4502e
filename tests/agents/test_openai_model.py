"""The wire: what is the server's fault is tried again, what is not is said in words."""

import math
import time

import pytest

from agents.config import LlmConfig
from agents.model import Allowance, ContextTooLong, ModelError, Reply, estimate_tokens
from agents.openai_model import OpenAIModel
from agents.replies import not_a_reply, read_reply
from tests.agents import faulty
from tests.agents.faulty import FaultyServer, one_call

HELLO = [{"role": "user", "content": "hello"}]
AMPLE = Allowance(1000, math.inf)
SAYS = one_call("simulate", {"designs": [{"w": 1}]}, text="Look:")


def ask(server, messages=HELLO, limits=AMPLE, **settings):
    settings = {"model": "m", "base_url": server.url, "timeout_s": 0.5, "retries": 3} | settings
    model = OpenAIModel(LlmConfig(**settings), seed=7)
    try:
        return model.reply(messages, [], limits=limits)
    finally:
        model.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr("agents.openai_model._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("agents.openai_model._LONGEST_PAUSE_S", 0.002)


@pytest.mark.parametrize(
    "fault", [*faulty.SERVER_FAULTS, faulty.hangs, faulty.dribbles], ids=lambda f: f.__name__
)
def test_a_fault_of_the_server_is_tried_again(fault):
    with FaultyServer(lambda m, t: SAYS, [fault]) as server:
        reply = ask(server)
    assert reply.calls == SAYS.calls and reply.text == "Look:" and reply.attempts == 2
    assert server.misbehaved == [fault.__name__]


@pytest.mark.parametrize("fault", faulty.ODDITIES, ids=lambda f: f.__name__)
def test_what_servers_differ_in_is_understood(fault):
    from agents.tool_form import calls_of

    with FaultyServer(lambda m, t: SAYS, [fault]) as server:
        reply = ask(server)
    assert reply.attempts == 1
    calls = calls_of(reply)[1]
    assert [(c.name, c.readable) for c in calls] == [("simulate", True)] and calls[0].id


@pytest.mark.parametrize(
    ("fault", "reasoning"),
    [(faulty.ODDITIES[-1], "hm"), (faulty.ODDITIES[-2], "hm")],
    ids=["field", "think block"],
)
def test_reasoning_is_kept_apart_from_the_text(fault, reasoning):
    with FaultyServer(lambda m, t: SAYS, [fault]) as server:
        reply = ask(server)
    assert reply.reasoning == reasoning and "think" not in reply.text


def test_reasoning_that_was_cut_off_is_no_text():
    raw = {"choices": [{"message": {"content": "<think>and so on"}, "finish_reason": "length"}]}
    reply = read_reply(raw, HELLO)
    assert reply.reasoning == "and so on" and reply.text == "" and reply.truncated


def test_a_server_that_never_answers_is_given_up_after_the_retries_allowed():
    with (
        FaultyServer(lambda m, t: SAYS, [faulty.broken] * 9) as server,
        pytest.raises(ModelError, match=r"no reply after 3 attempts.*HTTP 500: internal error"),
    ):
        ask(server, retries=2)
    assert len(server.misbehaved) == 3


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9/v1 cannot be reached"):
        OpenAIModel(LlmConfig(model="m", base_url="http://127.0.0.1:9/v1", retries=1)).reply(
            HELLO, [], limits=AMPLE
        )


def test_the_cap_on_time_ends_the_retries():
    start = time.monotonic()
    with FaultyServer(lambda m, t: SAYS, [faulty.hangs] * 9) as server, pytest.raises(ModelError):
        ask(server, limits=Allowance(1000, 1.0), timeout_s=60, retries=9)
    assert time.monotonic() - start < 9 * 3


@pytest.mark.parametrize(
    ("status", "says"), [(401, "check the key"), (404, "ends in /v1"), (400, "HTTP 400"), (422, "422")]
)  # fmt: skip
def test_a_fault_of_the_request_is_not_tried_again(status, says):
    refused = faulty._status(status, "no such thing")
    with FaultyServer(lambda m, t: SAYS, [refused] * 2) as server:
        with pytest.raises(ModelError, match=says):
            ask(server)
        assert len(server.misbehaved) == 1


def test_messages_that_are_too_long_are_a_fault_of_their_own():
    with (
        FaultyServer(lambda m, t: SAYS, [faulty.context_too_long]) as server,
        pytest.raises(ContextTooLong, match="context length"),
    ):
        ask(server)


def test_the_key_goes_to_the_server_and_into_no_error(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    quoting = faulty._status(401, "Incorrect API key provided: sk-very-secret")
    with (
        FaultyServer(lambda m, t: SAYS, [quoting]) as server,
        pytest.raises(ModelError) as error,
    ):
        ask(server)
    assert server.keys == ["Bearer sk-very-secret"]
    assert "[key]" in str(error.value) and "sk-very-secret" not in str(error.value)


def test_only_what_is_set_is_sent():
    with FaultyServer(lambda m, t: SAYS) as server:
        ask(server)
        ask(server, temperature=0.2, top_p=0.9, seeded=True, extra_body={"top_k": 5})
    plain, full = server.requests
    assert set(plain) == {"model", "messages", "max_tokens"} and plain["max_tokens"] == 1000
    assert full | {"temperature": 0.2, "top_p": 0.9, "seed": 7, "top_k": 5} == full


def test_tokens_are_estimated_where_the_server_does_not_count():
    with FaultyServer(lambda m, t: SAYS, [faulty.ODDITIES[0]]) as server:
        reply = ask(server)
    assert reply.tokens.estimated and reply.tokens.prompt == estimate_tokens(HELLO)


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], {"prompt_tokens": -1, "completion_tokens": 2},
     {"prompt_tokens": "7", "completion_tokens": 2}, {"prompt_tokens": None, "completion_tokens": 1}],
)  # fmt: skip
def test_a_count_that_is_none_is_estimated(usage):
    raw = {"choices": [{"message": {"content": "x" * 30}}], "usage": usage}
    assert read_reply(raw, HELLO).tokens.estimated


@pytest.mark.parametrize(
    "raw", [None, "x", [], {}, {"choices": None}, {"choices": [3]}, {"error": 1}]
)
def test_what_is_no_reply_is_seen_as_none(raw):
    assert not_a_reply(raw)


def test_arguments_that_are_no_json_are_not_sent_back():
    reply = Reply(calls=one_call("simulate", '{"designs": [{"w').calls)
    assert reply.to_message()["tool_calls"][0]["function"]["arguments"] == "{}"
