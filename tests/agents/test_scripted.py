"""`llm-scripted`: a designer's procedure that plays the language model, behind the real wire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import acs_gym
from acs_gym.evaluation import Evaluation
from acs_gym.simulation.pool import Simulator
from acs_gym.tools.definitions import FINISH, OPERATING_POINT, SIMULATE
from acs_gym.tools.reading import read_design, read_json
from acs_gym.tools.toolbox import Toolbox
from agents.chat_server import ChatServer, respond
from agents.config import LlmConfig
from agents.llm import LlmAgent
from agents.model import Message, Reply
from agents.openai_model import OpenAIModel
from agents.prompts import BEGIN, system_prompt
from agents.scripted.agent import ScriptedAgent, scripted
from agents.scripted.circuits import PLANS
from agents.scripted.policy import designer
from tests.conftest import ALL_TASKS

OTA = acs_gym.make_task("ota5t", pdk="generic")
# The middle of its ranges is too slow for the window of its step, which is a measurement that failed.
SLOW_AT_FIRST = {"ACS-ClassAB-v0"}
UNKNOWN = replace(OTA, id="ACS-Unknown-v0")


def opening(task: acs_gym.Task) -> list[Message]:
    prompt = system_prompt(task, 20)
    return [{"role": "system", "content": prompt}, {"role": "user", "content": BEGIN}]


def conversation(
    task: acs_gym.Task, turns: int, simulator: Simulator
) -> tuple[list[Message], list[Any]]:
    """The first turns of a run, with the tools: messages, and what the tools are."""
    policy = designer(task)
    with task.session(budget=20, simulator=simulator) as session:
        toolbox = Toolbox(session)
        messages = opening(task)
        for _ in range(turns):
            reply = policy(messages, toolbox.definitions)
            messages.append(reply.to_message())
            for call in reply.calls:
                answer = toolbox.call(call.name, read_json(call.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": answer.text})
    return messages, toolbox.definitions


def asked(reply: Reply) -> list[tuple[str, Any]]:
    """What a reply asks for, without the names of its calls."""
    return [(call.name, json.loads(call.arguments)) for call in reply.calls]


def run(
    task: acs_gym.Task, budget: int, simulator: Simulator, agent: ScriptedAgent | None = None
) -> list[Evaluation]:
    with task.session(budget=budget, simulator=simulator) as session:
        (agent or ScriptedAgent()).run(session)
        assert session.meter.used <= budget
        return list(session.history)


class WithFaults(ChatServer):
    """Loses some replies on the wire, and mangles others."""

    def __init__(self, task: acs_gym.Task) -> None:
        policy = designer(task)
        self.count = 0

        def mangled(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
            reply = policy(messages, tools)
            self.count += 1
            match self.count % 6:
                case 1:  # Cut off in the middle of the arguments of every call.
                    calls = [replace(c, arguments=c.arguments[: len(c.arguments) // 2])
                             for c in reply.calls]  # fmt: skip
                    return replace(reply, calls=tuple(calls))
                case 3:  # Words only.
                    return Reply("I had better think about it.")
                case 5:  # A tool that does not exist.
                    return replace(reply, calls=(replace(reply.calls[0], name="simulation"),))
            return reply

        super().__init__(mangled)

    def handle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.requests.append({})
        if len(self.requests) % 4 == 2:
            respond(handler, 503, {"error": {"message": "busy"}}, Retry_After="0.01")
        else:
            super().handle(handler, body)


# What it says.


def test_it_begins_with_a_design_and_a_look_at_its_operating_point() -> None:
    (first, second) = asked(designer(OTA)(opening(OTA), [{}]))
    assert first[0] == SIMULATE and set(first[1]["designs"][0]) == set(OTA.space.names)
    assert second == (OPERATING_POINT, {"design": None})


def test_the_same_messages_get_the_same_reply(in_process: Simulator) -> None:
    messages, tools = conversation(OTA, 5, in_process)
    talker = designer(OTA)
    backwards = [talker(messages[:n], tools) for n in range(len(messages), 1, -1)]
    forwards = [designer(OTA)(messages[:n], tools) for n in range(2, len(messages) + 1)]
    assert backwards[::-1] == forwards
    designs = {r.calls[0].arguments for r in forwards if r.calls[0].name == SIMULATE}
    assert len(designs) == 6


def test_it_looks_again_where_an_operating_point_is_missing(in_process: Simulator) -> None:
    messages, tools = conversation(OTA, 1, in_process)
    assert asked(designer(OTA)(messages[:-1], tools)) == [(OPERATING_POINT, {"design": 1})]


def test_it_goes_on_from_a_summary_of_turns_that_were_left_out(in_process: Simulator) -> None:
    policy = designer(OTA)
    with OTA.session(budget=20, simulator=in_process) as session:
        toolbox = Toolbox(session)
        messages = opening(OTA)
        for _ in range(3):
            reply = policy(messages, toolbox.definitions)
            messages.append(reply.to_message())
            for call in reply.calls:
                answer = toolbox.call(call.name, read_json(call.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": answer.text})
        wanted = policy(messages, toolbox.definitions)
        note = "Earlier turns are left out. What was simulated so far:\n"
        note += toolbox.call("history", {}).text
        short = [*opening(OTA), {"role": "user", "content": note}]
        look = policy(short, toolbox.definitions)
        assert asked(look) == [(OPERATING_POINT, {"design": n}) for n in (1, 2, 3)]
        short.append(look.to_message())
        for call in look.calls:
            answer = toolbox.call(call.name, read_json(call.arguments))
            short.append({"role": "tool", "tool_call_id": call.id, "content": answer.text})
        assert asked(policy(short, toolbox.definitions)) == asked(wanted)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["design", "designs", "results", "metrics", "score", "transistors", "id",
                         "all_specs_met", "parameters", "x"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
CONTENT = st.none() | st.text() | JSON | JSON.map(json.dumps) | JSON.map(
    lambda data: f"<tool_response>{json.dumps(data)}</tool_response>")  # fmt: skip
GARBAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "tool", "system", "developer", ""]), "content": CONTENT},
    optional={"tool_call_id": st.text(max_size=3) | st.just("call_2_1")},
)


@settings(max_examples=60, deadline=None)
@given(st.lists(GARBAGE, max_size=4))
def test_messages_that_it_does_not_understand_change_nothing(garbage: list[Message]) -> None:
    plain = designer(OTA)(opening(OTA), [{}])
    assert asked(designer(OTA)([*opening(OTA), *garbage], [{}])) == asked(plain)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_answer_to_its_own_call_breaks_it(data: st.DataObject) -> None:
    messages = opening(OTA)
    for _ in range(2):
        reply = designer(OTA)(messages, [{}])
        messages.append(reply.to_message())
        for call in reply.calls:
            content = data.draw(CONTENT)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
    assert designer(OTA)(messages, [{}]).calls


def test_it_finishes_when_every_spec_is_met(in_process: Simulator) -> None:
    easy = OTA.with_specs(
        {
            "gain": 10, "ugbw": 1e6, "pm": 10, "modulus_margin": 0.1, "cmrr": 5, "saturation": -9,
            "area": 1e-9, "power": 1e-3,
        }
    )  # fmt: skip
    messages, tools = conversation(easy, 1, in_process)
    assert [name for name, _ in asked(designer(easy)(messages, tools))] == [FINISH]
    assert len(run(easy, 20, in_process)) == 1


# Behind the wire.


@pytest.mark.parametrize("task_id", ALL_TASKS)
def test_it_simulates_what_it_asks_for_on_every_circuit(
    task_id: str, in_process: Simulator, tmp_path: Path
) -> None:
    task = acs_gym.make_task(task_id, pdk="generic")
    agent = scripted()
    agent.keep_files_in(tmp_path)
    history = run(task, 5, in_process, agent)
    lines = (tmp_path / "transcript.jsonl").read_text(encoding="utf-8").splitlines()
    calls = [c for line in lines for c in json.loads(line).get("calls", ())]
    designs = [json.loads(c["arguments"])["designs"] for c in calls if c["name"] == SIMULATE]
    assert [e.design for e in history] == [read_design(task, d) for (d,) in designs]
    assert "ok" in {e.status for e in (history if task_id in SLOW_AT_FIRST else history[:1])}
    assert 1 <= len(history) <= 5


@pytest.mark.parametrize("budget", [0, 1, 2, 7])
def test_it_never_asks_for_more_than_the_budget(budget: int, in_process: Simulator) -> None:
    assert len(run(UNKNOWN, budget, in_process)) == budget


def test_both_tool_formats_simulate_the_same(in_process: Simulator) -> None:
    formats: tuple[Literal["tools", "text"], ...] = ("tools", "text")
    runs = [run(OTA, 6, in_process, ScriptedAgent(tool_format=f)) for f in formats]
    assert [e.design for e in runs[0]] == [e.design for e in runs[1]]


def test_a_wire_that_loses_and_mangles_replies_does_not_change_the_run(
    in_process: Simulator,
) -> None:
    wanted = run(OTA, 6, in_process)
    with (
        WithFaults(OTA) as server,
        OTA.session(budget=6, simulator=in_process) as session,
    ):
        settings_ = LlmConfig(model="faulty", base_url=server.url, context_tokens=10**7)
        LlmAgent(settings_, model=OpenAIModel(settings_)).run(session)
        assert server.count > 6
        assert [e.design for e in session.history] == [e.design for e in wanted]


# What it is worth.


@pytest.mark.parametrize("name", ["ota5t", "opamp", "symmetricalota"])
def test_it_beats_random_search_with_the_same_budget(name: str, in_process: Simulator) -> None:
    task = acs_gym.make_task(name, pdk="generic")
    ours = max(e.score for e in run(task, 20, in_process))
    for seed in range(4):
        with task.session(budget=20, seed=seed, simulator=in_process) as session:
            session.simulate([task.space.sample(session.rng) for _ in range(20)])
            assert session.best is not None and session.best.score < ours - 0.02


def test_a_circuit_without_a_plan_gets_better_too(in_process: Simulator) -> None:
    assert UNKNOWN.id not in PLANS
    scores = [e.score for e in run(UNKNOWN, 20, in_process)]
    assert max(scores) > scores[0] + 0.05


def test_it_needs_no_sizing_that_is_known_to_work(in_process: Simulator) -> None:
    nothing = OTA.circuit.model_copy(update={"references": {}, "anchors": {}})
    blind = replace(OTA, circuit=nothing)
    assert blind.reference is None
    assert [e.design for e in run(blind, 6, in_process)] == [
        e.design for e in run(OTA, 6, in_process)
    ]


def test_its_configuration_does_not_depend_on_the_port() -> None:
    assert scripted().config == ScriptedAgent().config
    assert "base_url" not in scripted().config
    assert scripted().config != ScriptedAgent(tool_format="text").config
