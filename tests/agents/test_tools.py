"""The tools: what a model may do, what it is told, and what nothing is charged for."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import acs_gym
from acs_gym.design import Parameter
from acs_gym.tools.answers import design_text
from acs_gym.tools.definitions import definitions
from acs_gym.tools.reading import read_design, read_value
from acs_gym.tools.toolbox import Toolbox

NOT_DESIGNS = [
    (None, "no JSON object"), ("w_pair=1", "no JSON object"), ([1, 2], "no JSON object"),
    ({"designs": []}, "list of designs"), ({"designs": "all"}, "list of designs"),
    ({"designs": [3]}, "JSON object of parameters"), ({"designs": [{}]}, "missing: w_pair"),
]  # fmt: skip


@pytest.fixture
def toolbox(task):
    with task.session(4) as session:
        yield Toolbox(session)


def test_every_tool_has_a_strict_schema(task_id):
    for tool in definitions(acs_gym.make_task(task_id, pdk="generic")):
        function = tool["function"]
        schema = function["parameters"]
        assert function["strict"] and not schema["additionalProperties"]
        assert schema["required"] == list(schema["properties"])


def test_the_schema_of_a_design_names_every_parameter_with_its_range(task):
    design = definitions(task)[0]["function"]["parameters"]["properties"]["designs"]["items"]
    assert tuple(design["properties"]) == task.space.names == tuple(design["required"])
    for parameter in task.space:
        assert parameter.range_text() in design["properties"][parameter.name]["description"]


def test_a_design_is_simulated_and_judged_in_engineering_notation(toolbox, task):
    written = design_text(task, task.reference)
    answer = toolbox.call("simulate", {"designs": [written]})
    (result,) = json.loads(answer.text)["results"]
    assert result["all_specs_met"] and result["score"] == 1 and "missed" not in result
    assert result["metrics"]["gain"].endswith("dB") and result["metrics"]["ugbw"].endswith("MHz")
    assert json.loads(answer.text)["simulations_left"] == 3
    assert answer.evaluations == (toolbox.session.history[0],)


def test_what_a_design_misses_is_said_with_its_target(toolbox, task):
    middle = task.space.from_unit([0.5] * len(task.space))
    (result,) = json.loads(toolbox.call("simulate", {"designs": [middle]}).text)["results"]
    evaluation = toolbox.session.history[0]
    assert set(result["missed"]) == {m for m, v in evaluation.margins.items() if not v >= 0}
    assert all("needs" in text for text in result["missed"].values())


def test_several_designs_in_one_call_are_charged_each(toolbox, task):
    designs = [task.space.from_unit([u] * len(task.space)) for u in (0.4, 0.5, 0.6)]
    answer = json.loads(toolbox.call("simulate", {"designs": designs}).text)
    assert [r["design"] for r in answer["results"]] == [1, 2, 3]
    assert toolbox.session.meter.used == 3 and answer["simulations_left"] == 1


@pytest.mark.parametrize("form", ["bare", "single", "under design"])
def test_a_design_without_the_list_around_it_is_understood(toolbox, task, form):
    design = task.reference
    given = {"bare": design, "single": {"designs": design}, "under design": {"design": design}}
    assert len(toolbox.call("simulate", given[form]).evaluations) == 1


@pytest.mark.parametrize(("arguments", "says"), NOT_DESIGNS)
def test_what_is_no_design_is_refused_and_not_charged(toolbox, arguments, says):
    answer = toolbox.call("simulate", arguments)
    assert answer.refused and says in json.loads(answer.text)["error"]
    assert toolbox.session.meter.used == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"w_pair": "1 km"}, "500 nm to 100 um"), ({"w_pair": -1}, "500 nm to 100 um"),
        ({"w_pair": "wide"}, "write for example 12u"), ({"w_pair": None}, "not a number"),
        ({"w_pair": True}, "not a number"), ({"w_pair": math.nan}, "finite"),
        ({"w_piar": 1e-6}, "did you mean w_pair"), ({"i_bias": "1e400"}, ""),
    ],
)  # fmt: skip
def test_a_wrong_value_is_answered_with_what_is_allowed(toolbox, task, change, says):
    answer = toolbox.call("simulate", {"designs": [task.reference | change]})
    assert answer.refused and says in json.loads(answer.text)["error"]
    assert toolbox.session.meter.used == 0


def test_a_lone_m_behind_a_length_is_the_unit_or_the_prefix_whichever_fits(toolbox, task):
    """`w_pair` goes from 500 nm to 100 um, `i_bias` is no length."""
    for written, metres in (("5e-06 m", 5e-6), ("0.005m", 5e-6), ("5um", 5e-6)):
        answer = toolbox.call("simulate", {"designs": [task.reference | {"w_pair": written}]})
        assert answer.evaluations[0].design["w_pair"] == pytest.approx(metres)
        noted = ("w_pair = 5e-06 m was read as 5 um, in metres",) if written == "5e-06 m" else ()
        assert answer.readings == noted and "metre" not in answer.text
    assert toolbox.call("simulate", {"designs": [task.reference | {"i_bias": "2e-05 m"}]}).refused


def test_where_both_are_in_the_range_both_are_named():
    wide = Parameter("w", 1e-6, 1.0, unit="m")
    with pytest.raises(
        ValueError, match=r"'0.5 m' may be 500 mm .*or 500 um .*write 0\.5 or 0\.0005"
    ):
        read_value(wide, "0.5 m")
    assert read_value(wide, "0 m") == 0


def test_designs_given_as_json_texts_are_read_and_said(toolbox, task):
    written = json.dumps([task.reference])
    assert toolbox.call("simulate", {"designs": written}).readings
    assert toolbox.call("simulate", {"designs": [json.dumps(task.reference)]}).readings
    refused = toolbox.call("simulate", {"designs": '[{"w_pair": 1, "w_pair": 2}]'})
    assert "designs is a list of designs" in refused.refusal  # A name twice may mean two things.


def test_every_mistake_is_named_at_once(toolbox, task):
    bad = {**task.reference, "w_pair": 1, "l_pair": "x", "nonsense": 2}
    del bad["i_bias"]
    error = json.loads(toolbox.call("simulate", {"designs": [bad]}).text)["error"]
    assert all(name in error for name in ("w_pair", "l_pair", "nonsense", "missing: i_bias"))


def test_one_bad_design_refuses_the_whole_call(toolbox, task):
    answer = toolbox.call("simulate", {"designs": [task.reference, {"w_pair": 1}]})
    assert "design 2 of 2" in answer.text and not toolbox.session.history


def test_more_designs_than_are_left_are_refused_whole(toolbox, task):
    answer = toolbox.call("simulate", {"designs": [task.reference] * 5})
    assert answer.refused and "4 can still be simulated" in answer.text
    assert toolbox.session.meter.used == 0


def test_an_unknown_tool_is_answered_with_the_tools(toolbox):
    answer = toolbox.call("simulat", {})
    assert answer.refused and "Did you mean simulate?" in answer.text


def test_the_operating_point_is_free_and_of_every_transistor(toolbox, task):
    assert "no design was simulated" in toolbox.call("operating_point", {}).text
    toolbox.call("simulate", {"designs": [task.reference]})
    answer = json.loads(toolbox.call("operating_point", {"design": None}).text)
    names = {p.name.lower() for p in task.circuit.dut.primitives if p.kind in ("nfet", "pfet")}
    assert set(answer["transistors"]) == names and toolbox.session.meter.used == 1
    pair = answer["transistors"]["pair_p"]
    assert pair["region"] == "saturation" and 5 < pair["gm/id"] < 30


@pytest.mark.parametrize("number", [0, 2, -1, "1", 1.5, True])
def test_an_operating_point_is_of_a_design_that_was_simulated(toolbox, task, number):
    toolbox.call("simulate", {"designs": [task.reference]})
    answer = toolbox.call("operating_point", {"design": number})
    assert answer.refused and "from 1 to 1" in answer.text


def test_the_history_lists_every_design_with_its_parameters(toolbox, task):
    designs = [task.space.from_unit([u] * len(task.space)) for u in (0.4, 0.6)]
    toolbox.call("simulate", {"designs": designs})
    rows = json.loads(toolbox.call("history", {}).text)["designs"]
    assert [r["design"] for r in rows] == [1, 2]
    assert [read_design(task, r["parameters"])["m_tail"] for r in rows] == [
        d["m_tail"] for d in designs
    ]


def test_finish_ends_the_work(toolbox):
    assert toolbox.call("finish", {"summary": "done"}).finished


def test_a_failed_simulation_is_told_as_one(task):
    class Dead:
        def run(self, jobs):
            from acs_gym.simulation.engine import Outcome

            return [Outcome(acs_gym.Status.NONCONVERGED, {}, "op: found no solution") for _ in jobs]

    with task.session(1, simulator=Dead()) as session:
        (result,) = json.loads(
            Toolbox(session).call("simulate", {"designs": [task.reference]}).text
        )["results"]
    assert result["status"] == "nonconverged" and result["score"] == 0
    assert result["metrics"] == {} and "no solution" in result["message"]


@given(st.data())
def test_a_design_written_for_a_model_reads_back_to_what_it_was(task, data):
    unit = data.draw(st.lists(st.floats(0, 1), min_size=len(task.space), max_size=len(task.space)))
    design = task.space.from_unit(unit)
    again = read_design(task, json.loads(json.dumps(design_text(task, design))))
    assert again == pytest.approx(design, rel=1e-4)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["simulate", "operating_point", "history", "finish", ""]), arguments=_JSON
)
def test_whatever_a_model_writes_is_answered(toolbox, name, arguments):
    answer = toolbox.call(name, arguments)
    assert isinstance(json.loads(answer.text), dict)
    assert toolbox.session.meter.used == 0
