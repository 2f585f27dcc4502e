"""Hard caps on tokens, money and time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.limits import LimitReached, Price, PriceUnknown, Spending, price_of, read_prices
from agents.model import TokenCount


def test_a_cap_on_money_needs_a_price():
    with pytest.raises(PriceUnknown, match="price table"):
        Spending(max_money=1.0)


def test_without_caps_a_reply_may_be_as_long_as_configured():
    allowance = Spending().allow(10_000, 4096)
    assert allowance.tokens == 4096 and math.isinf(allowance.seconds)


def test_a_reply_is_shortened_to_what_the_caps_leave():
    assert Spending(max_tokens=1000).allow(700, 4096).tokens == 300
    dear = Price(prompt=1e6, completion=2e6)  # One dollar a prompt token, two a reply's.
    assert Spending(dear, max_money=300.0).allow(100, 4096).tokens == 100


@pytest.mark.parametrize(
    "spending",
    [
        Spending(max_tokens=100),
        Spending(Price(prompt=1e6, completion=1e6), max_money=100.0),
        Spending(Price(prompt=1e6, completion=0), max_money=50.0),
    ],
)
def test_a_request_that_would_pass_a_cap_is_not_sent(spending):
    with pytest.raises(LimitReached, match="no room"):
        spending.allow(90, 4096)


def test_time_is_a_cap_too():
    spending = Spending(max_seconds=60.0)
    assert 0 < spending.allow(1, 100).seconds <= 60
    spending.max_seconds = 0.0
    with pytest.raises(LimitReached, match="0 s"):
        spending.allow(1, 100)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 500)), max_size=30),
    st.integers(1, 10_000),
    st.floats(1e-6, 0.1),
)
def test_no_sequence_of_replies_passes_a_cap(requests, max_tokens, max_money):
    price = Price(prompt=2.0, completion=8.0)
    spending = Spending(price, max_tokens=max_tokens, max_money=max_money)
    for prompt, wanted in requests:
        try:
            allowance = spending.allow(prompt, max(wanted, 1))
        except LimitReached:
            continue
        spending.add(TokenCount(prompt, allowance.tokens))
    assert spending.tokens.total <= max_tokens
    assert spending.money <= max_money * (1 + 1e-9)


def test_the_price_table_has_prices():
    prices = read_prices()
    assert prices and all(p.completion >= p.prompt > 0 for p in prices.values())


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-4.1", True), ("gpt-4.1-2025-04-14", True), ("openai/gpt-4.1", True),
        ("gpt-4.1-turbo-x", False), ("qwen3", False), ("", False),
    ],
)  # fmt: skip
def test_a_dated_snapshot_has_the_price_of_its_model_and_no_other_name_has(model, known):
    assert (price_of(model, read_prices()) is not None) is known


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "usd_per_million"), ("[usd_per_million]\na = 1", "a"), ("[usd_per", "prices.toml"),
        ("[usd_per_million]\na = { prompt = -1, completion = 1 }", "a.prompt"),
    ],
)  # fmt: skip
def test_a_bad_price_table_is_named_with_its_field(tmp_path, text, says):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"prices\.toml") as error:
        read_prices(path)
    assert says in str(error.value)


def test_a_missing_price_table_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        read_prices(tmp_path / "nowhere.toml")
