"""What each line of an agent is answered with."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acs_gym.evaluation import Status
from acs_gym.session import BudgetExhausted
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import InProcessSimulator
from acs_gym.task import make_task
from leaderboard.wire.exchange import AgentFailed, Exchange, Patience
from leaderboard.wire.messages import ERRORS, SEEDS
from leaderboard.wire.schema import PATH, protocol_schema, text
from tests.leaderboard.wire_runs import analytic_session, task

HELLO = {"jsonrpc": "2.0", "id": 1, "result": {"name": "me", "version": "1"}}
DESIGN = {p.name: p.low for p in task().space}


def line(value) -> bytes:
    return json.dumps(value).encode()


def ask(exchange, method, *, identity=2, **params):
    request = {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}
    return json.loads(exchange.reply(line(request)))


@pytest.fixture
def exchange():
    with analytic_session(4) as session:
        started = Exchange(session)
        started.reply(line(HELLO))
        yield started


def test_an_agent_is_told_the_task_its_budget_and_its_seed():
    opening = json.loads(Exchange(analytic_session(4, seed=2**60 + 5)).opening())
    params = opening["params"]
    assert (opening["method"], opening["id"], params["protocol"]) == ("initialize", 1, 1)
    assert params["budget"] == 4 and params["track"] == "metrics"
    assert params["seed"] == (2**60 + 5) % SEEDS
    sized = task()
    assert params["task"]["metrics"] == sized.metric_units
    assert [p["name"] for p in params["task"]["parameters"]] == list(sized.space.names)
    multiplier = next(p for p in params["task"]["parameters"] if p["integer"])
    assert (multiplier["name"], multiplier["step"], multiplier["scale"]) == ("m_tail", 1, "linear")
    assert {(s["metric"], s["direction"]) for s in params["task"]["specs"]} >= {("gain", ">=")}


def test_designs_are_simulated_in_order_as_the_session_does(exchange):
    other = DESIGN | {"w_pair": 2e-6}
    answer = ask(exchange, "simulate", designs=[DESIGN, other])["result"]
    assert answer["remaining"] == 2
    assert answer["evaluations"] == [e.to_json() for e in exchange.session.history]
    assert [e["design"]["w_pair"] for e in answer["evaluations"]] == [DESIGN["w_pair"], 2e-6]


def test_what_each_condition_gave_is_told_to_those_who_ask():
    mc = make_task("ACS-OTA5T-v0", pdk="generic", tier="mc2")
    with mc.session(budget=8, simulator=InProcessSimulator()) as session:
        exchange = Exchange(session)
        exchange.reply(line(HELLO))
        told = ask(exchange, "simulate", designs=[DESIGN])["result"]["evaluations"][0]
        assert "by_condition" not in told
        answer = ask(exchange, "simulate", designs=[DESIGN], by_condition=True)
        told = answer["result"]["evaluations"][0]
        assert told == session.history[-1].to_json()
        assert told["by_condition"]["conditions"] == ["draw 0", "draw 1"]
        assert "by_condition" not in ask(exchange, "status")["result"]["best"]


def test_status_says_where_the_run_stands(exchange):
    assert ask(exchange, "status")["result"] == {
        "remaining": 4, "simulations": 4, "used": 0, "best": None,
    }  # fmt: skip
    ask(exchange, "simulate", designs=[DESIGN])
    standing = ask(exchange, "status")["result"]
    assert (standing["remaining"], standing["used"]) == (3, 1)
    assert standing["best"] == exchange.session.best.to_json()


def test_params_may_be_left_out_where_there_are_none(exchange):
    request = {"jsonrpc": "2.0", "id": "a", "method": "status"}
    assert json.loads(exchange.reply(line(request)))["id"] == "a"


def test_finish_keeps_the_recommendation_and_adds_the_usage(exchange):
    answer = ask(exchange, "finish", recommendation=DESIGN, usage={"tokens": 12, "money": 0.5})
    assert answer["result"] == {"best": None}
    assert exchange.finish.recommendation == DESIGN
    assert (exchange.session.usage.tokens, exchange.session.usage.money) == (12, 0.5)


def test_a_batch_larger_than_what_remains_is_refused_whole(exchange):
    error = ask(exchange, "simulate", designs=[DESIGN] * 5)["error"]
    assert error["code"] == -32000
    assert "5 designs asked for, 4 remain" in error["message"]
    assert exchange.session.meter.used == 0 and exchange.session.history == []
    assert ask(exchange, "simulate", designs=[DESIGN] * 4)["result"]["remaining"] == 0
    assert "send finish" in ask(exchange, "simulate", designs=[DESIGN])["error"]["message"]


def test_invalid_designs_are_evaluations_and_charged(exchange):
    beyond = DESIGN | {"w_pair": 1.0}
    unknown = DESIGN | {"w_pear": 1e-6}
    answer = ask(exchange, "simulate", designs=[beyond, unknown, {}])["result"]
    assert answer["remaining"] == 1
    assert [e["status"] for e in answer["evaluations"]] == ["invalid_design"] * 3
    assert "outside its range" in answer["evaluations"][0]["message"]
    assert "did you mean w_pair" in answer["evaluations"][1]["message"]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"jsonrpc": "2.0", "id": 1, "method": "simulat"}, -32601, "did you mean simulate?"),
        ({"jsonrpc": "2.0", "id": 1, "method": "x"}, -32601, "simulate, status, finish"),
        ({"jsonrpc": "2.0", "id": 1, "method": "simulate"}, -32602, "'designs': Field required"),
        ({"jsonrpc": "2.0", "method": "status"}, -32600, "'id"),
        ({"jsonrpc": "2.0", "id": None, "method": "status"}, -32600, "'id"),
        ({"jsonrpc": "2.0", "id": True, "method": "status"}, -32600, "'id"),
        ({"jsonrpc": "1.0", "id": 1, "method": "status"}, -32600, "'jsonrpc'"),
        ({"jsonrpc": "2.0", "id": 1, "method": "status", "x": 1}, -32600, "'x'"),
        ({"jsonrpc": "2.0", "id": 1, "method": "status", "params": {"x": 1}}, -32602, "'x'"),
        ({"jsonrpc": "2.0", "id": 1, "method": "status", "params": []}, -32600, "'params'"),
        ([{"jsonrpc": "2.0", "id": 1, "method": "status"}], -32600, "Allowed: jsonrpc, id, method"),
        (HELLO, -32600, "'method'"),
    ],
)
def test_a_request_that_is_none_is_answered_with_what_is_allowed(exchange, request_, code, message):
    error = json.loads(exchange.reply(line(request_)))["error"]
    assert error["code"] == code and message in error["message"]
    assert exchange.failures[0] == (code, error["message"])


@pytest.mark.parametrize(
    "params",
    [
        {"designs": []},
        {"designs": DESIGN},
        {"designs": [1]},
        {"designs": [{"w_pair": "1u"}]},
        {"designs": [{"w_pair": True}]},
        {"designs": [{"w_pair": None}]},
        {"designs": [DESIGN], "score": 1},
        {"designs": [{f"p{k}": 1.0 for k in range(257)}]},
    ],
)
def test_designs_of_the_wrong_type_are_an_error_and_not_charged(exchange, params):
    assert ask(exchange, "simulate", **params)["error"]["code"] == -32602
    assert exchange.session.meter.used == 0


@pytest.mark.parametrize("usage", [{"tokens": -1}, {"money": -0.1}, {"tokens": 1.5}, {"cost": 1}])
def test_a_usage_that_makes_no_sense_is_an_error_and_the_run_goes_on(exchange, usage):
    assert ask(exchange, "finish", usage=usage)["error"]["code"] == -32602
    assert exchange.finish is None


def test_before_initialize_is_answered_nothing_is_carried_out():
    exchange = Exchange(analytic_session(4))
    error = ask(exchange, "simulate", designs=[DESIGN])["error"]
    assert error["code"] == -32001 and "answer initialize first" in error["message"]
    assert exchange.session.meter.used == 0


def test_an_agent_may_decline():
    declined = {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "only protocol 2"}}
    with pytest.raises(AgentFailed, match=r"declined initialize.*only protocol 2"):
        Exchange(analytic_session(4)).reply(line(declined))


def test_errors_in_a_row_end_the_run_and_a_good_call_forgives_them():
    exchange = Exchange(analytic_session(4), patience=Patience(errors=3))
    exchange.reply(line(HELLO))
    for _ in range(3):
        assert exchange.reply(b"oops") is not None
        assert exchange.reply(None) is not None
        ask(exchange, "status")
    exchange.reply(b"oops")
    exchange.reply(b"oops")
    with pytest.raises(AgentFailed, match="3 errors in a row, the last: not JSON"):
        exchange.reply(b"oops")


def test_refusals_in_a_row_end_the_run_as_over_budget():
    exchange = Exchange(analytic_session(1), patience=Patience(errors=2))
    exchange.reply(line(HELLO))
    ask(exchange, "simulate", designs=[DESIGN, DESIGN])
    with pytest.raises(BudgetExhausted, match="2 errors in a row"):
        ask(exchange, "simulate", designs=[DESIGN, DESIGN])


def test_a_simulator_that_fails_does_not_keep_a_run_going_for_ever():
    class Broken:
        def run(self, jobs):
            return [Outcome(Status.INFRA_ERROR, {}, "no licence") for _ in jobs]

    exchange = Exchange(task().session(4, simulator=Broken()))
    exchange.reply(line(HELLO))
    for _ in range(2):
        assert ask(exchange, "simulate", designs=[DESIGN])["result"]["remaining"] == 4
    with pytest.raises(AgentFailed, match="the simulator failed: no licence"):
        ask(exchange, "simulate", designs=[DESIGN])


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "method", "params", "designs", "w_pair"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(method=st.sampled_from(["simulate", "status", "finish", "nonsense"]), params=JUNK)
def test_whatever_is_sent_is_answered_and_the_charge_is_what_was_simulated(method, params):
    exchange = Exchange(analytic_session(4))
    exchange.reply(line(HELLO))
    request = {"jsonrpc": "2.0", "id": 3, "method": method, "params": params}
    answer = json.loads(exchange.reply(line(request)))
    assert ("result" in answer) != ("error" in answer)
    if "error" in answer:
        assert answer["error"]["code"] in ERRORS and len(answer["error"]["message"]) <= 300
        assert exchange.session.meter.used == 0
    assert exchange.session.meter.used == len(exchange.session.history)


def test_the_published_schema_is_that_of_the_records():
    assert PATH.read_text() == text(), "stale; run: python -m leaderboard.wire.schema"


def test_real_lines_keep_to_the_schema_and_wrong_ones_do_not(exchange):
    jsonschema = pytest.importorskip("jsonschema")
    definitions = protocol_schema()["$defs"]

    def follows(value, name):
        schema = {"$ref": f"#/$defs/{name}", "$defs": definitions}
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema).is_valid(value)

    simulate = {"jsonrpc": "2.0", "id": 2, "method": "simulate", "params": {"designs": [DESIGN]}}
    assert follows(HELLO, "AgentLine") and follows(simulate, "AgentLine")
    for wrong in (
        simulate | {"params": {}},
        simulate | {"params": {"designs": [{"w_pair": "1u"}]}},
        simulate | {"method": "simulat"},
        simulate | {"score": 1},
        {k: v for k, v in simulate.items() if k != "id"},
    ):
        assert not follows(wrong, "AgentLine")
    failing = DESIGN | {"w_pair": 100e-6}
    answers = [
        json.loads(exchange.opening()),
        ask(exchange, "status"),
        ask(exchange, "simulate", designs=[DESIGN, failing, {}]),
        ask(exchange, "status"),
        ask(exchange, "simulate", designs=[DESIGN] * 9),
        json.loads(exchange.reply(b"oops")),
        ask(exchange, "finish"),
    ]
    assert {str(e.status) for e in exchange.session.history} >= {"ok", "invalid_design"}
    assert all(follows(answer, "HarnessLine") for answer in answers)
