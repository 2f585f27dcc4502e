"""The agent as a whole, over real HTTP against a scripted server."""

import json
import re

import pytest

from acs_gym.tools.answers import design_text
from agents.chat_server import respond
from agents.config import LlmConfig
from agents.llm import IDLE_TURNS_ALLOWED, LlmAgent
from agents.model import Reply
from agents.transcript.records import read_transcript
from agents.transcript.replay import replay
from leaderboard.contract import agent_config, agent_track
from tests.agents import faulty
from tests.agents.faulty import FaultyServer, one_call
from tests.agents.policies import Walk, results


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr("agents.openai_model._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("agents.openai_model._LONGEST_PAUSE_S", 0.002)


def run(task, policy, budget, *, script=(), share=0.0, faults=(), transcript=None, **settings):
    """(session, server) after a run."""
    with FaultyServer(policy, script, share=share, faults=faults) as server:
        settings = {"timeout_s": 1.0, "retries": 8} | settings
        config = LlmConfig(model="scripted", base_url=server.url, **settings)
        with task.session(budget) as session:
            LlmAgent(config, transcript=transcript).run(session)
    return session, server


@pytest.mark.parametrize("tool_format", ["tools", "text"])
def test_it_spends_its_budget_on_what_the_model_asks_for(task, tool_format):
    walk = Walk(task)

    def as_text(messages, tools):
        from agents.text_format import write_calls

        reply = walk(messages, tools)
        return Reply(text=write_calls(reply.text, reply.calls))

    policy = walk if tool_format == "tools" else as_text
    session, server = run(task, policy, 6, tool_format=tool_format)
    for number, evaluation in enumerate(session.history):
        assert evaluation.design == pytest.approx(walk.design(number), rel=1e-4)
    assert session.remaining == 0 and session.usage.tokens > 0
    assert bool(server.requests[0].get("tools")) is (tool_format == "tools")


def test_it_stops_when_the_model_finishes(task):
    session, _ = run(task, Walk(task, stop_after=3), 10)
    assert len(session.history) == 3


@pytest.mark.parametrize("fault", faulty.MODEL_FAULTS, ids=lambda f: f.__name__)
def test_a_fault_of_the_model_is_told_to_it_and_costs_nothing(task, fault):
    calm, _ = run(task, Walk(task), 3)
    session, server = run(task, Walk(task), 3, script=[None, fault])
    assert session.history == calm.history and server.misbehaved == [fault.__name__]
    told = json.dumps(server.requests[2]["messages"])
    assert "error" in told or "Nothing was called" in told


def test_twenty_turns_with_thirty_per_cent_faults_come_to_the_same(task):
    calm, _ = run(task, Walk(task), 20)
    everything = (*faulty.SERVER_FAULTS, *faulty.MODEL_FAULTS, *faulty.ODDITIES)
    session, server = run(task, Walk(task), 20, share=0.3, faults=everything)
    assert len(server.misbehaved) >= 5
    assert session.history == calm.history and session.best == calm.best


@pytest.mark.parametrize(
    "policy",
    [
        lambda m, t: Reply(text="I would rather talk."),
        lambda m, t: Reply(),
        lambda m, t: one_call("history", {}),
        lambda m, t: one_call("simulate", {"designs": [{"w_pair": "1 km"}]}),
        lambda m, t: one_call("dance", {}),
    ],
    ids=["talks", "silent", "only looks back", "never right", "dances"],
)
def test_a_model_that_gets_nowhere_is_stopped(task, policy, tmp_path):
    session, server = run(task, policy, 5, transcript=tmp_path / "t")
    assert not session.history and len(server.requests) == IDLE_TURNS_ALLOWED
    assert "simulated nothing" in read_transcript(tmp_path / "t")[-1].reason


@pytest.mark.parametrize(
    ("policy", "settings", "says"),
    [
        (lambda m, t: Reply(text="I would rather talk."), {},
         ["'I would rather talk.', and called no tool (8 of 8 turns)", "--tool-format text"]),
        (lambda m, t: Reply(text="Let me th", finish_reason="length"), {"tool_format": "text"},
         ["cut off at its length limit and wrote 'Let me th'", "--reply-tokens"]),
        (lambda m, t: Reply(reasoning="Hm."), {}, ["wrote nothing but its reasoning"]),
        (lambda m, t: one_call("simulate", {"designs": [{"w_pair": "1 km"}]}), {},
         ["simulate was refused: ", "1 km"]),
        (lambda m, t: one_call("finish", {"summary": ""}), {},
         ["the model finished; nothing was simulated: it called finish (1 of 1 turns)"]),
        (lambda m, t: Reply(), {"max_tokens": 40}, ["the cap leaves no room", "nothing was simulated"]),
    ],
    ids=["talks", "cut off", "thinks", "never right", "finishes", "no room"],
)  # fmt: skip
def test_a_run_without_a_simulation_says_why(task, policy, settings, says):
    with FaultyServer(policy) as server, task.session(5) as session:
        agent = LlmAgent(LlmConfig(model="m", base_url=server.url, **settings))
        agent.run(session)
    assert all(part in agent.ended for part in says), agent.ended
    assert "\n" not in agent.ended


def design_of(task):
    return {k: str(v) for k, v in design_text(task, task.reference).items()}


def read_from(task, message, tmp_path, tool_format="tools"):
    """(what was simulated, the notes) of a model that first says this message."""
    says = {"choices": [{"message": message, "finish_reason": "stop"}]}

    def verbatim(server, handler, request):
        respond(handler, 200, says)

    with FaultyServer(Walk(task), [verbatim] * 9) as server, task.session(1) as session:
        settings = LlmConfig(model="m", base_url=server.url, tool_format=tool_format)
        LlmAgent(settings, transcript=tmp_path / "t").run(session)
    notes = [r.message for r in read_transcript(tmp_path / "t") if r.type == "note"]
    return session.history, notes


@pytest.mark.parametrize(
    "form",
    ["object", "text in the arguments", "one text a design", "quoted twice", "fenced", "namespace",
     "namespace and number", "older field"],
)  # fmt: skip
def test_a_malformed_call_is_read_and_noted(task, form, tmp_path):
    design = design_of(task)
    arguments, name = {"designs": [design]}, "simulate"
    if form == "text in the arguments":
        arguments = {"designs": json.dumps([design])}
    elif form == "one text a design":
        arguments = {"designs": [json.dumps(design)]}
    written = {
        "object": arguments,
        "quoted twice": json.dumps(json.dumps(arguments)),
        "fenced": f"```json\n{json.dumps(arguments)}\n```",
    }.get(form, json.dumps(arguments))
    name = {"namespace": "functions.simulate", "namespace and number": "functions.simulate:0"}.get(
        form, name
    )
    function = {"name": name, "arguments": written}
    message = {"role": "assistant", "content": None}
    message |= (
        {"function_call": function}
        if form == "older field"
        else {"tool_calls": [{"id": "a", "type": "function", "function": function}]}
    )
    history, notes = read_from(task, message, tmp_path)
    assert [e.design for e in history] == [pytest.approx(task.reference, rel=1e-4)]
    assert len(notes) == (form != "object") and all(n.startswith("simulate: ") for n in notes)


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{{"name": "simulate", "arguments": {arguments}}}\n</tool_call>',
        "<tool_call>\n<function=simulate>\n<parameter=designs>\n{designs}\n</parameter>\n</function>\n"
        "</tool_call>",
        '[TOOL_CALLS] [{{"name": "simulate", "arguments": {arguments}}}]',
        "Now.[TOOL_CALLS]simulate[ARGS]{arguments}",
        "[TOOL_CALLS]simulate{arguments}",
        '{{"name": "simulate", "parameters": {arguments}}}',
        '<|python_tag|>{{"type": "function", "name": "simulate", "parameters": {arguments}}}<|eom_id|>',
        'I try:\n```json\n{{"name": "simulate", "arguments": {arguments}}}\n```',
    ],
    ids=[
        "Hermes",
        "Qwen coder",
        "Mistral",
        "Mistral v11",
        "Devstral",
        "Llama",
        "Llama 3.1",
        "fence",
    ],
)
@pytest.mark.parametrize("tool_format", ["tools", "text"])
def test_a_call_left_in_the_text_is_read(task, text, tool_format, tmp_path):
    designs = json.dumps([design_of(task)])
    said = text.format(designs=designs, arguments=f'{{"designs": {designs}}}')
    history, notes = read_from(task, {"role": "assistant", "content": said}, tmp_path, tool_format)
    assert [e.design for e in history] == [pytest.approx(task.reference, rel=1e-4)]
    assert len(notes) == (not text.startswith("<tool_call>\n{"))


def test_a_repaired_call_goes_back_to_the_model_as_json():
    fenced = one_call("simulate", '```json\n{"designs": []}\n```')
    function = fenced.to_message()["tool_calls"][0]["function"]
    assert json.loads(function["arguments"]) == {"designs": []}


def test_a_replay_reads_what_the_run_read(task, tmp_path):
    call = {"name": "simulate", "parameters": {"designs": [design_of(task)]}}
    read_from(task, {"role": "assistant", "content": json.dumps(call)}, tmp_path)
    assert replay(tmp_path / "t").equal


def test_the_cap_on_turns_holds(task):
    _, server = run(task, Walk(task), 50, max_turns=4)
    assert len(server.requests) == 4


def test_the_cap_on_tokens_holds_and_what_was_simulated_counts(task, tmp_path):
    session, _ = run(task, Walk(task), 50, max_tokens=20_000, transcript=tmp_path / "t")
    assert session.history and session.usage.tokens <= 20_000
    assert "20000 tokens" in read_transcript(tmp_path / "t")[-1].reason


def test_the_cap_on_money_holds(task, tmp_path):
    prices = tmp_path / "p.toml"
    prices.write_text("[usd_per_million]\nscripted = { prompt = 10, completion = 30 }\n")
    session, _ = run(task, Walk(task), 50, max_money=0.2, prices=prices)
    assert session.history and 0 < session.usage.money <= 0.2


def test_a_long_run_stays_within_its_context(task):
    session, server = run(task, Walk(task), 30, context_tokens=9000)
    assert len(session.history) == 30
    sizes = [len(json.dumps(r["messages"])) for r in server.requests]
    assert max(sizes) < 3 * 9000 * 1.1
    last = server.requests[-1]["messages"]
    assert last[0] == server.requests[0]["messages"][0]
    assert "Earlier turns are left out" in last[2]["content"]


def test_several_designs_in_a_call_are_one_turn(task):
    def policy(messages, tools):
        seen = len(results(messages))
        walk = Walk(task)
        return one_call("simulate", {"designs": [walk.design(seen + k) for k in range(3)]})

    session, server = run(task, policy, 6)
    assert len(session.history) == 6 and len(server.requests) == 2


def test_every_call_is_answered_by_its_id(task):
    _, server = run(task, Walk(task), 4)
    for message, after in zip(
        server.requests[-1]["messages"], server.requests[-1]["messages"][1:], strict=False
    ):
        if message["role"] == "assistant" and message.get("tool_calls"):
            assert after["tool_call_id"] == message["tool_calls"][0]["id"]


def test_half_a_surrogate_pair_does_not_end_a_run(task):
    walk = Walk(task)

    def policy(messages, tools):
        reply = walk(messages, tools)
        return Reply(text="so \ud83d", reasoning="\udc00", calls=reply.calls)

    session, server = run(task, policy, 3)
    assert len(session.history) == 3 and len(server.requests) == 3


def test_the_answers_to_the_last_calls_are_written_down(task, tmp_path):
    run(task, Walk(task), 2, transcript=tmp_path / "t")
    answers = [r for r in read_transcript(tmp_path / "t") if getattr(r, "role", "") == "tool"]
    assert '"simulations_left":0' in answers[-2].content


def test_its_own_reasoning_goes_back_to_a_model_that_wants_it(task):
    for wanted in (False, True):
        _, server = run(task, Walk(task), 2, send_reasoning=wanted)
        echoed = json.dumps(server.requests[-1]["messages"])
        assert ("A guess." in echoed) is wanted


def test_the_leaderboard_can_read_what_decides_it():
    agent = LlmAgent(LlmConfig(model="m", base_url="http://127.0.0.1:9/v1"))
    assert agent_config(agent)["model"] == "m" and agent_track(agent) == "metrics"


def test_the_harness_says_where_its_transcript_goes(task, tmp_path):
    with FaultyServer(Walk(task)) as server, task.session(2) as session:
        agent = LlmAgent(LlmConfig(model="m", base_url=server.url))
        agent.keep_files_in(tmp_path)
        agent.run(session)
    records = read_transcript(tmp_path / "transcript.jsonl")
    assert [r.number for r in records if r.type == "evaluation"] == [1, 2]
    assert all(re.fullmatch(r"[0-9a-f]{64}", r.task_digest) for r in records[:1])
