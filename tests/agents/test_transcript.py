"""What a transcript holds: its lines checked, its turns put together."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.transcript.records import (
    End,
    Replied,
    Simulated,
    Start,
    TranscriptError,
    TranscriptWriter,
    read_transcript,
)
from agents.transcript.turns import read_turns
from tests.agents.recorded import HOSTILE, edited, of_type, record_llm, record_mcp, record_opro

KINDS = ("tools", "text", "opro", "mcp")


@pytest.fixture(scope="module")
def files(task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transcripts")
    return {
        "tools": record_llm(folder / "tools.jsonl", task),
        "text": record_llm(folder / "text.jsonl", task, tool_format="text"),
        "opro": record_opro(folder / "opro.jsonl", task),
        "mcp": record_mcp(folder / "mcp.jsonl", task),
    }


def simulated(records):
    return [r for r in records if isinstance(r, Simulated)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_written_again_to_the_byte(files, kind, tmp_path):
    writer = TranscriptWriter(tmp_path / "again.jsonl")
    for record in read_transcript(files[kind]):
        writer.write(record)
    writer.close()
    assert (tmp_path / "again.jsonl").read_bytes() == files[kind].read_bytes()


def test_a_text_that_is_no_utf8_survives(tmp_path):
    path = tmp_path / "t.jsonl"
    writer = TranscriptWriter(path)
    start = Start(
        agent="a", task="t", task_digest="", pdk="p", tier="tt", specs={}, budget=None, seed=0,
        config={}, started="",
    )  # fmt: skip
    reply = Replied(
        content="half \ud83d", prompt_tokens=1, completion_tokens=1, seconds=0, agent_seconds=0
    )
    writer.write(start)
    writer.write(reply)
    writer.close()
    assert read_transcript(path) == [start, reply]


def _set(kind, field, value):
    def change(lines):
        of_type(lines, kind)[0][field] = value

    return change


def _set_evaluation(field, value):
    def change(lines):
        of_type(lines, "evaluation")[0]["evaluation"][field] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("start", "schema_version", 9), "line 1: schema_version: is 9"),
        (_set("start", "seed", "none"), "line 1: start.seed: "),
        (_set("start", "type", "message"), "line 1: is not the start of a transcript"),
        (_set("message", "role", "assistant"), "line 2: message.role: "),
        (_set("message", "type", "shout"), "line 2: type: Input tag 'shout'"),
        (_set("reply", "prompt_tokens", None), "line 4: reply.prompt_tokens: "),
        (_set("reply", "surprise", 1), "line 4: reply.surprise: "),
        (_set("evaluation", "number", 0), "line 5: evaluation.number: "),
        (_set_evaluation("score", "high"), "line 5: evaluation.evaluation.score: "),
        (_set_evaluation("status", "fine"), "line 5: evaluation.evaluation.status: "),
        (_set_evaluation("surprise", 1), "line 5: evaluation.evaluation.surprise: "),
        (lambda lines: lines.insert(3, lines[0]), "line 4: type: a second start"),
        (lambda lines: lines.insert(2, [1]), "line 3: type: "),
    ],
)
def test_a_damaged_line_is_named_with_its_field(files, tmp_path, change, said):
    path = edited(files["tools"], tmp_path / "damaged.jsonl", change)
    with pytest.raises(TranscriptError) as error:
        read_transcript(path)
    assert str(error.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n", "line 1: is no JSON"),
        (b"{\n", "line 1: is no JSON"),
        (b"\xff\xfe\n", "line 1: is no JSON"),
        (b'{"type": "start", "seed": NaN}\n', "line 1: is no JSON: NaN"),
        (b"[" * 100_000 + b"\n", "line 1: is no JSON"),
        (b"3\n", "line 1: is not the start of a transcript"),
    ],
)
def test_a_file_that_is_no_transcript_is_refused(tmp_path, content, said):
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    with pytest.raises(TranscriptError, match=said):
        read_transcript(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TranscriptError, match=r"none\.jsonl: cannot be read: No such file"):
        read_transcript(tmp_path / "none.jsonl")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_wherever_it_is_cut_off_the_whole_lines_before_are_read(
    files, tmp_path_factory, data, kind
):
    content = files[kind].read_bytes()
    first = content.index(b"\n") + 1
    length = data.draw(st.integers(first, len(content)))
    path = tmp_path_factory.mktemp("cut") / "cut.jsonl"
    path.write_bytes(content[:length])
    records = read_transcript(path)
    assert records == read_transcript(files[kind])[: content[:length].count(b"\n")]
    conversation = read_turns(records)
    assert list(conversation.evaluations) == simulated(records)
    assert (conversation.end is None) == (length < len(content))
    if conversation.end is None:
        assert conversation.reason.startswith("cut off")


@pytest.mark.parametrize("kind", KINDS)
def test_every_evaluation_has_one_place_and_the_totals_are_those_of_the_end(files, kind):
    records = read_transcript(files[kind])
    conversation = read_turns(records)
    end = records[-1]
    assert isinstance(end, End) and conversation.reason == end.reason
    assert list(conversation.evaluations) == simulated(records)
    assert conversation.simulations == end.simulations
    assert conversation.prompt_tokens == end.prompt_tokens
    assert conversation.completion_tokens == end.completion_tokens
    assert conversation.usd == pytest.approx(end.usd, abs=1e-6)
    assert len(conversation.replies) == end.replies
    assert conversation.best.evaluation["score"] == end.score


@pytest.mark.parametrize("kind", ["tools", "text"])
def test_calls_have_their_answers_and_designs_in_either_format(files, kind):
    conversation = read_turns(read_transcript(files[kind]))
    found = [
        [(c.name, [s.number for s in c.evaluations], bool(c.refusal)) for c in t.calls]
        for t in conversation.turns
    ]
    assert found == [
        [("simulate", [1, 2], False)],
        [("operating_point", [], False), ("simulate", [], True)],
        [],
        [("simulate", [3, 4, 5], False), ("nope", [], True), ("simulate", [], True),
         ("history", [], False)],
        [("finish", [], False)],
    ]  # fmt: skip
    assert not any(t.evaluations for t in conversation.turns)
    assert conversation.turns[0].text == HOSTILE and conversation.turns[0].reply.reasoning
    assert set(conversation.turns[1].calls[0].transistors) >= {"pair_p", "pair_n", "tail"}
    assert conversation.turns[1].calls[1].designs[0]["w_pair"] == "1 km"
    assert [m.role for m in conversation.turns[0].prompt] == ["system", "user"]
    assert "Nothing was called" in conversation.turns[3].prompt[0].content


def test_designs_of_the_last_turn_have_their_call_though_it_was_not_answered(task, tmp_path):
    from tests.agents.policies import Walk

    path = record_llm(tmp_path / "t.jsonl", task, Walk(task))
    records = read_transcript(path)
    assert read_turns(records).reason == "the budget is used up"
    # As an interrupt leaves it: the designs were simulated, the answer was not written.
    cut = max(k for k, r in enumerate(records) if r.type == "evaluation") + 1
    conversation = read_turns(records[:cut])
    last = conversation.turns[-1].calls[0]
    assert last.answer is None and [s.number for s in last.evaluations] == [6]


def test_an_agent_that_reads_plain_text_has_its_designs_with_the_reply(files):
    conversation = read_turns(read_transcript(files["opro"]))
    assert len(conversation.turns) >= 2 and not any(t.calls for t in conversation.turns)
    assert sum(len(t.evaluations) for t in conversation.turns) + len(conversation.before) == 8
    assert json.loads(conversation.turns[0].text.split("```json")[1].split("```")[0])


def test_what_has_no_model_has_evaluations_alone(files):
    conversation = read_turns(read_transcript(files["mcp"]))
    assert conversation.turns == () and len(conversation.before) == 7


def test_a_note_stands_with_the_reply_that_it_is_about(files, tmp_path):
    """What was asked otherwise before it, what was read otherwise after it."""

    def change(lines):
        second = lines.index(of_type(lines, "reply")[1])
        lines.insert(second + 1, {"type": "note", "kind": "reading", "message": "read"})
        lines.insert(second, {"type": "note", "kind": "request", "message": "asked"})

    turns = read_turns(read_transcript(edited(files["tools"], tmp_path / "t.jsonl", change))).turns
    assert [t.notes for t in turns[:3]] == [(), ("asked", "read"), ()]
