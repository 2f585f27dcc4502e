"""The MCP server through the official client, over both transports and both generations of protocol."""

from __future__ import annotations

import json
import threading
from concurrent.futures import CancelledError

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

import acs_gym
from acs_gym.simulation.pool import Simulator, WorkerPool
from acs_gym.tools.answers import design_text, evaluation_text
from acs_gym.tools.definitions import definitions
from acs_gym.tools.mcp import McpTools
from acs_gym.units import format_si
from agents.mcp.bench import Bench
from agents.prompts import system_prompt
from tests.agents.mcp_process import (
    SMALL,
    all_gone,
    call,
    http_client,
    http_server,
    serving,
    within_patience,
)

TASK = acs_gym.make_task("ota5t", pdk="generic")
REFERENCE = design_text(TASK, TASK.reference or {})
NARROW = REFERENCE | {"w_pair": "20u"}
REFERENCE_WIDTH = format_si((TASK.reference or {})["w_pair"], "m")
# Protocol versions up to 2025-11-25 begin with a handshake (`legacy`); later ones have none.
EVERY_WAY = [(t, m) for t in ("stdio", "http") for m in ("legacy", "auto")]
TWO_WAYS = [("stdio", "legacy"), ("http", "auto")]


def designs_tried(count: int) -> list[dict[str, object]]:
    """Designs that differ, so that none is known already."""
    return [REFERENCE | {"i_bias": f"{4 + k / 100}u"} for k in range(count)]


@pytest.mark.parametrize(("transport", "mode"), EVERY_WAY)
def test_a_client_finds_the_tools_with_the_ranges_and_the_task_in_three_ways(transport, mode):
    async def talk(client: Client) -> None:
        async with client:
            tools = {t.name: t for t in (await client.list_tools()).tools}
            (prompt,) = (await client.list_prompts()).prompts
            words, numbers = (await client.list_resources()).resources
            prompted = await client.get_prompt(prompt.name)
            read = await client.read_resource(str(words.uri))
            record = json.loads((await client.read_resource(str(numbers.uri))).contents[0].text)
            statement = system_prompt(TASK, 7)
            assert client.instructions == statement
            assert (prompt.name, str(words.uri)) == ("size-circuit", "acs-gym://task")
            assert (str(numbers.uri), record["budget"]) == ("acs-gym://task.json", 7)
            assert [p["low"] for p in record["task"]["parameters"]] == [p.low for p in TASK.space]
            assert prompted.messages[0].content.text == statement == read.contents[0].text
        expected = {d["function"]["name"]: d["function"] for d in definitions(TASK)}
        assert {n: t.input_schema for n, t in tools.items()} == {
            n: f["parameters"] for n, f in expected.items()
        }
        assert {n: t.description for n, t in tools.items()} == {
            n: f["description"] for n, f in expected.items()
        }
        offered = McpTools(TASK.session(7)).tools()  # As the leaderboard's server has them.
        assert [t.model_dump(by_alias=True, exclude_none=True) for t in tools.values()] == offered
        read_only = {n for n, t in tools.items() if t.annotations.read_only_hint}
        assert read_only == {"operating_point", "gm_id", "history"}
        parameters = tools["simulate"].input_schema["properties"]["designs"]["items"]["properties"]
        for parameter in TASK.space:
            assert parameter.range_text() in parameters[parameter.name]["description"]

    with serving(transport, mode, *SMALL, "--budget", "7") as connect:
        within_patience(lambda: talk(connect()))


@pytest.mark.parametrize(("transport", "mode"), EVERY_WAY)
def test_a_client_sizes_a_circuit(transport, mode, in_process: Simulator):
    with TASK.session(simulator=in_process) as session:
        narrow = TASK.space.canonicalize((TASK.reference or {}) | {"w_pair": 20e-6})
        first, second = session.simulate([TASK.reference or {}, narrow])

    async def talk(client: Client) -> None:
        async with client:
            refused, answer = await call(client, "simulate", designs=[REFERENCE])
            assert not refused
            assert answer["results"] == [evaluation_text(TASK, first, 1)]
            refused, answer = await call(client, "simulate", designs=[NARROW, TASK.reference])
            assert not refused
            assert answer["results"] == [
                evaluation_text(TASK, second, 2),
                evaluation_text(TASK, first, 3),
            ]
            assert answer["simulations_left"] == 2
            _, point = await call(client, "operating_point", design=2)
            assert point["transistors"]["pair_p"]["region"] == "saturation"
            _, history = await call(client, "history")
            assert [d["parameters"]["w_pair"] for d in history["designs"]] == [
                REFERENCE_WIDTH, "20 um", REFERENCE_WIDTH,
            ]  # fmt: skip
            assert await call(client, "finish", summary="done") == (False, {"finished": True})
            refused, answer = await call(client, "simulate", designs=[REFERENCE])
            assert refused and "finished" in answer["error"]
            assert (await call(client, "history"))[1] == history
            refused, answer = await call(client, "operating_point", design=None)
            assert refused and "finished" in answer["error"]

    with serving(transport, mode, *SMALL, "--budget", "5") as connect:
        within_patience(lambda: talk(connect()))


@pytest.mark.parametrize(("transport", "mode"), TWO_WAYS)
def test_a_budget_that_is_used_up_ends_simulating_and_nothing_else(transport, mode):
    async def talk(client: Client) -> None:
        async with client:
            refused, answer = await call(client, "simulate", designs=designs_tried(3))
            assert refused and answer["simulations_left"] == 2 and "nothing" in answer["error"]
            assert not (await call(client, "simulate", designs=designs_tried(2)))[0]
            refused, answer = await call(client, "simulate", designs=[REFERENCE])
            assert refused and answer["simulations_left"] == 0
            assert not (await call(client, "operating_point", design=1))[0]
            assert len((await call(client, "history"))[1]["designs"]) == 2

    with serving(transport, mode, *SMALL, "--budget", "2") as connect:
        within_patience(lambda: talk(connect()))


WRONG_CALLS = [
    ("simulate", {"designs": [REFERENCE | {"w_pair": "1"}]}, TASK.space["w_pair"].range_text()),
    ("simulate", {"designs": [REFERENCE | {"w_pairs": "1u"}]}, "did you mean w_pair?"),
    ("simulate", {"designs": [REFERENCE | {"w_pair": "wide"}]}, "write for example 12u"),
    ("simulate", {"designs": [{"w_pair": "20u"}]}, "missing: l_pair"),
    ("simulate", {"designs": []}, "designs is a list of designs"),
    ("simulate", {}, "missing: w_pair"),
    ("operating_point", {"design": 1}, "no design was simulated yet"),
    ("simulat", {"designs": [REFERENCE]}, "Did you mean simulate?"),
    ("nothing_like_it", {}, "simulate, operating_point, gm_id, history, finish"),
]


@pytest.mark.parametrize(("transport", "mode"), TWO_WAYS)
def test_what_cannot_be_done_is_answered_with_what_can_and_is_not_charged(transport, mode):
    async def talk(client: Client) -> None:
        async with client:
            for name, arguments, said in WRONG_CALLS:
                refused, answer = await call(client, name, **arguments)
                assert refused and said in answer["error"], (name, arguments)
                assert answer["simulations_left"] == 3
            with pytest.raises(MCPError, match="size-circuit"):
                await client.get_prompt("size")
            with pytest.raises(MCPError, match="acs-gym://task"):
                await client.read_resource("acs-gym://nothing")
            assert (await call(client, "history"))[1] == {"designs": [], "simulations_left": 3}

    with serving(transport, mode, *SMALL, "--budget", "3") as connect:
        within_patience(lambda: talk(connect()))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_clients_share_one_budget_also_at_the_same_time(mode):
    answers: list[tuple[bool, dict]] = []

    async def ask(client: Client, design: dict[str, object]) -> None:
        answers.append(await call(client, "simulate", designs=[design]))

    async def talk(one: Client, other: Client) -> None:
        async with one, other:
            async with anyio.create_task_group() as group:
                for k, design in enumerate(designs_tried(10)):
                    group.start_soon(ask, (one, other)[k % 2], design)
            assert await call(one, "history") == await call(other, "history")
            assert len((await call(one, "history"))[1]["designs"]) == 6
            await call(one, "finish", summary="")
            assert "finished" in (await call(other, "simulate", designs=[REFERENCE]))[1]["error"]

    with serving("http", mode, *SMALL, "--budget", "6") as connect:
        within_patience(lambda: talk(connect(), connect()))
    done = [answer for refused, answer in answers if not refused]
    assert sorted(a["results"][0]["design"] for a in done) == [1, 2, 3, 4, 5, 6]
    assert sorted(a["simulations_left"] for a in done) == [0, 1, 2, 3, 4, 5]
    assert len(answers) - len(done) == 4


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_that_comes_back_finds_its_history(mode):
    async def talk(connect) -> None:
        async with connect() as client:
            await call(client, "simulate", designs=[REFERENCE])
        async with connect() as client:
            _, history = await call(client, "history")
            assert [d["design"] for d in history["designs"]] == [1]
            assert history["simulations_left"] == 1

    with serving("http", mode, *SMALL, "--budget", "2") as connect:
        within_patience(lambda: talk(connect))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_that_leaves_during_a_simulation_does_not_lose_it(mode):
    async def talk(connect, server) -> None:
        async with connect() as client, anyio.create_task_group() as group:
            group.start_soon(lambda: call(client, "simulate", designs=designs_tried(40)))
            await anyio.to_thread.run_sync(server.workers)
            group.cancel_scope.cancel()
        async with connect() as client:
            assert len((await call(client, "history"))[1]["designs"]) == 40

    with http_server(*SMALL, "--budget", "40") as (entry, server):
        within_patience(lambda: talk(lambda: http_client(entry, mode), server))


@pytest.mark.filterwarnings("ignore:ping is removed")  # Of the new protocol; we use the old one.
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_server_answers_while_it_simulates(transport):
    order: list[str] = []

    async def simulate(client: Client) -> None:
        await call(client, "simulate", designs=designs_tried(40))
        order.append("simulated")

    async def talk(client: Client) -> None:
        async with client, anyio.create_task_group() as group:
            group.start_soon(simulate, client)
            await anyio.wait_all_tasks_blocked()
            await client.send_ping()
            order.append("ping")
            await client.list_tools()
            order.append("tools")

    with serving(transport, "legacy", *SMALL, "--budget", "40") as connect:
        within_patience(lambda: talk(connect()))
    assert order == ["ping", "tools", "simulated"]


def test_a_call_given_up_while_it_waits_is_not_carried_out(in_process: Simulator):
    bench = Bench(TASK.session(3, simulator=in_process), in_process, 60.0)
    one, given_up, two = (
        bench.ask("simulate", {"designs": [design]}) for design in designs_tried(3)
    )
    assert given_up.cancel()
    bench.stop()
    bench.work()
    assert [json.loads(f.result().text)["results"][0]["design"] for f in (one, two)] == [1, 2]
    assert bench.session.remaining == 1
    with pytest.raises(CancelledError):
        given_up.result()


def test_an_error_goes_to_the_one_who_asked_and_the_bench_works_on(in_process: Simulator):
    class Broken(Simulator):
        def run(self, jobs):
            self.run = in_process.run
            raise acs_gym.SimulatorNotFound("gone")

    bench = Bench(TASK.session(2, simulator=Broken()), in_process, 60.0)
    lost, fine = (bench.ask("simulate", {"designs": [d]}) for d in designs_tried(2))
    bench.stop()
    bench.work()
    with pytest.raises(acs_gym.SimulatorNotFound, match="gone"):
        lost.result()
    assert not fine.result().refused


def test_simulators_are_freed_when_nothing_is_asked_for_a_client_left_or_the_work_is_finished():
    with WorkerPool(1) as pool:
        bench = Bench(TASK.session(3, simulator=pool), pool, 0.2)
        worker = threading.Thread(target=bench.work)
        worker.start()

        def simulated() -> list[int]:
            assert (
                not bench.ask("simulate", {"designs": [REFERENCE | {"m_tail": 5}]}).result().refused
            )
            assert not bench.ask("operating_point", {"design": 1}).result().refused
            return list(pool.process_ids)

        assert simulated() and all_gone(simulated())
        assert simulated()
        bench.left()
        bench.ask("history", {}).result()
        assert pool.process_ids == ()
        bench.ask("operating_point", {"design": 1}).result()
        assert pool.process_ids != ()
        bench.ask("finish", {"summary": ""}).result()
        assert pool.process_ids == ()
        bench.stop()
        worker.join()
