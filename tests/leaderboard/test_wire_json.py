"""One line, one strict JSON value."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.wire.strict_json import MAX_DEPTH, NotStrictJson, encode, parse

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_encoded_is_one_line_and_reads_back_exactly(value):
    line = encode(value)
    assert line.isascii() and line.count(b"\n") == 1 and line.endswith(b"\n")
    assert parse(line[:-1]) == value


@given(VALUES)
def test_escaped_or_not_the_value_is_the_same(value):
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_that_can_be_sent_again_or_a_reason(line):
    with contextlib.suppress(NotStrictJson):
        assert parse(encode(parse(line))[:-1]) == parse(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not JSON: Expecting value at character 0"),
        (b"NaN", "NaN is not a JSON number; write null"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"1e400", "'1e400' is too large for 64 bits"),
        (b"-" + b"9" * 19, "has 19 digits; at most 18"),
        (b"9" * 100_000, "has 100000 digits"),
        (b'{"a":1,"b":2,"a":3}', "the key 'a' is there twice"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper than 16 levels"),
        (b"[" * 500_000, "nested deeper than 16 levels"),
        (b'"\xff"', "not valid UTF-8 at byte 1"),
        ('"a"'.encode("utf-16"), "not valid UTF-8"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b'{"\\udfff":1}', "half of a surrogate pair"),
        (b"{} {}", "not JSON: Extra data"),
        (b"loading the model ...", "not JSON"),
    ],
    ids=lambda v: ascii(v[:20]) if isinstance(v, bytes) else "",
)
def test_what_is_not_strict_json_is_refused_with_its_reason(line, reason):
    with pytest.raises(NotStrictJson) as refused:
        parse(line)
    assert reason in str(refused.value) and len(str(refused.value)) < 200


def test_the_deepest_value_allowed_is_read():
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
