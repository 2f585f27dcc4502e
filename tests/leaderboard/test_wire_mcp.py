"""`mcp:COMMAND`: the same run, budget and rules as `stdio:COMMAND`, for a client of MCP."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acs_gym.session import BudgetExhausted
from acs_gym.tools.definitions import definitions
from acs_gym.tools.mcp import McpTools
from acs_gym.tools.statement import statement
from leaderboard.agents.registry import build
from leaderboard.cells.records import CellStatus
from leaderboard.cells.runner import run_cell
from leaderboard.contract import Agent, agent_config, agent_track
from leaderboard.errors import LeaderboardError
from leaderboard.running.plan import plan_cells
from leaderboard.trust.verify import verify_cell
from leaderboard.wire.exchange import AgentFailed, Exchange, Patience
from leaderboard.wire.isolation.levels import Subprocess
from leaderboard.wire.mcp import McpAgent
from leaderboard.wire.mcp_lines import REVISIONS, USAGE, McpConversation
from tests.leaderboard.wire_runs import (
    PATIENT,
    SHORT,
    Run,
    adversary,
    analytic_session,
    drive,
    running,
    task,
)

DESIGN = {p.name: p.low for p in task().space}
HELLO = {"protocolVersion": REVISIONS[-1], "capabilities": {}, "clientInfo": {"name": "me"}}


def client(does: str, folder, **how) -> Run:
    """A run of the client that misbehaves in one way."""
    return drive(adversary("mcp_misbehaves", does), folder, kind=McpAgent, **how)


def conversation(budget: int = 4, **patience) -> McpConversation:
    return McpConversation(Exchange(analytic_session(budget), patience=Patience(**patience)))


def ask(talk: McpConversation, method: str, **params):
    request = {"jsonrpc": "2.0", "id": 5, "method": method, "params": params}
    answer = json.loads(talk.reply(json.dumps(request).encode()))
    assert answer["id"] == 5
    return answer


def call(talk: McpConversation, name: str, **arguments):
    return ask(talk, "tools/call", name=name, arguments=arguments)["result"]


@pytest.fixture
def talk():
    greeted = conversation()
    ask(greeted, "initialize", **HELLO)
    return greeted


# What each line is answered with


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_with_a_handshake_is_spoken(revision):
    talk = conversation()
    result = ask(talk, "initialize", **HELLO | {"protocolVersion": revision})["result"]
    assert result["protocolVersion"] == talk.revision == revision
    assert set(result["capabilities"]) == {"tools", "resources"}
    assert result["instructions"] == statement(task(), 4)
    assert talk.exchange.agent.name == "me"


def test_a_revision_that_is_not_known_is_answered_with_the_last_that_is():
    talk = conversation()
    result = ask(talk, "initialize", **HELLO | {"protocolVersion": "2099-01-01"})["result"]
    assert result["protocolVersion"] == REVISIONS[-1]


def test_a_client_that_asks_for_what_is_not_there_is_told_so_and_not_blamed(talk):
    for method in ("server/discover", "prompts/list", "logging/setLevel"):
        assert ask(talk, method)["error"]["code"] == -32601
    assert talk.exchange.failures == []


def test_the_tools_are_those_of_every_other_server_with_the_same_schemas(talk):
    listed = ask(talk, "tools/list")["result"]["tools"]
    assert listed == McpTools(analytic_session()).tools()
    assert [t["name"] for t in listed] == ["simulate", "operating_point", "history", "finish"]
    for tool, told in zip(listed, definitions(task()), strict=True):
        assert (tool["description"], tool["inputSchema"]) == (
            told["function"]["description"], told["function"]["parameters"],
        )  # fmt: skip


def test_a_result_is_text_and_structured_alike(talk):
    for name, arguments, refused in [
        ("simulate", {"designs": [DESIGN]}, False), ("simulate", {"designs": [{}]}, True),
        ("history", {}, False), ("finish", {"summary": "done"}, False),
    ]:  # fmt: skip
        result = call(talk, name, **arguments)
        assert result["isError"] is refused
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert talk.exchange.session.meter.used == 1


def test_the_task_is_told_in_words_and_as_stdio_says_it_in_initialize(talk):
    opening = json.loads(talk.exchange.opening())["params"]
    call(talk, "simulate", designs=[DESIGN])
    words, numbers = ask(talk, "resources/list")["result"]["resources"]
    (read,) = ask(talk, "resources/read", uri=numbers["uri"])["result"]["contents"]
    assert json.loads(read["text"]) == {k: opening[k] for k in ("task", "budget", "seed")}
    (read,) = ask(talk, "resources/read", uri=words["uri"])["result"]["contents"]
    assert read["text"] == statement(task(), 4)
    other = ask(talk, "resources/read", uri="file:///etc/passwd")["error"]
    assert "those there are: acs-gym://task" in other["message"]


def test_an_operating_point_is_free_and_counts_as_a_call_that_simulates_nothing():
    talk = conversation(idle_calls=3)
    ask(talk, "initialize", **HELLO)
    session = talk.exchange.session
    call(talk, "simulate", designs=[DESIGN])
    point = call(talk, "operating_point", design=1)["structuredContent"]
    assert point["transistors"]["pair_p"]["region"] == "saturation"
    call(talk, "operating_point", design=None)
    assert (session.meter.used, session.remaining) == (1, 3)
    with pytest.raises(AgentFailed, match="3 calls in a row that simulate nothing"):
        call(talk, "history")


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("simulate", {}, "missing: w_pair"),
        ("simulate", {"designs": [DESIGN | {"w_pair": "wide"}]}, "write for example 12u"),
        ("simulate", {"designs": [DESIGN | {"w_pair": 1.0}]}, "it goes from 500 nm to 100 um"),
        ("simulate", {"designs": [DESIGN] * 5}, "5 designs asked for, 4 can still be simulated"),
        ("operating_point", {}, "no design was simulated yet"),
        ("simulte", {}, "Did you mean simulate?"),
    ],
)
def test_a_call_that_is_not_carried_out_is_a_tools_error_and_not_charged(
    talk, name, arguments, says
):
    result = call(talk, name, **arguments)
    assert result["isError"] and says in result["structuredContent"]["error"]
    assert result["structuredContent"]["simulations_left"] == 4
    assert talk.exchange.session.meter.used == 0 and len(talk.exchange.failures) == 1


def test_what_is_wrong_a_thousand_times_is_said_a_few_times(talk):
    names = {f"nonsense_{k}": 1 for k in range(20_000)}
    result = call(talk, "simulate", designs=[DESIGN | names] * 2)
    assert result["isError"] and len(result["content"][0]["text"]) < 2000


def test_what_a_model_cost_is_said_beside_finish_by_the_program_that_knows(talk):
    usage = {USAGE: {"tokens": 5, "money": 0.25}}
    finish = {"name": "finish", "arguments": {"summary": "done"}}
    too_early = ask(talk, "tools/call", name="history", _meta=usage)["error"]
    negative = ask(talk, "tools/call", **finish, _meta={USAGE: {"tokens": -1}})["error"]
    assert "with finish" in too_early["message"] and "tokens" in negative["message"]
    assert talk.exchange.finish is None
    ask(talk, "tools/call", **finish, _meta=usage | {"progressToken": 1})
    assert talk.exchange.session.usage.tokens == 5 and talk.exchange.session.usage.money == 0.25


def test_what_a_revision_adds_to_a_request_is_let_pass(talk):
    answer = ask(
        talk, "tools/call", name="history", arguments=None, task=None, _meta={"progressToken": 1}
    )
    assert answer["result"]["structuredContent"]["simulations_left"] == 4


def test_notifications_are_not_answered():
    for method in ("notifications/initialized", "notifications/cancelled", "tools/call"):
        line = json.dumps({"jsonrpc": "2.0", "method": method}).encode()
        assert conversation().reply(line) is None


def test_calls_that_simulate_nothing_have_an_end():
    for method in ("ping", "tools/list", "nonsense"):
        talk = conversation(idle_calls=3)
        ask(talk, method)
        ask(talk, method)
        with pytest.raises(AgentFailed, match="3 calls in a row that simulate nothing"):
            ask(talk, method)


def test_errors_in_a_row_end_the_run_and_a_good_call_forgives_them():
    talk = conversation(errors=3)
    ask(talk, "initialize", **HELLO)
    for _ in range(3):
        call(talk, "simulate")
        ask(talk, "tools/call", name="none")
        call(talk, "history")
    call(talk, "simulate")
    assert talk.reply(b"oops") is not None
    with pytest.raises(AgentFailed, match="3 errors in a row"):
        talk.reply(None)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "arguments", "designs", "uri", "id"]), inner)
    ),
    max_leaves=8,
)
METHODS = ["initialize", "tools/call", "tools/list", "resources/read", "ping", "nonsense"]


@settings(max_examples=150, deadline=None)
@given(method=st.sampled_from(METHODS), params=JUNK)
def test_whatever_is_sent_is_answered_once_and_charges_nothing(method, params):
    talk = conversation()
    request = {"jsonrpc": "2.0", "id": 3, "method": method, "params": params}
    answer = json.loads(talk.reply(json.dumps(request).encode()))
    assert ("result" in answer) != ("error" in answer)
    assert talk.exchange.session.meter.used == 0


# Through the bridge


def test_a_sound_client_spends_its_budget_and_reports_its_usage(tmp_path):
    run = client("sound", tmp_path)
    assert run.error is None, run.error
    assert run.session.meter.used == 6
    assert (run.session.usage.tokens, run.session.usage.money) == (5, 0.25)
    assert run.record["agent"] == {"name": "sound", "version": "1"}
    assert run.record["transport"] == "mcp" and run.record["mcp_revision"] == "2025-06-18"
    assert run.record["finished_by"] == "finish" and run.record["exit_code"] == 0
    assert run.record["isolation"]["level"] == "subprocess"


def test_lines_that_are_no_strict_json_rpc_are_answered_and_the_run_goes_on(tmp_path):
    run = client("bad_lines", tmp_path)
    assert run.error is None, run.error
    assert run.said == [[-32700] * 7 + [-32600] * 3]
    assert run.session.meter.used == 1


def test_tools_that_are_not_there_and_scores_of_its_own_are_refused(tmp_path):
    run = client("unknown_tool", tmp_path)
    assert run.error is None, run.error
    unknown, claimed = run.said
    assert "Did you mean simulate?" in unknown["error"]
    assert "unknown parameter 'score'" in claimed["error"]
    assert run.session.meter.used == 1 and run.session.best.score < 1


def test_asking_for_more_gets_nothing_more_and_ends_the_run(tmp_path):
    run = client("overspends", tmp_path)
    assert "9 designs asked for, 6 can still be simulated; nothing" in run.said[0]["error"]
    assert isinstance(run.error, BudgetExhausted)
    assert run.session.meter.used == 6


def test_one_that_leaves_over_a_refusal_is_over_budget(tmp_path):
    run = client("lets_a_refusal_through", tmp_path)
    assert isinstance(run.error, BudgetExhausted) and run.session.meter.used == 0


@pytest.mark.parametrize(
    ("does", "message", "simulated"),
    [
        ("hangs", "did not say anything, or read, for 1 s", 1),
        ("deaf", "did not say anything, or read, for 1 s", 0),
        ("pings", "1000 calls in a row that simulate nothing", 0),
        ("notifies", "1000 calls in a row that simulate nothing", 0),
        ("exits_unused", "before finish: it ended with exit code 0", 0),
        ("fails", "exit code 1; it printed last: 'I leave'", 1),
    ],
)
def test_a_client_that_does_not_do_its_part_is_ended(tmp_path, does, message, simulated):
    run = client(does, tmp_path, patience=SHORT if "did not say" in message else PATIENT)
    assert isinstance(run.error, AgentFailed) and message in str(run.error)
    assert message in run.record["error"] and run.record["finished_by"] == ""
    assert run.session.meter.used == simulated


@pytest.mark.parametrize("does", ["never_connects", "never_speaks"])
def test_a_command_that_is_no_client_is_ended(tmp_path, does):
    run = client(does, tmp_path, patience=Patience(start_s=1))
    assert "did not connect to its server for 1 s" in str(run.error)


@pytest.mark.parametrize("namespaces", [True, False])
def test_ending_after_a_simulation_is_finishing(tmp_path, namespaces):
    run = client("exits", tmp_path, isolation=Subprocess(namespaces=namespaces))
    assert run.error is None, run.error
    assert run.session.meter.used == 1
    assert run.record["finished_by"] == "exit" and run.record["finish"] is None


def test_a_second_client_is_told_to_wait_and_may_come_when_the_first_has_left(tmp_path):
    run = client("two_at_once", tmp_path)
    assert run.error is None, run.error
    told = "another MCP client is connected; close that one first"
    *_, refused, exit_code, remaining = run.log.splitlines()
    assert (json.loads(refused), exit_code, remaining) == (told, "1", "4")
    assert (run.record["clients"], run.record["clients_refused"]) == (2, 1)
    assert run.record["agent"]["name"] == "first"


def test_one_that_leaves_without_hearing_its_answer_may_come_again(tmp_path):
    run = client("leaves_rudely", tmp_path)
    assert run.error is None, run.error
    assert run.record["clients"] == 2 and run.record["finished_by"] == "finish"
    # Whether its last request got through is its own affair; if so, it is charged.
    assert run.session.meter.used in (1, 2)


def test_tools_wait_for_the_handshake(tmp_path):
    run = client("asks_before_it_greets", tmp_path)
    assert run.said == [{"code": -32001, "message": "send initialize first"}]
    assert run.error is None, run.error


def test_what_was_sent_before_the_client_left_is_answered(tmp_path):
    run = client("all_at_once", tmp_path)
    assert run.error is None, run.error
    assert run.said == [[False] * 4] and run.record["finished_by"] == "finish"


def test_what_is_asked_after_finish_is_not_simulated(tmp_path):
    run = client("goes_on_after_finish", tmp_path)
    assert run.error is None, run.error
    (told,) = run.said
    assert all("the work was finished" in answer["error"] for answer in told) and len(told) == 3
    assert run.session.meter.used == 0 and run.record["lines_after_finish"] == 3


def test_one_that_removes_its_socket_harms_nobody(tmp_path):
    run = client("tampers_with_its_socket", tmp_path)
    assert run.error is None, run.error
    assert run.session.meter.used == 1


def test_a_long_path_of_the_folder_is_no_obstacle_and_nothing_is_left(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    run = client("exits", tmp_path, patience=PATIENT)
    assert run.error is None, run.error
    assert list(deep.iterdir()) == [] and running(str(deep)) == []


# As an agent of the leaderboard


def test_it_is_named_by_its_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script, config = tmp_path / "mine.py", tmp_path / "mcp.json"
    script.write_text("")
    config.write_text("{}")  # Of another program's; the word means the agent's own.
    agent = build(f"mcp:{sys.executable} mine.py mcp.json")
    assert isinstance(agent, Agent) and isinstance(agent, McpAgent)
    assert agent_track(agent) == "metrics"
    assert list(agent_config(agent)["files"]) == ["mine.py"]
    assert agent._resolved[1:] == (str(script), "mcp.json")
    with pytest.raises(LeaderboardError, match="write mcp:COMMAND"):
        build("mcp:")


OFFICIAL = """
import json
import anyio
from mcp import Client, StdioServerParameters

async def main():
    with open("mcp.json") as stream:
        (entry,) = json.load(stream)["mcpServers"].values()
    async with Client(StdioServerParameters(**entry)) as client:
        tools = [t.name for t in (await client.list_tools()).tools]
        record = await client.read_resource("acs-gym://task.json")
        told = json.loads(record.contents[0].text)
        design = {p["name"]: p["low"] for p in told["task"]["parameters"]}
        refused = await client.call_tool("simulate", {"designs": [design] * 9})
        other = design | {"w_pair": 2e-6}
        given = await client.call_tool("simulate", {"designs": [design, other]})
        print(json.dumps([tools, client.instructions[:8], refused.is_error,
                          given.structured_content["simulations_left"]]))

anyio.run(main)
"""


def test_the_official_client_is_simulated_for_real_verified_and_kept(tmp_path, store):
    """It first asks for a revision without a handshake, and then takes one with it."""
    pytest.importorskip("mcp")
    script = tmp_path / "official.py"
    script.write_text(OFFICIAL)
    (cell,) = plan_cells(
        ["ACS-OTA5T-v0"], [f"mcp:{sys.executable} {script}"], repetitions=1,
        pdk="generic", tier="tt", budget=3, suite_seed=0,
    )  # fmt: skip
    result = run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
    assert result.status is CellStatus.COMPLETE, result.message
    assert result.usage.simulations == 2 and result.verified is not None
    assert result.fingerprint["isolation"]["level"] == "subprocess"
    folder = store.cell(result.key)
    tools_, instructions, refused, remaining = json.loads((folder / "agent.log").read_text())
    assert tools_ == ["simulate", "operating_point", "history", "finish"]
    assert (instructions, refused, remaining) == ("You size", True, 1)
    record = json.loads((folder / "wire.json").read_text())
    assert record["finished_by"] == "exit" and record["mcp_revision"] == REVISIONS[-1]
    store.finish(result)
    assert verify_cell(store, result.key).findings == ()
