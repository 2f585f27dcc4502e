"""Any text becomes designs inside the space, or a complaint that says what is wrong; nothing else."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import acs_gym
from acs_gym.tools.answers import design_text
from agents.loops.proposals import read_proposals
from agents.loops.ranges import narrow, read_ranges

TASK = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
SPACE = TASK.space


def sample(seed):
    return SPACE.sample(np.random.default_rng(seed))


def written(seed):
    """A design as a model writes it."""
    return design_text(TASK, sample(seed))


A, B = written(1), written(2)
WRONG = A | {"w_pair": "1 km"}

answers = {
    "one bare design": (json.dumps(A), [A]),
    "a list": (json.dumps([A, B]), [A, B]),
    "a fence with prose around it": (
        f"So:\n```json\n{json.dumps([A, B])}\n```\nGood luck.",
        [A, B],
    ),
    "a fence that names no language": (f"```\n{json.dumps(A)}```", [A]),
    "a fence that is not closed": (f"```json\n{json.dumps([A])}", [A]),
    "prose with brackets of its own": (
        f"In [1] and {{x}} gain (or [2, 3]) is {json.dumps([A])}.",
        [A],
    ),
    "under the name designs": (json.dumps({"designs": [A, B]}), [A, B]),
    "one under the name design": (json.dumps({"design": A}), [A]),
    "each under a name of its own": (json.dumps({"first": A, "second": B}), [A, B]),
    "rows like those of the prompt": (json.dumps([{"parameters": A, "design": 7}]), [A]),
    "one fence a design": (
        f"```json\n{json.dumps(A)}\n```\nor\n```json\n{json.dumps(B)}\n```",
        [A, B],
    ),
    "a draft before the answer": (f"Perhaps {json.dumps([A])}? No: {json.dumps([B])}", [B]),
    "a list cut off within its second design": (json.dumps([A, B])[:-30], [A]),
    "numbers instead of notation": (json.dumps(sample(1)), [A]),
}


@pytest.mark.parametrize(("text", "expected"), answers.values(), ids=answers)
def test_it_reads_the_ways_in_which_models_answer(text, expected):
    found = read_proposals(TASK, text, wanted=4)
    assert found.usable
    assert [list(d.values()) for d in found.designs] == [
        pytest.approx([float(v) for v in read_proposals(TASK, json.dumps(e), 1).designs[0].values()],
                      rel=1e-4)
        for e in expected
    ]  # fmt: skip


complaints = {
    "nothing": ("", "no JSON object or list"),
    "prose": ("I would widen the pair.", "no JSON object or list"),
    "numbers alone": ("[1, 2, 3]", "no JSON object or list"),
    "notation without quotes": ('{"w_pair": 20u}', 'in quotes: "20u"'),
    "a name twice": ('{"w_pair": 1, "w_pair": 2}', "stands twice"),
    "NaN": (json.dumps(A).replace(json.dumps(A["w_pair"]), "NaN"), "NaN"),
    "endless nesting": ("[" * 5000, "JSON cannot be read"),
    "an empty list under a name": ('{"designs": []}', "holds no design"),
    "a parameter too few": (json.dumps({k: v for k, v in A.items() if k != "i_bias"}), "missing: i_bias"),
    "a parameter too many": (json.dumps(A | {"w_pear": 1}), "unknown parameter 'w_pear'"),
    "out of range": (json.dumps(WRONG), "w_pair = 1 km"),
    "no number": (json.dumps(A | {"m_tail": None}), "m_tail is None"),
    "the second of two": (json.dumps([WRONG, WRONG]), "design 2 of 2"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "complaint"), complaints.values(), ids=complaints)
def test_the_complaint_names_the_mistake(text, complaint):
    found = read_proposals(TASK, text, wanted=4)
    assert not found.usable and complaint in found.complaint


def test_good_designs_are_taken_and_the_others_named():
    found = read_proposals(TASK, json.dumps([WRONG, B]), wanted=4)
    assert found.designs == read_proposals(TASK, json.dumps(B), 1).designs
    assert "design 1 of 2" in found.complaint


def test_a_design_that_is_known_or_repeated_is_no_proposal():
    (known,) = read_proposals(TASK, json.dumps(A), 1).designs
    found = read_proposals(TASK, json.dumps([A, B, B]), 4, {SPACE.key(known)})
    assert len(found.designs) == 1
    assert "design 1 of 3 was simulated before" in found.complaint
    assert "design 3 of 3 repeats" in found.complaint


def test_no_more_designs_are_taken_than_were_asked_for():
    found = read_proposals(TASK, json.dumps([A, B]), wanted=1)
    assert len(found.designs) == 1 and "only 1 of your 2" in found.complaint


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["20u", "1e999", "-3", "1.5 pF", "9" * 400]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from([*SPACE.names, "designs", "design", "ranges"]) | st.text(max_size=8),
        inner, max_size=9,
    ),
    max_leaves=20,
)  # fmt: skip
designs = st.builds(lambda seed, other: sample(seed) | other,
                    st.integers(0, 99),
                    st.dictionaries(st.sampled_from(SPACE.names), anything, max_size=1))  # fmt: skip
# Any value, and JSON that is damaged in some place, as well as text of any kind.
values = (anything | designs | st.lists(designs, max_size=5)).map(lambda v: json.dumps(v))
texts = (
    st.text()
    | st.text(alphabet='[]{}",:`json\n\\0123e-.', max_size=80)
    | values
    | st.builds(lambda t, k, c: t[:k] + c + t[k:], values, st.integers(0, 60), st.text(max_size=3))
    | st.builds("{}```json\n{}\n```{}".format, st.text(max_size=9), values, st.text(max_size=9))
)


@settings(max_examples=400, deadline=None)
@given(texts, st.integers(1, 5))
def test_any_text_gives_designs_inside_the_space_or_a_complaint(text, wanted):
    found = read_proposals(TASK, text, wanted)
    assert len(found.designs) <= wanted
    assert found.designs or found.complaint
    assert all(SPACE.canonicalize(d) == d for d in found.designs)
    found.complaint.encode()  # It goes into a request.


@settings(max_examples=400, deadline=None)
@given(texts)
def test_any_text_gives_ranges_that_narrow_the_space_or_a_complaint(text):
    found = read_ranges(TASK, text)
    assert found.usable or found.complaint
    found.complaint.encode()
    if found.usable:
        for parameter in narrow(SPACE, found.ranges):
            whole = SPACE[parameter.name]
            assert whole.low <= parameter.low < parameter.high <= whole.high


bounds = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
NAMES = st.sampled_from(SPACE.names)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(NAMES, bounds, min_size=1), st.lists(st.floats(0, 1), min_size=8, max_size=8)
)
def test_a_design_of_the_narrowed_space_is_one_of_the_whole_and_within_the_ranges(units, unit):
    given_ranges = {}
    for name, (low, high) in units.items():
        p = SPACE[name]
        # Between the grid's values, as a model's numbers are.
        wide = replaced_grid(p)
        given_ranges[name] = [wide(low), wide(high)]
    found = read_ranges(TASK, json.dumps({"ranges": given_ranges}))
    if not found.usable:
        assert "low must be less than high" in found.complaint or "narrower" in found.complaint
        return
    design = narrow(SPACE, found.ranges).from_unit(unit)
    assert SPACE.canonicalize(design) == design
    for name, (low, high) in given_ranges.items():
        assert low * (1 - 1e-6) <= design[name] <= high * (1 + 1e-6)


def replaced_grid(parameter):
    """From the unit interval to a value of the range that need not be on the grid."""
    if parameter.scale == "log":
        return lambda u: min(
            max(parameter.low * (parameter.high / parameter.low) ** u, parameter.low),
            parameter.high,
        )
    return lambda u: parameter.low + u * (parameter.high - parameter.low)


def test_a_narrowed_parameter_keeps_its_scale_grid_and_integers():
    found = read_ranges(TASK, '{"m_tail": [1.5, 4.9], "l_pair": ["0.302u", "0.998u"]}')
    space = narrow(SPACE, found.ranges)
    assert (space["m_tail"].low, space["m_tail"].high) == (2, 4)
    assert (space["l_pair"].low, space["l_pair"].high) == (0.305e-6, 0.995e-6)
    for name in SPACE.names:
        before, after = SPACE[name], space[name]
        assert (after.scale, after.grid, after.integer) == (
            before.scale,
            before.grid,
            before.integer,
        )
    assert space["w_pair"] == SPACE["w_pair"]


range_complaints = {
    "prose": ("narrower, I think", "no JSON"),
    "a list": ("[{}]", "no object of ranges"),
    "empty": ("{}", "names no parameter"),
    "unknown": ('{"w_pear": [1, 2]}', "unknown parameter 'w_pear'"),
    "no pair": ('{"w_pair": "20u"}', "w_pair needs [low, high]"),
    "three numbers": ('{"w_pair": [1, 2, 3]}', "w_pair needs [low, high]"),
    "no number": ('{"w_pair": ["wide", "20u"]}', "cannot read 'wide'"),
    "outside": ('{"w_pair": ["1u", "1"]}', "500 nm to 100 um"),
    "upside down": ('{"w_pair": ["20u", "10u"]}', "low must be less than high"),
    "within a step": (
        '{"l_pair": ["301n", "304n"]}',
        "l_pair: the range ['301n', '304n'] is narrower",
    ),
    "a single integer": ('{"m_tail": [2, 2.5]}', "m_tail: the range [2, 2.5] is narrower"),
    "one good, one bad": ('{"m_tail": [2, 4], "w_pair": [3]}', "w_pair needs [low, high]"),
}


@pytest.mark.parametrize(("text", "complaint"), range_complaints.values(), ids=range_complaints)
def test_the_complaint_names_what_is_wrong_with_a_range(text, complaint):
    found = read_ranges(TASK, text)
    assert not found.usable and complaint in found.complaint


@pytest.mark.parametrize(
    "value", [["2u", "8u"], {"low": 2e-6, "high": "8u"}, {"min": "2 um", "max": 8e-6}]
)
def test_a_range_is_written_in_several_ways(value):
    found = read_ranges(TASK, f"```json\n{json.dumps({'w_pair': value})}\n```")
    assert found.ranges == {"w_pair": (2e-6, 8e-6)} and found.usable
