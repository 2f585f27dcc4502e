"""What is asked, what is written down, and how a conversation is kept within its limit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.config import LlmConfig
from agents.dialogue import Dialogue, fit
from agents.limits import LimitReached
from agents.model import ContextTooLong, ModelError, Reply, TokenCount, estimate_tokens
from agents.transcript.records import read_transcript

CONFIG = LlmConfig(model="m", base_url="http://127.0.0.1:9/v1", context_tokens=1024)
START = [{"role": "system", "content": "task"}, {"role": "user", "content": "begin"}]


class Model:
    """Answers `replies` in turn; an exception is raised."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def reply(self, messages, tools, *, limits):
        self.asked.append((list(messages), limits))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def turns(sizes):
    found = []
    for number, size in enumerate(sizes):
        found += [
            {"role": "assistant", "content": "a" * size,
             "tool_calls": [{"id": str(number), "type": "function",
                             "function": {"name": "simulate", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": str(number), "content": "r" * size},
        ]  # fmt: skip
    return found


@given(st.lists(st.integers(0, 900), max_size=12), st.integers(50, 3000))
def test_what_fits_is_whole_and_what_does_not_loses_whole_turns(sizes, limit):
    messages = [*START, *turns(sizes)]
    kept = fit(messages, limit, lambda tokens: "summary")
    assert kept[:2] == START
    if estimate_tokens(messages) <= limit:
        assert kept == messages
    elif len(sizes) > 1:
        assert kept[-2:] == messages[-2:]
        assert "summary" in kept[2]["content"]
        rest = kept[3:]
        assert rest == messages[len(messages) - len(rest) :]  # The latest, in order.
        assert len(rest) == 2 or estimate_tokens(kept) <= limit
    called = [c["id"] for m in kept for c in m.get("tool_calls", [])]
    assert called == [m["tool_call_id"] for m in kept if m["role"] == "tool"]


def test_a_short_conversation_is_the_same_object_by_object():
    messages = [*START, *turns([10])]
    assert all(a is b for a, b in zip(fit(messages, 10_000), messages, strict=True))


def test_everything_is_written_down_once(task, tmp_path):
    path = tmp_path / "t.jsonl"
    said = Reply(text="hm", reasoning="well", tokens=TokenCount(100, 10))
    with (
        task.session(3) as session,
        Dialogue("llm", CONFIG, session, transcript=path, model=Model(said, said)) as dialogue,
    ):
        messages = list(START)
        dialogue.ask(messages)
        session.simulate(task.reference)
        messages += [said.to_message(), {"role": "user", "content": "more"}]
        dialogue.ask(messages)
    records = read_transcript(path)
    assert [r.type for r in records] == [
        "start", "message", "message", "reply", "evaluation", "message", "reply", "end",
    ]  # fmt: skip
    assert records[3].reasoning == "well" and records[3].prompt_tokens == 100
    assert records[-1].score == 1.0 and records[-1].prompt_tokens == 200
    assert session.usage.tokens == 220


def test_a_prompt_that_the_server_calls_too_long_is_shortened(task, tmp_path):
    model = Model(ContextTooLong("too long"), Reply(text="fine"))
    with task.session(1) as session:
        dialogue = Dialogue("llm", CONFIG, session, transcript=tmp_path / "t", model=model)
        with dialogue:
            reply = dialogue.ask([*START, *turns([200] * 6)], summary=lambda tokens: "nothing")
    assert reply.text == "fine"
    first, second = (len(messages) for messages, _ in model.asked)
    assert second < first
    assert [r.type for r in read_transcript(tmp_path / "t")].count("fault") == 1


def test_a_prompt_that_cannot_be_shortened_is_an_error(task):
    with (
        task.session(1) as session,
        Dialogue("llm", CONFIG, session, model=Model(ContextTooLong("no"))) as dialogue,
        pytest.raises(ModelError),
    ):
        dialogue.ask(START)


def test_a_cap_ends_the_conversation_before_it_is_passed(task, tmp_path):
    config = CONFIG.model_copy(update={"max_tokens": 300})
    model = Model(Reply(text="a", tokens=TokenCount(100, 180)))
    with task.session(1) as session, Dialogue("llm", config, session, model=model) as dialogue:
        dialogue.ask(START)
        with pytest.raises(LimitReached, match="300 tokens, 280 used"):
            dialogue.ask(START)


def test_how_it_ended_is_written_even_when_it_raised(task, tmp_path):
    path = tmp_path / "t"
    with (
        task.session(1) as session,
        pytest.raises(ModelError),
        Dialogue("llm", CONFIG, session, transcript=path, model=Model(ModelError("gone"))) as d,
    ):
        d.ask(START)
    assert read_transcript(path)[-1].reason == "ModelError: gone"


def test_the_key_is_in_no_transcript_whoever_says_it(task, tmp_path, monkeypatch):
    from agents.chat_server import ChatServer

    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    path = tmp_path / "t"
    with (
        ChatServer(lambda m, t: Reply(text="I know sk-very-secret")) as server,
        task.session(1) as session,
        Dialogue("llm", LlmConfig(model="m", base_url=server.url), session, transcript=path) as d,
    ):
        d.ask(START)
    assert "sk-very-secret" not in path.read_text() and "[key]" in path.read_text()


def test_odd_characters_survive(task, tmp_path):
    path = tmp_path / "t"
    odd = "\ud800 \x00 </script> \u2028 ü"
    with (
        task.session(1) as session,
        Dialogue("llm", CONFIG, session, transcript=path, model=Model(Reply(text=odd))) as d,
    ):
        d.ask(START)
    assert json.loads(path.read_bytes().splitlines()[3])["content"] == odd
