"""Tool calls in plain text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acs_gym.tools.definitions import definitions
from agents.model import ToolCall
from agents.text_format import instructions, read_calls, write_answers, write_calls


def test_the_instructions_name_every_tool_and_its_parameters(task):
    text = instructions(definitions(task))
    for tool in definitions(task):
        assert json.dumps(tool["function"]["name"]) in text
    assert all(name in text for name in task.space.names)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('<tool_call>{"name": "history", "arguments": {}}</tool_call>', ["history"]),
        ('Hm.\n<tool_call>\n{"name": "history"}\n</tool_call> and so on', ["history"]),
        ('<tool_call>```json\n{"name": "a", "arguments": {}}\n```</tool_call>', ["a"]),
        ('<tool_call>{"name": "a"}</tool_call><tool_call>{"name": "b"}</tool_call>', ["a", "b"]),
        ('<tool_call>{"name": "a"}<tool_call>{"name": "b"}', ["a", "b"]),
        ('<tool_call>{"name": "simulate", "argum', [""]),
        ("<tool_call>simulate it</tool_call>", [""]),
        ('<tool_call>["a"]</tool_call>', [""]),
        (
            '[TOOL_CALLS] [{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]',
            ["a", "b"],
        ),
        ('[TOOL_CALLS]a{"x": 1}[TOOL_CALLS]b[ARGS]{}', ["a", "b"]),
        ('[TOOL_CALLS] [{"name": "simulate", "argum', [""]),
        ('{"name": "a", "parameters": {}}; {"name": "b", "parameters": {}}', ["a", "b"]),
        ('[{"type": "function", "function": {"name": "a", "arguments": "{}"}}]', ["a"]),
        ('{"name": "w_pair", "value": 3}', []),
        ('A design: {"name": "a", "parameters": {}} is what I would call', []),
        ("no call at all", []),
        ("", []),
    ],
)
def test_calls_are_found_in_the_text(text, names):
    assert [c.name for c in read_calls(text)[1]] == names


def test_arguments_quoted_once_more_are_understood():
    text = '<tool_call>{"name": "a", "arguments": "{\\"x\\": 1}"}</tool_call>'
    assert json.loads(read_calls(text)[1][0].arguments) == {"x": 1}


def test_prose_is_what_is_left():
    assert read_calls('Now:\n<tool_call>{"name": "a"}</tool_call>')[0] == "Now:"


@given(
    st.text(st.characters(exclude_characters="<", exclude_categories=("Cs",))),
    st.lists(st.tuples(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), st.integers()))),
)  # fmt: skip
def test_what_is_written_reads_back(prose, calls):
    made = [
        ToolCall(f"call_{k}", name, json.dumps(arguments))
        for k, (name, arguments) in enumerate(calls, start=1)
    ]
    text, found = read_calls(write_calls(prose, made))
    assert list(found) == made and text == prose.strip()


@given(st.text())
def test_no_text_is_too_odd_to_read(text):
    prose, calls = read_calls(text)
    assert isinstance(prose, str) and all(c.id for c in calls)


def test_answers_stand_in_their_order():
    assert write_answers(["1", "2"]) == (
        "<tool_response>1</tool_response>\n<tool_response>2</tool_response>"
    )
