"""Engineering notation: what a person types and reads."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acs_gym.units import column_scale, format_si, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12u", 12e-6), ("1.5p", 1.5e-12), ("10k", 10e3), ("20M", 20e6), ("20MHz", 20e6),
        ("20meg", 20e6), ("3m", 3e-3), ("2e-6", 2e-6), ("-.5n", -0.5e-9), ("5", 5.0),
        ("12um", 12e-6), (" 1.5pF ", 1.5e-12), ("2.2kOhm", 2200.0), ("7µ", 7e-6), ("1e3u", 1e-3),
        ("1.5 pF", 1.5e-12), ("61.2 dB", 61.2), ("63 °", 63.0), ("-3.5 %", -3.5), ("12 V/us", 12e6),
        ("551.8 um²", 551.8e-12), ("3V/µs", 3e6), ("20 ppm/°C", 20.0), ("4.2 mS", 4.2e-3), ("0 m", 0.0),
    ],
)  # fmt: skip
def test_reads_si_prefixes_spice_suffixes_and_units(text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "u", "1.2.3", "12 apples", "nan", "inf", "1e", "0x10", "1_0", "5 mdB", "3 u m", "-", "+inf dB"],
)  # fmt: skip
def test_refuses_what_is_not_a_number_and_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="write for example 12u"):
        parse(text)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.5e6, "Hz", "12.5 MHz"), (3.2e-6, "A", "3.2 uA"), (66.912, "dB", "66.91 dB"),
        (0.0, "V", "0 V"), (math.nan, "V", "-"), (None, "V", "-"), (math.inf, "", "+inf"),
        (9.9999e5, "Hz", "1 MHz"), (1e-18, "F", "0.001 fF"), (11e6, "V/s", "11 V/us"),
        (5.518e-10, "m^2", "551.8 um²"), (3, "", "3"),
    ],
)  # fmt: skip
def test_prints_engineering_notation(value: float | None, unit: str, text: str) -> None:
    assert format_si(value, unit) == text


@given(
    st.floats(1e-14, 1e12) | st.floats(-1e12, -1e-14) | st.just(0.0),
    st.sampled_from(
        ["", "A", "F", "Hz", "V", "Ohm", "s", "W", "S", "H", "J", "V/s", "m^2", "dB", "°", "%", "ppm/°C",
         "V/V"]
    ),
    st.integers(4, 9),
)  # fmt: skip
def test_what_is_printed_reads_back_to_the_printed_precision(
    value: float, unit: str, digits: int
) -> None:
    printed = format_si(value, unit, digits)
    assert parse(printed) == pytest.approx(value, rel=10.0 ** (1 - digits))
    assert parse(printed.replace(" ", "")) == parse(printed)


@given(st.floats(1e-9, 0.99e-3))
def test_a_length_reads_back_wherever_a_prefix_says_that_it_is_one(value: float) -> None:
    assert parse(format_si(value, "m", 9)) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize(
    ("values", "unit", "heading", "texts"),
    [
        ([9.5e6, 12.345e6, 1.2e9], "Hz", "MHz", ["9.5", "12.3", "1200.0"]),
        ([-1e-3, 0.0, math.nan, 5e-3], "V", "mV", ["-1.00", "0.00", "-", "5.00"]),
        ([60.0, 61.26], "dB", "dB", ["60.0", "61.3"]),
        ([5e-10, 0.21, 0.24], "", "", ["5e-10", "0.210", "0.240"]),
        ([1.3221e-9], "m^2", "um²", ["1322"]),
        ([math.nan, math.inf], "V", "V", ["-", "+inf"]),
    ],
)
def test_a_column_has_one_unit_and_the_decimals_of_its_middle_value(
    values: list[float], unit: str, heading: str, texts: list[str]
) -> None:
    scale = column_scale(values, unit)
    assert (scale.unit, [scale.text(v) for v in values]) == (heading, texts)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1), st.sampled_from(["V", "dB", "", "m^2", "V/s"]))
def test_a_column_stays_narrow_and_shows_no_value_as_zero(values: list[float], unit: str) -> None:
    scale = column_scale(values, unit)
    for value in values:
        text = scale.text(value)
        assert len(text) <= 10
        assert (float(text) == 0) == (value * 10.0**-scale.power == 0)
